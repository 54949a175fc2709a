"""What sources of real benchmarks have in common: arguments, corpora, official metrics."""

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from hopgym.benchmarks.hotpotqa import HotpotQASource
from hopgym.benchmarks.predictions import PredictionEntry, read_support, write_support
from hopgym.errors import ArgumentError, DataError
from hopgym.evaluation import evaluate
from hopgym.policies import OraclePolicy
from hopgym.rollout import run_episodes
from hopgym.tasks import Prediction

PAGES: dict[str, list[str]] = {
    "Ada Brook": ["Ada Brook is a baker.", " She was born in Elmstead."],
    "Elmstead": ["Elmstead lies on the Farrow.", " It was founded in 1410."],
    "Gil Hart": ["Gil Hart keeps bees in Vale."],
    "Vale": ["Vale is a town.", " It lies on the Thrush."],
    "Ivo Jay": ["Ivo Jay sells lamps."],
}


def row(number: int, question: str, answer: str, facts: list[Any], titles: list[str]) -> Any:
    return {
        "_id": f"id{number}", "question": question, "answer": answer, "supporting_facts": facts,
        "context": [[title, PAGES[title]] for title in titles],
        "type": "bridge" if number else "comparison", "level": "hard",
    }  # fmt: skip


ROWS = [
    row(0, "On which river lies the town of Ada Brook?", "the Farrow",
        [["Ada Brook", 1], ["Elmstead", 0]], ["Ada Brook", "Elmstead", "Ivo Jay"]),
    row(1, "On which river lies the town of Gil Hart?", "the Thrush",
        [["Gil Hart", 0], ["Vale", 1]], ["Gil Hart", "Vale", "Ivo Jay"]),
    row(2, "Who sells lamps in the town of Gil Hart?", "Ivo Jay",
        [["Gil Hart", 0], ["Ivo Jay", 0]], ["Vale", "Ivo Jay"]),
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(ROWS))
    return path


def shown_titles(source: HotpotQASource, index: int) -> list[str]:
    return [document.title for document in source[index].corpus]


def test_the_record_corpus_holds_the_own_paragraphs(path: Path) -> None:
    source = HotpotQASource(path)
    assert shown_titles(source, 1) == ["Gil Hart", "Vale", "Ivo Jay"]
    assert source[1].corpus.description == "record"
    # The third record lacks a gold page: it loads, is not judged, and is counted.
    assert (source.unjudged, source[2].question.proofs) == (1, ())


def test_the_split_corpus_is_the_union_of_the_file(path: Path) -> None:
    source = HotpotQASource(path, corpus="split")
    assert shown_titles(source, 0) == ["Ada Brook", "Elmstead", "Ivo Jay", "Gil Hart", "Vale"]
    assert source[0].corpus is source[2].corpus
    assert source[1].corpus.description == "split"
    assert source[1].question.proofs[0][1].shown_by == (("4", 1),)
    # What the third record lacks, another one holds.
    assert source.unjudged == 0
    assert source[2].question.proofs[0][0].shown_by == (("3", 0),)


def test_the_split_corpus_is_that_of_the_file_under_a_limit_too(path: Path) -> None:
    source = HotpotQASource(path, 1, corpus="split")
    assert (len(source), len(source[0].corpus)) == (1, 5)
    assert source.fingerprint != HotpotQASource(path, 1).fingerprint


def test_an_equal_title_with_another_text_is_another_page(path: Path) -> None:
    other = ROWS[1] | {
        "_id": "other",
        "context": [["Vale", ["Vale is a song."]], *ROWS[1]["context"]],
    }
    path.write_text(json.dumps([*ROWS[:2], other]))
    source = HotpotQASource(path, corpus="split")
    assert shown_titles(source, 0).count("Vale") == 2
    # The sentence is out of the song's range, so that only the town's page shows it.
    assert source[2].question.proofs[0][1].shown_by == (("4", 1),)


