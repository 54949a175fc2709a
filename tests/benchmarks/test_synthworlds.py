"""SynthWorlds: rows and shared documents, scores and dates, the Hub, prediction files, episodes."""

import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks import base as benchmark
from hopgym.benchmarks import hub, synthworlds
from hopgym.benchmarks.predictions import PredictionEntry
from hopgym.benchmarks.records import Content, read_content
from hopgym.benchmarks.synthworlds import (
    SynthWorldsSource,
    answer_score,
    date_of,
    document_of,
    normalize_synthworlds,
)
from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError
from hopgym.scoring import Score
from tests.support.benchmark_files import BENCHMARKS, needs_files

FIXTURE = BENCHMARKS / "synthworlds" / "SYNTHETIC_FIXTURE_synthworlds_format.json"

WORKS = "Farrow Works\nFarrow Works is a mill. It was founded by Ada Brook."
BROOK = "Ada Brook\nAda Brook (born 28 July 1896) was a baker.\nShe lived in Elmstead."
HART = "Gil Hart\nGil Hart kept bees."

RECORD: dict[str, Any] = {
    "instance_id": "rm-0",
    "query": "When was the founder of Farrow Works born?",
    "gold_answers": ["28 July 1896"],
    "gold_docs": [WORKS, BROOK],
    "gold_qids": ["Q1", "Q2"],
    "question_graph_type": "2-hop chain",
    "expected_output_is_time": True,
    "mhop_qa": "{}",
}
OTHER = RECORD | {
    "instance_id": "rm-1",
    "query": "Where did the baker live?",
    "gold_answers": ["Elmstead"],
    "gold_docs": [BROOK],
    "expected_output_is_time": False,
}


def record(**changes: Any) -> dict[str, Any]:
    return RECORD | changes


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(*rows: dict[str, Any], **arguments: Any) -> SynthWorldsSource:
        return SynthWorldsSource(write(tmp_path / "qa.json", list(rows)), **arguments)

    return load


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    return write(tmp_path / "docs.json", [{"qid": "Q3", "doc": HART}, {"qid": "Q2", "doc": BROOK}])


def titles(source: SynthWorldsSource, index: int = 0) -> list[str]:
    return [page.title for page in source[index].corpus]


def play(env: HopEnv, index: int) -> tuple[dict[str, Any], float]:
    """Let the oracle play; return the last info and the process rewards' sum."""
    env.reset(options={"index": index})
    episode = env._episode
    assert episode is not None
    total, info = 0.0, {}
    while not episode.stop_reason:
        arguments = {tool.name: tool.argument for tool in env.tools}
        call = episode.oracle_call()
        info = env.step(episode.dialect.write(call.action, arguments))[4]
        total += info["process_reward"]
    return info, total


def test_a_row_becomes_a_task(load: Any) -> None:
    source = load(RECORD, OTHER, corpus="record")
    task = source[0]
    question = task.question
    assert (len(source), source.unjudged, source.index_of("rm-1")) == (2, 0, 1)
    assert (question.answers, question.answer_kind) == (("28 July 1896",), "text")
    assert (question.kind, question.hops, question.source) == ("2-hop chain", (), "synthworlds")
    assert question.metadata == {"expected_output_is_time": True, "gold_qids": ["Q1", "Q2"]}
    (proof,) = question.proofs
    assert [fact.shown_by for fact in proof] == [(("0", None),), (("1", None),)]
    assert proof[0].fact == "Farrow Works is a mill. It was founded by Ada Brook."
    assert [page.title for page in task.corpus] == ["Farrow Works", "Ada Brook"]
    assert len(task.corpus[1].sentences) == 2


