"""HopEnv: questions as a Gymnasium environment whose observations and actions are text.

The rules of an episode are in `hopgym.env.episode`; this module implements Gymnasium's API.
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
"""Maximum length of a text in the action space; longer texts are accepted too."""
_EXTRA_CHARS = 4_000
_CACHED_COUNTS = 10_000
_RESET_OPTIONS = ("index", "task_id", "prefix")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of an episode that its environment can return to."""

    episode: Episode
    cursor: int


class HopEnv(gymnasium.Env[str, str]):
    """Asks a question, runs tool calls written as text, and ends an episode with an answer.

    It is usually created with ``gymnasium.make("hopgym/...")``. ``terminated`` means that an answer
    was given, ``truncated`` that the step budget ran out or too many texts in a row were malformed.
    Every info has the same keys (see `hopgym.env.info`).

    Args:
        source: The tasks.
        settings: Budget, dialect, mode and reward.
        tool_settings: How the tools behave.
        render_mode: None, ``ansi`` or ``human``.

    Raises:
        ArgumentError: When the source has no task.
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
        """The current task; before the first reset, the task at index 0."""
        return self._episode.task if self._episode else self.source[0]

    @property
    def corpus(self) -> Corpus:
        """The corpus of the current task; iterating over it yields its documents."""
        return self.task.corpus

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The available tools, in the order of the instructions."""
        names = self.source.tools if self.settings.mode == "tools" else ("answer",)
        return tuple(TOOLS[name] for name in names)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start an episode and return its prompt and info.

        Args:
            seed: Samples the task. Without a seed the next task by index is used, from index 0.
            options: ``index`` or ``task_id`` selects the task without affecting that order.
                ``prefix`` is a list of action texts to replay; the observation is then the full
                transcript. Replayed steps count towards budget, knowledge and repeats, but earn no
                reward.

        Raises:
            ArgumentError: On unknown options, a task that does not exist, or a prefix that would
                end the episode. The current episode is not changed then.
        """
        super().reset(seed=seed)
        options = _checked_options(options)
        next_index = self.np_random.integers(len(self.source)) if seed is not None else self._cursor
        index = self._index_of(options, int(next_index))
        episode = self._new_episode(index)
        episode.replay(options.get("prefix") or ())
        self._episode = episode
        self._prompt = episode.prompt()
        named = "index" in options or "task_id" in options
        self._cursor = int(next_index) if named else (index + 1) % len(self.source)
        observation = transcript(self._prompt, episode.steps) if episode.steps else self._prompt
        if self.render_mode == "human":
            print(self._frame())
        return self._within(observation), self._info(episode)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Play an action text; return observation, reward, terminated, truncated and info.

        Any string is accepted. The reward is the outcome reward, the process reward (each in
        [0, 1]) or their sum, minus the step penalty.

        Raises:
            ResetNeeded: Before the first reset, and after the end of the episode.
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
        """Return the current frame for ``ansi``, else None; ``human`` prints on every step."""
        return self._frame() if self.render_mode == "ansi" else None

    def snapshot(self) -> Snapshot:
        """Return the state of the episode; the cost does not depend on the corpus.

        Raises:
            ResetNeeded: Before the first reset.
        """
        return Snapshot(self._running().copy(), self._cursor)

    def restore(self, snapshot: Snapshot) -> None:
        """Return to a state of an episode; a snapshot can be restored any number of times.

        Raises:
            ArgumentError: When it is not a snapshot, or one of an environment over other tasks.
        """
        require(isinstance(snapshot, Snapshot), "snapshot", "what snapshot() returned", snapshot)
        same = snapshot.episode.source.fingerprint == self.source.fingerprint
        require(same, "snapshot", "one of an environment over the same tasks", snapshot)
        self._episode = snapshot.episode.copy()
        self._cursor = snapshot.cursor
        self._prompt = self._episode.prompt()

    def stop(self, reason: StopReason) -> None:
        """Truncate the episode for an external reason, such as a full context.

        An episode that has already ended keeps its reason.

        Args:
            reason: Any reason except RUNNING and ANSWER.

        Raises:
            ArgumentError: When the reason cannot truncate an episode.
            ResetNeeded: Before the first reset.
        """
        truncates = isinstance(reason, StopReason) and reason not in ("", StopReason.ANSWER)
        require(truncates, "reason", "a StopReason to truncate an episode for", reason)
        episode = self._running()
        episode.stop_reason = episode.stop_reason or reason

    def trajectory(self, *, sample: int = 0) -> Trajectory:
        """Return a record of the episode so far.

        Args:
            sample: Number of the attempt at the task, from 0.

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
        """Return the state without the corpus; the episode is stored as texts to replay."""
        state = self.__dict__ | {"_episode": None, "_toolbox": None}
        if episode := self._episode:
            texts = [(record.text, record.from_prefix) for record in episode.records]
            state["_replay"] = (episode.index, texts, episode.stop_reason)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a state by replaying the episode."""
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

    def _index_of(self, options: dict[str, Any], default: int) -> int:
        if "task_id" in options:
            return self.source.index_of(options["task_id"])
        index = options.get("index", default)
        is_integer = isinstance(index, Integral) and not isinstance(index, bool)
        if not is_integer or not 0 <= index < len(self.source):
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
            if len(self._oracle_steps) >= _CACHED_COUNTS:
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
        if not episode.records:
            return self._prompt
        step = episode.records[-1]
        rewards = f"process {step.process_reward:.2f}, outcome {step.outcome_reward:.2f}"
        head = f"step {len(episode.records)}: {step.verdict} ({rewards})"
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
