"""Episodes worked out by hand: proofs, plan, potentials, verdicts and rewards of every step.

The tables stand in ``episodes/*.toml``, derived from the definitions and not from the program; the
comments there give the arithmetic. Here they are read, played and compared.
"""

import tomllib
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hopgym.documents import Corpus, Document, PageList
from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.scoring import AnswerKind
from hopgym.tasks import Evidence, Question, Task, TaskSource
from hopgym.tools import ToolSettings
from hopgym.tools.results import RESULT_CHARS
from hopgym.verdicts import Verdict
from hopgym.worlds.people.name_pools import NamePool
from hopgym.worlds.people.population import Population
from hopgym.worlds.people.universe import Universe
from hopgym.worlds.people.vocabulary import vocabulary
from hopgym.worlds.people.world import PeopleWorld
from hopgym.worlds.queries import Query

TABLES = Path(__file__).parent / "episodes"
WORLD = tomllib.loads((TABLES / "world.toml").read_text(encoding="utf-8"))
CORPORA = tomllib.loads((TABLES / "pages.toml").read_text(encoding="utf-8"))
_LONG = RESULT_CHARS * 2 // 5  # two such sentences fit into a part, three do not


@dataclass(frozen=True)
class Line:
    """One step: what is done and what is to come of it."""

    action: str
    """A tool and its argument, or ``raw`` and the text itself."""
    given: bool
    """Whether it belongs to the reset's prefix."""
    verdict: str
    potential: Fraction
    reward: Fraction

    @property
    def text(self) -> str:
        tool, _, argument = self.action.partition(" ")
        return argument if tool == "raw" else f"<{tool}>{argument}</{tool}>"


@dataclass(frozen=True)
class HandEpisode:
    """A row of the tables; they say what each field means."""

    name: str
    asks: str
    answers: list[str]
    proofs: list[str]
    plan: str
    start: str
    steps: str
    ends: str
    outcome: str
    query: str = ""
    corpus: str = "world"
    kind: AnswerKind = "text"
    settings: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, Any] = field(default_factory=dict)
    sees: dict[str, str] = field(default_factory=dict)
    """Step number to a text that its observation holds."""

    @property
    def lines(self) -> list[Line]:
        return [_line(line) for line in self.steps.strip().splitlines()]

    @property
    def calls(self) -> list[str]:
        """The plan's calls, the answer last."""
        return [*self.plan.split("; "), f"answer {'; '.join(self.answers)}"]


def _line(line: str) -> Line:
    action, _, expected = line.rpartition(" => ")
    verdict, potential, reward = expected.split()
    given = action.startswith("given ")
    action = action.removeprefix("given ")
    return Line(action, given, verdict, Fraction(potential), Fraction(reward))


def _read_episodes() -> list[HandEpisode]:
    tables = [tomllib.loads(p.read_text(encoding="utf-8")) for p in sorted(TABLES.glob("*.toml"))]
    return [HandEpisode(**row) for table in tables for row in table.get("episode", ())]


EPISODES = _read_episodes()
each_episode = pytest.mark.parametrize("hand", EPISODES, ids=lambda hand: hand.name)


@cache
def world() -> PeopleWorld:
    table = WORLD["population"]
    births = [day.toordinal() for day in table["birth"]]
    words = NamePool(**{name: tuple(some) for name, some in WORLD["words"].items()})
    universe = Universe(Population(**{**table, "birth": births}), words)
    return PeopleWorld(universe, vocabulary("direct"), "brief", np.random.default_rng(0))


@cache
def corpus(name: str) -> Corpus:
    if name == "world":
        return world().corpus
    pages = CORPORA[name].items()
    documents = [Document(page, title, tuple(map(_long, s))) for page, (title, *s) in pages]
    return Corpus(PageList(documents), name)


def _long(sentence: str) -> str:
    return sentence.replace("…", ".").ljust(_LONG, ".") if "…" in sentence else sentence


def expected_proofs(hand: HandEpisode) -> tuple[tuple[Evidence, ...], ...]:
    return tuple(tuple(_evidence(part) for part in proof.split(", ")) for proof in hand.proofs)


def _evidence(notation: str) -> Evidence:
    """Read ``p4.6|p1.*`` or ``p11.2 search pilot``."""
    places, _, call = notation.partition(" ")
    tool, _, argument = call.partition(" ")
    pairs = (place.split(".") for place in places.split("|"))
    shown_by = tuple((page, None if index == "*" else int(index)) for page, index in pairs)
    return Evidence(notation, shown_by, (tool, argument) if call else None)


class HandSource(TaskSource):
    """The questions of the tables; those over the world are proven by its evaluator."""

    name = "hand"
    evidence_source = "exact"
    partial_credit = False

    def __len__(self) -> int:
        return len(EPISODES)

    def __getitem__(self, index: int, /) -> Task:
        hand = EPISODES[index]
        proofs = (
            world().evaluator.evaluate(Query.parse(hand.query)).proofs
            if hand.query
            else expected_proofs(hand)
        )
        question = Question(f"h{index}", hand.asks, tuple(hand.answers), hand.kind, proofs=proofs)
        return Task(question, corpus(hand.corpus))

    def index_of(self, task_id: str) -> int:
        return int(task_id.removeprefix("h"))

    @property
    def fingerprint(self) -> str:
        return "hand"


def make_env(hand: HandEpisode, **tools: Any) -> HopEnv:
    settings = EnvSettings(reward="both", **hand.settings)
    return HopEnv(HandSource(), settings, ToolSettings(**{**hand.tools, **tools}))