def test_the_split_holds_gold_and_shared_documents_once(load: Any, documents: Path) -> None:
    assert titles(load(RECORD, OTHER)) == ["Farrow Works", "Ada Brook"]
    source = load(OTHER, RECORD, documents=documents, limit=1)
    assert titles(source) == ["Ada Brook", "Farrow Works", "Gil Hart"]
    assert source[0].corpus.description == "split"
    assert [page.title for page in source[0].context or ()] == ["Ada Brook"]
    assert source[0].question.proofs[0][0].shown_by == (("0", None),)
    assert titles(load(OTHER, documents=documents, corpus="record")) == ["Ada Brook"]


def test_layouts_and_pickles_give_the_same_tasks(
    load: Any, documents: Path, tmp_path: Path
) -> None:
    lines, more = tmp_path / "qa.jsonl", tmp_path / "docs.jsonl"
    lines.write_text("\n\n".join(map(json.dumps, (RECORD, OTHER))))
    more.write_text("\n".join(map(json.dumps, json.loads(documents.read_text()))))
    source = load(RECORD, OTHER, documents=documents)
    again = pickle.loads(pickle.dumps(source))
    for same in (SynthWorldsSource(lines, documents=str(more)), again):
        assert [same[i].question for i in (0, 1)] == [source[i].question for i in (0, 1)]
        assert list(same[0].corpus) == list(source[0].corpus)
    assert source.fingerprint != load(RECORD, OTHER).fingerprint
    assert source.fingerprint != load(RECORD, OTHER, documents=documents, variant="sm").fingerprint


@pytest.mark.parametrize(
    ("text", "title", "sentences"),
    [
        (BROOK, "Ada Brook", 2),
        ("\n Ada Brook \r\n\nA baker.\n", "Ada Brook", 1),
        ("Ada Brook was a baker in Elmstead. She lived.", "Ada Brook was a bake", 2),
        ("Ada\n \n", "Ada", 1),
        ("x" * 200 + "\nA baker.", "x" * 200, 1),
        ("x" * 201 + "\nA", "x" * 20, 2),
        (" \n", "", 0),
    ],
)
def test_a_text_becomes_a_document(text: str, title: str, sentences: int) -> None:
    document = document_of(text, "7")
    assert (document.id, document.title, len(document.sentences)) == ("7", title, sentences)


def test_the_oracle_proves_every_record_over_every_corpus(load: Any, documents: Path) -> None:
    for corpus in ("record", "split"):
        source = load(RECORD, OTHER, documents=documents, corpus=corpus)
        for index in (0, 1):
            info, total = play(HopEnv(source), index)
            assert (info["verdict"], info["corpus"]) == ("supported", corpus)
            assert info["is_success"]
            assert total == pytest.approx(1.0)


@pytest.mark.parametrize("docs", [[], [WORKS, " \n"], [""]])
@pytest.mark.parametrize("corpus", ["record", "split"])
def test_missing_and_empty_documents_leave_a_record_unjudged(
    load: Any, docs: list[str], corpus: str
) -> None:
    source = load(OTHER, record(gold_docs=docs), corpus=corpus)
    assert (source.unjudged, source[1].question.proofs) == (1, ())
    info, total = play(HopEnv(source), 1)
    assert (info["verdict"], total, info["is_success"]) == ("unjudged", 0.0, True)


def test_a_document_that_stands_twice_is_one_fact(load: Any) -> None:
    source = load(record(gold_docs=[WORKS, BROOK, WORKS]), corpus="record")
    shown = [fact.shown_by for fact in source[0].question.proofs[0]]
    assert shown == [(("0", None), ("2", None)), (("1", None),)]
    assert len(load(record(gold_docs=[WORKS, BROOK, WORKS]))[0].corpus) == 2


