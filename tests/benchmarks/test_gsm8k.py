"""GSM8K: both forms of the file, the official answer, and numbers compared beside it."""

import json
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks.gsm8k import GSM8KSource, as_official, extract_answer, same_number
from hopgym.benchmarks.predictions import PredictionEntry
from hopgym.benchmarks.records import Content
from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError, DataError
from hopgym.scoring import Score
from hopgym.tasks import Prediction
from tests.support.paths import SHARED as SHARED_FOLDER

SHARED = SHARED_FOLDER / "benchmarks"
TEST = SHARED / "gsm8k" / "test.dev.jsonl"
REFERENCE = SHARED / "reference" / "reference_gsm8k.dev.json"
SOLUTIONS = SHARED / "reference" / "reference_gsm8k_model_solutions.dev.json"

needs_files = pytest.mark.skipif(
    not SHARED.is_dir(), reason="real records: ../shared/benchmarks is not beside this checkout"
)

RECORD = {
    "question": "Ada has 58 eggs. She eats 8 and bakes with ten. She sells the others at $3 each "
    "and gives 25% of what she gets away. How much is that?",
    "answer": "She sells 58-8-10 = <<58-8-10=40>>40 eggs.\nThat is $<<40*3=120>>120.\n"
    "She gives 120*25/100 = $<<120*25/100=30>>30 away.\n#### 30",
}
SUMMED = {
    "question": "A shed costs $4,000 and a fence $1,500. Both are in two villages. What is due?",
    "answer": "One: <<4000+1500=5500>>5500\nAll: <<5500*2=11000>>11,000\n#### 11,000",
}
BARE = {"question": "How many legs has a cow?", "answer": "A cow has <<4=4>>4 legs.\n#### 4"}


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(*rows: Any, **arguments: Any) -> GSM8KSource:
        path = tmp_path / "records.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return GSM8KSource(path, **arguments)

    return load


def test_a_record_becomes_a_task(load: Any) -> None:
    source = load(RECORD, SUMMED, BARE)
    task = source[0]
    question = task.question
    assert [source.id_at(i) for i in range(3)] == ["0", "1", "2"]
    assert (source.tools, source.evidence_source) == (("calculate", "answer"), "heuristic")
    assert (question.answers, question.answer_kind, question.kind) == (("30",), "number", "main")
    assert (len(task.corpus), task.corpus.description) == (0, "none")
    assert [hop.answers for hop in question.hops] == [("40",), ("120",), ("30",)]
    assert question.hops[0].text == "She sells 58-8-10 = 40 eggs."
    assert [fact.call for fact in question.proofs[0]] == [
        ("calculate", "58-8-10"),
        ("calculate", "40*3"),
        ("calculate", "120*25/100"),
    ]
    assert source[1].question.answers == ("11000",)


def test_a_socratic_file_asks_at_each_hop(load: Any) -> None:
    row = RECORD | {"answer": "How many? ** <<58-8-10=40>>40\nSo? ** It is <<40*3=120>>\n#### 120"}
    for arguments in ({"config": "socratic"}, {}):
        question = load(row, **arguments)[0].question
        assert question.kind == "socratic"
        assert [(hop.text, hop.answers) for hop in question.hops] == [
            ("How many?", ("40",)),
            ("So?", ("120",)),
        ]
    with pytest.raises(DataError, match="test_socratic"):
        load(RECORD, config="socratic")
    with pytest.raises(ArgumentError, match="config must be one of main, socratic"):
        load(RECORD, config="other")
    with pytest.raises(ArgumentError, match="corpus must be one of record"):
        load(RECORD, corpus="split")


@pytest.mark.parametrize(
    ("text", "extracted", "numeric"),
    [
        ("#### 1234", "1234", True),
        ("x\n#### 1,234 apples", "1234", True),
        ("1234", "[invalid]", True),
        ("$1,234.00", "[invalid]", True),
        ("#### 1234.", "1234.", True),
        ("#### 1234.00", "1234.00", True),
        ("The answer is 1234", "[invalid]", False),
        ("####1234", "[invalid]", False),
        ("####  1234", "[invalid]", False),
        ("#### +1234", "[invalid]", False),
        ("#### $1234", "[invalid]", False),
        ("#### -1234", "-1234", False),
        ("#### 7\n#### 1234", "7", False),
        ("#### 1234\n#### 7", "1234", True),
        ("#### 1.2.3", "1.2.3", False),
        ("#### .", ".", False),
        ("", "[invalid]", False),
        ("[invalid]", "[invalid]", False),
    ],
)
def test_answers_are_taken_as_the_official_script_takes_them(
    text: str, extracted: str, numeric: bool
) -> None:
    assert extract_answer(text) == extracted
    assert same_number(text, "1234") is numeric


