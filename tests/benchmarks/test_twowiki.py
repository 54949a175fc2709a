"""2WikiMultihopQA: all layouts, official scores, aliases, prediction files, whole episodes."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks.predictions import PredictionEntry
from hopgym.benchmarks.records import Content, read_content
from hopgym.benchmarks.twowiki import (
    TwoWikiSource,
    best_answer_metrics,
    fact_metrics,
    gold_triples,
    normalize_name,
    triple_metrics,
)
from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError
from hopgym.tasks import Prediction
from tests.support.benchmark_files import BENCHMARKS, needs_files

FOLDER = BENCHMARKS / "2wikimultihopqa"
DEV = FOLDER / "dev.dev.json"
TRAIN = FOLDER / "train.dev.json"
ALIASES = FOLDER / "id_aliases_partial.json"

RECORD: dict[str, Any] = {
    "_id": "01",
    "type": "compositional",
    "question": "Where was the director of The Grey Farrow born?",
    "context": [
        ["The Grey Farrow", ["The Grey Farrow is a film.", "Ada Brook directed it."]],
        ["Ada Brook", ["Ada Brook was born in Elmstead."]],
        ["Gil Hart", ["Gil Hart keeps bees."]],
    ],
    "entity_ids": "Q1_Q2",
    "supporting_facts": [["The Grey Farrow", 1], ["Ada Brook", 0]],
    "evidences": [
        ["The Grey Farrow", "director", "Ada Brook"],
        ["Ada Brook", "place of birth", "Elmstead"],
    ],
    "answer": "Elmstead",
    "evidences_id": [["Q1", "director", "Q2"], ["Q2", "place of birth", "Q3"]],
    "answer_id": "Q3",
}
LINES = [
    {"Q_id": "Q2", "aliases": ["A. Brook"], "demonyms": []},
    {"Q_id": "Q3", "aliases": ["Elmstead-on-Farrow", "Elmstead"], "demonyms": ["Elmsteader"]},
]
GOLD = PredictionEntry(
    "Elmstead",
    (("The Grey Farrow", 1), ("Ada Brook", 0)),
    (("The Grey Farrow", "director", "Ada Brook"), ("Ada Brook", "place of birth", "Elmstead")),
)


def record(**changes: Any) -> dict[str, Any]:
    return RECORD | changes


def without(*fields: str, **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in record(**changes).items() if name not in fields}


def columns(rows: list[list[Any]], *names: str) -> dict[str, list[Any]]:
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def structs(rows: list[list[Any]], *names: str) -> list[dict[str, Any]]:
    return [dict(zip(names, row, strict=True)) for row in rows]


def as_text(*fields: str) -> dict[str, Any]:
    return {field: json.dumps(RECORD[field]) for field in fields}


FACTS = RECORD["supporting_facts"]
PAGES = RECORD["context"]


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(*rows: Any, lines: Any = None, **arguments: Any) -> TwoWikiSource:
        path = tmp_path / "records.json"
        path.write_text(json.dumps(rows))
        if lines is not None:
            aliases = tmp_path / "id_aliases.json"
            aliases.write_text("\n".join(json.dumps(line) for line in lines))
            arguments["aliases"] = aliases
        return TwoWikiSource(path, **arguments)

    return load


def play(env: HopEnv, index: int) -> tuple[dict[str, Any], float]:
    """Let the oracle play; return the last info and the process rewards' sum."""
    env.reset(options={"index": index})
    episode = env._episode
    assert episode is not None
    total, info = 0.0, {}
    while not episode.stop_reason:
        call = episode.oracle_call()
        arguments = {tool.name: tool.argument for tool in env.tools}
        info = env.step(episode.dialect.write(call.action, arguments))[4]
        total += info["process_reward"]
    return info, total


