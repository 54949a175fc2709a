"""PhantomWiki's own output: every answer from the facts, and the oracle's episodes."""

import json

import pytest

from hopgym.benchmarks.phantomwiki import PhantomWikiSource
from hopgym.env.episode import Episode
from hopgym.env.settings import EnvSettings
from hopgym.oracle import count_steps
from hopgym.tools import Toolbox, ToolSettings
from hopgym.worlds.queries import Query
from tests.support.paths import SHARED as SHARED_FOLDER

SHARED = SHARED_FOLDER / "phantomwiki"
UNIVERSES = ("s25_easy", "s25_hard", "s50_hard")

needs_files = pytest.mark.skipif(
    not SHARED.is_dir(), reason="PhantomWiki's output: ../shared/phantomwiki is not there"
)


def play(source: PhantomWikiSource, index: int) -> tuple[float, float, int]:
    """Exact match, sum of process rewards, and steps of the oracle's own episode."""
    task = source[index]
    settings = EnvSettings(max_steps=source.max_steps or 0)
    toolbox = Toolbox(task.corpus, ToolSettings())
    episode = Episode(source, index, task, settings, toolbox)
    rewards = 0.0
    while not episode.stop_reason:
        action = episode.oracle_call().action
        rewards += episode.take(f"<{action.tool}>{action.argument}</{action.tool}>").process_reward
    return episode.score.em, rewards, len(episode.steps)


@needs_files
@pytest.mark.parametrize("universe", UNIVERSES)
def test_facts_give_every_answer_of_phantomwiki(universe: str) -> None:
    source = PhantomWikiSource(SHARED / universe)
    recorded = json.loads((SHARED / universe / "questions.json").read_text())
    assert len(source) == len(recorded) == 500
    for i, row in enumerate(recorded):
        asked = source[i].question
        found = source.evaluator.evaluate(Query.parse(asked.metadata["query"]))
        assert set(found.values) == set(row["answer"]), row["prolog"]
        assert (asked.id, asked.text, list(asked.answers)) == (
            row["id"], row["question"], row["answer"],
        )  # fmt: skip
        assert asked.kind == "count" or not row["is_aggregation_question"]
        counted = asked.kind == "count"  # its last hop leads to those who are counted
        assert counted or asked.hops[-1].answers == found.values
    assert source.unjudged == 0


@needs_files
@pytest.mark.parametrize("universe", UNIVERSES)
def test_oracle_solves_phantomwiki(universe: str) -> None:
    source = PhantomWikiSource(SHARED / universe)
    for index in range(0, len(source), 11):
        em, rewards, steps = play(source, index)
        assert (em, rewards) == (1.0, pytest.approx(1.0))
        assert steps + 4 <= (source.max_steps or 0)


@needs_files
def test_budget_follows_the_longest_oracle_episode() -> None:
    source = PhantomWikiSource(SHARED / "s25_hard", 120)
    steps = [
        count_steps(source[i], Toolbox(source[i].corpus, ToolSettings()))
        for i in range(len(source))
    ]
    assert source.max_steps == max(steps) + 4


@needs_files
def test_guess_is_a_floor_above_nothing() -> None:
    source = PhantomWikiSource(SHARED / "s25_easy")
    scores = [source.score(source[i], source.guess(source[i])).f1 for i in range(len(source))]
    assert 0.2 < sum(scores) / len(scores) < 0.6
