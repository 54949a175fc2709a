"""Policies for warm-up: the oracle with a controlled share of errors.

In: an environment and options. Out: a policy whose episodes show how to go on after a mistake,
and give filters something to leave out.
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
from hopgym.verdicts import Shown, Verdict

_MARK = re.compile(r"\[[^\[\]\n]*\]")
_HIT = re.compile(r"^\[\d+\] (.*\S)", re.MULTILINE)
_MOST_TRIES = 12


class _Situation(NamedTuple):
    """What an error is drawn from."""

    prefix: Trajectory
    source: TaskSource
    task: Task
    toolbox: Toolbox
    rng: np.random.Generator


@dataclass(frozen=True, slots=True)
class NoisyOracle(PrefixPolicy):
    """Plays the oracle, but makes an error with a set chance at every step.

    An error is an action that helps with nothing: a search or lookup of what was shown that
    brings no evidence, a calculation beside the point, a call made before, a text without a call,
    or a wrong answer. Kinds that are not to be had in a situation give way to the others; where
    none is, the oracle plays. What is drawn depends on (seed, index, sample, step number) alone.

    Raises:
        ArgumentError: On a chance outside of [0, 1], or kinds that are none of `KINDS`.
    """

    source: TaskSource = field(repr=False)
    tool_settings: ToolSettings
    """The environment's own."""
    p: float = 0.3
    """Chance of an error at each step, in [0, 1]."""
    kinds: tuple[str, ...] = ("search", "lookup", "calculate", "repeat", "malformed", "answer")
    """Kinds of error, each as likely as the others where it can be made."""
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
    """Return the oracle with errors for an environment.

    Args:
        env: What it is to play.
        options: ``p`` and ``kinds`` of `NoisyOracle`; kinds as a list or with commas between them.

    Raises:
        ArgumentError: On other options or values out of range.
    """
    for name in options:
        hint = did_you_mean(str(name), ("p", "kinds"))
        if name not in ("p", "kinds"):
            raise ArgumentError(f"noisy_oracle takes p, kinds, got {name!r}{hint}")
    given = dict(options)
    if "kinds" in given:
        kinds = given["kinds"]
        kinds = kinds.split(",") if isinstance(kinds, str) else kinds
        require(isinstance(kinds, list | tuple), "kinds", f"some of {', '.join(KINDS)}", kinds)
        given["kinds"] = tuple(str(kind).strip() for kind in kinds)
    return NoisyOracle(env.source, env.tool_settings, **given)


def _idle_call(tool: str) -> Callable[[_Situation], str]:
    """Return what draws a call of a tool that brings no evidence and was not made before."""

    def draw(situation: _Situation) -> str:
        prefix, task, toolbox = situation.prefix, situation.task, situation.toolbox
        if tool not in prefix.tools:
            return ""
        made = {normalized_call(action, toolbox) for _, action in calls_of(prefix.steps)}
        known = knowledge_after(task, prefix.steps)
        for argument in _arguments(tool, situation):
            action = Action(tool, argument)
            if normalized_call(action, toolbox) in made:
                continue
            # What the clean tool shows tells whether it would help; noise can only hide more.
            result = toolbox.call(action)
            knowledge = known.copy()
            shown = Shown(result.sentences, knowledge.find_titles(result.seen))
            if knowledge.observe(shown, (tool, argument)) is Verdict.IRRELEVANT:
                return write_call(prefix, action)
        return ""

    return draw


def _arguments(tool: str, situation: _Situation) -> Iterator[str]:
    """Yield what a tool may be called with, from what was shown, in an order drawn at random."""
    seen, rng, corpus = _seen(situation.prefix), situation.rng, situation.task.corpus
    if tool == "calculate":
        numbers = re.findall(r"\d+", seen) or ["1"]
        for _ in range(_MOST_TRIES):
            left, right = rng.choice(np.array(numbers), 2).tolist()
            yield f"{left} {rng.choice(np.array(['+', '-', '*']))} {right}"
        return
    names = names_in(seen)
    if tool == "search":
        yield from _drawn([*names, *words_in(seen)], rng)
        return
    hits = [hit for step in situation.prefix.steps for hit in _HIT.findall(step.observation)]
    titles = [name for name in dict.fromkeys([*hits, *names]) if corpus.lookup(name)]
    yield from _drawn(titles or names, rng)


def _repeat(situation: _Situation) -> str:
    calls = [step.text for step, _ in calls_of(situation.prefix.steps)]
    return next(_drawn(calls, situation.rng), "")


def _malformed(situation: _Situation) -> str:
    words = words_in(_seen(situation.prefix)) or [UNKNOWN]
    return f"I should find out more about the {next(_drawn(words, situation.rng))}."


def _wrong_answer(situation: _Situation) -> str:
    """Return an answer from what was shown that scores nothing, or the answer ``unknown``."""
    prefix, task = situation.prefix, situation.task
    seen = _seen(prefix)
    shown = [*names_in(seen), *re.findall(r"\d+", seen)]
    for answer in (*_drawn(shown, situation.rng), UNKNOWN):
        if not situation.source.score(task, answer).f1:
            return write_call(prefix, Action("answer", answer))
    return ""


def _seen(prefix: Trajectory) -> str:
    return _MARK.sub("", "\n".join([prefix.question, *(s.observation for s in prefix.steps)]))


def _drawn(items: Sequence[str], rng: np.random.Generator) -> Iterator[str]:
    """Yield some different items in an order drawn at random."""
    different = list(dict.fromkeys(items))
    for place in rng.permutation(len(different))[:_MOST_TRIES]:
        yield different[int(place)]


KINDS: Mapping[str, Callable[[_Situation], str]] = {
    "search": _idle_call("search"),
    "lookup": _idle_call("lookup"),
    "calculate": _idle_call("calculate"),
    "repeat": _repeat,
    "malformed": _malformed,
    "answer": _wrong_answer,
}
"""Kinds of error by name; each returns its text, or nothing where it cannot be made."""