def test_a_record_becomes_a_task(load: Any) -> None:
    source = load(RECORD)
    task = source[0]
    question = task.question
    assert (len(source), source.unjudged, source.index_of("01")) == (1, 0, 0)
    assert (question.answers, question.answer_kind) == (("Elmstead",), "text")
    assert (question.kind, question.source) == ("compositional", "twowiki")
    assert [(hop.text, hop.answers) for hop in question.hops] == [
        ("director of The Grey Farrow", ("Ada Brook",)),
        ("place of birth of Ada Brook", ("Elmstead",)),
    ]
    assert question.metadata == {
        "answer_id": "Q3",
        "evidences_id": RECORD["evidences_id"],
        "entity_ids": "Q1_Q2",
    }
    assert json.loads(json.dumps(question.metadata)) == question.metadata
    (proof,) = question.proofs
    assert [(fact.fact, fact.shown_by) for fact in proof] == [
        ("Ada Brook directed it.", (("0", 1),)),
        ("Ada Brook was born in Elmstead.", (("1", 0),)),
    ]
    assert question.support == (
        "The Grey Farrow#1 | Ada Brook#0 | The Grey Farrow > director > Ada Brook | "
        "Ada Brook > place of birth > Elmstead"
    )
    assert [page.title for page in task.corpus] == [title for title, _ in PAGES]


@pytest.mark.parametrize(
    "row",
    [
        without("_id", id="01"),
        record(context=columns(PAGES, "title", "sentences")),
        record(context=columns(PAGES, "title", "content")),
        record(context=structs(PAGES, "title", "content")),
        record(supporting_facts=columns(FACTS, "title", "sent_id")),
        record(supporting_facts=structs(FACTS, "title", "sent_id")),
        record(evidences=structs(RECORD["evidences"], "fact", "relation", "entity")),
        record(evidences=columns(RECORD["evidences"], "fact", "relation", "entity")),
        record(**as_text("context", "supporting_facts", "evidences", "evidences_id")),
        record(context=json.dumps(columns(PAGES, "title", "sentences"))),
    ],
)
def test_the_layouts_of_the_hub_give_the_same_task(load: Any, row: Any) -> None:
    official = load(RECORD, lines=LINES)
    source = load(row, lines=LINES)
    assert source[0].question == official[0].question
    assert list(source[0].corpus) == list(official[0].corpus)
    entries = {"01": PredictionEntry("Elmsteader", GOLD.facts, GOLD.triples)}
    assert source.score_entries(entries) == official.score_entries(entries)


def test_a_copy_without_ids_is_scored_without_aliases_alone(load: Any) -> None:
    row = without("evidences_id", "answer_id", "entity_ids")
    source = load(row)
    assert source[0].question.answers == ("Elmstead",)
    assert source.score_entries({"01": GOLD})[0] == dict.fromkeys(source.score_entries({})[0], 1.0)
    message = r"record 1: expected 'answer_id' and 'evidences_id', .* got neither; take a release"
    with pytest.raises(DataError, match=message):
        load(RECORD, row | {"_id": "02"}, lines=LINES)
    assert len(load(row | {"answer_id": None, "evidences_id": None}, lines=LINES)) == 1


@pytest.mark.parametrize(
    "facts",
    [None, [], [["Ada Brook", 1]], [["Ada Brook", -1]], [["ada brook", 0]], [["Nowhere", 0]]],
)
def test_facts_that_cannot_be_shown_leave_the_record_unjudged(load: Any, facts: Any) -> None:
    source = load(RECORD, record(_id="02", supporting_facts=facts))
    assert (source.unjudged, source[1].question.proofs) == (1, ())
    info, total = play(HopEnv(source), 1)
    assert (info["verdict"], info["evidence_source"], total) == ("unjudged", "none", 0.0)
    assert info["is_success"]


def test_an_empty_context_loads_unjudged(load: Any) -> None:
    source = load(record(context=[]))
    assert (source.unjudged, len(source[0].corpus)) == (1, 0)


def test_a_repeated_title_shows_the_fact_on_every_page_that_has_the_sentence(load: Any) -> None:
    source = load(record(context=[*PAGES, ["Ada Brook", ["Another."]]]))
    assert source[0].question.proofs[0][1].shown_by == (("1", 0), ("3", 0))
    info, total = play(HopEnv(source), 0)
    assert info["verdict"] == "supported"
    assert total == pytest.approx(1.0)


def test_split_corpus(load: Any) -> None:
    other = record(_id="02", context=[*PAGES, ["Ivo Jay", ["Ivo Jay was born in 1948."]]])
    task = load(RECORD, other, corpus="split")[0]
    assert (task.corpus.description, len(task.corpus)) == ("split", 4)
    assert [fact.shown_by for fact in task.question.proofs[0]] == [(("0", 1),), (("1", 0),)]


