"""HotpotQA: both layouts, the traps of real files, the official scores, whole episodes."""

import json
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks.hotpotqa import HotpotQASource, answer_metrics
from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError
from hopgym.scoring import normalize_answer
from tests.support.benchmark_files import BENCHMARKS, needs_files

DEV = BENCHMARKS / "hotpotqa_distractor" / "hotpot_dev_distractor_v1.dev.json"
TRAIN = BENCHMARKS / "hotpotqa_distractor" / "hotpot_train_v1.1.dev.json"
REFERENCE = BENCHMARKS / "reference" / "reference_hotpotqa_distractor.dev.json"
METRICS = ("em", "f1", "prec", "recall")

RECORD: dict[str, Any] = {
    "_id": "5a",
    "question": "On which river lies the town where Ada Brook was born?",
    "answer": "the Farrow",
    "supporting_facts": [["Ada Brook", 1], ["Elmstead &amp; Vale", 0]],
    "context": [
        ["Ada Brook", ["Ada Brook is a baker.", " She was born in Elmstead &amp; Vale."]],
        ["Elmstead &amp; Vale", ["It lies on the Farrow.", " It was founded in 1410."]],
        ["Gil Hart", ["Gil Hart keeps bees."]],
    ],
    "type": "bridge",
    "level": "hard",
}


def record(**changes: Any) -> dict[str, Any]:
    return RECORD | changes


def hub(row: dict[str, Any]) -> dict[str, Any]:
    """The Hub's layout of an official record."""
    facts, context = row["supporting_facts"], row["context"]
    return {
        "id": row["_id"],
        "supporting_facts": {"title": [t for t, _ in facts], "sent_id": [i for _, i in facts]},
        "context": {"title": [t for t, _ in context], "sentences": [s for _, s in context]},
    } | {key: row[key] for key in ("question", "answer", "type", "level")}


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(*rows: dict[str, Any], limit: int | None = None) -> HotpotQASource:
        path = tmp_path / "records.json"
        path.write_text(json.dumps(rows))
        return HotpotQASource(path, limit)

    return load


def play(env: HopEnv, index: int) -> tuple[dict[str, Any], float, int]:
    """Let the oracle play; return the last info, the process rewards' sum, privileged steps."""
    env.reset(options={"index": index})
    episode = env._episode
    assert episode is not None
    total, privileged, info = 0.0, 0, {}
    while not episode.stop_reason:
        call = episode.oracle_call()
        arguments = {tool.name: tool.argument for tool in env.tools}
        info = env.step(episode.dialect.write(call.action, arguments))[4]
        total += info["process_reward"]
        privileged += call.privileged
    return info, total, privileged


def test_a_record_becomes_a_task(load: Any) -> None:
    source = load(RECORD)
    task = source[0]
    question = task.question
    assert (len(source), source.unjudged, source.index_of("5a")) == (1, 0, 0)
    assert question.answers == ("the Farrow",)
    assert (question.answer_kind, question.kind, question.hops) == ("text", "bridge", ())
    assert (question.source, dict(question.metadata)) == ("hotpotqa", {"level": "hard", "hops": 2})
    (proof,) = question.proofs
    assert [fact.shown_by for fact in proof] == [(("0", 1),), (("1", 0),)]
    assert proof[0].fact == "She was born in Elmstead &amp; Vale."
    assert {fact.call for fact in proof} == {("search", RECORD["question"])}
    assert [page.title for page in task.corpus] == [title for title, _ in RECORD["context"]]
    assert task.corpus.description == "record"


def test_the_hub_layout_gives_the_same_task(load: Any, tmp_path: Path) -> None:
    official, rows = load(RECORD)[0], tmp_path / "rows.jsonl"
    rows.write_text(json.dumps(hub(RECORD)) + "\n\n")
    for source in (load(hub(RECORD)), HotpotQASource(str(rows))):
        assert source[0].question == official.question
        assert list(source[0].corpus) == list(official.corpus)