@pytest.mark.parametrize(
    ("answer", "official"),
    [
        ("30", "#### 30"),
        (" -1,234.5 ", "#### -1,234.5"),
        ("#### 30", "#### 30"),
        ("$30", "$30"),
        ("30 eggs", "30 eggs"),
        ("3e1", "3e1"),
        ("٣٠", "٣٠"),
        ("", ""),
    ],
)
def test_a_bare_number_is_put_in_the_official_form(answer: str, official: str) -> None:
    assert as_official(answer) == official == as_official(official)


@pytest.mark.parametrize(
    ("answer", "accuracy", "numeric"),
    [("30", 1, 1), ("30.0", 0, 1), ("$30", 0, 1), ("#### 30", 1, 1), ("30 eggs", 0, 0), ("", 0, 0)],
)
def test_episodes_and_official_agree_and_files_are_strict(
    load: Any, answer: str, accuracy: int, numeric: int
) -> None:
    source = load(RECORD)
    assert source.score(source[0], answer) == Score(accuracy, accuracy)
    expected = {"accuracy": accuracy, "numeric_accuracy": numeric}
    for prediction in (answer, Prediction(answer, (), "a#0")):
        assert source.official({"0": prediction}) == expected
    entry = source.entry_of(0, Prediction(answer), "named")
    content = Content("p.json", source.write_entries({"0": entry}), "")
    assert source.score_entries(source.read_entries(content))[0] == expected
    strict = source.score_entries({"0": PredictionEntry(answer)})[0]
    assert strict == expected | {"accuracy": float(answer == "#### 30")}
    assert source.score_entries({})[0] == source.official({"0": Prediction(None)})
    assert set(source.score_entries({})[0].values()) == {0.0}


def test_prediction_files(load: Any) -> None:
    source = load(RECORD)
    for text in ('{"0": "#### 30"}', '{"answer": {"0": "#### 30"}, "sp": {}}'):
        entries = source.read_entries(Content("p.json", text.encode(), ""))
        assert entries == {"0": PredictionEntry("#### 30")}
    for text in ("[]", '{"0": 30}', "#### 30"):
        with pytest.raises(DataError, match=r"p\.json"):
            source.read_entries(Content("p.json", text.encode(), ""))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "How many?"}, "line 2: Object missing required field `answer`"),
        ({"question": "How many?", "answer": "It is 30."}, "line 2: expected '#### ' and a number"),
        ({"question": " ", "answer": "#### 1"}, "line 2: expected the text of question '1'"),
        ({"question": 3, "answer": "#### 1"}, "line 2: Expected `str`, got `int`"),
        (["How many?", "#### 1"], "line 2: Expected `object`, got `array`"),
    ],
)
def test_unusable_records_are_named(load: Any, row: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(RECORD, row)
    assert len(load(RECORD, row, limit=1)) == 1


@pytest.mark.parametrize("mode", ["one_turn", "closed_book"])
def test_it_can_be_asked_at_once(load: Any, mode: str) -> None:
    env = HopEnv(load(RECORD), EnvSettings(mode=mode))
    assert RECORD["question"] in env.reset()[0]
    assert env.step("<answer>30</answer>")[1] == 1.0


@needs_files
def test_scores_are_those_of_the_official_script() -> None:
    reference, source = json.loads(REFERENCE.read_text()), GSM8KSource(TEST)
    records = reference["records"]
    assert len(records) == len(source) == 660
    for predictor in reference["predictors"]:
        entries = {
            str(row["index_in_half"]): PredictionEntry(row["pred"][predictor]) for row in records
        }
        metrics, rows = source.score_entries(entries)
        for row in records:
            expected, task_id = row["score"][predictor], str(row["index_in_half"])
            assert rows[task_id]["accuracy"] == expected["accuracy"]
            assert extract_answer(row["pred"][predictor]) == expected["extracted"]
        expected = reference["aggregate"][predictor]["dev"]
        assert metrics["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-12)
    # Trailing dots and zeros are wrong as texts and right as numbers.
    entries = {str(row["index_in_half"]): PredictionEntry(row["pred"]["H"]) for row in records}
    assert source.score_entries(entries)[0] == {"accuracy": 0.0, "numeric_accuracy": 1.0}


@needs_files
def test_scores_of_real_completions_are_the_official_ones() -> None:
    source = GSM8KSource(TEST)
    for row in json.loads(SOLUTIONS.read_text())["records"]:
        # Rows of the whole test file, of which this half holds every second one.
        index = row["i"] // 2
        assert source[index].question.answers == (row["gold"].replace(",", ""),)
        assert extract_answer(row["completion"]) == row["extracted"]
        metrics = source.metrics_of(index, PredictionEntry(row["completion"]))
        assert metrics["accuracy"] == row["is_correct_by_dataset_py"]
