"""CofCA: ids, sub-questions as tasks, the joint metrics, prediction files."""

import json
import math
import pickle
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks.cofca import CofCASource
from hopgym.benchmarks.predictions import PredictionEntry
from hopgym.benchmarks.records import Content
from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError
from hopgym.tasks import Prediction
from tests.support.paths import SHARED

FIXTURE = SHARED / "benchmarks" / "cofca" / "SYNTHETIC_FIXTURE_cofca_format.json"
ANSWER = ("em", "f1", "prec", "recall")

PAGES = [
    ["The Grey Farrow", ["The Grey Farrow is a film.", "Ada Brook directed it."]],
    ["Ada Brook", ["Ada Brook was born in Elmstead."]],
]
TWO: dict[str, Any] = {
    "_id": "5a",
    "type": "2-hop",
    "question": "Where was the director of The Grey Farrow born?",
    "answer": "Elmstead on Farrow",
    "context": PAGES,
    "sub_questions": ["Who directed The Grey Farrow?", "Where was Ada Brook born?"],
    "sub_answers": ["Ada Brook", "Elmstead on Farrow"],
}
THREE: dict[str, Any] = {
    "_id": "5a",
    "type": ["3-hop", "comparison"],
    "question": "Was Elmstead founded before the director of The Grey Farrow was born?",
    "answer": "yes",
    "context": PAGES,
    "sub_questions": ["Who directed it?", "When was she born?", "When was it founded?"],
    "sub_answers": ["Ada Brook", "1950", "1410"],
}
FIRST, SECOND = "5a__2-hop__0", "5a__3-hop-comparison__1"
IDS = [FIRST, f"{FIRST}/1", f"{FIRST}/2", SECOND, *(f"{SECOND}/{i}" for i in (1, 2, 3))]


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(*rows: Any, **arguments: Any) -> CofCASource:
        path = tmp_path / "records.json"
        path.write_text(json.dumps(rows))
        return CofCASource(path, **arguments)

    return load


def ids_of(source: CofCASource) -> list[str]:
    return [source[index].question.id for index in range(len(source))]


def gold_of(source: CofCASource) -> dict[str, str]:
    questions = (source[index].question for index in range(len(source)))
    return {question.id: question.answers[0] for question in questions}


def test_a_record_becomes_a_task(load: Any) -> None:
    source = load(TWO, THREE)
    assert ids_of(source) == [FIRST, SECOND]
    assert [source.index_of(task_id) for task_id in (FIRST, SECOND)] == [0, 1]
    question = source[0].question
    assert (question.answers, question.answer_kind) == (("Elmstead on Farrow",), "text")
    assert (question.kind, question.source, question.proofs) == ("2-hop", "cofca", ())
    assert [(hop.text, hop.answers) for hop in question.hops] == [
        ("Who directed The Grey Farrow?", ("Ada Brook",)),
        ("Where was Ada Brook born?", ("Elmstead on Farrow",)),
    ]
    assert [(page.title, list(page.sentences)) for page in source[0].corpus] == [
        (title, sentences) for title, sentences in PAGES
    ]
    assert (source[1].question.kind, source[1].question.answer_kind) == (
        "3-hop-comparison",
        "yesno",
    )
    assert (source.unjudged, source.evidence_source) == (2, "none")


def test_sub_questions_are_tasks_of_their_own(load: Any) -> None:
    source = load(TWO, THREE, questions="all")
    assert ids_of(source) == IDS
    assert [source.index_of(task_id) for task_id in IDS] == list(range(7))
    second = source[2].question
    assert (second.text, second.answers) == ("Where was Ada Brook born?", ("Elmstead on Farrow",))
    assert (second.kind, second.hops) == ("sub-question", ())
    assert list(source[2].corpus) == list(source[0].corpus)
    assert source[3].question == load(TWO, THREE)[1].question
    assert source.unjudged == 7


def test_limit_counts_records_and_keeps_them_whole(load: Any) -> None:
    assert ids_of(load(TWO, THREE, questions="all", limit=1)) == IDS[:3]
    assert ids_of(load(TWO, THREE, questions="final", limit=1)) == IDS[:1]


def test_the_split_corpus_serves_every_task(load: Any) -> None:
    other = THREE | {"context": [PAGES[0], ["Ivo Jay", ["Ivo Jay keeps bees."]]]}
    source = load(TWO, other, questions="all", corpus="split", limit=1)
    assert len(source) == 3
    assert [page.title for page in source[2].corpus] == ["The Grey Farrow", "Ada Brook", "Ivo Jay"]