@pytest.mark.parametrize(("answer", "kind"), [("yes", "yesno"), ("No", "yesno"), ("1948", "text")])
def test_answer_kind(load: Any, answer: str, kind: str) -> None:
    row = record(answer=answer, answer_id=None)
    assert load(row)[0].question.answer_kind == kind


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": None}, "record 1: expected an answer to '02', got none; the test questions"),
        ({"answer": ""}, "record 1: expected an answer"),
        ({"_id": "01"}, "record 1: expected every question to have its own id"),
        ({"_id": ""}, "record 1: expected an id"),
        ({"question": 3}, "record 1: Expected `str`"),
        ({"evidences": None}, "record 1: expected 'evidences' of '02', got none; records must be"),
        ({"evidences": [["a", "b"]]}, r"record 1: 'evidences': .*length 3.*`\$\[0\]`"),
        ({"evidences": [["a", "b", 1]]}, "record 1: 'evidences': Expected `str`, got `int`"),
        ({"evidences": "[[1"}, "record 1: 'evidences': Input data was truncated"),
        ({"evidences_id": ["Q1", "Q2"]}, "record 1: 'evidences_id': Expected `array`"),
        ({"supporting_facts": [["Ada", "1"]]}, "record 1: 'supporting_facts': Expected `int`"),
        ({"supporting_facts": {"title": ["A"], "sent_id": []}}, "expected lists of one length in"),
        ({"supporting_facts": {"title": ["A"]}}, "expected sent_id, got title"),
        ({"context": {"title": "A", "sentences": "B"}}, "'context': Expected `array`, got `str`"),
        ({"context": [{"title": "A"}]}, "expected sentences or content, got title"),
        ({"context": [["Ada Brook", "text"]]}, "record 1: 'context': Expected `array`, got `str`"),
        ({"context": None}, "record 1: 'context': Expected `array`, got `null`"),
        ({"context": '"' * 9}, "record 1: 'context': JSON is malformed"),
    ],
)
def test_unusable_records_are_named(load: Any, changes: dict[str, Any], message: str) -> None:
    row = record(_id="02") | changes
    with pytest.raises(DataError, match=message):
        load(RECORD, row)
    assert len(load(RECORD, row, limit=1)) == 1


def test_a_file_of_hotpotqa_is_none_of_this_benchmark(load: Any) -> None:
    row = without("evidences", "evidences_id", "answer_id", "entity_ids", level="hard")
    with pytest.raises(DataError, match="record 0: expected 'evidences' of '01', got none"):
        load(row)
    with pytest.raises(DataError, match=r"record 0: .*missing required field `context`"):
        load(without("context"))


@pytest.mark.parametrize(
    "ids",
    [[["Q1", "director", "Q2"]], [["Q1", "director", "Q2"], ["Q2", "date of birth", "Q3"]]],
)
def test_ids_must_fit_the_triples_where_aliases_need_them(load: Any, ids: Any) -> None:
    with pytest.raises(DataError, match="record 0: expected 'evidences_id' to have the relations"):
        load(record(evidences_id=ids), lines=LINES)
    source = load(record(evidences_id=ids))
    assert source.score_entries({"01": GOLD})[0]["evi_em"] == 1.0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"Q_id": "Q4", "aliases": ["x"]}, "missing required field `demonyms`"),
        ({"Q_id": "Q4", "aliases": None, "demonyms": []}, "Expected `array`, got `null`"),
        ({"Q_id": "Q4", "aliases": "x", "demonyms": []}, "Expected `array`, got `str`"),
        ({"Q_id": 4, "aliases": [], "demonyms": []}, "Expected `str`, got `int`"),
        ({"Q_id": "", "aliases": [], "demonyms": []}, "Expected `str` of length >= 1"),
        ([RECORD], "Expected `object`, got `array`"),
    ],
)
def test_a_bad_line_of_aliases_is_named(load: Any, line: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"id_aliases.json, line 3: .*{message}.*Q_id"):
        load(RECORD, lines=[*LINES, line])


