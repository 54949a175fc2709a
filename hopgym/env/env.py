"""HopEnv: one question at a time, in text, as a Gymnasium environment.

In: a source of tasks. Out: observations, rewards, and an info that says what each step was worth.
The rules of an episode stand in `hopgym.env.episode`; here they meet Gymnasium's contract.
"""

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import gymnasium
from gymnasium.error import ResetNeeded

from hopgym.documents import Corpus
from hopgym.env.episode import Episode
from hopgym.env.info import info_of
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError, did_you_mean, require
from hopgym.oracle import count_steps
from hopgym.spaces import UnicodeText
from hopgym.tasks import MAX_QUESTION_CHARS, Task, TaskSource, with_absolute_paths
from hopgym.tools import TOOLS, Tool, Toolbox, ToolSettings
from hopgym.tools.results import RESULT_CHARS
from hopgym.trajectory import StopReason, Trajectory, transcript

ACTION_CHARS = 8_192
"""Longest text of the action space; longer ones are read all the same."""
_EXTRA_CHARS = 4_000
_KEPT_COUNTS = 10_000
_RESET_OPTIONS = ("index", "task_id", "prefix")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A point of an episode to come back to, for the environment that made it."""

    episode: Episode
    cursor: int


class HopEnv(gymnasium.Env[str, str]):
    """A question is asked; tools are called in text; an answer ends the episode.

    Usually made through ``gymnasium.make("hopgym/...")``. ``terminated`` means that an answer was
    given, ``truncated`` that the step budget ran out or too many texts in a row were malformed.
    Every info holds the same keys (`hopgym.env.info`).

    Args:
        source: The tasks.
        settings: Budget, dialect, mode and reward.
        tool_settings: How the tools behave.
        render_mode: None, ``ansi`` or ``human``.

    Raises:
        ArgumentError: When the source holds no task.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium declares it so)
        "render_modes": ["ansi", "human"],
        "render_fps": 4,
    }

    def __init__(
        self,
        source: TaskSource,
        settings: EnvSettings | None = None,
        tool_settings: ToolSettings | None = None,
        render_mode: str | None = None,
    ) -> None:
        if not len(source):
            raise ArgumentError(f"source must hold at least one task, {source.name} holds none")
        self.source = source
        self.settings = settings or EnvSettings()
        self.tool_settings = tool_settings or ToolSettings()
        self.render_mode = render_mode
        self._cursor = 0
        self._episode: Episode | None = None
        self._toolbox: Toolbox | None = None
        self._prompt = ""
        self._oracle_steps: dict[int, int] = {}
        longest = MAX_QUESTION_CHARS + self.settings.context_chars + _EXTRA_CHARS
        longest += self.settings.budget * (RESULT_CHARS + ACTION_CHARS + _EXTRA_CHARS)
        self.observation_space = UnicodeText(longest)
        self.action_space = UnicodeText(ACTION_CHARS)

    @property
    def task(self) -> Task:
        """The current task; before the first reset, that of index 0."""
        return self._episode.task if self._episode else self.source[0]

    @property
    def corpus(self) -> Corpus:
        """The current task's corpus; iterating gives its documents."""
        return self.task.corpus

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools that calls may name, in the order of the instructions."""
        names = self.source.tools if self.settings.mode == "tools" else ("answer",)
        return tuple(TOOLS[name] for name in names)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode and return its prompt and info.

        Args:
            seed: Draws the task; without one the next task by index comes, from 0 at first.
            options: ``index`` or ``task_id`` name the task and leave the order untouched;
                ``prefix`` holds action texts to be replayed, after which the observation is the
                whole transcript. Replayed steps count for budget, knowledge and repeats and pay
                nothing.

        Raises:
            ArgumentError: On unknown options, a task that does not exist, or a prefix that would
                end the episode; the episode under way is then left as it was.
        """
        super().reset(seed=seed)
        options = _checked_options(options)
        drawn = self.np_random.integers(len(self.source)) if seed is not None else self._cursor
        index = self._index_of(options, int(drawn))
        episode = self._new_episode(index)
        episode.replay(options.get("prefix") or ())
        self._episode = episode
        self._prompt = episode.prompt()
        named = "index" in options or "task_id" in options
        self._cursor = int(drawn) if named else (index + 1) % len(self.source)
        observation = transcript(self._prompt, episode.steps) if episode.steps else self._prompt
        if self.render_mode == "human":
            print(self._frame())
        return self._within(observation), self._info(episode)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take any text as an action; return observation, reward, terminated, truncated, info.

        The reward is the outcome reward, the process reward or their sum, in [0, 1] each, less
        the step penalty.

        Raises:
            ResetNeeded: Before the first reset and after the episode's end.
        """
        episode = self._episode
        if episode is None or episode.stop_reason:
            raise ResetNeeded("the episode is over or has not begun; call reset() first")
        step = episode.take(action)
        reward = episode.reward(step)
        if self.render_mode == "human":
            print(self._frame())
        if not episode.stop_reason:
            return step.observation, reward, False, False, info_of(episode, -1)
        answered = episode.stop_reason is StopReason.ANSWER
        return step.observation, reward, answered, not answered, self._info(episode)

    def render(self) -> str | None:
        """Return the current frame for ``ansi``; None otherwise (``human`` prints by itself)."""
        return self._frame() if self.render_mode == "ansi" else None

    def snapshot(self) -> Snapshot:
        """Return this point of the episode, at a cost independent of the corpus.

        Raises:
            ResetNeeded: Before the first reset.
        """
        return Snapshot(self._running().copy(), self._cursor)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a point of an episode of this environment; it can be restored again.

        Raises:
            ArgumentError: When it is no snapshot, or one of other tasks.
        """
        require(isinstance(snapshot, Snapshot), "snapshot", "what snapshot() returned", snapshot)
        same = snapshot.episode.source.fingerprint == self.source.fingerprint
        require(same, "snapshot", "one of an environment over the same tasks", snapshot)
        self._episode = snapshot.episode.copy()
        self._cursor = snapshot.cursor
        self._prompt = self._episode.prompt()

    def stop(self, reason: StopReason) -> None:
        """End the episode for a reason outside of it, such as a context that is full.

        An episode that has ended keeps its own reason; RUNNING and ANSWER are none.

        Raises:
            ResetNeeded: Before the first reset.
        """
        other = isinstance(reason, StopReason) and reason not in ("", StopReason.ANSWER)
        require(other, "reason", "a StopReason to truncate an episode for", reason)
        episode = self._running()
        episode.stop_reason = episode.stop_reason or reason

    def trajectory(self, *, sample: int = 0) -> Trajectory:
        """Return the episode so far as a record.

        Raises:
            ResetNeeded: Before the first reset.
        """
        episode = self._running()
        spec = self.spec
        return Trajectory(
            env_id=spec.id if spec else "",
            env_kwargs=with_absolute_paths(spec.kwargs) if spec else {},
            task_id=episode.task.question.id,
            index=episode.index,
            sample=sample,
            question=episode.task.question.text,
            prompt=self._prompt,
            dialect=episode.dialect.name,
            tools=episode.tools,
            world=self.source.world_of(episode.task.question.id),
            steps=tuple(episode.steps),
            stop_reason=episode.stop_reason,
            oracle_steps=self._oracle_count(episode),
            is_success=episode.score.em == 1.0,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the episode's corpus: its texts replay to the same point."""
        state = self.__dict__ | {"_episode": None, "_toolbox": None}
        if episode := self._episode:
            texts = [(taken.text, taken.from_prefix) for taken in episode.taken]
            state["_replay"] = (episode.index, texts, episode.stop_reason)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take a state back, replaying the episode."""
        replay = state.pop("_replay", None)
        self.__dict__.update(state)
        if replay:
            index, texts, reason = replay
            self._episode = self._new_episode(index)
            for text, from_prefix in texts:
                self._episode.take(text, from_prefix=from_prefix)
            self._episode.stop_reason = reason

    def _running(self) -> Episode:
        if self._episode is not None:
            return self._episode
        raise ResetNeeded("no episode has begun; call reset() first")

    def _index_of(self, options: dict[str, Any], drawn: int) -> int:
        if "task_id" in options:
            return self.source.index_of(options["task_id"])
        index = options.get("index", drawn)
        whole = isinstance(index, Integral) and not isinstance(index, bool)
        if not whole or not 0 <= index < len(self.source):
            expected = f"a whole number in [0, {len(self.source)})"
            raise ArgumentError(f"options['index'] must be {expected}, got {index!r}")
        return int(index)

    def _new_episode(self, index: int) -> Episode:
        task = self.source[index]
        if self._toolbox is None or self._toolbox.corpus is not task.corpus:
            self._toolbox = Toolbox(task.corpus, self.tool_settings)
        return Episode(self.source, index, task, self.settings, self._toolbox)

    def _info(self, episode: Episode) -> dict[str, Any]:
        return info_of(episode, self._oracle_count(episode))

    def _oracle_count(self, episode: Episode) -> int:
        if not episode.stop_reason or not (episode.judged or self.settings.mode != "tools"):
            return -1
        if not episode.judged:
            return 1
        if episode.index not in self._oracle_steps:
            if len(self._oracle_steps) >= _KEPT_COUNTS:
                self._oracle_steps.clear()
            self._oracle_steps[episode.index] = count_steps(episode.task, episode.toolbox)
        return self._oracle_steps[episode.index]

    def _within(self, observation: str) -> str:
        room = self.observation_space.max_length  # type: ignore[attr-defined]
        if len(observation) <= room:
            return observation
        mark = f"\n[cut: {len(observation) - room} more characters]"
        return observation[: room - len(mark) - 8] + mark

    def _frame(self) -> str:
        episode = self._running()
        if not episode.taken:
            return self._prompt
        step = episode.taken[-1]
        paid = f"process {step.process_reward:.2f}, outcome {step.outcome_reward:.2f}"
        head = f"step {len(episode.taken)}: {step.verdict} ({paid})"
        return f"{step.text}\n\n{step.observation}\n\n{head}"


def _checked_options(options: dict[str, Any] | None) -> dict[str, Any]:
    options = {} if options is None else options
    require(isinstance(options, dict), "options", "a dictionary or None", options)
    for name in options:
        if name not in _RESET_OPTIONS:
            known = ", ".join(_RESET_OPTIONS)
            hint = did_you_mean(str(name), _RESET_OPTIONS)
            raise ArgumentError(f"reset options must be among {known}, got {name!r}{hint}")
    if "index" in options and "task_id" in options:
        raise ArgumentError("reset options must hold index or task_id, got both")
    prefix = options.get("prefix") or ()
    ok = isinstance(prefix, list | tuple) and all(isinstance(text, str) for text in prefix)
    require(ok, "options['prefix']", "a list of strings", prefix)
    return options
