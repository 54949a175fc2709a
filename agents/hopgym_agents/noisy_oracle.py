"""The oracle with a controlled share of errors, for warm-up data.

Its episodes show how to continue after a mistake, and give filters something to remove.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from hopgym.actions import Action
from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, did_you_mean, require
from hopgym.policies import OraclePolicy, PrefixPolicy, write_call
from hopgym.policies.base import UNKNOWN
from hopgym.policies.scripted import names_in, words_in
from hopgym.rollout import episode_rng
from hopgym.tasks import Task, TaskSource
from hopgym.tools import Toolbox, ToolSettings, normalized_call
from hopgym.trajectory import Completion, Trajectory, calls_of, knowledge_after
from hopgym.verdicts import ShownContent, Verdict

_CITATION = re.compile(r"\[[^\[\]\n]*\]")
_HIT = re.compile(r"^\[\d+\] (.*\S)", re.MULTILINE)
_MAX_CANDIDATES = 12


class _Situation(NamedTuple):
    """State that an error is sampled from."""

    prefix: Trajectory
    source: TaskSource
    task: Task
    toolbox: Toolbox
    rng: np.random.Generator


@dataclass(frozen=True, slots=True)
class NoisyOracle(PrefixPolicy):
    """Plays the oracle, but makes an error with a given probability at every step.

    An error is an action without any use: a search or lookup of something observed that brings no
    evidence, an irrelevant calculation, a repeated call, a text without a call, or a wrong answer.
    If a kind of error is impossible in a situation, another one is used; if none is possible, the
    oracle plays. Samples depend only on (seed, index, sample, step number).

    Raises:
        ArgumentError: If the probability is outside of [0, 1], or a kind is not one of `KINDS`.
    """

    source: TaskSource = field(repr=False)
    tool_settings: ToolSettings
    """Settings of the environment's tools."""
    p: float = 0.3
    """Probability of an error at each step, in [0, 1]."""
    kinds: tuple[str, ...] = ("search", "lookup", "calculate", "repeat", "malformed", "answer")
    """Kinds of error, equally likely where they are possible."""
    seed: int = 0
    """0 or more."""

    def __post_init__(self) -> None:
        number = isinstance(self.p, int | float) and not isinstance(self.p, bool)
        require(number and 0 <= self.p <= 1, "p", "a number in [0, 1]", self.p)
        require(bool(self.kinds), "kinds", f"some of {', '.join(KINDS)}", self.kinds)
        for kind in self.kinds:
            hint = did_you_mean(str(kind), KINDS)
            require(kind in KINDS, "kinds", f"among {', '.join(KINDS)}{hint}", kind)

    def seeded(self, seed: int) -> "NoisyOracle":
        """Return the policy with another seed."""
        return replace(self, seed=seed)

    def act(self, prefix: Trajectory) -> str | Completion:
        """Return the oracle's next call, or an error."""
        oracle = OraclePolicy(self.source, self.tool_settings)
        rng = episode_rng(self.seed, prefix.index, prefix.sample, len(prefix.steps))
        if rng.random() >= self.p:
            return oracle.act(prefix)
        task = self.source[prefix.index]
        toolbox = Toolbox(task.corpus, self.tool_settings)
        situation = _Situation(prefix, self.source, task, toolbox, rng)
        for kind in rng.permutation(np.array(self.kinds)).tolist():
            if error := KINDS[kind](situation):
                return error
        return oracle.act(prefix)


def noisy_oracle(env: HopEnv, options: Mapping[str, Any]) -> NoisyOracle:
    """Return the oracle with errors for an environment (entry point ``noisy_oracle``).

    Args:
        env: The environment to play.
        options: ``p`` and ``kinds`` of `NoisyOracle`; kinds as a list or separated by commas.

    Raises:
        ArgumentError: If an option is unknown or out of range.
    """
    for name in options:
        hint = did_you_mean(str(name), ("p", "kinds"))
        if name not in ("p", "kinds"):
            raise ArgumentError(f"noisy_oracle takes p, kinds, got {name!r}{hint}")
    settings = dict(options)
    if "kinds" in settings:
        kinds = settings["kinds"]
        kinds = kinds.split(",") if isinstance(kinds, str) else kinds
        require(isinstance(kinds, list | tuple), "kinds", f"some of {', '.join(KINDS)}", kinds)
        settings["kinds"] = tuple(str(kind).strip() for kind in kinds)
    return NoisyOracle(env.source, env.tool_settings, **settings)


