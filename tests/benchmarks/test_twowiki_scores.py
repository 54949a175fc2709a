"""2WikiMultihopQA: the official scores, aliases, prediction files."""

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
from hopgym.errors import ArgumentError, DataError
from hopgym.tasks import Prediction
from tests.support.paths import SHARED as SHARED_FOLDER

SHARED = SHARED_FOLDER / "benchmarks"
FOLDER = SHARED / "2wikimultihopqa"
DEV = FOLDER / "dev.dev.json"
ALIASES = FOLDER / "id_aliases_partial.json"
REFERENCE = SHARED / "reference" / "reference_2wikimultihopqa.dev.json"
ANSWER = ("em", "f1", "prec", "recall")
TRIPLES = tuple(f"evi_{name}" for name in ANSWER)

needs_files = pytest.mark.skipif(
    not SHARED.is_dir(), reason="real records: ../shared/benchmarks is not beside this checkout"
)

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
FACTS = RECORD["supporting_facts"]
GOLD = PredictionEntry(
    "Elmstead",
    (("The Grey Farrow", 1), ("Ada Brook", 0)),
    (("The Grey Farrow", "director", "Ada Brook"), ("Ada Brook", "place of birth", "Elmstead")),
)


def record(**changes: Any) -> dict[str, Any]:
    return RECORD | changes


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
