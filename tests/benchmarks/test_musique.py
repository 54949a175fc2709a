"""MuSiQue: both variants, whole paragraphs as evidence, pairs under a limit, unusable records."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks.musique import MuSiQueSource
from hopgym.benchmarks.predictions import PredictionEntry
from hopgym.env import HopEnv
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
STEPS = [("Where was Ada Brook born?", "Elmstead", 2), ("On which river lies #1?", "Farrow", 0)]


def record(name: str = "2hop__1_2", *, answerable: bool = True, **changes: Any) -> dict[str, Any]:
    """A record in the official format; without an answer its second step has no paragraph."""
    return {
        "id": name,
        "paragraphs": [
            {
                "idx": i,
                "title": t,
                "paragraph_text": p,
                "is_supporting": s and (answerable or i > 0),
            }
            for i, (t, p, s) in enumerate(PAGES)
        ],
        "question": "On which river lies the town where Ada Brook was born?",
        "question_decomposition": [
            {
                "id": i,
                "question": question,
                "answer": answer,
                "paragraph_support_idx": place if answerable or place else None,
            }
            for i, (question, answer, place) in enumerate(STEPS)
        ],
        "answer": "the Farrow",
        "answer_aliases": ["River Farrow", "the Farrow"] if answerable else [],
        "answerable": answerable,
    } | changes


def twin(name: str = "2hop__1_2") -> dict[str, Any]:
    return record(name, answerable=False)


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(*rows: dict[str, Any], **arguments: Any) -> MuSiQueSource:
        path = tmp_path / "records.jsonl"
        path.write_text("\n\n".join(map(json.dumps, rows)))
        return MuSiQueSource(path, **arguments)

    return load


def ids(source: MuSiQueSource) -> list[str]:
    return [source[index].question.id for index in range(len(source))]


def test_a_record_becomes_a_task(load: Any) -> None:
    source = load(record())
    question, corpus = source[0].question, source[0].corpus
    assert (question.id, question.kind, question.answer_kind) == ("2hop__1_2", "2hop", "text")
    assert question.answers == ("the Farrow", "River Farrow")
    assert [(hop.text, hop.answers) for hop in question.hops] == [
        ("Where was Ada Brook born?", ("Elmstead",)),
        ("On which river lies Elmstead?", ("Farrow",)),
    ]
    (proof,) = question.proofs
    assert [(fact.fact, fact.shown_by) for fact in proof] == [
        (PAGES[0][1], (("0", None),)),
        (PAGES[2][1], (("2", None),)),
    ]
    assert question.support == "Elmstead#0 | Ada Brook#0"
    assert [page.title for page in corpus] == [title for title, *_ in PAGES]
    assert corpus[2].sentences == ("Ada Brook is a baker.", "She was born in Elmstead.")
    assert (source.unjudged, source.unpaired) == (0, 0)
    assert "unknown" not in source.notes


def test_a_record_without_an_answer_wants_unknown(load: Any) -> None:
    source = load(twin(), record(), variant="full")
    question = source[0].question
    assert ids(source) == ["2hop__1_2/unanswerable", "2hop__1_2/answerable"]
    assert (question.answers, question.proofs, question.support) == (("unknown",), (), "")
    assert [(hop.text, hop.answers) for hop in question.hops] == [
        ("Where was Ada Brook born?", ("Elmstead",)),
        ("On which river lies Elmstead?", ()),
    ]
    assert (source.unjudged, source.unpaired) == (1, 0)
    assert "the answer is unknown" in source.notes
    scores = [
        source.score(source[0], text).f1 for text in ("Unknown.", "", "the Farrow", "is unknown")
    ]
    assert scores == [1, 0, 0, 0]
    assert [source.score(source[1], text).em for text in ("unknown", "farrow")] == [0, 1]


def test_paragraphs_go_by_their_number(load: Any) -> None:
    rows = [each | {"idx": 30 - each["idx"]} for each in record()["paragraphs"]]
    steps = [each | {"paragraph_support_idx": None} for each in record()["question_decomposition"]]
    steps[0]["paragraph_support_idx"], steps[1]["paragraph_support_idx"] = 28, 30
    source = load(record(paragraphs=rows, question_decomposition=steps))
    assert [fact.shown_by for fact in source[0].question.proofs[0]] == [
        (("0", None),),
        (("2", None),),
    ]
    entry = source.entry_of(0, Prediction("x", support="Ada Brook#0"), "named")
    assert entry.paragraphs == (28,)
    assert source.metrics_of(0, PredictionEntry("x", paragraphs=(30, 28)))["support_em"] == 1


@pytest.mark.parametrize(
    ("steps", "texts"),
    [
        (
            ["A?", "#1 of #2 and #1's", "#2>>#3>>#0>>#9>>#12"],
            ["A?", "a of b and a's", "b>>c>>#0>>#9>>#12"],
        ),
        (["A >> mother", "# 1 #x", "#01"], ["A >> mother", "# 1 #x", "#01"]),
    ],
)
def test_steps_refer_to_the_answers_of_others(
    load: Any, steps: list[str], texts: list[str]
) -> None:
    decomposition = [
        {"question": text, "answer": answer, "paragraph_support_idx": 0}
        for text, answer in zip(steps, "abc", strict=True)
    ]
    source = load(record(question_decomposition=decomposition))
    assert [hop.text for hop in source[0].question.hops] == texts


@pytest.mark.parametrize(
    ("place", "changes"),
    [(0, {"paragraph_text": ""}), (2, {"title": " "}), (2, {"paragraph_text": " \n"})],
)
def test_a_paragraph_that_cannot_be_shown_leaves_the_record_unjudged(
    load: Any, place: int, changes: dict[str, Any]
) -> None:
    pages = record()["paragraphs"]
    pages[place] |= changes
    for corpus in ("record", "split"):
        source = load(record(), record("2hop__3", paragraphs=pages), corpus=corpus)
        assert (source.unjudged, source[1].question.proofs) == (1, ())
    assert load(record(paragraphs=[], question_decomposition=[])).unjudged == 1
    steps = twin()["question_decomposition"]
    assert load(record(question_decomposition=steps)).unjudged == 1


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1, ["a/answerable", "a/unanswerable"]),
        (2, ["a/answerable", "b/unanswerable", "b/answerable", "a/unanswerable"]),
        (4, ["a/answerable", "b/unanswerable", "c/answerable", "b/answerable", "a/unanswerable"]),
        (9, ["a/answerable", "b/unanswerable", "c/answerable", "b/answerable", "a/unanswerable"]),
    ],
)
def test_a_limit_keeps_pairs_whole(load: Any, limit: int, expected: list[str]) -> None:
    rows = [record("a"), twin("b"), record("c"), record("b"), twin("a")]
    for corpus in ("record", "split"):
        source = load(*rows, variant="full", limit=limit, corpus=corpus)
        assert ids(source) == expected
        assert source.unpaired == (limit > 2)
        copy = pickle.loads(pickle.dumps(source))
        assert (ids(copy), copy.fingerprint) == (expected, source.fingerprint)
    assert ids(load(record("a"), twin("a"), limit=1)) == ["a"]


def test_variants_of_one_file_differ(load: Any) -> None:
    assert load(record()).fingerprint != load(record(), variant="full").fingerprint


def without(name: str, row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


@pytest.mark.parametrize(
    ("row", "variant", "message"),
    [
        (twin("b"), "ans", "line 3: expected 'answerable': true, got false; take variant='full'"),
        (record("a"), "ans", "line 3: expected every record .* got 'a' again; take variant='full'"),
        (record("a"), "full", "line 3: expected every question .* got 'a/answerable'"),
        (without("answerable", record("b")), "full", "line 3: expected the field 'answerable'"),
        (without("answerable", twin("b")), "ans", "line 3: expected the field 'answerable'"),
        (
            without("answer", record("b")),
            "ans",
            "field `answer`; .* the test files have no answers",
        ),
        (without("answer_aliases", record("b")), "ans", "line 3: .* field `answer_aliases`"),
        (without("question_decomposition", record("b")), "ans", "field `question_decomposition`"),
        (record("b", answer=" "), "ans", "line 3: expected an answer to 'b', got an empty one"),
        (record(""), "ans", "line 3: expected an id"),
        (record(" "), "full", "line 3: expected an id"),
        (record("b", question=""), "ans", "line 3: expected the text of question 'b'"),
        (record("b", paragraphs=[]), "ans", "line 3: expected 'paragraph_support_idx' .* got 2"),
        (record("b", paragraphs=record()["paragraphs"] * 2), "ans", "line 3: .* its own 'idx'"),
        (
            record("b", paragraphs=[record()["paragraphs"][0] | {"idx": -1}]),
            "ans",
            r"line 3: Expected `int` >= 0 - at `\$\.paragraphs\[0\]\.idx`",
        ),
        ({"_id": "5a", "question": "Who?", "answer": "Ada"}, "ans", "line 3: Object missing"),
    ],
)
def test_unusable_records_are_named(
    load: Any, row: dict[str, Any], variant: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load(record("a"), row, variant=variant)


def test_a_record_without_the_field_has_an_answer_where_all_steps_have_paragraphs(
    load: Any,
) -> None:
    assert load(without("answerable", record())).unjudged == 0


def play(env: HopEnv, index: int) -> tuple[dict[str, Any], float]:
    """Let the oracle play; return the last info and the process rewards' sum."""
    env.reset(options={"index": index})
    episode = env._episode
    assert episode is not None
    total, info = 0.0, dict[str, Any]()
    while not episode.stop_reason:
        arguments = {tool.name: tool.argument for tool in env.tools}
        info = env.step(episode.dialect.write(episode.oracle_call().action, arguments))[4]
        total += info["process_reward"]
    return info, total


def test_the_oracle_proves_an_answer_and_says_unknown(load: Any) -> None:
    env = HopEnv(load(record(), twin(), variant="full"))
    info, total = play(env, 0)
    assert (info["verdict"], total) == ("supported", pytest.approx(1))
    info, total = play(env, 1)
    assert (info["verdict"], info["is_success"], total) == ("unjudged", True, 0)


@needs_files
def test_the_oracle_proves_real_records() -> None:
    source = MuSiQueSource(ANS)
    env = HopEnv(source)
    for index in range(0, len(source), 3):
        info, total = play(env, index)
        assert (info["verdict"], total) == ("supported", pytest.approx(1)), index


@needs_files
@pytest.mark.parametrize("variant", ["ans", "full"])
def test_the_real_file_without_the_field_is_refused(variant: str) -> None:
    name = "extra_musique_full_v1.0_dev_unpaired_NO_answerable_field.dev.jsonl"
    with pytest.raises(DataError, match="line 1: expected the field 'answerable'"):
        MuSiQueSource(FILES / name, variant=variant)
