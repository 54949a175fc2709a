"""Policies that use the source of the tasks: its oracle, its guess, and a reader of all pages.

They see what an agent is never shown, so that their scores are upper or lower bounds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hopgym.actions import Action
from hopgym.documents import Corpus
from hopgym.env.settings import EnvSettings, field_names
from hopgym.oracle import Call, gold_action, next_call
from hopgym.policies.base import PrefixPolicy, budget_ends, write_answer, write_call
from hopgym.search import fold
from hopgym.tasks import TaskSource
from hopgym.tools import Toolbox, ToolSettings, normalized_call
from hopgym.trajectory import Completion, Trajectory, calls_of, knowledge_after

_NEXT_PART = re.compile(r"\[part \d+ of \d+; the next is #(\d+)\]")


@dataclass(frozen=True, slots=True)
class GuessPolicy(PrefixPolicy):
    """Answers with the source's guess, without a search."""

    source: TaskSource = field(repr=False)

    def act(self, prefix: Trajectory) -> str:
        """Return the guess as an answer."""
        return write_answer(prefix, self.source.guess(self.source[prefix.index]))


@dataclass(frozen=True, slots=True)
class OraclePolicy(PrefixPolicy):
    """Collects the cheapest proof, then gives the gold answer; works from any prefix.

    For a step that uses a title not shown so far it returns a `Completion` that is ``privileged``.
    If there is nothing to read or to prove, it answers at once.
    """

    source: TaskSource = field(repr=False)
    tool_settings: ToolSettings | None = None
    """Those of the environment; None reads them from the trajectory's ``env_kwargs``."""

    def act(self, prefix: Trajectory) -> str | Completion:
        """Return the oracle's next call."""
        call = self._next_call(prefix)
        text = write_call(prefix, call.action)
        return Completion(text, privileged=True) if call.privileged else text

    def _next_call(self, prefix: Trajectory) -> Call:
        task = self.source[prefix.index]
        if prefix.tools == ("answer",) or not task.question.proofs:
            return Call(gold_action(task.question))
        toolbox = Toolbox(task.corpus, self.tool_settings or _tool_settings(prefix))
        knowledge = knowledge_after(task, prefix.steps)
        return next_call(toolbox, task, knowledge, [call for _, call in calls_of(prefix.steps)])


@dataclass(frozen=True, slots=True)
class ExhaustivePolicy(PrefixPolicy):
    """Looks up every page of the corpus in order, then answers with the source's guess.

    The last step of the budget is for the answer. As it takes titles from the corpus, its lookups
    are `Completion`s that are ``privileged``.
    """

    source: TaskSource = field(repr=False)
    max_steps: int | None = None
    """The environment's step budget. None reads it from the trajectory's ``env_kwargs``, and else
    uses the default of the source or the package. An observation that announces the last step
    takes precedence."""

    def act(self, prefix: Trajectory) -> str | Completion:
        """Return the lookup of the first page or part that is still unread, or the answer."""
        task = self.source[prefix.index]
        reads = "lookup" in prefix.tools and len(prefix.steps) + 1 < self._budget(prefix)
        action = _unread(task.corpus, prefix) if reads and not budget_ends(prefix) else None
        if action is None:
            return write_answer(prefix, self.source.guess(task))
        return Completion(write_call(prefix, action), privileged=True)

    def _budget(self, prefix: Trajectory) -> int:
        known = (self.max_steps, prefix.env_kwargs.get("max_steps"), self.source.max_steps)
        return next((int(steps) for steps in known if steps), EnvSettings().max_steps)


def _unread(corpus: Corpus, prefix: Trajectory) -> Action | None:
    toolbox = Toolbox(corpus, ToolSettings())
    read = {
        normalized_call(action, toolbox)[1:]: step.observation
        for step, action in calls_of(prefix.steps)
        if action.tool == "lookup"
    }
    for position in range(len(corpus)):
        title = corpus.pages.title(position)
        part = _unread_part(fold(title), read)
        if part and title.strip():
            return Action("lookup", title, page=part)
    return None


def _unread_part(title: str, read: Mapping[tuple[str, int], str]) -> int:
    """Return the first unread part of a page, from 1; 0 if all were read."""
    part = 1
    while observation := read.get((title, part)):
        further = _NEXT_PART.findall(observation)
        if not further or int(further[-1]) <= part:
            return 0
        part = int(further[-1])
    return part


def _tool_settings(prefix: Trajectory) -> ToolSettings:
    names = set(field_names(ToolSettings)) & set(prefix.env_kwargs)
    return ToolSettings(**{name: prefix.env_kwargs[name] for name in names})