def test_a_missing_file_of_aliases_is_named(load: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.json"):
        load(RECORD, aliases=tmp_path / "none.json")
    with pytest.raises(ArgumentError, match="aliases"):
        load(RECORD, aliases=7)


@needs_files
@pytest.mark.parametrize(
    ("path", "count", "unjudged"), [(DEV, 329, 1), (TRAIN, 100, 2)], ids=["dev", "train"]
)
def test_the_oracle_reaches_the_ceiling_on_every_real_record(
    path: Path, count: int, unjudged: int
) -> None:
    source = TwoWikiSource(path, aliases=ALIASES)
    assert (len(source), source.unjudged) == (count, unjudged)
    questions = [source[index].question for index in range(count)]
    best = {each.id: Prediction(each.answers[0], support=each.support) for each in questions}
    metrics = source.official(best)
    assert {"em", "sp_named_em", "evi_named_em", "joint_named_em"} <= set(metrics)
    assert set(metrics.values()) == {1.0}
    env = HopEnv(source)
    for index in range(0, count, 20):
        info, total = play(env, index)
        judged = bool(questions[index].proofs)
        assert info["verdict"] == ("supported" if judged else "unjudged")
        assert total == pytest.approx(float(judged))


REFERENCE = BENCHMARKS / "reference" / "reference_2wikimultihopqa.dev.json"
ANSWER = ("em", "f1", "prec", "recall")
TRIPLES = tuple(f"evi_{name}" for name in ANSWER)


def test_aliases_count_where_they_are_given(load: Any) -> None:
    plain, aliased = load(RECORD), load(RECORD, lines=LINES)
    assert aliased[0].question.answers == ("Elmstead", "Elmstead-on-Farrow", "Elmsteader")
    assert (plain.aliases_used, aliased.aliases_used) == (False, True)
    assert plain.scoring == "2wikimultihop_evaluate_v1.1.py without aliases"
    assert aliased.scoring == "2wikimultihop_evaluate_v1.1.py with id_aliases.json (2 ids)"
    assert plain.official({"01": "elmsteader!"}) == dict.fromkeys(ANSWER, 0.0)
    assert aliased.official({"01": "elmsteader!"}) == dict.fromkeys(ANSWER, 1.0)
    score = aliased.score(aliased[0], "Elmstead on Farrow")
    assert (score.em, score.f1) == (0.0, pytest.approx(1 / 2))
    assert plain.fingerprint != aliased.fingerprint
    again = pickle.loads(pickle.dumps(aliased))
    assert (again.fingerprint, again.scoring) == (aliased.fingerprint, aliased.scoring)


def test_a_triple_goes_by_the_names_of_its_ends(load: Any) -> None:
    named = (
        ("the grey farrow", "Director", "A. Brook"),
        ("A. BROOK", "place of birth", "Elmsteader"),
    )
    entries = {"01": PredictionEntry("Elmstead", GOLD.facts, named)}
    plain = load(RECORD).score_entries(entries)[1]["01"]
    aliased = load(RECORD, lines=LINES).score_entries(entries)[1]["01"]
    assert [plain[name] for name in TRIPLES] == [0.0] * 4
    assert [aliased[name] for name in TRIPLES] == [1.0] * 4
    assert (plain["joint_f1"], aliased["joint_f1"]) == (0.0, 1.0)
    no_ids = load(record(evidences_id=[]), lines=LINES).score_entries(entries)[1]["01"]
    assert [no_ids[name] for name in TRIPLES] == [0.0] * 4


def test_two_names_of_one_triple_lift_recall_over_one(load: Any) -> None:
    more = (*GOLD.triples, ("The Grey Farrow", "director", "A. Brook"))
    source = load(RECORD, lines=LINES)
    metrics = source.score_entries({"01": PredictionEntry("Elmstead", GOLD.facts, more)})[0]
    assert [metrics[name] for name in TRIPLES] == [0.0, pytest.approx(1.2), 1.0, 1.5]
    assert metrics["joint_f1"] == pytest.approx(1.2)
    printed = source.printed(metrics)
    assert (printed["evi_f1"], printed["joint_recall"], printed["em"]) == (120.0, 150.0, 100.0)


def test_the_last_line_of_an_id_counts(load: Any) -> None:
    source = load(RECORD, lines=[*LINES, {"Q_id": "Q3", "aliases": ["E"], "demonyms": []}])
    assert source[0].question.answers == ("Elmstead", "E")


def test_dates_and_nulls_among_the_ids_have_no_aliases(load: Any) -> None:
    ids = [["Q1", "director", "date_information"], [None, "place of birth", "Q3"]]
    source = load(record(evidences_id=ids, answer_id=None), lines=LINES)
    assert source[0].question.answers == ("Elmstead",)
    assert source.score_entries({"01": GOLD})[0]["evi_em"] == 1.0


def test_metrics_are_maxed_one_by_one() -> None:
    metrics = best_answer_metrics(
        "ada brook of elmstead", ["Ada", "Ada Brook of Elmstead on Farrow"]
    )
    assert (metrics.em, metrics.prec, metrics.recall) == (0.0, 1.0, 1.0)
    assert metrics.f1 == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("prediction", "golds", "expected"),
    [
        ("yes", ["no", "yes"], (1, 1, 1, 1)),
        ("yes it is", ["yes", "it is"], (0, 0.8, 2 / 3, 1)),
        ("yes", ["yes it is"], (0, 0, 0, 0)),
        ("", ["The", "Farrow"], (1, 0, 0, 0)),
        ("", ["Farrow"], (0, 0, 0, 0)),
    ],
)
def test_answers(prediction: str, golds: list[str], expected: tuple[float, ...]) -> None:
    metrics = best_answer_metrics(prediction, golds)
    assert (metrics.em, metrics.f1, metrics.prec, metrics.recall) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predicted", "gold", "expected"),
    [
        ([("a", 0)], [("A", 0)], (1, 1, 1, 1)),
        ([("a", 0), ("A", 0)], [("A", 0)], (1, 1, 1, 1)),
        ([("a", 0), ("a", 0), ("b", 0)], [("A", 0)], (0, 2 / 3, 1 / 2, 1)),
        ([("b", 0)], [("A", 0), ("a", 0), ("b", 0)], (0, 1 / 2, 1, 1 / 3)),
        ([("a ", 0), ("a", 1)], [("a", 0)], (0, 0, 0, 0)),
        ([], [], (1, 0, 0, 0)),
        ([], [("a", 0)], (0, 0, 0, 0)),
        ([("a", 0)], [], (0, 0, 0, 0)),
    ],
)
def test_facts(predicted: Any, gold: Any, expected: tuple[float, ...]) -> None:
    metrics = fact_metrics(predicted, gold)
    assert (metrics.em, metrics.f1, metrics.prec, metrics.recall) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("predicted", "gold", "expected"),
    [
        ([("A-b", "R.", "c  d")], [("ab", "r", "C d")], (1, 1, 1, 1)),
        ([("the a", "r", "b")], [("a", "r", "b")], (0, 0, 0, 0)),
        ([("a", "r", "b"), ("A", "r", "b.")], [("a", "r", "b")], (1, 1, 1, 1)),
        ([("a", "r", "b")], [("a", "r", "b"), ("a", "r", "b")], (0, 2 / 3, 1, 1 / 2)),
        ([("b", "r", "a")], [("a", "r", "b")], (0, 0, 0, 0)),
        ([], [], (1, 0, 0, 0)),
        ([], [("a", "r", "b")], (0, 0, 0, 0)),
        ([("a", "r", "b")], [], (0, 0, 0, 0)),
    ],
)
def test_triples(predicted: Any, gold: Any, expected: tuple[float, ...]) -> None:
    metrics = triple_metrics(predicted, gold_triples(gold, [], {}))
    assert (metrics.em, metrics.f1, metrics.prec, metrics.recall) == pytest.approx(expected)


