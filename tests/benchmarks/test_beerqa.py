"""BeerQA: the file's layout, the first best gold, means by source, whole episodes."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks.beerqa import BeerQASource, best_metrics
from hopgym.benchmarks.predictions import Metrics, PredictionEntry
from hopgym.benchmarks.records import Content
from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError
from tests.support.benchmark_files import BENCHMARKS, needs_files

DEV = BENCHMARKS / "beerqa" / "DERIVED_beerqa_format.dev.json"
TEST = BENCHMARKS / "beerqa" / "beerqa_test_questions_v1.0.dev.json"
REFERENCE = BENCHMARKS / "reference" / "reference_beerqa.dev.json"

RECORD: dict[str, Any] = {
    "id": "a1",
    "src": "hotpotqa",
    "answers": ["the Farrow", "Farrow river"],
    "question": "On which river lies the town where Ada Brook was born?",
    "context": [
        ["Ada Brook", "Ada Brook is a baker. She was born in Elmstead &amp; Vale. She sings."],
        ["Elmstead &amp; Vale", "It lies on the Farrow."],
    ],
}
OTHER = RECORD | {
    "id": "b2",
    "src": "squad",
    "answers": ["bees"],
    "question": "What does Gil Hart keep?",
    "context": [["Gil Hart", "Gil Hart keeps bees."]],
}


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(*rows: Any, **arguments: Any) -> BeerQASource:
        path = tmp_path / "records.json"
        path.write_text(json.dumps({"version": "1.0", "split": "dev", "data": rows}))
        return BeerQASource(path, **arguments)

    return load


def play(env: HopEnv, index: int) -> tuple[dict[str, Any], float]:
    """Let the oracle play; return the last info and the sum of the process rewards."""
    env.reset(options={"index": index})
    episode = env._episode
    assert episode is not None
    total, info = 0.0, {}
    arguments = {tool.name: tool.argument for tool in env.tools}
    while not episode.stop_reason:
        info = env.step(episode.dialect.write(episode.oracle_call().action, arguments))[4]
        total += info["process_reward"]
    return info, total


def test_a_record_becomes_a_task_over_all_paragraphs_of_the_file(load: Any) -> None:
    source = load(RECORD, OTHER)
    task = source[0]
    question = task.question
    assert (len(source), source.unjudged, task.corpus.description) == (2, 0, "split")
    assert question.answers == ("the Farrow", "Farrow river")
    assert (question.answer_kind, question.kind, question.hops) == ("text", "hotpotqa", ())
    (proof,) = question.proofs
    assert [fact.shown_by for fact in proof] == [(("0", None),), (("1", None),)]
    assert proof[0].fact == RECORD["context"][0][1]
    titles = [page.title for page in task.corpus]
    assert titles == ["Ada Brook", "Elmstead &amp; Vale", "Gil Hart"]
    assert task.corpus[0].sentences[1] == "She was born in Elmstead &amp; Vale."
    assert len(load(RECORD, OTHER, corpus="record")[1].corpus) == 1


@pytest.mark.parametrize("corpus", ["split", "record"])
def test_the_oracle_reads_every_paragraph(load: Any, corpus: str) -> None:
    env = HopEnv(load(RECORD, OTHER, corpus=corpus))
    for index in (0, 1):
        info, total = play(env, index)
        assert (info["verdict"], info["corpus"]) == ("supported", corpus)
        assert total == pytest.approx(1.0)


@pytest.mark.parametrize("context", [[], [["", "Text."]], [["Ada Brook", " "], ["B", "C."]]])
@pytest.mark.parametrize("corpus", ["split", "record"])
def test_without_paragraphs_to_show_a_record_is_unjudged(
    load: Any, context: Any, corpus: str
) -> None:
    source = load(OTHER, RECORD | {"context": context}, corpus=corpus)
    assert source.unjudged == 1
    info, total = play(HopEnv(source), 1)
    assert (info["verdict"], total, info["is_success"]) == ("unjudged", 0.0, True)


@pytest.mark.parametrize(
    ("answers", "kind"),
    [(["yes"], "yesno"), (["No.", "no"], "yesno"), (["yes", "yes, both"], "text")],
)
def test_answer_kind(load: Any, answers: list[str], kind: str) -> None:
    assert load(RECORD | {"answers": answers})[0].question.answer_kind == kind


@pytest.mark.parametrize(
    ("prediction", "golds", "expected"),
    [
        ("Farrow river", ["the Farrow", "Farrow river"], (1, 1, 1, 1)),
        ("b c", ["b x y", "b"], (0, 2 / 3, 1 / 2, 1)),
        ("b x y", ["b c", "b c d e f g", "b"], (0, 1 / 2, 1 / 3, 1)),
        ("b x", ["b y", "x z"], (0, 1 / 2, 1 / 2, 1 / 2)),
        # Never an exact match without an F1.
        ("!!!", ["The", "!!!"], (0, 0, 0, 0)),
        ("", [""], (0, 0, 0, 0)),
        ("", ["b"], (0, 0, 0, 0)),
        # The rule of yes and no is for each gold on its own.
        ("yes they are", ["yes", "they are"], (0, 4 / 5, 2 / 3, 1)),
        ("yes", ["yes they are", "yes"], (1, 1, 1, 1)),
        ("no", ["no one"], (0, 0, 0, 0)),
    ],
)
def test_metrics_are_those_of_the_first_best_gold(
    prediction: str, golds: list[str], expected: tuple[float, ...]
) -> None:
    metrics = best_metrics(prediction, golds)
    assert (metrics.em, metrics.f1, metrics.prec, metrics.recall) == pytest.approx(expected)


def test_a_tie_goes_to_the_first_gold() -> None:
    # Both golds have an F1 of 1/2.
    longer, equal = "b1 b2 c d e f", "b1 x"
    assert best_metrics("b1 b2", [longer, equal]) == Metrics(0.0, 0.5, 1.0, 1 / 3)
    assert best_metrics("b1 b2", [equal, longer]) == Metrics(0.0, 0.5, 0.5, 0.5)


def test_means_over_all_records_by_source_and_over_sources(load: Any) -> None:
    source = load(RECORD, OTHER, OTHER | {"id": "b3"}, OTHER | {"id": "b4"})
    metrics, rows = source.score_entries(
        {"a1": PredictionEntry("Farrow"), "b2": PredictionEntry("bees and hens")}
    )
    assert rows["b4"] == dict.fromkeys(("em", "f1", "prec", "recall"), 0.0)
    assert (metrics["em"], metrics["f1"]) == (0.25, pytest.approx((1 + 1 / 2) / 4))
    assert (metrics["hotpotqa_f1"], metrics["squad_em"]) == (1.0, 0.0)
    assert metrics["squad_prec"] == pytest.approx(1 / 9)
    assert metrics["macro_em"] == 0.5
    assert metrics["macro_f1"] == pytest.approx((1 + 1 / 6) / 2)
    assert len(metrics) == 16
    some = source.official({"b2": "bees"}, gold=["b2", "b3"])
    assert (some["squad_em"], some["macro_em"], "hotpotqa_em" in some) == (0.5, 0.5, False)
    assert source.official({"b2": "bees"})["macro_em"] == pytest.approx(1 / 6)
    with pytest.raises(ArgumentError, match="task_id must be one of"):
        source.official({"z": "bees"})


@pytest.mark.parametrize("text", ['{"a1": "x", "b2": ""}', '{"answer": {"a1": "x", "b2": ""}}'])
def test_prediction_files(load: Any, text: str) -> None:
    source = load(RECORD, OTHER)
    entries = source.read_entries(Content("p.json", text.encode(), ""))
    assert entries == {"a1": PredictionEntry("x"), "b2": PredictionEntry("")}
    written = source.write_entries(entries | {"c": PredictionEntry(None)})
    assert json.loads(written) == {"answer": {"a1": "x", "b2": ""}}


@pytest.mark.parametrize(
    "text", ["[]", '{"a1": 7}', '{"answer": {"a1": null}}', '{"answer": ["a1"]}', '{"a1": "x"']
)
def test_files_that_hold_no_predictions(load: Any, text: str) -> None:
    with pytest.raises(DataError, match=r"p\.json.*a prediction file is \{id: text\}"):
        load(RECORD).read_entries(Content("p.json", text.encode(), ""))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answers": None}, r"record 1: expected answers to 'b2', got none; the test questions"),
        ({"answers": []}, "record 1: expected answers to 'b2', got none"),
        ({"answers": [" "]}, "record 1: expected answers to 'b2', got none"),
        ({"answers": "bees"}, r"record 1: Expected `array \| null`, got `str`"),
        ({"src": ""}, "record 1: expected 'src' to name the source"),
        ({"id": "a1"}, "record 1: expected every question to have its own id"),
        ({"id": 3}, "record 1: Expected `str`, got `int`"),
        ({"question": ""}, "record 1: expected the text of question"),
        ({"context": [["A", ["a", "b"]]]}, "record 1: Expected `str`, got `array`"),
        ({"context": [["A"]]}, "record 1: Expected `array` of length 2"),
    ],
)
def test_unusable_records_are_named(load: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(RECORD, OTHER | changes)
    # The split corpus is of the whole file, but not the questions.
    assert len(load(RECORD, OTHER | changes, limit=1, corpus="record")) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"_id": "1"}]', r"Expected `object`, got `array`.*must be as beerqa_dev_v1\.0\.json"),
        ('{"version": "1.0"}', "missing required field `data`"),
        ('{"data": []}', "expected records, got an empty list"),
        ('{"data": [{"id": "a"', "truncated"),
    ],
)
def test_other_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "records.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        BeerQASource(path)
    assert str(path) in str(caught.value)


def test_limit_keeps_the_whole_corpus_and_pickles(load: Any) -> None:
    source = load(RECORD, OTHER, limit=1)
    assert (len(source), len(source[0].corpus)) == (1, 3)
    assert pickle.loads(pickle.dumps(source)).fingerprint == source.fingerprint
    assert load(RECORD, OTHER, limit=1, corpus="record").fingerprint != source.fingerprint


@needs_files
def test_scores_are_those_of_the_official_script() -> None:
    reference, source = json.loads(REFERENCE.read_text()), BeerQASource(DEV)
    records = reference["records"]
    assert len(records) == len(source) == 310
    for predictor in reference["predictors"]:
        entries = {row["id"]: PredictionEntry(row["pred"][predictor]) for row in records}
        metrics, rows = source.score_entries(entries)
        for row in records:
            assert rows[row["id"]] == pytest.approx(row["score"][predictor], abs=1e-12)
        expected = reference["aggregate"][predictor]["dev"]
        assert source.printed(metrics) == pytest.approx(expected, abs=1e-12)


@needs_files
def test_the_oracle_proves_every_record() -> None:
    source = BeerQASource(DEV)
    env = HopEnv(source)
    assert source.unjudged == 0
    for index in range(len(source)):
        info, total = play(env, index)
        assert info["verdict"] == "supported"
        assert total == pytest.approx(1.0)
    gold = {source.id_at(i): source._records.gold[i] for i in range(len(source))}
    assert set(source.score_entries(gold)[0].values()) == {1.0}


@needs_files
def test_test_questions_are_refused() -> None:
    with pytest.raises(DataError, match="published without answers"):
        BeerQASource(TEST)