def test_blank_golds_count_and_come_last(load: Any) -> None:
    source = load(record(gold_answers=["", "Elmstead", "Vale"], expected_output_is_time=False))
    assert source[0].question.answers == ("Elmstead", "Vale", "")
    assert source.metrics_of(0, PredictionEntry("The")) == {
        "em": 1.0,
        "f1": 1.0,
        "em_substring": 1.0,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gold_answers": []}, r"record 1: expected an answer among the 'gold_answers' of 'rm-9'"),
        ({"gold_answers": [" "]}, "record 1: expected an answer among"),
        ({"gold_answers": "Elmstead"}, r"record 1: Expected `array`, got `str` - at `\$.gold_ans"),
        ({"gold_docs": [["Ada", "text"]]}, "record 1: Expected `str`, got `array`"),
        ({"expected_output_is_time": "yes"}, "record 1: Expected `bool`, got `str`"),
        ({"instance_id": 7}, r"record 1: Expected `str`, got `int` - at `\$.instance_id`"),
        ({"instance_id": "rm-0"}, "record 1: expected every question to have its own id"),
        ({"query": " "}, "record 1: expected the text of question 'rm-9'"),
        ({"query": "x" * 32_001}, r"record 1: .*at most 32000 characters"),
    ],
)
def test_unusable_rows_are_named(load: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(RECORD, record(**{"instance_id": "rm-9"} | changes))


@pytest.mark.parametrize("field", ["instance_id", "gold_docs", "expected_output_is_time"])
def test_missing_fields_are_named(load: Any, field: str) -> None:
    with pytest.raises(DataError, match=f"record 0: .*missing required field `{field}`.*qa-rm"):
        load({key: value for key, value in RECORD.items() if key != field})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r"more\.json.*expected documents, got none"),
        (json.dumps([RECORD]), r"more\.json, record 0: .*field `qid`; documents must be as in"),
        ('{"qid": "Q1", "doc": "A"}\n{"qid": 2, "doc": ""}', r"more\.json, line 2: Expected `str`"),
        ('[{"qid": "Q1", "doc": "A"}', r"more\.json: expected a JSON list of records"),
    ],
)
def test_unusable_documents_are_named_at_once(
    load: Any, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "more.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        load(RECORD, documents=path)


def test_wrong_arguments(load: Any, documents: Path) -> None:
    for arguments in ({"variant": "xm"}, {"aliases": documents}, {"documents": 3}):
        with pytest.raises(ArgumentError):
            load(RECORD, **arguments)
    with pytest.raises(DataError, match=r"record 0: .*missing required field"):
        SynthWorldsSource(documents)


@pytest.mark.parametrize("variant", ["rm", "sm"])
def test_the_hub_gives_questions_and_documents(
    monkeypatch: pytest.MonkeyPatch, load: Any, documents: Path, variant: str
) -> None:
    shared = json.loads(documents.read_text())
    rows = {f"qa-{variant}": [RECORD, OTHER], f"qa-{variant}-docs": shared}

    def hub_content(form: Any, split: str) -> Content:
        assert (form.repo, len(form.revision), split) == ("kenqgu/SynthWorlds", 40, "test")
        return hub.rows_content(rows[form.config], form.config)

    monkeypatch.setattr(benchmark, "hub_content", hub_content)
    source = SynthWorldsSource(hub=True, variant=variant)
    local = load(RECORD, OTHER, documents=documents)
    assert list(source[0].corpus) == list(local[0].corpus)
    assert source[1].question == local[1].question
    assert pickle.loads(pickle.dumps(source)).fingerprint == source.fingerprint


def test_official_divides_by_all_questions(load: Any) -> None:
    source = load(RECORD, OTHER)
    half = {"em": 0.5, "f1": 0.5, "em_substring": 0.5}
    assert source.official({"rm-0": "July 28, 1896"}) == half
    assert source.official({"rm-0": "July 28, 1896", "rm-1": ""}) == half | {"em_substring": 1.0}
    assert source.official({"rm-1": "Elmstead"}, gold=["rm-1"]) == dict.fromkeys(half, 1.0)
    assert source.score(source[0], "1896-07-28") == Score(1.0, 1.0)
    assert source.metrics_of(0, PredictionEntry()) == dict.fromkeys(half, 0.0)


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ('{"answer": {"rm-0": "1896", "rm-1": ""}}', {"rm-0": "1896", "rm-1": ""}),
        ('{"answer": "1896"}', {"answer": "1896"}),
        ("{}", {}),
    ],
)
def test_prediction_files(load: Any, tmp_path: Path, text: str, answers: dict[str, str]) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(text)
    source = load(RECORD, OTHER)
    entries = source.read_entries(read_content(str(path)))
    assert {i: each.answer for i, each in entries.items()} == answers
    path.write_bytes(source.write_entries(entries | {"rm-9": PredictionEntry()}))
    assert source.read_entries(read_content(str(path))) == entries
    overall, rows = source.score_entries(entries)
    assert list(rows) == ["rm-0", "rm-1"]
    assert overall["f1"] == sum(row["f1"] for row in rows.values()) / 2


