"""Rollout: policies, and the loop that plays episodes with them.

In: a policy, task indices, an environment. Out: finished trajectories, written to a file where one
is given. A policy is a function without a memory: it gets each episode so far and says what to do
next, so that a run can be spread over slots and threads, stopped and taken up again.
"""

import copy
import os
import warnings
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from numbers import Integral
from queue import SimpleQueue
from threading import Thread
from typing import Any, cast

import gymnasium
import numpy as np

from hopgym.env import HopEnv
from hopgym.errors import require
from hopgym.policy import Asker, Policy, as_policy
from hopgym.runs.key_set import KeySet
from hopgym.runs.trajectory_file import Header, TrajectoryWriter
from hopgym.trajectory import ERROR_REASONS, Completion, StopReason, Trajectory
from hopgym.wrappers import hop_env, run_header

__all__ = ["Completion", "Policy", "as_policy", "episode_rng", "header_of", "run_episodes"]


def episode_rng(seed: int, index: int, sample: int, t: int) -> np.random.Generator:
    """Return the randomness for one action of one episode, the same in every run.

    Args:
        seed: Of the run, 0 or more.
        index: Of the task.
        sample: Number of the attempt, from 0.
        t: Steps taken before the action.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index, sample, t)))


def run_episodes(
    env_id: str | gymnasium.Env[Any, Any],
    policy: Policy,
    indices: Iterable[int],
    *,
    slots: int = 16,
    samples: int = 1,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
    out: str | os.PathLike[str] | None = None,
) -> Iterator[Trajectory]:
    """Yield finished trajectories as they end; each index is played ``samples`` times.

    What an episode becomes does not depend on slots, threads or the other episodes, only the order
    does. A call of the policy that raises or gives another number of replies than asked for is
    made again for one episode at a time; an episode whose own call raises again ends with
    AGENT_ERROR. If a call made again did help, a warning at the end of the run tells of it.

    Args:
        env_id: A registered id, or an environment, which is left as it is.
        policy: What plays.
        indices: Of the tasks, each taken once.
        slots: Episodes under way at a time, at least 1.
        samples: Attempts at each task, at least 1.
        seed: Of the policy, where it has ``seeded``; 0 or more.
        env_kwargs: Arguments for a registered id.
        out: A trajectory file. Every trajectory is written before it is yielded; those that the
            file already holds are neither played nor yielded.

    Raises:
        ArgumentError: On arguments out of range.
        RunFileError: When the file is in use or belongs to another run, at the first trajectory.
    """
    for name, value, least in (("slots", slots, 1), ("samples", samples, 1), ("seed", seed, 0)):
        ok = isinstance(value, int) and not isinstance(value, bool) and value >= least
        require(ok, name, f"a whole number from {least}", value)
    require(callable(policy), "policy", "a function of transcripts or trajectories", policy)
    policy = as_policy(policy)
    made = gymnasium.make(env_id, **(env_kwargs or {})) if isinstance(env_id, str) else env_id
    require(made is not env_id or not env_kwargs, "env_kwargs", "empty for a made env", env_kwargs)
    env = hop_env(made)
    wanted = _checked_indices(indices, len(env.source))
    if hasattr(policy, "seeded"):
        policy = policy.seeded(seed)
    return _run(env, policy, wanted, range(samples), slots, seed, out)


def header_of(env: HopEnv, policy: Policy, seed: int = 0) -> Header:
    """Return the header of the file that `run_episodes` writes: what tells the run from others."""
    policy = as_policy(policy)
    return _header(env, policy.seeded(seed) if hasattr(policy, "seeded") else policy, seed)


def _header(env: HopEnv, seeded: Policy, seed: int) -> Header:
    return run_header(env, seed=seed, policy=getattr(seeded, "fingerprint", ""))


def _checked_indices(indices: Iterable[int], tasks: int) -> Sequence[int]:
    """Return the indices, each once; NumPy's whole numbers will do."""
    expected = f"whole numbers in [0, {tasks})"
    require(isinstance(indices, Iterable), "indices", expected, indices)
    wanted, known = array("q"), KeySet()
    for index in indices:
        ok = isinstance(index, Integral) and not isinstance(index, bool) and 0 <= index < tasks
        require(ok, "indices", expected, index)
        if (key := (int(index), 0)) not in known:
            known.add(key)
            wanted.append(int(index))
    return wanted


