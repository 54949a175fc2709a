"""SQuAD 2.0 and 1.1, Bamboogle: the official scores, both layouts, files that are none of these."""

import hashlib
import json
from typing import Any

import pytest

from hopgym.benchmarks.records import Content, read_content
from hopgym.benchmarks.squad import answer_score, answer_score_v2, score_bamboogle, score_squad
from hopgym.errors import ArgumentError, DataError
from tests.support.benchmark_files import BENCHMARKS, needs_files

EXACT = {"rel": 0, "abs": 1e-12}


def content(value: Any, path: str = "file.json") -> Content:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Content(path, data, hashlib.sha256(data).hexdigest())


def squad(**answers: list[str]) -> dict[str, Any]:
    """An official file of questions by id."""
    qas = [
        {
            "id": name,
            "question": "Which?",
            "answers": [{"text": text, "answer_start": 0} for text in texts],
            "is_impossible": not texts,
        }
        for name, texts in answers.items()
    ]
    paragraphs = [{"context": "Ada Brook.", "qas": [each]} for each in qas]
    return {"version": "v2.0", "data": [{"title": "Ada", "paragraphs": paragraphs}]}


def hub(**answers: list[str]) -> list[dict[str, Any]]:
    """The Hub's rows of the same questions."""
    return [
        {"id": name, "question": "Which?", "context": "", "answers": {"text": texts}}
        for name, texts in answers.items()
    ]


GOLD = {"q1": ["the Farrow", "River Farrow"], "q2": ["1410"], "q3": []}


@pytest.mark.parametrize(
    ("prediction", "golds", "first", "second"),
    [
        ("Farrow!", ["the Farrow"], (1, 1), (1, 1)),
        ("the river Farrow", ["Farrow"], (0, 2 / 3), (0, 2 / 3)),
        ("river", ["Farrow", "River Farrow"], (0, 2 / 3), (0, 2 / 3)),
        ("no", ["no one"], (0, 2 / 3), (0, 2 / 3)),
        ("", ["!!!"], (1, 0), (1, 1)),
        ("", ["!!!", "Farrow"], (1, 0), (0, 0)),
        ("Farrow", ["!!!"], (0, 0), (0, 0)),
    ],
)
def test_the_versions_differ_where_nothing_is_left_of_a_gold(
    prediction: str, golds: list[str], first: tuple[float, float], second: tuple[float, float]
) -> None:
    scores = answer_score(prediction, golds), answer_score_v2(prediction, golds)
    assert [(score.em, score.f1) for score in scores] == [
        (first[0], pytest.approx(first[1])),
        (second[0], pytest.approx(second[1])),
    ]


def test_no_gold_wants_no_answer() -> None:
    assert [answer_score_v2(text, []).f1 for text in ("", "the", "no")] == [1, 1, 0]


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n\n" for row in rows)


@pytest.mark.parametrize(
    "gold", [squad(**GOLD), hub(**GOLD), lines(hub(**GOLD))], ids=["official", "list", "lines"]
)
def test_every_layout_gives_the_same_scores(gold: Any) -> None:
    given = content({"q1": "Farrow", "q2": "in 1410", "q3": "", "other": "x"})
    scored = score_squad(content(gold), given)
    assert scored.metrics == pytest.approx(
        {
            "exact": 200 / 3,
            "f1": 100 * (2 + 2 / 3) / 3,
            "total": 3,
            "HasAns_exact": 50,
            "HasAns_f1": 250 / 3,
            "HasAns_total": 2,
            "NoAns_exact": 100,
            "NoAns_f1": 100,
            "NoAns_total": 1,
        }
    )
    assert scored.rows["q2"] == {"exact": 0, "f1": pytest.approx(2 / 3)}
    assert scored.missing == 0
    old = score_squad(content(gold), given, version="1.1")
    assert old.metrics == pytest.approx({"exact_match": 50, "f1": 250 / 3})
    assert list(old.rows) == ["q1", "q2"]


def test_a_missing_prediction_scores_nothing_in_1_1_and_is_left_out_in_2_0() -> None:
    gold, given = content(squad(**GOLD)), content({"q1": "Farrow"})
    old = score_squad(gold, given, "1.1")
    assert (old.metrics, old.missing) == ({"exact_match": 50, "f1": 50}, 1)
    assert old.rows["q2"] == {"exact_match": 0, "f1": 0}
    new = score_squad(gold, given)
    assert (new.metrics["exact"], new.metrics["total"], new.missing) == (100, 1, 2)
    assert new.metrics["HasAns_total"] == 1
    assert "NoAns_total" not in new.metrics
    assert list(new.rows) == ["q1"]