NO_PREDICTIONS = (
    *("[]", '{"rm-0": null}', '{"rm-0": {"answer": "1896"}}', '{"rm-0": "18'),
    *('{"answer": {"rm-0": "1896"}, "rm-1": "x"}', '{"answer": {"rm-0": ["1896"]}}'),
)


@pytest.mark.parametrize("text", NO_PREDICTIONS)
def test_other_files_are_no_prediction_files(load: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "predictions.json").write_text(text)
    with pytest.raises(DataError, match=r"predictions\.json.*a prediction file is"):
        load(RECORD).read_entries(read_content(str(tmp_path / "predictions.json")))


@needs_files
def test_the_format_fixture_loads_and_gold_scores_one() -> None:
    source = SynthWorldsSource(FIXTURE)
    assert (len(source), source.unjudged) == (2, 0)
    assert titles(source) == ["Example Works", "Ada Example", "Ada Example"]
    gold = {source.id_at(i): source[i].question.answers[0] for i in range(2)}
    assert source.official(gold) == dict.fromkeys(("em", "f1", "em_substring"), 1.0)
    assert [play(HopEnv(source), i)[0]["verdict"] for i in range(2)] == ["supported"] * 2


REFERENCE = BENCHMARKS / "reference" / "reference_synthworlds_behaviour.dev.json"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (r"\boxed{Paris}", "boxed paris"),
        (r"\boxed{Rio}", "boxedrio"),
        (r"\boxed{\text{Paris}}", "boxed textparis"),
        (r"\mathrm{\text{Paris}}", "mathrm textparis"),
        (r"\textbf{Paris}", "text bfparis"),
        (r"\text{textbook}", "texttextbook"),
        (r"\text{mathrm mathbf}", "text mathrm mathbf"),
        ("textbooks", "text books"),
        ("contextually boxedboxed", "contextually boxedboxed"),
        (r"\boxed{the cat}", "boxedthe cat"),
        ("Is the answer is", "answer"),
        ("A well-known, U.S. “the”\xa0isle", "wellknown us “ ” isle"),
        (" \n", ""),
    ],
)
def test_normalisation(text: str, normal: str) -> None:
    assert normalize_synthworlds(text) == normal


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("28 July 1896", "July 28, 1896"),
        ("July 28th, 1896", "July 28, 1896"),
        ("1896-07-28", "July 28, 1896"),
        ("28/07/1896", "July 28, 1896"),
        ("07/28/1896", "July 28, 1896"),
        ("04/05/1896", "April 5, 1896"),
        ("20240101", "January 1, 2024"),
        ("1896-07-28T10:00:00Z", "July 28, 1896"),
        ("1896-07-28T10:00:00", "July 28, 1896"),
        ("1896-07-28T10:00:00+02:00", None),
        ("28 July 1896 10:30 XYZ", "July 28, 1896"),
        ("28 July 1896 10:30 UTC", None),
        ("July 1896", "July, 1896"),
        ("1896-07", "July, 1896"),
        ("1896-00-00", "December 0, 1896"),
        ("1896.", "1896"),
        ("  1896\n", "1896"),
        ("1896 (year)", "1896"),
        ("1200 BCE", "1200"),
        ("44 BCE", "44 BCE"),
        ("1000", "1000 CE"),
        ("1001", "1001"),
        ("July 4, 850", "850 CE"),
        ("AD 850", "850 CE"),
        ("0850-13", "850 CE"),
        ("-44 CE", "-44 CE"),
        ("99999 CE", "99999"),
        ("July", "July, None"),
        ("5", "None"),
        ("31", "None"),
        ("Monday July 1896", "July, 1896"),
        ("29 February 1896", "February 29, 1896"),
        ("29 February", None),
        ("1896-13", None),
        ("1896-13-01", None),
        ("10:30", None),
        ("Monday", None),
        ("44 BC", None),
        ("850 bce", None),
        ("March 15, 44 BCE", None),
        ("1" * 5000 + " CE", None),
        ("c. 1896", None),
        ("in 1896", None),
        ("1890s", None),
        ("31 February 1896", None),
        ("", None),
    ],
)
def test_dates(text: str, date: str | None) -> None:
    assert date_of(text) == date