class _Slot:
    """A place for one episode at a time, with an environment of its own over a shared source."""

    def __init__(self, env: HopEnv) -> None:
        self._env = copy.copy(env)
        self.prefix: Trajectory

    def begin(self, jobs: Iterator[tuple[int, int]]) -> bool:
        """Begin the next (index, sample), if there is one."""
        for index, sample in jobs:
            self._env.reset(options={"index": index})
            self.prefix = self._env.trajectory(sample=sample)
            return True
        return False

    def take(self, reply: str | Completion) -> None:
        """Play a reply; the prefix has a reason if that ended the episode."""
        completion = reply if isinstance(reply, Completion) else None
        if completion and (completion.error or completion.finish_reason == "context"):
            self._stop(completion)
            return
        self._env.step(completion.text if completion else cast(str, reply))
        now = self._env.trajectory(sample=self.prefix.sample)
        step = replace(now.steps[-1], completion=completion)
        self.prefix = replace(now, steps=(*self.prefix.steps, step))

    def _stop(self, completion: Completion) -> None:
        """End an episode that goes on no further because of its policy."""
        reason = completion.error_reason
        if completion.finish_reason == "context":
            reason = StopReason.CONTEXT
        elif reason not in ERROR_REASONS:
            reason = StopReason.AGENT_ERROR
        self._env.stop(reason)
        now = self._env.trajectory(sample=self.prefix.sample)
        self.prefix = replace(now, steps=self.prefix.steps, error=completion.error)


def _run(
    env: HopEnv,
    policy: Policy,
    indices: Sequence[int],
    samples: Sequence[int],
    slots: int,
    seed: int,
    out: str | os.PathLike[str] | None,
) -> Iterator[Trajectory]:
    header = _header(env, policy, seed)
    with TrajectoryWriter(out, header) if out else nullcontext() as writer:
        done = writer.finished if writer else ()
        pairs = ((index, sample) for index in indices for sample in samples)
        jobs = (job for job in pairs if job not in done)
        record = writer.write if writer else lambda trajectory: None
        places = [_Slot(env) for _ in range(min(slots, len(indices) * len(samples)))]
        ask = Asker(policy)
        play = _play_in_threads if _concurrency(policy) > 1 else _play
        for finished in play(ask, places, jobs, record):
            yield from finished
    if ask.forgiven:
        warnings.warn(ask.told, stacklevel=2)


def _play(
    ask: Asker,
    slots: Sequence[_Slot],
    jobs: Iterator[tuple[int, int]],
    record: Callable[[Trajectory], None],
) -> Iterator[list[Trajectory]]:
    """Ask for all episodes under way at once; yield what ended at each turn."""
    busy = [slot for slot in slots if slot.begin(jobs)]
    while busy:
        replies = ask([slot.prefix for slot in busy])
        for slot, reply in zip(busy, replies, strict=True):
            slot.take(reply)
        finished = [slot.prefix for slot in busy if slot.prefix.stop_reason]
        for trajectory in finished:
            record(trajectory)
        busy = [slot for slot in busy if not slot.prefix.stop_reason or slot.begin(jobs)]
        yield finished


def _play_in_threads(
    ask: Asker,
    slots: Sequence[_Slot],
    jobs: Iterator[tuple[int, int]],
    record: Callable[[Trajectory], None],
) -> Iterator[list[Trajectory]]:
    """Ask for each episode by itself as soon as it waits; yield each that ends."""
    callers = _Callers(ask, min(_concurrency(ask.policy), len(slots)))
    try:
        under_way = sum(callers.ask(slot) for slot in slots if slot.begin(jobs))
        while under_way:
            slot, reply = callers.answered()
            slot.take(reply)
            finished = [slot.prefix] if slot.prefix.stop_reason else []
            for trajectory in finished:
                record(trajectory)
            goes_on = not finished or slot.begin(jobs)
            under_way -= not (goes_on and callers.ask(slot))
            yield finished
    finally:
        callers.close()


class _Callers:
    """Threads that call a policy, each for one episode at a time.

    They do not hold the process up at its end: after Ctrl-C nobody waits for a slow server.
    """

    def __init__(self, ask: Asker, count: int) -> None:
        self._ask, self._count = ask, count
        self._waiting = SimpleQueue[_Slot | None]()
        self._done = SimpleQueue[tuple[_Slot, str | Completion | BaseException]]()
        self._closed = False
        for number in range(count):
            Thread(target=self._call, name=f"hopgym-policy-{number}", daemon=True).start()

    def ask(self, slot: _Slot) -> bool:
        """Have the policy called for a slot as soon as a thread is free."""
        self._waiting.put(slot)
        return True

    def answered(self) -> tuple[_Slot, str | Completion]:
        """Wait for a reply; return it with its slot. Ctrl-C is raised again."""
        slot, reply = self._done.get()
        if isinstance(reply, BaseException):
            raise reply
        return slot, reply

    def close(self) -> None:
        """Make no further calls; each thread ends with the one it is in."""
        self._closed = True
        for _ in range(self._count):
            self._waiting.put(None)

    def _call(self) -> None:
        while (slot := self._waiting.get()) is not None and not self._closed:
            try:
                self._done.put((slot, self._ask([slot.prefix])[0]))
            except BaseException as error:
                self._done.put((slot, error))


def _concurrency(policy: Policy) -> int:
    concurrency: int = getattr(policy, "concurrency", 1)
    require(concurrency >= 1, "concurrency", "a whole number from 1", concurrency)
    return concurrency
