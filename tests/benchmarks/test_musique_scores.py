"""MuSiQue: the official scores of answers, supports and pairs, and prediction files."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks.musique import MuSiQueSource, answer_score, named_positions, support_score
from hopgym.benchmarks.predictions import PredictionEntry
from hopgym.benchmarks.records import Content
from hopgym.errors import DataError
from hopgym.tasks import Prediction
from tests.support.benchmark_files import BENCHMARKS, needs_files

FILES = BENCHMARKS / "musique"
ANS = FILES / "musique_ans_v1.0_dev.dev.jsonl"
FULL = FILES / "DERIVED_musique_full_pairs.dev.jsonl"

PAGES = [
    ("Elmstead", "Elmstead lies on the Farrow. It was founded in 1410.", True),
    ("Gil Hart", "Gil Hart keeps bees.", False),
    ("Ada Brook", "Ada Brook is a baker. She was born in Elmstead.", True),
    ("Elmstead", "Elmstead is a film.", False),
]


def record(name: str = "2hop__1_2", *, answerable: bool = True, **changes: Any) -> dict[str, Any]:
    """A record in the official format, its steps left out."""
    fields = ("idx", "title", "paragraph_text", "is_supporting")
    pages = [dict(zip(fields, (i, *page), strict=True)) for i, page in enumerate(PAGES)]
    return {
        "id": name,
        "paragraphs": pages if answerable else pages[1:],
        "question": "On which river lies the town where Ada Brook was born?",
        "question_decomposition": [],
        "answer": "the Farrow",
        "answer_aliases": ["River Farrow"] if answerable else [],
        "answerable": answerable,
    } | changes


def twin(name: str = "2hop__1_2") -> dict[str, Any]:
    return record(name, answerable=False)


def content(rows: list[dict[str, Any]]) -> Content:
    data = b"\n\n".join(json.dumps(row).encode() for row in rows)
    return Content("predictions", data, hashlib.sha256(data).hexdigest())


def line(
    name: str, answer: str = "", paragraphs: list[int] | None = None, answerable: bool = True
) -> dict[str, Any]:
    return {
        "id": name,
        "predicted_answer": answer,
        "predicted_support_idxs": paragraphs or [],
        "predicted_answerable": answerable,
    }


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(*rows: dict[str, Any], **arguments: Any) -> MuSiQueSource:
        path = tmp_path / "records.jsonl"
        path.write_bytes(content(list(rows)).data)
        return MuSiQueSource(path, **arguments)

    return load


@pytest.mark.parametrize(
    ("prediction", "golds", "em", "f1"),
    [
        ("farrow.", ["the Farrow"], 1, 1),
        ("river", ["Farrow", "River Farrow"], 0, 2 / 3),
        ("yes, it is", ["yes"], 0, 1 / 2),
        ("", ["!!!"], 1, 1),
        ("the", ["Farrow", "The The"], 1, 1),
        ("", ["Farrow"], 0, 0),
        ("Farrow", ["!!!"], 0, 0),
    ],
)
def test_answer_score(prediction: str, golds: list[str], em: float, f1: float) -> None:
    score = answer_score(prediction, golds)
    assert (score.em, score.f1) == (em, pytest.approx(f1))


@pytest.mark.parametrize(
    ("predicted", "gold", "em", "f1"),
    [
        ([], [], 1, 1),
        ([4, 6, 4], [6, 4], 1, 1),
        ([], [1], 0, 0),
        ([1], [], 0, 0),
        ([-1, 4], [4], 0, 2 / 3),
    ],
)
def test_support_score(predicted: list[int], gold: list[int], em: float, f1: float) -> None:
    score = support_score(predicted, gold)
    assert (score.em, score.f1) == (em, pytest.approx(f1))


def test_answers_alone(load: Any) -> None:
    source = load(record(), record("2hop__2"))
    assert source.official({"2hop__1_2": "Farrow"}) == {"answer_em": 0.5, "answer_f1": 0.5}
    full = load(record(), twin(), record("3hop1__7"), twin("3hop1__7"), variant="full")
    answers = dict.fromkeys([full.id_at(i) for i in range(4)], "unknown") | {
        "2hop__1_2/answerable": "river"
    }
    group = pytest.approx(1 / 3)
    assert full.official(answers) == {
        "answer_em": 0,
        "answer_f1": group,
        "group_answer_sufficiency_f1": group,
    }
    answers["2hop__1_2/unanswerable"] = "Elmstead"
    assert full.official(answers)["group_answer_sufficiency_f1"] == 0
    # Half a pair has no group, and what was not answered told nothing.
    assert full.official(answers, ["2hop__1_2/answerable"]).keys() == {"answer_em", "answer_f1"}
    pair = ["2hop__1_2/answerable", "2hop__1_2/unanswerable"]
    told = full.official({pair[0]: "Farrow"}, pair)
    assert (told["answer_f1"], told["group_answer_sufficiency_f1"]) == (1, 0)


def test_support_that_was_read(load: Any) -> None:
    one = record()["paragraphs"][1:2]
    other = record("2hop__0", paragraphs=one)
    for corpus in ("record", "split"):
        source = load(other, record(), corpus=corpus)
        places = {page.sentences[0]: page.id for page in source[1].corpus}
        town, ada, film = (places[PAGES[i][1].split(". ")[0].rstrip(".") + "."] for i in (0, 2, 3))
        both = tuple((page, i) for page in (town, ada) for i in range(2))
        partly = Prediction("Farrow", (*both[:3], (film, 0)))
        assert source.entry_of(1, partly, "read").paragraphs == (0, 3)
        metrics = source.official({"2hop__1_2": Prediction("Farrow", both)}, ["2hop__1_2"])
        assert metrics == {
            "answer_em": 1, "answer_f1": 1, "support_read_em": 1, "support_read_f1": 1,
        }  # fmt: skip


def test_reading_without_answering_tells_nothing_of_the_pair(load: Any) -> None:
    source = load(record("a"), twin("a"), variant="full")
    shown = tuple((page, i) for page in ("0", "2") for i in range(2))
    metrics = source.official(
        {"a/answerable": Prediction(None, shown), "a/unanswerable": "unknown"}
    )
    assert (metrics["answer_f1"], metrics["support_read_f1"]) == (0, 1)
    assert metrics["group_read_support_sufficiency_f1"] == 0


def test_pages_of_other_records_count_as_wrong_numbers(load: Any) -> None:
    others = [
        {"idx": i, "title": f"Page {i}", "paragraph_text": f"It is {i}.", "is_supporting": False}
        for i in range(2)
    ]
    other = record("2hop__0", paragraphs=others)
    source = load(other, record(), corpus="split")
    shown = Prediction("x", (("0", 0), ("1", 0), ("2", 0), ("2", 1)))
    assert source.entry_of(1, shown, "read").paragraphs == (0, -1, -2)


@pytest.mark.parametrize(
    ("support", "numbers"),
    [
        ("Elmstead#0 | Ada Brook#0", (0, 2)),
        ("elmstead # 1", (3,)),
        ("Elmstead", (0, 3)),
        ("Elmstead | Elmstead#0 | Elmstead#0", (0, 3)),
        ("Elmstead#2 | Nowhere | Nowhere | a > b > c", (-1, -2, -3)),
        ("Ada Brook#0 | Ada Brook#7", (2, -1)),
        ("", ()),
    ],
)
def test_support_that_was_named(load: Any, support: str, numbers: tuple[int, ...]) -> None:
    entry = load(record()).entry_of(0, Prediction("Farrow", support=support), "named")
    assert entry == PredictionEntry("Farrow", paragraphs=numbers)


def test_a_title_alone_names_all_its_paragraphs() -> None:
    assert named_positions("B", ["A", "B", "b"]) == [1, 2]
    assert named_positions("B#1 | C#0", ["A", "B", "b"]) == [2, None]


@pytest.mark.parametrize(
    ("answer", "answerable"),
    [
        ("Unknown!", False),
        (" ", True),
        ("the unknown", False),
        ("unknown man", True),
        (None, True),
    ],
)
def test_unknown_says_that_there_is_no_answer(load: Any, answer: Any, answerable: bool) -> None:
    assert load(record()).entry_of(0, Prediction(answer), "named").answerable is answerable


def test_prediction_files_go_there_and_back(load: Any) -> None:
    source = load(twin(), record(), record("2hop__9"), variant="full")
    entry = PredictionEntry("Farrow", paragraphs=(0, 2), answerable=False)
    written = source.write_entries({"2hop__1_2/answerable": entry})
    rows = [json.loads(row) for row in written.splitlines()]
    assert rows == [line("2hop__1_2"), line("2hop__1_2", "Farrow", [0, 2], False), line("2hop__9")]
    entries = source.read_entries(content(rows))
    assert entries["2hop__1_2/answerable"] == entry
    assert list(entries) == [source.id_at(i) for i in range(3)]
    metrics, by_record = source.score_entries(entries)
    groups = ("group_answer_sufficiency_f1", "group_support_sufficiency_f1")
    means = ("answer_em", "answer_f1", "support_em", "support_f1")
    assert metrics == dict.fromkeys(means, 0.5) | dict.fromkeys(groups, 0)
    assert by_record["2hop__1_2/unanswerable"] == {"sufficiency": 0}


def test_the_field_decides_what_a_file_says_of_answerability(load: Any) -> None:
    source = load(record(answer="unknown"), twin(), variant="full")
    rows = [line("2hop__1_2", "unknown", [0, 2]), line("2hop__1_2", "Farrow", [], False)]
    metrics = source.score_entries(source.read_entries(content(rows)))[0]
    assert set(metrics.values()) == {1.0}
    assert source.printed({"answer_f1": 2 / 3}) == {"answer_f1": 0.667}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([line("b"), line("a")], "predictions, line 1: expected the id 'a', got the id 'b'"),
        ([line("a"), line("a")], "predictions, line 3: expected the id 'b', got the id 'a'"),
        ([line("a")], "predictions: expected 2 lines, .* got 1; the next is that of 'b'"),
        ([line("a"), line("b"), line("c")], "line 5: expected no further line, got the id 'c'"),
        ([{"id": "a"}], "line 1: Object missing required field `predicted_answer`"),
        ([line("a") | {"predicted_answer": None}], "line 1: Expected `str`, got `null`"),
        ([line("a") | {"predicted_support_idxs": ["0"]}], "line 1: Expected `int`, got `str`"),
        ([line("a") | {"predicted_answerable": "yes"}], "line 1: Expected `bool`"),
    ],
)
def test_prediction_files_out_of_order_are_named(
    load: Any, rows: list[dict[str, Any]], message: str
) -> None:
    source = load(record("a"), record("b"))
    with pytest.raises(DataError, match=message):
        source.read_entries(content(rows))


@needs_files
@pytest.mark.parametrize(
    ("name", "variant", "expected"),
    [
        (ANS.name, "ans", (94, 0, 0)),
        ("musique_ans_v1.0_train.dev.jsonl", "ans", (50, 0, 0)),
        (FULL.name, "full", (60, 30, 0)),
        ("musique_full_v1.0_train_unpaired.dev.jsonl", "full", (10, 5, 10)),
    ],
)
def test_real_files_load_and_their_gold_scores_one(name: str, variant: str, expected: Any) -> None:
    source = MuSiQueSource(FILES / name, variant=variant)
    assert (len(source), source.unjudged, source.unpaired) == expected
    attempts = {}
    for index in range(len(source)):
        question, corpus = source[index].question, source[index].corpus
        pages = [page for fact in (question.proofs or ((),))[0] for page, _ in fact.shown_by]
        shown = [(page, i) for page in pages for i in range(len(corpus.document(page).sentences))]
        attempts[question.id] = Prediction(question.answers[0], tuple(shown), question.support)
    metrics = source.official(attempts)
    assert set(metrics.values()) == {1.0}
    assert len(metrics) == (9 if name == FULL.name else 6)


@needs_files
def test_scores_are_those_of_the_official_script() -> None:
    path = BENCHMARKS / "reference" / "reference_musique.dev.json"
    reference = json.loads(path.read_text(encoding="utf-8"))
    source, records = MuSiQueSource(ANS), reference["records"]
    assert (len(records), len(reference["predictors"])) == (len(source), 13)
    for name in reference["predictors"]:
        rows = [line(row["id"], row["pred"][name], row["support"][name]) for row in records]
        metrics, by_record = source.score_entries(source.read_entries(content(rows)))
        assert by_record == {row["id"]: row["score"][name] for row in records}
        expected = reference["aggregate"][name]["dev"]
        printed = source.printed(metrics)
        assert {key: printed[key] for key in expected} == expected


@needs_files
def test_pairs_score_as_in_the_official_script() -> None:
    path = BENCHMARKS / "reference" / "reference_musique_full.dev.json"
    reference = json.loads(path.read_text(encoding="utf-8"))
    source = MuSiQueSource(FULL, variant="full")
    assert len(reference["predictions"]) == 24
    for name, rows in reference["predictions"].items():
        metrics, _ = source.score_entries(source.read_entries(content(rows["dev"])))
        printed = source.printed(metrics)
        assert printed.pop("support_em") <= printed["support_f1"]
        assert printed == reference["aggregate"][name]["dev"]
