"""Plays episodes with a policy, in several slots at a time, and writes them to a file."""

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
from hopgym.policy import Policy, PolicyCaller, as_policy
from hopgym.runs.key_set import KeySet
from hopgym.runs.trajectory_file import Header
from hopgym.runs.writer import TrajectoryWriter
from hopgym.trajectory import ERROR_REASONS, Completion, StopReason, Trajectory
from hopgym.wrappers import hop_env, run_header

__all__ = ["Completion", "Policy", "as_policy", "episode_rng", "header_of", "run_episodes"]


def episode_rng(seed: int, index: int, sample: int, t: int) -> np.random.Generator:
    """Return the random generator for one action of one episode, the same in every run.

    Args:
        seed: Seed of the run, 0 or more.
        index: Index of the task.
        sample: Number of the attempt, from 0.
        t: Number of steps before the action.
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
    """Play episodes with a policy and yield their trajectories as they end.

    Slots, threads and other episodes affect only the order of the trajectories, not their content.
    If a call of the policy raises or returns a wrong number of replies, it is repeated for one
    episode at a time; an episode whose repeated call fails too ends with AGENT_ERROR. If repeated
    calls succeeded, a warning at the end of the run says so.

    Args:
        env_id: A registered id, or an environment, which is not changed.
        policy: The policy, or a function that `as_policy` accepts.
        indices: Indices of the tasks; duplicates are ignored.
        slots: Number of episodes in progress at a time, at least 1.
        samples: Attempts at each task, at least 1.
        seed: Seed of the policy, if it has ``seeded``; 0 or more.
        env_kwargs: Arguments for a registered id.
        out: A trajectory file. Each trajectory is written before it is yielded. Those that the file
            already holds are neither played nor yielded.

    Raises:
        ArgumentError: When an argument is out of range.
        RunFileError: At the first trajectory, when the file is in use or belongs to another run.
    """
    for name, value, least in (("slots", slots, 1), ("samples", samples, 1), ("seed", seed, 0)):
        ok = isinstance(value, int) and not isinstance(value, bool) and value >= least
        require(ok, name, f"a whole number from {least}", value)
    require(callable(policy), "policy", "a function of transcripts or trajectories", policy)
    policy = as_policy(policy)
    if isinstance(env_id, str):
        env = hop_env(gymnasium.make(env_id, **(env_kwargs or {})))
    else:
        require(not env_kwargs, "env_kwargs", "empty for a made env", env_kwargs)
        env = hop_env(env_id)
    tasks = _unique_indices(indices, len(env.source))
    if hasattr(policy, "seeded"):
        policy = policy.seeded(seed)
    return _run(env, policy, tasks, range(samples), slots, seed, out)


def header_of(env: HopEnv, policy: Policy, seed: int = 0) -> Header:
    """Return the header of the file that `run_episodes` writes for these arguments."""
    policy = as_policy(policy)
    return _header(env, policy.seeded(seed) if hasattr(policy, "seeded") else policy, seed)


def _header(env: HopEnv, seeded: Policy, seed: int) -> Header:
    return run_header(env, seed=seed, policy=getattr(seeded, "fingerprint", ""))


def _unique_indices(indices: Iterable[int], tasks: int) -> Sequence[int]:
    """Return the indices, each once; NumPy integers are accepted."""
    expected = f"whole numbers in [0, {tasks})"
    require(isinstance(indices, Iterable), "indices", expected, indices)
    unique = array("q")
    seen = KeySet()
    for index in indices:
        ok = isinstance(index, Integral) and not isinstance(index, bool) and 0 <= index < tasks
        require(ok, "indices", expected, index)
        if (key := (int(index), 0)) not in seen:
            seen.add(key)
            unique.append(int(index))
    return unique


class _Slot:
    """Plays one episode at a time, in an environment of its own over a shared source."""

    def __init__(self, env: HopEnv) -> None:
        self._env = copy.copy(env)
        self.prefix: Trajectory

    def start_next(self, jobs: Iterator[tuple[int, int]]) -> bool:
        """Start the episode of the next (index, sample); return whether there was one."""
        for index, sample in jobs:
            self._env.reset(options={"index": index})
            self.prefix = self._env.trajectory(sample=sample)
            return True
        return False

    def play(self, reply: str | Completion) -> None:
        """Play a reply; the prefix has a stop reason if this ended the episode."""
        completion = reply if isinstance(reply, Completion) else None
        if completion and (completion.error or completion.finish_reason == "context"):
            self._stop(completion)
            return
        self._env.step(completion.text if completion else cast(str, reply))
        now = self._env.trajectory(sample=self.prefix.sample)
        step = replace(now.steps[-1], completion=completion)
        self.prefix = replace(now, steps=(*self.prefix.steps, step))

    def _stop(self, completion: Completion) -> None:
        """End an episode that its policy cannot continue."""
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
        pool = [_Slot(env) for _ in range(min(slots, len(indices) * len(samples)))]
        caller = PolicyCaller(policy)
        play = _play_in_threads if _concurrency(policy) > 1 else _play_in_batches
        for finished in play(caller, pool, jobs, record):
            yield from finished
    if caller.recovered:
        warnings.warn(caller.summary, stacklevel=2)


def _play_in_batches(
    caller: PolicyCaller,
    slots: Sequence[_Slot],
    jobs: Iterator[tuple[int, int]],
    record: Callable[[Trajectory], None],
) -> Iterator[list[Trajectory]]:
    """Call the policy with all running episodes at once; yield those that end in each turn."""
    busy = [slot for slot in slots if slot.start_next(jobs)]
    while busy:
        replies = caller([slot.prefix for slot in busy])
        for slot, reply in zip(busy, replies, strict=True):
            slot.play(reply)
        finished = [slot.prefix for slot in busy if slot.prefix.stop_reason]
        for trajectory in finished:
            record(trajectory)
        busy = [slot for slot in busy if not slot.prefix.stop_reason or slot.start_next(jobs)]
        yield finished


def _play_in_threads(
    caller: PolicyCaller,
    slots: Sequence[_Slot],
    jobs: Iterator[tuple[int, int]],
    record: Callable[[Trajectory], None],
) -> Iterator[list[Trajectory]]:
    """Call the policy for each episode as soon as it waits; yield each episode that ends."""
    threads = _CallerThreads(caller, min(_concurrency(caller.policy), len(slots)))
    try:
        running = 0
        for slot in slots:
            if slot.start_next(jobs):
                threads.submit(slot)
                running += 1
        while running:
            slot, reply = threads.next_reply()
            slot.play(reply)
            finished = [slot.prefix] if slot.prefix.stop_reason else []
            for trajectory in finished:
                record(trajectory)
            if not finished or slot.start_next(jobs):
                threads.submit(slot)
            else:
                running -= 1
            yield finished
    finally:
        threads.close()


class _CallerThreads:
    """Threads that call a policy, each for one episode at a time.

    They are daemons, so that after Ctrl-C the process does not wait for a slow server.
    """

    def __init__(self, caller: PolicyCaller, count: int) -> None:
        self._caller = caller
        self._count = count
        self._waiting = SimpleQueue[_Slot | None]()
        self._done = SimpleQueue[tuple[_Slot, str | Completion | BaseException]]()
        self._closed = False
        for number in range(count):
            Thread(target=self._call, name=f"hopgym-policy-{number}", daemon=True).start()

    def submit(self, slot: _Slot) -> None:
        """Call the policy for a slot as soon as a thread is free."""
        self._waiting.put(slot)

    def next_reply(self) -> tuple[_Slot, str | Completion]:
        """Wait for a reply and return it with its slot; raise what interrupted the thread."""
        slot, reply = self._done.get()
        if isinstance(reply, BaseException):
            raise reply
        return slot, reply

    def close(self) -> None:
        """Start no further calls; each thread ends after its current one."""
        self._closed = True
        for _ in range(self._count):
            self._waiting.put(None)

    def _call(self) -> None:
        while (slot := self._waiting.get()) is not None and not self._closed:
            try:
                self._done.put((slot, self._caller([slot.prefix])[0]))
            except BaseException as error:
                self._done.put((slot, error))


def _concurrency(policy: Policy) -> int:
    concurrency: int = getattr(policy, "concurrency", 1)
    require(concurrency >= 1, "concurrency", "a whole number from 1", concurrency)
    return concurrency
