"""Replays the actions of a record and reports what differs from it."""

from collections.abc import Iterator

import gymnasium

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError
from hopgym.trajectory import ERROR_REASONS, Step, StopReason, Trajectory
from hopgym.wrappers import hop_env

_OF_EPISODE = ("question", "prompt", "dialect", "tools")
_OF_END = ("stop_reason", "oracle_steps", "is_success")
_OF_STEP = (
    "text", "action", "observation", "shown_content", "verdict", "process_reward", "outcome_reward",
    "potential", "from_prefix",
)  # fmt: skip
_POLICY_REASONS = ERROR_REASONS | {StopReason.CONTEXT}
_CHARS = 200


def replay(trajectory: Trajectory, env: gymnasium.Env[str, str] | None = None) -> list[str]:
    """Play a trajectory's actions again and return the differences, one sentence each.

    Prompt, observations, shown content, verdicts, rewards and potentials are compared exactly.
    Details of the generation are not compared.

    Args:
        trajectory: A record, which may be a prefix.
        env: The environment to play in, which is reset; by default it is created from the record's
            id and arguments.

    Raises:
        ArgumentError: When the record has no environment id and ``env`` is missing, or the
            environment is not a hopgym environment.
    """
    if env is None and not trajectory.env_id:
        raise ArgumentError("env must be given for a record without an env_id, got None")
    if env is None:
        env = gymnasium.make(trajectory.env_id, **trajectory.env_kwargs)
    return list(_differences(trajectory, hop_env(env)))


def _differences(record: Trajectory, env: HopEnv) -> Iterator[str]:
    prefix = [step.text for step in record.steps if step.from_prefix]
    try:
        env.reset(options={"task_id": record.task_id, "prefix": prefix})
    except ArgumentError as error:
        yield f"reset: {error}"
        return
    for step in record.steps[len(prefix) :]:
        if env.trajectory().stop_reason:
            break
        env.step(step.text)
    now = env.trajectory()
    yield from _compare("episode", record, now, _OF_EPISODE)
    for number, (step, again) in enumerate(zip(record.steps, now.steps, strict=False), start=1):
        yield from _compare(f"step {number}", step, again, _OF_STEP)
    if len(now.steps) < len(record.steps):
        yield f"end: recorded after {len(record.steps)} steps, now after {len(now.steps)}"
    elif record.stop_reason not in _POLICY_REASONS:
        yield from _compare("end", record, now, _OF_END)
    elif now.stop_reason:
        yield f"end: recorded as stopped by its policy, now {str(now.stop_reason)!r}"


def _compare(
    where: str, record: Trajectory | Step, now: Trajectory | Step, names: tuple[str, ...]
) -> Iterator[str]:
    for name in names:
        before = getattr(record, name)
        after = getattr(now, name)
        if before != after:
            yield f"{where}: {name} recorded as {_short(before)}, now {_short(after)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _CHARS else f"{text[:_CHARS]}…"