def test_what_a_source_is_tells_its_form(load: Any) -> None:
    final, every = load(TWO, THREE), load(TWO, THREE, questions="all")
    assert final.fingerprint != every.fingerprint
    assert pickle.loads(pickle.dumps(every)).fingerprint == every.fingerprint
    assert "hotpot_evaluate_v1.py" in final.scoring
    with pytest.raises(ArgumentError, match="questions must be one of final, all, got 'sub'"):
        load(TWO, questions="sub")
    with pytest.raises(ArgumentError, match="hub must be False for cofca"):
        CofCASource(hub=True)


def test_steps_are_not_judged(load: Any) -> None:
    env = HopEnv(load(TWO, THREE, questions="all"))
    env.reset(options={"index": 1})
    info = env.step("<answer>Ada Brook</answer>")[4]
    assert (info["verdict"], info["evidence_source"]) == ("unjudged", "none")
    assert info["is_success"]


def test_final_questions_have_the_metrics_of_hotpotqa(load: Any) -> None:
    source = load(TWO, THREE)
    metrics = source.official({FIRST: "Elmstead", SECOND: "yes, it was"})
    assert metrics == pytest.approx({"em": 0.0, "f1": 0.25, "prec": 0.5, "recall": 1 / 6})
    assert source.official({FIRST: "the Elmstead on Farrow."})["em"] == 0.5
    score = source.score(source[0], "Elmstead")
    assert (score.em, score.f1) == (0.0, pytest.approx(0.5))


def test_gold_answers_reach_the_ceiling(load: Any) -> None:
    final, every = load(TWO, THREE), load(TWO, THREE, questions="all")
    assert final.official(gold_of(final)) == dict.fromkeys(ANSWER, 1.0)
    metrics = every.official(gold_of(every))
    names = {*ANSWER, *(f"{part}_{name}" for part in ("sub", "joint") for name in ANSWER)}
    assert metrics == dict.fromkeys(names, 1.0) | {"joint_f1_rc": 0.0, "joint_em_rc": 0.0}
    assert math.copysign(1.0, metrics["joint_em_rc"]) == 1.0
    assert every.printed(metrics) == metrics


def test_joint_metrics_are_products_over_a_record(load: Any) -> None:
    source = load(TWO, THREE, questions="all")
    answers = gold_of(source) | {FIRST: "Elmstead", f"{FIRST}/1": "Ada Brook and others"}
    metrics = source.official(answers)
    # Final: precision 1, recall 1/3, F1 1/2; the first sub-question: 1/2, 1, 2/3.
    assert metrics["f1"] == pytest.approx((1 / 2 + 1) / 2)
    assert (metrics["em"], metrics["sub_em"]) == (0.5, pytest.approx(4 / 5))
    assert metrics["sub_f1"] == pytest.approx((2 / 3 + 4) / 5)
    assert metrics["sub_prec"] == pytest.approx((1 / 2 + 4) / 5)
    assert metrics["sub_recall"] == 1.0
    assert metrics["joint_prec"] == pytest.approx((1 / 2 + 1) / 2)
    assert metrics["joint_recall"] == pytest.approx((1 / 3 + 1) / 2)
    assert metrics["joint_f1"] == pytest.approx((2 / 5 + 1) / 2)
    assert metrics["joint_em"] == 0.5
    assert metrics["joint_f1_rc"] == pytest.approx(-math.log2(0.7))
    assert metrics["joint_em_rc"] == 1.0


def test_the_logarithm_of_nothing_is_left_out(load: Any) -> None:
    source = load(TWO, questions="all")
    wrong = source.official(gold_of(source) | {f"{FIRST}/1": "Ivo Jay"})
    assert (wrong["joint_em"], wrong["joint_f1"], wrong["em"]) == (0.0, 0.0, 1.0)
    assert {"joint_f1_rc", "joint_em_rc"}.isdisjoint(wrong)
    near = source.official(gold_of(source) | {f"{FIRST}/1": "Ada"})
    assert near["joint_f1_rc"] == pytest.approx(-math.log2(2 / 3))
    assert "joint_em_rc" not in near