def test_names_keep_articles() -> None:
    assert normalize_name(" The  U.S.\u00a0of “A” ") == "the us of “a”"


def test_what_a_file_lacks_scores_nothing_nor_jointly(load: Any, tmp_path: Path) -> None:
    source = load(RECORD, record(_id="02"), record(_id="03"), record(_id="04"))
    parts = {"answer": "Elmstead", "sp": FACTS, "evidence": RECORD["evidences"]}
    lacking = {"01": None, "02": "answer", "03": "sp", "04": "evidence"}
    path = tmp_path / "predictions.json"
    path.write_text(
        json.dumps(
            {
                part: {i: value for i, missing in lacking.items() if missing != part}
                for part, value in parts.items()
            }
        )
    )
    metrics, rows = source.score_entries(source.read_entries(read_content(str(path))))
    assert [rows[i]["joint_em"] for i in lacking] == [1.0, 0.0, 0.0, 0.0]
    assert [rows[i]["em"] for i in lacking] == [1.0, 0.0, 1.0, 1.0]
    assert [rows[i]["sp_f1"] for i in lacking] == [1.0, 1.0, 0.0, 1.0]
    assert [rows[i]["evi_recall"] for i in lacking] == [1.0, 1.0, 1.0, 0.0]
    assert source.printed(metrics)["joint_f1"] == 25.0
    nothing, _ = source.score_entries({})
    assert set(nothing) == set(metrics)
    assert set(nothing.values()) == {0.0}