@pytest.fixture
def external(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOPGYM_CACHE", str(tmp_path / "cache"))
    rows = [{"title": title, "text": "".join(text)} for title, text in PAGES.items()]
    rows[3]["text"] = "Vale is another town. It lies on the Hare."
    rows.append({"title": "Cleo Dunn", "text": "Cleo Dunn is a miller."})
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "corpus.jsonl"


def test_an_external_corpus_shows_a_fact_where_it_has_its_text(path: Path, external: Path) -> None:
    source = HotpotQASource(path, corpus=external)
    assert (len(source[0].corpus), source[0].corpus.description) == (6, "external")
    assert [fact.shown_by for fact in source[0].question.proofs[0]] == [(("0", 1),), (("1", 0),)]
    # Its page on Vale says something else than the gold sentence; Gil Hart's own is in no record.
    assert source[1].question.proofs == ()
    assert source[2].question.proofs[0][0].shown_by == (("2", None),)
    assert source.unjudged == 1
    env = gymnasium.make(
        "hopgym/HotpotQA-v0", path=str(path), corpus=str(external), mode="one_turn"
    )
    prompt = env.reset(options={"index": 1})[0]
    assert "It lies on the Thrush." in prompt and "miller" not in prompt


def test_pickles_keep_every_argument(path: Path, external: Path) -> None:
    for arguments in ({"corpus": "split"}, {"corpus": str(external)}, {"setting": "fullwiki"}):
        source = HotpotQASource(path, 2, **arguments)
        twin = pickle.loads(pickle.dumps(source))
        assert (len(twin), twin.fingerprint) == (2, source.fingerprint)
        assert twin[1].question == source[1].question


def test_files_may_be_gzipped_lie_in_a_folder_and_be_lines(path: Path, tmp_path: Path) -> None:
    source = HotpotQASource(path)
    lines = "\n".join(map(json.dumps, ROWS)).encode()
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(lines))
    assert HotpotQASource(tmp_path / "rows.jsonl.gz")[0].question == source[0].question
    for name in ("hotpot_dev_fullwiki_v1.json", "hotpot_dev_distractor_v1.json"):
        (tmp_path / name).write_text(json.dumps(ROWS[: 1 + ("full" in name)]))
    assert len(HotpotQASource(tmp_path)) == 1
    assert len(HotpotQASource(tmp_path, setting="fullwiki")) == 2
    with pytest.raises(DataError, match=r"expected hotpot_train_v1\.1\.json in it"):
        HotpotQASource(tmp_path, split="train")
    with pytest.raises(ArgumentError, match="split must be one of train, validation"):
        HotpotQASource(tmp_path, split="dev")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": None}, "path must name the official HotpotQA file for hopgym/HotpotQA-v0, got"),
        ({"setting": "closed"}, "setting must be one of distractor, fullwiki, got 'closed'"),
        ({"setting": None}, "setting must be one of"),
        ({"corpus": "wiki"}, "corpus must be one of record, split, or the path of a file of"),
        ({"corpus": 3}, "corpus must be the path of a file"),
        ({"limit": 0}, "limit must be a whole number from 1"),
        ({"split": "train"}, "split must be None where path names a file"),
        ({"hub": "yes"}, "hub must be True or False"),
        ({"hub": True}, "path must be None where hub is True"),
        ({"alias": "x"}, "must be among path, hub, split, limit, corpus, setting, got 'alias'"),
    ],
)
def test_wrong_arguments_are_told(path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        HotpotQASource(**({"path": path} | arguments))


# Official metrics of runs


def test_supports_are_read_as_they_are_written() -> None:
    facts = (("C#", 0), ("Ada & Bob", 12))
    triples = (("Ada", "mother", "Cleo Dunn"),)
    named = read_support(write_support(facts, triples))
    assert (named.facts, named.triples) == (facts, triples)
    assert read_support(" Vale | # | Vale#x |  | a > b ").facts == (
        ("Vale", None), ("#", None), ("Vale#x", None), ("a > b", None),
    )  # fmt: skip
    assert PredictionEntry("x", (), ()).support == ""


def test_what_was_read_and_what_was_named_are_scored_apart(path: Path) -> None:
    source = HotpotQASource(path)
    shown = (("0", 0), ("0", 1), ("1", 0))
    prediction = Prediction("the Farrow", shown, "Elmstead#0 | Ada Brook#1")
    metrics = source.official({"id0": prediction}, ["id0"])
    assert (metrics["em"], metrics["sp_named_em"], metrics["joint_named_f1"]) == (1, 1, 1)
    assert metrics["sp_read_em"] == 0
    assert metrics["sp_read_prec"] == pytest.approx(2 / 3)
    assert metrics["sp_read_recall"] == 1
    assert metrics["joint_read_prec"] == pytest.approx(2 / 3)
    alone = source.official({"id0": "the Farrow"}, ["id0"])
    assert set(alone) == {"em", "f1", "prec", "recall"}
    # The whole file is the gold unless tasks are named, as for the official script.
    assert source.official({"id0": "the Farrow"})["em"] == pytest.approx(1 / 3)
    unanswered = source.official({"id0": Prediction(None, shown)}, ["id0"])
    assert (unanswered["em"], unanswered["sp_read_recall"], unanswered["joint_read_f1"]) == (
        0,
        1,
        0,
    )


@pytest.mark.parametrize("corpus", ["record", "split"])
@pytest.mark.parametrize("dialect", ["tags", "json"])
def test_the_oracle_reaches_the_official_ceiling(path: Path, corpus: str, dialect: str) -> None:
    arguments = {"path": str(path), "corpus": corpus, "dialect": dialect}
    env = gymnasium.make("hopgym/HotpotQA-v0", **arguments)
    source = env.unwrapped.source
    played = list(run_episodes(env, OraclePolicy(source), range(3)))
    evaluation = evaluate(played, source)
    named = {name: value for name, value in evaluation.official.items() if "read" not in name}
    assert len(named) == 12 and set(named.values()) == {1.0}
    assert evaluation.official["sp_read_recall"] == pytest.approx(1 if corpus == "split" else 2 / 3)
    assert set(evaluation.official_by_kind) == {"bridge", "comparison"}
    assert evaluation.official_by_hops.keys() == evaluation.by_hops.keys() == {"2"}


def test_the_prompt_asks_for_support_where_it_is_wanted(path: Path) -> None:
    for dialect, form in (
        ("tags", "<support>title#0 | title#2</support>"),
        ("json", '"support":"'),
    ):
        arguments = {"path": str(path), "dialect": dialect}
        prompt = gymnasium.make("hopgym/HotpotQA-v0", **arguments).reset(seed=0)[0]
        assert form not in prompt
        env = gymnasium.make("hopgym/HotpotQA-v0", ask_support=True, **arguments)
        assert form in env.reset(seed=0)[0]


def test_one_turn_prompts_hold_the_own_paragraphs_whatever_is_searched(path: Path) -> None:
    for corpus in ("record", "split"):
        arguments = {"path": str(path), "corpus": corpus, "mode": "one_turn"}
        env = gymnasium.make("hopgym/HotpotQA-v0", **arguments)
        prompt = env.reset(options={"index": 0})[0]
        for title in ("Ada Brook", "Elmstead", "Ivo Jay"):
            assert f"{title}\n" in prompt
        assert "Gil Hart" not in prompt
        tight = gymnasium.make("hopgym/HotpotQA-v0", context_chars=120, **arguments)
        cut = tight.reset(options={"index": 0})[0]
        assert "Elmstead lies" in cut and "She was born" in cut and "Ivo Jay" not in cut