def play(hand: HandEpisode, noise_seed: int = 0) -> None:
    """Play an episode of the tables and compare all that is known of it after each step."""
    env = make_env(hand, noise_seed=noise_seed)
    index = EPISODES.index(hand)
    prefix = [line.text for line in hand.lines if line.given]
    _, info = env.reset(options={"index": index})
    assert info["potential"] == pytest.approx(float(Fraction(hand.start)))
    if prefix:
        _, info = env.reset(options={"index": index, "prefix": prefix})
        assert info["process_reward"] == 0.0
        assert info["potential"] == pytest.approx(float(hand.lines[len(prefix) - 1].potential))
    for number, line in enumerate(hand.lines[len(prefix) :], start=len(prefix) + 1):
        assert info["reason"] == "", f"over before step {number}"
        assert info["oracle_steps"] == -1
        observation, reward, terminated, truncated, info = env.step(line.text)
        last = number == len(hand.lines)
        outcome = float(Fraction(hand.outcome)) if last else 0.0
        at = f"step {number}: {line.action}"
        assert info["verdict"] == line.verdict, at
        assert info["potential"] == pytest.approx(float(line.potential)), at
        assert info["process_reward"] == pytest.approx(float(line.reward)), at
        assert info["outcome_reward"] == pytest.approx(outcome), at
        assert reward == pytest.approx(float(line.reward) + outcome), at
        assert (info["step"], info["steps_left"]) == (number, env.settings.max_steps - number), at
        assert terminated == (last and hand.ends == "answer"), at
        assert truncated == (last and hand.ends != "answer"), at
        assert hand.sees.get(str(number), "") in observation, at
    assert info["reason"] == hand.ends
    assert info["is_success"] == (info["verdict"] in ("supported", "lucky"))
    assert info["oracle_steps"] == len(hand.calls)
    _compare_record(hand, env)


def _compare_record(hand: HandEpisode, env: HopEnv) -> None:
    steps = env.trajectory().steps
    assert [(step.from_prefix, step.verdict.value) for step in steps] == [
        (line.given, line.verdict) for line in hand.lines
    ]
    rewards = [float(line.reward) for line in hand.lines]
    assert [step.process_reward for step in steps] == pytest.approx(rewards)


def test_the_world_has_the_pages_that_the_tables_read() -> None:
    pages = {
        document.id: "\n".join(
            [document.title, *(f"{i} {text}" for i, text in enumerate(document.sentences))]
        )
        for document in world().corpus
    }
    assert pages == WORLD["pages"]


@pytest.mark.parametrize("hand", [h for h in EPISODES if h.query], ids=lambda hand: hand.name)
def test_proofs_and_answers_follow_from_the_query(hand: HandEpisode) -> None:
    found = world().evaluator.evaluate(Query.parse(hand.query))
    assert sorted(found.values) == sorted(a for a in hand.answers if a != "unknown")
    assert _places(found.proofs) == _places(expected_proofs(hand))


def _places(proofs: tuple[tuple[Evidence, ...], ...]) -> list[str]:
    """Return where each proof's evidence is shown, without regard to order or wording."""
    shown = [sorted((sorted(map(str, e.shown_by)), e.call or ()) for e in p) for p in proofs]
    return sorted(map(str, shown))


@each_episode
def test_each_step_is_worth_what_the_table_says(hand: HandEpisode) -> None:
    seeds = range(4) if "search_noise" in hand.tools else (0,)
    for noise_seed in seeds:  # what the table says holds for any page drawn
        play(hand, noise_seed)


@each_episode
def test_the_plan_proves_the_answer(hand: HandEpisode) -> None:
    env = HopEnv(HandSource(), EnvSettings(reward="process"))
    env.reset(options={"index": EPISODES.index(hand)})
    calls = [Line(call, False, "", Fraction(0), Fraction(0)).text for call in hand.calls]
    paid = [env.step(call) for call in calls]
    assert sum(reward for _, reward, *_ in paid) == pytest.approx(1.0)
    assert paid[-1][-1]["verdict"] == "supported"
    assert paid[-1][-1]["oracle_steps"] == len(calls)


def test_a_call_that_failed_is_judged_afresh() -> None:
    """Over many seeds of failure one call made three times is judged by what did not fail."""
    hand = next(h for h in EPISODES if "tool_failure" in h.tools)
    seen = set()
    for noise_seed in range(40):
        env = make_env(hand, tool_failure=0.5, noise_seed=noise_seed)
        env.reset(options={"index": EPISODES.index(hand)})
        verdicts = [env.step(hand.lines[0].text)[-1]["verdict"] for _ in range(3)]
        shown = [verdict for verdict in verdicts if verdict != "failed"]
        assert shown == ["good", "repeat", "repeat"][: len(shown)]
        seen.add(tuple(verdicts))
    assert ("failed", "good", "repeat") in seen


def test_noise_puts_either_page_in_the_place_of_the_one_found() -> None:
    hand = next(h for h in EPISODES if h.corpus == "pair")
    shown = []
    for noise_seed in range(20):
        env = make_env(hand, noise_seed=noise_seed)
        env.reset(options={"index": EPISODES.index(hand)})
        observation = env.step("<search>1910</search>")[0]
        shown.append(("born in 1910" in observation, "born in 1912" in observation))
    assert set(shown) == {(True, False), (False, True)}


def test_the_tables_hold_enough() -> None:
    assert len(EPISODES) >= 30
    assert len({hand.name for hand in EPISODES}) == len(EPISODES)
    verdicts = {line.verdict for hand in EPISODES for line in hand.lines}
    assert verdicts == {verdict.value for verdict in Verdict} - {"unjudged"}
    assert {hand.ends for hand in EPISODES} == {"answer", "budget", "malformed"}
    shortcuts = [h for h in EPISODES if "shortcut" in h.name]
    assert shortcuts and all(len(h.lines) < len(h.calls) for h in shortcuts)