@pytest.mark.parametrize(
    "facts",
    [
        None,
        [],
        [["Ada Brook", 1], ["Nowhere", 0]],
        [["Ada Brook", 2]],
        [["Ada Brook", -1]],
        [["ada brook", 0]],
        [["Empty", 0]],
        [["", 0]],
    ],
)
def test_facts_that_cannot_be_shown_leave_the_record_unjudged(load: Any, facts: Any) -> None:
    pages = [*RECORD["context"], ["Empty", []], ["", ["Without a title."]]]
    source = load(RECORD, record(_id="5b", supporting_facts=facts, context=pages))
    assert source.unjudged == 1
    assert source[1].question.proofs == ()
    info, total, _ = play(HopEnv(source), 1)
    assert (info["verdict"], info["evidence_source"], total) == ("unjudged", "none", 0.0)
    assert info["is_success"]


def test_absent_facts_and_an_empty_context_load(load: Any) -> None:
    row = {key: value for key, value in RECORD.items() if key not in ("supporting_facts", "type")}
    source = load(row | {"context": []})
    assert (source.unjudged, len(source[0].corpus)) == (1, 0)
    observation = play_search(HopEnv(source))
    assert observation.startswith('No results for "Farrow"')


def play_search(env: HopEnv) -> str:
    env.reset()
    return env.step("<search>Farrow</search>")[0]


def test_a_repeated_title_shows_the_fact_on_every_page_that_has_the_sentence(load: Any) -> None:
    pages = [*RECORD["context"], ["Ada Brook", ["Another."]], ["Ada Brook", ["A.", "B."]]]
    source = load(record(context=pages))
    assert source[0].question.proofs[0][0].shown_by == (("0", 1), ("4", 1))
    info, total, _ = play(HopEnv(source), 0)
    assert info["verdict"] == "supported"
    assert total == pytest.approx(1.0)


def test_repeated_facts_count_once(load: Any) -> None:
    source = load(record(supporting_facts=RECORD["supporting_facts"] * 2))
    assert len(source[0].question.proofs[0]) == 2


def test_printed_sentences_lose_their_leading_space_and_no_entity(load: Any) -> None:
    env = HopEnv(load(RECORD))
    env.reset()
    observation = env.step("<lookup>ada brook</lookup>")[0]
    assert "is a baker. She was born in Elmstead &amp; Vale." in observation
    assert env.corpus[0].sentences[1].startswith(" She")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [("yes", "yesno"), ("No", "yesno"), ("Yes!", "yesno"), ("yes we can", "text")],
)
def test_answer_kind(load: Any, answer: str, kind: str) -> None:
    assert load(record(answer=answer))[0].question.answer_kind == kind


@pytest.mark.parametrize(
    ("prediction", "gold", "em", "f1", "prec", "recall"),
    [
        ("yes, they are", "yes", 0, 0, 0, 0),
        ("no", "yes", 0, 0, 0, 0),
        ("the YES.", "yes", 1, 1, 1, 1),
        ("noanswer", "noanswer of it", 0, 0, 0, 0),
        ("The", "!!!", 1, 0, 0, 0),
        ("", "!!!", 1, 0, 0, 0),
        ("", "Farrow", 0, 0, 0, 0),
        ("Farrow", "The The", 0, 0, 0, 0),
        ("the river Farrow", "Farrow", 0, 2 / 3, 1 / 2, 1),
        ("Farrow Farrow", "Farrow Vale Farrow", 0, 4 / 5, 1, 2 / 3),
    ],
)
def test_metrics(
    prediction: str, gold: str, em: float, f1: float, prec: float, recall: float
) -> None:
    metrics = answer_metrics(prediction, gold)
    assert (metrics.em, metrics.prec, metrics.recall) == (em, prec, recall)
    assert metrics.f1 == pytest.approx(f1)


