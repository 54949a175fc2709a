"""GSM8K: records, official and numeric accuracy, evidence of calculations, prediction files."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks.gsm8k import (
    GSM8KSource,
    as_official,
    extract_answer,
    numbers_of,
    read_rule,
    same_number,
)
from hopgym.benchmarks.predictions import PredictionEntry
from hopgym.benchmarks.records import Content
from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError, DataError
from hopgym.scoring import Score
from hopgym.tasks import Prediction
from hopgym.tools.calculator import numbers_in
from hopgym.trajectory import knowledge_after
from hopgym.verdicts import Knowledge, ShownContent
from tests.support.benchmark_files import BENCHMARKS, needs_files

TEST = BENCHMARKS / "gsm8k" / "test.dev.jsonl"
REFERENCE = BENCHMARKS / "reference" / "reference_gsm8k.dev.json"
SOLUTIONS = BENCHMARKS / "reference" / "reference_gsm8k_model_solutions.dev.json"

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


TRAIN = BENCHMARKS / "gsm8k" / "train_first400.dev.jsonl"
SOCRATIC = BENCHMARKS / "gsm8k" / "test_socratic_first200.dev.jsonl"


def calculate(env: HopEnv, *expressions: str) -> list[tuple[str, float]]:
    """Reset, take calculations; return the verdict and the process reward of each."""
    env.reset(options={"index": 0})
    infos = [env.step(f"<calculate>{each}</calculate>")[4] for each in expressions]
    return [(str(info["verdict"]), round(info["process_reward"], 6)) for info in infos]


def play(env: HopEnv, index: int, *before: str) -> tuple[list[str], float, dict[str, Any]]:
    """Let the oracle play on; return its verdicts, the sum of its rewards and the last info."""
    env.reset(options={"index": index, "prefix": list(before)})
    episode = env._episode
    assert episode is not None
    verdicts, total, info = list[str](), 0.0, {}
    arguments = {tool.name: tool.argument for tool in env.tools}
    while not episode.stop_reason:
        info = env.step(episode.dialect.write(episode.oracle_call().action, arguments))[4]
        verdicts.append(info["verdict"])
        total += info["process_reward"]
    return verdicts, total, info


def test_the_oracle_works_it_out(load: Any) -> None:
    env = HopEnv(load(RECORD, SUMMED, BARE))
    verdicts, total, info = play(env, 0)
    assert verdicts == ["good", "good", "good", "supported"]
    assert (total, info["evidence_source"]) == (pytest.approx(1.0), "heuristic")
    verdicts, total, info = play(env, 2)
    assert (verdicts, total, info["is_success"]) == (["unjudged"], 0.0, True)
    assert env.source.unjudged == 1


@pytest.mark.parametrize(
    "expression",
    ["58 - (8 + 10)", "58-18", "20*2", "58-8-10 =", "(58-8)-10", "80/2", "$58 − 8 − 10", "160*25%"],
)
def test_another_way_to_a_value_holds_it_if_its_numbers_are_known(
    load: Any, expression: str
) -> None:
    known = expression not in ("20*2", "80/2", "160*25%")
    verdict = ("good", pytest.approx(1 / 3)) if known else ("irrelevant", 0.0)
    assert calculate(HopEnv(load(RECORD)), expression) == [verdict]


@pytest.mark.parametrize(
    "expressions",
    [
        ["40"],  # no operator
        ["-(-40)"],
        ["+40"],
        ["40+0"],  # the result among the numbers
        ["40*1"],
        ["0-40*-1"],
        ["040.0+8-8"],
        ["4,0*1"],
        ["40 + 58 - 58"],
        ["39+1"],  # numbers that nothing gave
        ["20+20"],
        ["4000%"],
        ["4000%*1"],
        ["150-110"],  # too large to be free
        ["150-58-52"],
        ["80", "80/2"],  # printing a number does not make it known
        ["79+1", "80/2"],
        ["400+0", "400/10"],
        ["39+0", "39+1"],
        ["58*(", "58-8-10+"],
        ["58*0+31+9", "40+40"],  # what does not depend on the question holds nothing
        ["58-58+33+7"],
        ["=58-18="],
    ],
)
def test_shortcuts_pay_nothing(load: Any, expressions: list[str]) -> None:
    verdicts = calculate(HopEnv(load(RECORD)), *expressions)
    assert {verdict for verdict, _ in verdicts} == {"irrelevant"}
    assert {reward for _, reward in verdicts} == {0.0}


def test_a_later_value_closes_those_that_it_was_made_from(load: Any) -> None:
    env = HopEnv(load(RECORD))
    assert calculate(env, "(58-8-10)*3", "58-8-10") == [
        ("good", pytest.approx(2 / 3, abs=1e-6)),
        ("irrelevant", 0.0),
    ]
    assert calculate(env, "(58-8-10)*3*25%") == [("good", 1.0)]
    verdicts, total, _ = play(env, 0, "<calculate>(58-8-10)*3*.25</calculate>")
    assert (verdicts, total) == (["supported"], 0.0)


def test_values_that_do_not_depend_on_each_other_stay_open(load: Any) -> None:
    row = {
        "question": "7 nets of 6 onions, 9 nets of 5 beets. How many are these?",
        "answer": "<<7*6=42>>\n<<9*5=45>>\n<<42*2=84>>\n#### 84",
    }
    third = pytest.approx(1 / 3, abs=1e-6)
    assert calculate(HopEnv(load(row)), "7*6*2", "9*5") == [
        ("good", pytest.approx(2 / 3, abs=1e-6)),
        ("good", third),
    ]


def test_large_numbers_count_only_behind_the_calculation_that_gives_them(load: Any) -> None:
    env = HopEnv(load(SUMMED))
    early = calculate(env, "5500*2", "4,000 + 1500", "5500*2", "5500*2")
    assert early == [("irrelevant", 0.0), ("good", 0.5), ("good", 0.5), ("repeat", 0.0)]
    assert calculate(env, "1500+2*2000-2*500", "1500+4000-900*2") == [("irrelevant", 0.0)] * 2
    # The oracle makes a call again that came too early, and uses values that were closed.
    verdicts, total, _ = play(env, 0, *["<calculate>5500*2</calculate>"] * 2)
    assert (verdicts, total) == (["good", "good", "supported"], pytest.approx(1.0))


def test_results_of_known_numbers_are_known(load: Any) -> None:
    env = HopEnv(load(RECORD))
    # 7*24 is of free numbers alone: known from there on, yet nothing but free numbers.
    assert calculate(env, "7*24", "168-128", "168-58-70")[1:] == [
        ("irrelevant", 0.0),
        ("good", pytest.approx(1 / 3, abs=1e-6)),
    ]


def test_a_rounded_value_can_be_used_as_printed(load: Any) -> None:
    row = {
        "question": "Share $1,000 among 3 and give 2 of them a bonus of 50 on top.",
        "answer": "<<1000/3=333.33>>\n<<333.33+50=383.33>>\n<<383.33*2=766.66>>\n#### 766",
    }
    source = load(row)
    assert len(source[0].question.proofs[0]) == 3
    verdicts, total, _ = play(HopEnv(source), 0)
    assert (verdicts, total) == (["good"] * 3 + ["supported"], pytest.approx(1.0))
    assert calculate(HopEnv(source), "1,000/3", "333.3333333 + 50")[0][0] == "good"


@pytest.mark.parametrize(
    ("annotation", "usable"),
    [
        ("58-8=50", True),
        ("58-8 = $50", True),
        ("58*.5=29.0", True),
        ("58/3=19.33", True),
        ("58/3=19.3333333", True),
        ("58/3=19.4", False),
        ("58-8=51", False),
        ("50=50", False),
        ("58-8", False),
        ("58-8=", False),
        ("=50", False),
        ("", False),
        ("x-8=50", False),
        ("58-8=fifty", False),
        ("58/0=0", False),
        ("58-29=29", False),
        ("20+20=40", False),
        ("500-58=442", False),
        ("10*6=60", True),
        ("58*25%=14.5", True),
        ("9" * 600 + "=1", False),
    ],
)
def test_annotations_that_no_agent_could_earn_are_left_out(annotation: str, usable: bool) -> None:
    workings = read_rule(RECORD["question"], f"So <<{annotation}>> it is.\n#### 1")
    assert len(workings.proof) == usable


def test_the_rest_of_a_solution_is_judged_without_them(load: Any) -> None:
    answer = "<<58-8-10=40>>\n<<40=40>>\n<<50-10=40>>\n<<500/5=100>>\n<<40*3=120>>\n#### 120"
    source = load(RECORD | {"answer": answer})
    assert [fact.fact for fact in source[0].question.proofs[0]] == ["58-8-10 = 40", "40*3 = 120"]
    assert len(source[0].question.hops) == 5
    assert play(HopEnv(source), 0)[0] == ["good", "good", "supported"]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("$80,000 and 1.5, then .25", {80000, 1.5, 0.25}),
        ("Twenty-five of 3 dozen", {20, 25, 3, 36}),
        ("two hundred and 7 thousand, 2.5 million", {2, 200, 7, 7000, 2.5, 2500000}),
        ("half of 20%", {2, 20, 0.2}),
        ("one or 1 or 0", set()),
        ("1,2,3 at 7:30", {2, 3, 7, 30}),
        ("someone often weighs", set()),
    ],
)
def test_numbers_of_a_question(text: str, numbers: set[float]) -> None:
    assert sorted(set(numbers_of(text))) == pytest.approx(sorted(numbers))


def test_knowledge_is_a_function_of_the_calls(load: Any) -> None:
    source = load(RECORD)
    env = HopEnv(source)
    calculate(env, "40", "58-18", "40*3")
    episode = env._episode
    assert episode is not None
    again = knowledge_after(episode.task, episode.steps)
    assert again.potential == episode.knowledge.potential == pytest.approx(2 / 3)
    for twin in (again.copy(), pickle.loads(pickle.dumps(again))):
        twin.observe(ShownContent(), ("calculate", "120/4"))
        assert twin.proven
    assert not again.proven
    assert not Knowledge(source[0]).proven
    assert pickle.loads(pickle.dumps(source)).fingerprint == source.fingerprint


@needs_files
@pytest.mark.parametrize(
    ("path", "count", "unjudged", "values"),
    [(TEST, 660, 26, 1955), (TRAIN, 200, 8, 604), (SOCRATIC, 100, 7, 267)],
)
def test_the_oracle_works_every_real_record_out(
    path: Path, count: int, unjudged: int, values: int
) -> None:
    source = GSM8KSource(path)
    env = HopEnv(source)
    assert (len(source), source.unjudged) == (count, unjudged)
    steps = 0
    for index in range(count):
        verdicts, total, info = play(env, index)
        assert info["is_success"]
        if env.source[index].question.proofs:
            assert verdicts == ["good"] * (len(verdicts) - 1) + ["supported"]
            assert total == pytest.approx(1.0)
        steps += len(verdicts) - 1
    assert steps == values
    gold = {source.id_at(i): source[i].question.answers[0] for i in range(count)}
    assert source.official(gold) == {"accuracy": 1.0, "numeric_accuracy": 1.0}


@needs_files
def test_printing_values_earns_nothing_on_real_records() -> None:
    source = GSM8KSource(TEST)
    for index in range(0, len(source), 5):
        task = source[index]
        values = [answer for hop in task.question.hops for answer in hop.answers]
        knowledge = Knowledge(task)
        if not knowledge.evidence:
            continue
        for value in values:
            for form in ("{}", "{}+0", "{}*1", "({}+7)-7", "0+{}", "{}/1"):
                knowledge.observe(ShownContent(), ("calculate", form.format(value)))
        assert knowledge.potential == 0.0


@pytest.mark.parametrize(
    ("expression", "numbers"),
    [
        ("1,234.5 - $007 × -.5", (1234.5, 7, 0.5)),
        ("15% + (20 %) / 10%3", (0.15, 0.2, 10, 3)),
        ("x", ()),
        ("2²", (2,)),
    ],
)
def test_numbers_in_an_expression(expression: str, numbers: tuple[float, ...]) -> None:
    assert numbers_in(expression) == numbers