def test_no_predictions_at_all() -> None:
    gold, none = content(squad(**GOLD)), content({})
    assert score_squad(gold, none, "1.1").metrics == {"exact_match": 0, "f1": 0}
    with pytest.raises(DataError, match=r"file\.json: expected at least one prediction, got none"):
        score_squad(gold, none)


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ({"data": []}, "gold: expected questions, got none"),
        ({"records": []}, "missing required field `data`"),
        (json.dumps(squad(**GOLD)).encode()[:-9], "gold, line 1: Input data was truncated"),
        ({"data": [{"paragraphs": [{"qas": [{"id": "q1"}]}]}]}, r"`answers` - at `\$\.data\[0\]"),
        ([{"Question": "Who?", "Answer": "Ada"}], "gold, record 0: Object missing .* `id`"),
        (hub(q1=["a"]) * 2, "gold, record 1: expected every question to have its own id, got 'q1'"),
        ({"data": squad(q1=["a"])["data"] * 2}, "gold: expected every question .* 'q1' again"),
        (squad(q4=["a"]), "file.json: expected predictions for questions of gold, got ids such"),
    ],
)
def test_unusable_gold_files_are_named(gold: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        score_squad(content(gold, "gold"), content({"q1": "Farrow"}))


@pytest.mark.parametrize("given", [{"q1": None}, {"sp": {"q1": "a"}}, ["a"], {"q1": 7}, b"{"])
def test_unusable_prediction_files_are_named(given: Any) -> None:
    with pytest.raises(DataError, match=r"^given.*; a prediction file is \{id: text\}"):
        score_squad(content(squad(**GOLD)), content(given, "given"))


def test_arguments_are_checked() -> None:
    gold = content(squad(q3=[]))
    with pytest.raises(ArgumentError, match=r"version must be one of 2\.0, 1\.1, got '2'"):
        score_squad(gold, content({}), "2")
    with pytest.raises(DataError, match="expected questions with answers, got none"):
        score_squad(gold, content({"q3": ""}), "1.1")


def test_bamboogle_goes_by_place() -> None:
    rows = [{"Question": "Who?", "Answer": "ada brook"}, {"Question": "When?", "Answer": "1410"}]
    for gold in (rows, lines(rows)):
        scored = score_bamboogle(content(gold), content({"1": "in 1410"}))
        assert scored.metrics == {"em": 0, "f1": pytest.approx(1 / 3)}
        assert (list(scored.rows), scored.missing) == (["0", "1"], 1)
    assert score_bamboogle(content(rows), content({})).metrics == {"em": 0, "f1": 0}
    with pytest.raises(DataError, match="got ids such as '2'"):
        score_bamboogle(content(rows), content({"2": "Ada"}))
    with pytest.raises(DataError, match=r"record 0: .* field `Question`.*records must be as"):
        score_bamboogle(content(hub(**GOLD)), content({"0": "Ada"}))
    with pytest.raises(DataError, match="expected records, got none"):
        score_bamboogle(content([]), content({}))


@needs_files
def test_squad_scores_are_those_of_the_official_scripts() -> None:
    gold = read_content(str(BENCHMARKS / "squad" / "squad_dev-v2.0_half.dev.json"))
    path = BENCHMARKS / "reference" / "reference_squad.dev.json"
    reference = json.loads(path.read_text(encoding="utf-8"))
    assert len(reference["predictors"]) == 12
    for name in reference["predictors"]:
        given = content({row["id"]: row["pred"][name] for row in reference["records"]})
        scored = score_squad(gold, given)
        assert scored.metrics == pytest.approx(reference["aggregate"][name]["dev"], **EXACT)
        assert scored.rows == {row["id"]: row["score"][name] for row in reference["records"]}
        old = reference["aggregate_v1_1_answerable_only"][name]["dev"]
        assert score_squad(gold, given, "1.1").metrics == pytest.approx(old, **EXACT)


@needs_files
def test_bamboogle_scores_are_those_of_squad_1_1() -> None:
    gold = read_content(str(BENCHMARKS / "bamboogle" / "bamboogle.dev.json"))
    path = BENCHMARKS / "reference" / "reference_bamboogle.dev.json"
    reference = json.loads(path.read_text(encoding="utf-8"))
    assert len(reference["predictors"]) == 12
    for name in reference["predictors"]:
        rows = [row["pred"][name] for row in reference["records"]]
        scored = score_bamboogle(gold, content({str(i): text for i, text in enumerate(rows)}))
        assert scored.metrics == pytest.approx(reference["aggregate"][name]["dev"], **EXACT)
        assert list(scored.rows.values()) == [row["score"][name] for row in reference["records"]]