def test_dates_do_not_depend_on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(0))
    monkeypatch.setattr(time, "tzname", ("XYZ", "XYZ"))
    synthworlds._date_parser.cache_clear()
    assert [date_of(f"July 4, '{year}") for year in ("75", "76", "99", "00")] == [
        *("July 4, 2075", "July 4, 1976", "July 4, 1999", "July 4, 2000")
    ]
    assert date_of("28 July 1896 10:30 XYZ") == "July 28, 1896"


@pytest.mark.parametrize(
    ("prediction", "golds", "is_time", "scores"),
    [
        ("28 July 1896", ["July 28, 1896"], True, (1, 1, 1)),
        ("28 July 1896", ["July 28, 1896"], False, (0, 1, 0)),
        ("1896-07-28", ["July 28, 1896"], True, (1, 1, 1)),
        ("1896-07-28", ["July 28, 1896"], False, (0, 0, 0)),
        ("July 1896", ["28 July 1896"], True, (0, 0.8, 1)),
        ("1896", ["28 July 1896"], True, (0, 0.5, 1)),
        ("5", ["7"], True, (1, 1, 1)),
        ("1896-13", ["1896"], True, (0, 0, 0)),
        ("1896", ["1896-13", "the 1896"], True, (1, 1, 1)),
        ("", ["Elmstead"], False, (0, 0, 1)),
        ("", [""], False, (1, 1, 1)),
        ("Elm", ["Vale", "Elmstead"], False, (0, 0, 1)),
        ("Elmstead Vale", ["Vale", "Elmstead"], False, (0, 2 / 3, 0)),
        ("yes, it is", ["yes"], False, (0, 2 / 3, 0)),
        (r"\boxed{Paris}", ["Paris"], False, (0, 2 / 3, 0)),
        ("The answer is: Paris", ["Paris"], False, (0, 2 / 3, 0)),
    ],
)
def test_scores(
    prediction: str, golds: list[str], is_time: bool, scores: tuple[float, float, float]
) -> None:
    found = answer_score(prediction, golds, is_time)
    assert (found.em, found.f1, found.em_substring) == pytest.approx(scores, abs=1e-12)


@needs_files
def test_scores_are_those_of_the_public_copy() -> None:
    rows = json.loads(REFERENCE.read_text())["records"]
    checked = 0
    for row in rows:
        for key, expected in row["score"].items():
            predictor, _, is_time = key.partition("|time=")
            found = answer_score(row["pred"][predictor], row["gold"], is_time == "True")
            assert (found.em, found.f1, found.em_substring) == pytest.approx(
                (expected["em"], expected["f1"], expected["em_upstream_substring_rule"]), abs=1e-12
            ), (key, row["gold"])
            checked += 1
        gold = answer_score(row["gold"][0], row["gold"], row["is_time"])
        assert (gold.em, gold.f1, gold.em_substring) == (1.0, 1.0, 1.0)
    assert (len(rows), checked) == (60, 810)
