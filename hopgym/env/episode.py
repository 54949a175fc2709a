"""The rules of one episode: what each text of the agent does, its verdict and its rewards."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from hopgym.actions import Action, Dialect, Malformed, Reader, dialect_named
from hopgym.env.prompt import at_once_prompt, context_of, tools_prompt
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError
from hopgym.oracle import Call, gold_action, next_call
from hopgym.scoring import Score
from hopgym.tasks import Task, TaskSource
from hopgym.tools import Toolbox, argument_names, normalized_call
from hopgym.tools.results import Result
from hopgym.trajectory import Step, StopReason, calls_of
from hopgym.verdicts import Knowledge, ShownContent, Verdict, answer_verdict

_NO_SCORE = Score(0.0, 0.0)
_NOTHING = ShownContent()


class StepRecord(NamedTuple):
    """The fields of a `Step` in order, which are much cheaper to create than a `Step`."""

    text: str
    action: Action | None
    observation: str
    shown_content: ShownContent
    verdict: Verdict
    process_reward: float
    outcome_reward: float
    potential: float
    from_prefix: bool


class Episode:
    """One attempt at a task.

    Args:
        source: The source of the task, which scores the answer.
        index: Index of the task in its source.
        task: The task at that index.
        settings: Budget, dialect, mode and reward.
        toolbox: The tools over the task's corpus.
    """

    def __init__(
        self,
        source: TaskSource,
        index: int,
        task: Task,
        settings: EnvSettings,
        toolbox: Toolbox,
    ) -> None:
        self.source = source
        self.index = index
        self.task = task
        self.settings = settings
        self.toolbox = toolbox
        self.tools = source.tools if settings.mode == "tools" else ("answer",)
        self.knowledge = Knowledge(task)
        self.judged = settings.mode == "tools" and bool(task.question.proofs)
        self.evidence_source = source.evidence_source if self.judged else "none"
        self.records: list[StepRecord] = []
        self._steps: list[Step] = []
        self.stop_reason = StopReason.RUNNING
        self.score = _NO_SCORE
        self.budget = settings.budget
        self._noisy = bool(toolbox.settings.search_noise or toolbox.settings.tool_failure)
        self._malformed_streak = 0
        self._calls: set[tuple[str, str, int]] = set()
        self._latest_results: dict[tuple[str, str, int], tuple[Result, ShownContent]] = {}
        self._reader = _reader(settings.dialect, self.tools)

    def copy(self) -> "Episode":
        """Return an independent copy; its cost does not depend on the corpus."""
        twin = object.__new__(Episode)
        twin.__dict__.update(self.__dict__)
        twin.knowledge = self.knowledge.copy()
        twin.records = self.records.copy()
        twin._steps = self._steps.copy()
        twin._calls = self._calls.copy()
        twin._latest_results = self._latest_results.copy()
        return twin

    @property
    def dialect(self) -> Dialect:
        """The dialect in which calls are written."""
        return self._reader.dialect

    @property
    def potential(self) -> float:
        """The potential in [0, 1]; 0.0 if the evidence is unknown."""
        return self.knowledge.potential if self.judged else 0.0

    def prompt(self) -> str:
        """Return the observation of the reset."""
        settings = self.settings
        task = self.task
        if not settings.instructions:
            request = f"Question: {task.question.text}"
        elif settings.mode == "tools":
            request = tools_prompt(task, self.source, self.dialect, settings)
        else:
            request = at_once_prompt(task, self.source, self.dialect, settings)
        if settings.mode != "one_turn":
            return request
        numbered = settings.ask_support and self.source.names_sentences
        pages = context_of(task, self._rng(0), settings.context_chars, numbered=numbered)
        return f"{pages}\n\n{request}" if pages else request

    @property
    def steps(self) -> list[Step]:
        """The steps so far, created on demand from `records`, as playing does not need them."""
        self._steps += (Step(*record) for record in self.records[len(self._steps) :])
        return self._steps

    def take(self, text: str, *, from_prefix: bool = False) -> StepRecord:
        """Play a text and return the record of the step; any string is a step.

        Args:
            text: The text of the agent.
            from_prefix: Whether the step belongs to a reset's prefix.
        """
        parsed = self._reader.read(str(text))
        action = parsed.action
        before = self.knowledge.potential
        outcome = 0.0
        content = _NOTHING
        if isinstance(action, Malformed):
            verdict = Verdict.MALFORMED
            observation = self._refuse(action)
        elif action.tool == "answer":
            verdict = self._answer(action)
            observation = "Answer given."
            outcome = self.score.f1 if self.settings.score == "f1" else self.score.em
        else:
            result = self.toolbox.call(action, self._noise() if self._noisy else None)
            verdict, content = self._judge(action, result)
            observation = result.text
        record = StepRecord(
            parsed.text,
            None if isinstance(action, Malformed) else action,
            observation + self._end_of_step(),
            content,
            verdict,
            self._process_reward(before, from_prefix),
            outcome,
            self.knowledge.potential if self.judged else 0.0,
            from_prefix,
        )
        self.records.append(record)
        return record

    def replay(self, prefix: Sequence[str]) -> None:
        """Play the texts of a reset's prefix.

        Raises:
            ArgumentError: When one of them ends the episode.
        """
        for number, text in enumerate(prefix, start=1):
            self.take(text, from_prefix=True)
            if self.stop_reason:
                raise ArgumentError(
                    f"options['prefix'] must leave the episode open, its action {number} of "
                    f"{len(prefix)} ends it ({self.stop_reason})"
                )

    def reward(self, step: StepRecord) -> float:
        """Return the reward of a step under the settings, minus the step penalty."""
        reward = 0.0
        if self.settings.reward != "process":
            reward += step.outcome_reward
        if self.settings.reward != "outcome":
            reward += step.process_reward
        return reward - self.settings.step_penalty

    def oracle_call(self) -> Call:
        """Return the oracle's next call; if the evidence is unknown, it is the answer."""
        if not self.judged:
            return Call(gold_action(self.task.question))
        calls = [action for _, action in calls_of(self.steps)]
        return next_call(self.toolbox, self.task, self.knowledge, calls)

    def _refuse(self, malformed: Malformed) -> str:
        self._malformed_streak += 1
        if self._malformed_streak >= self.settings.max_malformed:
            self.stop_reason = StopReason.MALFORMED
        forms = (self.dialect.example(name, arg) for name, arg in self._reader.tools.items())
        return f"Not understood: {malformed.reason}. Write {' or '.join(forms)}"

    def _answer(self, action: Action) -> Verdict:
        self.score = self.source.score(self.task, action.argument)
        self.stop_reason = StopReason.ANSWER
        if not self.judged:
            return Verdict.UNJUDGED
        return answer_verdict(self.score.em == 1.0, self.knowledge.proven)

    def _judge(self, action: Action, result: Result) -> tuple[Verdict, ShownContent]:
        self._malformed_streak = 0
        if result.failed:
            return Verdict.FAILED, _NOTHING
        key = (action.tool, action.argument, action.page)
        latest = self._latest_results.get(key)
        if latest is not None and latest[0] is result:
            # The identical result cannot change what is known.
            return Verdict.REPEAT, latest[1]
        content = ShownContent(result.sentences, self.knowledge.find_titles(result.seen))
        self._latest_results[key] = result, content
        change = self.knowledge.observe(content, (action.tool, action.argument))
        call = normalized_call(action, self.toolbox)
        repeated = call in self._calls
        self._calls.add(call)
        if self.judged and change is not Verdict.IRRELEVANT:
            return change, content
        if repeated:
            return Verdict.REPEAT, content
        return (Verdict.IRRELEVANT if self.judged else Verdict.UNJUDGED), content

    def _process_reward(self, before: float, from_prefix: bool) -> float:
        """Return the process reward; steps of a prefix and unknown evidence earn nothing."""
        if from_prefix or not self.judged or self.knowledge.potential == before:
            return 0.0
        return self.knowledge.process_reward(before)

    def _end_of_step(self) -> str:
        """End the episode if the budget is used up; return the note on the steps that are left."""
        left = self.budget - len(self.records) - 1
        if left <= 0 and not self.stop_reason:
            self.stop_reason = StopReason.BUDGET
        if self.stop_reason is StopReason.BUDGET:
            return "\n[no steps left]"
        if self.stop_reason or not self.settings.instructions:
            return ""
        return f"\n[{left} steps left]" if left > 1 else "\n[1 step left]"

    def _noise(self) -> np.random.Generator:
        return self._rng(len(self.records) + 1)

    def _rng(self, t: int) -> np.random.Generator:
        """Return the generator of step ``t`` (0 for the prompt); it depends on seed, task and t."""
        digest = hashlib.sha256(self.task.question.id.encode("utf-8", "replace")).digest()
        entropy = np.frombuffer(digest, dtype=np.uint32).tolist()
        seed = np.random.SeedSequence([self.toolbox.settings.noise_seed, t, *entropy])
        return np.random.default_rng(seed)


@lru_cache
def _reader(dialect: str, tools: tuple[str, ...]) -> Reader:
    return Reader(dialect_named(dialect), argument_names(tools))