def test_official_divides_by_all_questions(load: Any) -> None:
    source = load(RECORD, record(_id="5b", answer="yes"))
    assert source.official({"5a": "Farrow"}) == dict.fromkeys(METRICS, 0.5)
    assert load(RECORD, limit=1).official({"5a": "Farrow"}) == dict.fromkeys(METRICS, 1.0)
    for predictions in ({}, {"5c": "Farrow"}, {"5a": None}):
        with pytest.raises(ArgumentError):
            source.official(predictions)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"answer": None}, r"record 1: expected an answer to '5b', got none; the test questions"),
        ({"answer": " "}, "record 1: expected an answer"),
        ({"_id": "5a"}, r"record 1: expected every question to have its own id, got '5a'"),
        ({"_id": ""}, "record 1: expected an id"),
        ({"_id": 7}, r"record 1: Expected `str`, got `int` - at `\$._id`"),
        ({"question": ""}, "record 1: expected the text of question '5b'"),
        ({"question": "x" * 32_001}, "record 1: question '5b': expected at most 32000 char"),
        ({"question": None}, "record 1: Expected `str`"),
        ({"supporting_facts": [["Ada Brook"]]}, "record 1: Expected `array` of length 2"),
        ({"supporting_facts": [["Ada Brook", "1"]]}, "record 1: Expected `int`, got `str`"),
        (
            {"supporting_facts": {"title": ["A"], "sent_id": []}},
            "equal numbers of 'sent_id' and titles",
        ),
        ({"context": {"title": ["A"], "sentences": []}}, "equal numbers of 'sentences' and titles"),
        ({"context": None}, "record 1: Expected"),
        ({"context": [["Ada Brook", "not a list"]]}, "record 1: Expected `array`, got `str`"),
    ],
)
def test_unusable_records_are_named(load: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(RECORD, record(_id="5b", **changes) if "_id" not in changes else record(**changes))
    assert len(load(RECORD, record(**changes), limit=1)) == 1


@pytest.mark.parametrize(
    "text", ["What <search> is </search> <think> #2", " Who? ", "<>", "#\t#", "a\0b " * 3]
)
def test_any_question_makes_a_search_that_the_oracle_makes_once(load: Any, text: str) -> None:
    info, total, _ = play(HopEnv(load(record(question=text))), 0)
    assert info["verdict"] == "supported"
    assert total == pytest.approx(1.0)


@needs_files
@pytest.mark.parametrize(("path", "count", "most"), [(DEV, 505, 46), (TRAIN, 150, 9)])
def test_the_oracle_proves_every_real_record(path: Path, count: int, most: int) -> None:
    source = HotpotQASource(path)
    env = HopEnv(source)
    assert (len(source), source.unjudged) == (count, 0)
    privileged = 0
    for index in range(count):
        info, total, steps = play(env, index)
        assert (info["verdict"], info["corpus"]) == ("supported", "record")
        assert total == pytest.approx(1.0)
        privileged += steps
    # Pages that a search for the question's words does not name: 3 % of the oracle's steps.
    assert privileged == most


@needs_files
def test_gold_scores_one_but_for_answers_that_normalise_to_nothing() -> None:
    for path in (DEV, TRAIN):
        source = HotpotQASource(path)
        nothing = []
        for index in range(len(source)):
            task = source[index]
            gold = task.question.answers[0]
            score = source.score(task, gold)
            assert score.em == 1.0
            if score.f1 != 1.0:
                nothing.append(task.question.id)
                assert not normalize_answer(gold)
        assert nothing == []


@needs_files
def test_scores_are_those_of_the_official_script() -> None:
    reference = json.loads(REFERENCE.read_text())
    source = HotpotQASource(DEV)
    records = reference["records"]
    assert len(records) == len(source)
    for predictor in reference["predictors"]:
        for row in records:
            prediction, expected = row["pred"][predictor], row["score"][predictor]
            metrics = answer_metrics(prediction, row["gold"])
            assert {name: getattr(metrics, name) for name in METRICS} == {
                name: expected[name] for name in METRICS
            }, (predictor, row["id"])
            score = source.score(source[source.index_of(row["id"])], prediction)
            assert (score.em, score.f1) == (expected["em"], expected["f1"])
        official = source.official({row["id"]: row["pred"][predictor] for row in records})
        aggregate = reference["aggregate"][predictor]["dev"]
        assert official == pytest.approx({name: aggregate[name] for name in METRICS})
