"""2WikiMultihopQA: all layouts, the traps of real files, whole episodes."""

import json
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks.predictions import PredictionEntry
from hopgym.benchmarks.twowiki import TwoWikiSource
from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError
from hopgym.tasks import Prediction
from tests.support.paths import SHARED as SHARED_FOLDER

SHARED = SHARED_FOLDER / "benchmarks"
FOLDER = SHARED / "2wikimultihopqa"
DEV = FOLDER / "dev.dev.json"
TRAIN = FOLDER / "train.dev.json"
ALIASES = FOLDER / "id_aliases_partial.json"

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