def test_joint_metrics_are_over_records_scored_whole(load: Any) -> None:
    source = load(TWO, THREE, questions="all")
    gold = gold_of(source)
    wrong = dict.fromkeys(IDS[3:], "nothing")
    assert source.official(gold | wrong, [*IDS[:3], SECOND])["joint_em"] == 1.0
    assert source.official(gold | wrong, [*IDS[:3], SECOND])["em"] == 0.5
    assert source.official(gold, reversed(IDS)) == source.official(gold)
    assert set(source.official(gold, [FIRST, f"{FIRST}/2"])) == {
        *ANSWER,
        *(f"sub_{name}" for name in ANSWER),
    }
    assert source.official(gold | wrong, IDS[1:3]) == {f"sub_{name}": 1.0 for name in ANSWER}
    # Without a prediction a question scores 0.
    assert source.official({FIRST: gold[FIRST]}, IDS[:3])["joint_recall"] == 0.0


def test_a_record_without_sub_questions_is_in_no_joint_metric(load: Any) -> None:
    source = load(TWO | {"sub_questions": [], "sub_answers": []}, THREE, questions="all")
    assert len(source) == 5
    metrics = source.official(gold_of(source) | {FIRST: "nothing"})
    assert (metrics["em"], metrics["joint_em"]) == (0.5, 1.0)


def test_prediction_files(load: Any) -> None:
    source = load(TWO, THREE)
    entries = {FIRST: PredictionEntry("Elmstead"), SECOND: PredictionEntry("")}
    plain = {FIRST: "Elmstead", SECOND: ""}
    for data in (source.write_entries(entries), json.dumps(plain).encode()):
        assert source.read_entries(Content("p.json", data, "")) == entries
    named = source.read_entries(Content("p.json", b'{"answer": "an id like any"}', ""))
    assert named == {"answer": PredictionEntry("an id like any")}
    assert source.read_entries(Content("p.json", b'{"answer": {}, "sp": {}}', "")) == {}
    metrics, rows = source.score_entries(entries)
    assert metrics == source.official({i: Prediction(text) for i, text in plain.items()})
    assert (rows[FIRST]["prec"], rows[SECOND]["em"]) == (1.0, 0.0)


@pytest.mark.parametrize(
    "data", [b"[]", b'{"a": 1}', b'{"answer": {"a": null}}', b'{"sp": {}}', b'{"answer": {"a"']
)
def test_other_files_are_no_prediction_files(load: Any, data: bytes) -> None:
    with pytest.raises(DataError, match=r"^p\.json.*; a prediction file is"):
        load(TWO).read_entries(Content("p.json", data, ""))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_id": " "}, "record 1: expected an '_id', got an empty one; records must have"),
        ({"_id": 5}, r"record 1: Expected `str`, got `int` - at `\$._id`"),
        ({"type": None}, r"record 1: Expected `str \| array`"),
        ({"question": " "}, "record 1: expected the text of question '5a__3-hop-comparison__1'"),
        ({"answer": ""}, "record 1: expected an answer to the question of '5a'"),
        ({"sub_answers": ["a", " ", "c"]}, "record 1: expected an answer to sub-question 2 of"),
        ({"sub_answers": ["a"]}, "equal numbers of 'sub_answers' and 'sub_questions', got 1 and 3"),
        ({"sub_questions": "Who?"}, "record 1: Expected `array`, got `str`"),
        ({"context": [["Ada Brook"]]}, "record 1: Expected `array` of length 2"),
        ({"context": {}}, "record 1: Expected `array`, got `object`"),
    ],
)
def test_unusable_records_are_named(load: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(TWO, THREE | changes)
    assert len(load(TWO, THREE | changes, limit=1)) == 1


@pytest.mark.parametrize("field", list(TWO))
def test_a_missing_field_is_named(load: Any, field: str) -> None:
    row = {name: value for name, value in TWO.items() if name != field}
    with pytest.raises(DataError, match=f"record 0: .*missing required field `{field}`"):
        load(row)


def test_an_empty_sub_question_is_named_where_it_is_a_task(load: Any) -> None:
    row = TWO | {"sub_questions": ["Who?", ""]}
    with pytest.raises(DataError, match="record 0: expected the text of question '5a__2-hop__0/2'"):
        load(row, questions="all")
    assert len(load(row)) == 1


@pytest.mark.skipif(
    not FIXTURE.is_file(), reason="the made-up fixture: ../shared is not beside this checkout"
)
def test_the_fixture_of_the_format() -> None:
    source = CofCASource(FIXTURE, questions="all")
    assert [source[index].question.kind for index in (0, 3)] == ["2-hop", "3-hop"]
    metrics = source.official(gold_of(source))
    assert (len(source), metrics["joint_em"], metrics["joint_f1_rc"]) == (7, 1.0, 0.0)