def _useless_call(tool: str) -> Callable[[_Situation], str]:
    """Return a function that samples a new call of a tool that brings no evidence."""

    def sample(situation: _Situation) -> str:
        prefix, _, task, toolbox, _ = situation
        if tool not in prefix.tools:
            return ""
        previous = {normalized_call(action, toolbox) for _, action in calls_of(prefix.steps)}
        known = knowledge_after(task, prefix.steps)
        for argument in _arguments(tool, situation):
            action = Action(tool, argument)
            if normalized_call(action, toolbox) in previous:
                continue
            # The result without noise decides whether a call helps; noise can only hide more.
            result = toolbox.call(action)
            knowledge = known.copy()
            observed = ShownContent(result.sentences, knowledge.find_titles(result.seen))
            if knowledge.observe(observed, (tool, argument)) is Verdict.IRRELEVANT:
                return write_call(prefix, action)
        return ""

    return sample


def _arguments(tool: str, situation: _Situation) -> Iterator[str]:
    """Yield arguments of a tool from observed text, in random order."""
    prefix, _, task, _, rng = situation
    observed = _observed_text(prefix)
    if tool == "calculate":
        numbers = re.findall(r"\d+", observed) or ["1"]
        for _ in range(_MAX_CANDIDATES):
            left, right = rng.choice(np.array(numbers), 2).tolist()
            yield f"{left} {rng.choice(np.array(['+', '-', '*']))} {right}"
        return
    names = names_in(observed)
    if tool == "search":
        yield from _shuffled([*names, *words_in(observed)], rng)
        return
    hits = [hit for step in prefix.steps for hit in _HIT.findall(step.observation)]
    titles = [name for name in dict.fromkeys([*hits, *names]) if task.corpus.lookup(name)]
    yield from _shuffled(titles or names, rng)


def _repeat(situation: _Situation) -> str:
    calls = [step.text for step, _ in calls_of(situation.prefix.steps)]
    return next(_shuffled(calls, situation.rng), "")


def _malformed(situation: _Situation) -> str:
    topics = words_in(_observed_text(situation.prefix)) or [UNKNOWN]
    return f"I should find out more about the {next(_shuffled(topics, situation.rng))}."


def _wrong_answer(situation: _Situation) -> str:
    """Return an observed answer that scores zero, or the answer ``unknown``."""
    prefix, source, task, _, rng = situation
    observed = _observed_text(prefix)
    candidates = [*names_in(observed), *re.findall(r"\d+", observed)]
    for answer in (*_shuffled(candidates, rng), UNKNOWN):
        if not source.score(task, answer).f1:
            return write_call(prefix, Action("answer", answer))
    return ""


def _observed_text(prefix: Trajectory) -> str:
    observations = [step.observation for step in prefix.steps]
    return _CITATION.sub("", "\n".join([prefix.question, *observations]))


def _shuffled(items: Sequence[str], rng: np.random.Generator) -> Iterator[str]:
    """Yield up to `_MAX_CANDIDATES` different items in random order."""
    unique = list(dict.fromkeys(items))
    for index in rng.permutation(len(unique))[:_MAX_CANDIDATES]:
        yield unique[int(index)]


KINDS: Mapping[str, Callable[[_Situation], str]] = {
    "search": _useless_call("search"),
    "lookup": _useless_call("lookup"),
    "calculate": _useless_call("calculate"),
    "repeat": _repeat,
    "malformed": _malformed,
    "answer": _wrong_answer,
}
"""Kinds of error by name; each returns its text, or an empty one if it is impossible."""