def test_prediction_files_are_read_as_they_are_written(load: Any) -> None:
    source = load(RECORD)
    entries = {"01": GOLD, "x": PredictionEntry("only this"), "y": PredictionEntry(None, (), ())}
    written = source.write_entries(entries)
    assert set(json.loads(written)) == {"answer", "sp", "evidence"}
    assert source.read_entries(Content("p.json", written, "")) == entries


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b'{"01": "Elmstead"}',
        b'{"answer": {"01": null}}',
        b'{"answer": {}, "sp": {"01": [["A"]]}}',
        b'{"answer": {}, "sp": {"01": [["A", "0"]]}}',
        b'{"answer": {}, "evidence": {"01": [["a", "b"]]}}',
        b'{"answer": {}, "evidence": {"01": [["a", "b", 3]]}}',
        b'{"answer": {"01": "x"',
    ],
)
def test_other_files_are_no_prediction_files(load: Any, data: bytes) -> None:
    with pytest.raises(DataError, match=r"^p\.json: .*; a prediction file is"):
        load(RECORD).read_entries(Content("p.json", data, ""))


def test_triple_metrics_come_where_triples_are_named(load: Any) -> None:
    source = load(RECORD, record(_id="02"))
    shown = (("0", 1), ("1", 0))
    facts = "the grey farrow#1 | Ada Brook#0"
    plain = source.official({"01": Prediction("Elmstead", shown, facts), "02": "Elmstead"})
    expected = {*ANSWER, *(f"sp_{how}_{name}" for how in ("read", "named") for name in ANSWER)}
    assert set(plain) == expected
    assert (plain["sp_read_em"], plain["sp_named_em"], plain["em"]) == (0.5, 0.5, 1.0)
    support = source[0].question.support
    metrics = source.official({"01": Prediction("Elmstead", shown, support), "02": "Elmstead"})
    more = {f"{part}_named_{name}" for part in ("evi", "joint") for name in ANSWER}
    assert set(metrics) == expected | more
    assert {metrics[name] for name in more} == {0.5}
    assert set(source.official({"01": "Elmstead"})) == set(ANSWER)
    with pytest.raises(ArgumentError):
        source.official({})


@needs_files
@pytest.mark.parametrize(
    ("key", "aliases", "aggregates"),
    [
        ("score", ALIASES, ["aggregate"]),
        ("score_no_alias", None, ["aggregate_no_alias", "aggregate_v1_0"]),
    ],
)
def test_scores_are_those_of_the_official_script(
    key: str, aliases: Path | None, aggregates: list[str]
) -> None:
    reference = json.loads(REFERENCE.read_text())
    source = TwoWikiSource(DEV, aliases=aliases)
    assert len(reference["records"]) == len(source)
    assert len(reference["predictors"]) == 13
    for predictor in reference["predictors"]:
        entries = {
            row["id"]: PredictionEntry(
                row["pred"][predictor],
                tuple((title, index) for title, index in row["sp"][predictor]),
                tuple((s, r, o) for s, r, o in row["evidence"][predictor]),
            )
            for row in reference["records"]
        }
        metrics, rows = source.score_entries(entries)
        for row in reference["records"]:
            assert rows[row["id"]] == pytest.approx(row[key][predictor], abs=1e-12)
        for aggregate in aggregates:
            assert source.printed(metrics) == reference[aggregate][predictor]["dev"]
