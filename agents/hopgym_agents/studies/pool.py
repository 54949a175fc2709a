"""The jobs of a study on several processes, in the order of what needs what.

In: jobs, results kept from before. Out: results of all that could be done, and why the rest could
not. Each process uses one thread: two on a busy machine wait for each other ten times as long as
they work. What a job prints goes to a file of its own.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

from hopgym.errors import HopgymError
from hopgym_agents.studies.jobs import Result, Tell, Work, do
from hopgym_agents.studies.plan import Job
from hopgym_agents.studies.store import Kept

ONE_THREAD: Mapping[str, str] = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Variables of a worker's environment."""
_TOLD_EVERY = 0.3
_PATIENCE = 3.0
"""Seconds that a process has to end by itself."""


class Watcher(Protocol):
    """Whoever shows how far a study is."""

    def begin(self, job: Job) -> None:
        """See a job begin."""

    def advance(self, job: Job, done: int, total: int) -> None:
        """See how much of how much of it is done."""

    def end(self, job: Job, why: str) -> None:
        """See it end; ``why`` it failed is empty where it did not."""


class Schedule:
    """Which jobs can be done next, and what became of the others.

    Args:
        jobs: Each behind those that it needs; the first that can be done comes first.
        results: Of those that have been done, by name.
    """

    def __init__(self, jobs: Sequence[Job], results: Mapping[str, Result]) -> None:
        self.results: dict[str, Result] = dict(results)
        self.failed: dict[str, str] = {}
        """Why, by the name of the job."""
        self._waiting = [job for job in jobs if job.name not in results]

    def next(self) -> Job | None:
        """Return a job that can be begun, which is then no longer waited for; None for now."""
        for job in self._waiting:
            if all(name in self.results for name in job.needs.values()):
                self._waiting.remove(job)
                return job
        return None

    def finish(self, job: Job, result: Result) -> None:
        """Take the result of a job."""
        self.results[job.name] = result

    def fail(self, job: Job, why: str) -> None:
        """Give up a job and all that need it."""
        self.failed[job.name] = why
        needing = [each for each in self._waiting if job.name in each.needs.values()]
        self._waiting = [each for each in self._waiting if each not in needing]
        for other in needing:
            self.fail(other, f"needs {job.name}, which failed")


def run_jobs(schedule: Schedule, kept: Kept, watcher: Watcher, *, processes: int) -> None:
    """Do all jobs that can be done.

    Args:
        schedule: The jobs; it has their results afterwards.
        kept: Where results and files go.
        watcher: Is told of every job.
        processes: How many are at work at a time; 0 does all in this one.
    """
    if processes:
        _in_processes(schedule, kept, watcher, processes)
        return
    while job := schedule.next():
        watcher.begin(job)
        tell = lambda done, total, job=job: watcher.advance(job, done, total)  # noqa: E731
        _take(schedule, kept, watcher, job, _tried(_work(schedule, kept, job), tell))


class _Worker:
    """A process that does one job after another."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _variables(ONE_THREAD):
            self._process.start()
        theirs.close()
        self.job: Job | None = None

    @property
    def connection(self) -> Connection:
        return self._connection

    def give(self, job: Job, work: Work, log: Path) -> None:
        self.job = job
        self._connection.send((work, log))

    def heard(self) -> tuple[str, Any]:
        """Return what the process says: ``told``, ``result``, ``failed``, or ``gone``."""
        try:
            said: tuple[str, Any] = self._connection.recv()
            return said
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            return "gone", f"its process ended with code {code}; too little memory, perhaps"

    def end(self) -> None:
        if self.job is None:
            with suppress(OSError):
                self._connection.send(None)
        else:
            self._process.terminate()
        self._process.join(_PATIENCE)
        self._process.kill()
        self._process.join()


def _in_processes(schedule: Schedule, kept: Kept, watcher: Watcher, processes: int) -> None:
    workers: list[_Worker] = []
    try:
        while True:
            idle = [each for each in workers if each.job is None]
            while (idle or len(workers) < processes) and (job := schedule.next()):
                if not idle:
                    idle.append(_Worker())
                    workers.append(idle[0])
                watcher.begin(job)
                idle.pop().give(job, _work(schedule, kept, job), kept.log(job))
            busy = {each.connection: each for each in workers if each.job is not None}
            if not busy:
                return
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                if _hear(worker, schedule, kept, watcher) == "gone":
                    workers.remove(worker)
    finally:
        for each in workers:
            each.end()


def _hear(worker: _Worker, schedule: Schedule, kept: Kept, watcher: Watcher) -> str:
    """Take what a worker says; return what kind of word it is."""
    assert worker.job is not None
    word, value = worker.heard()
    if word == "told":
        watcher.advance(worker.job, *value)
        return word
    job, worker.job = worker.job, None
    _take(schedule, kept, watcher, job, (word, value))
    return word


def _take(
    schedule: Schedule, kept: Kept, watcher: Watcher, job: Job, said: tuple[str, Any]
) -> None:
    word, value = said
    if word == "result":
        kept.write(job, value)
        schedule.finish(job, value)
    else:
        schedule.fail(job, value)
    watcher.end(job, "" if word == "result" else value)


def _work(schedule: Schedule, kept: Kept, job: Job) -> Work:
    results = {role: schedule.results[name] for role, name in job.needs.items()}
    return Work(job, results, kept.path(job))


def _tried(work: Work, tell: Tell) -> tuple[str, Any]:
    """Do a job; return its result, or in words why there is none."""
    try:
        return "result", do(work, tell)
    except HopgymError as error:
        return "failed", str(error)
    except Exception as error:
        traceback.print_exc()
        return "failed", f"{type(error).__name__}: {error}"


def _serve(connection: Connection) -> None:
    """Do what comes in; the life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The first process ends this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    Thread(target=_end_with_parent, daemon=True).start()
    while (given := connection.recv()) is not None:
        work, log = given
        with _printing_to(log):
            said = _tried(
                work, _slowly(lambda done, total: connection.send(("told", (done, total))))
            )
        connection.send(said)


def _end_with_parent() -> None:
    """End this process when the first one is gone, however it went."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _slowly(tell: Tell) -> Tell:
    """Return what tells the same, but not too often."""
    last = 0.0

    def told(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _TOLD_EVERY:
            last = time.monotonic()
            tell(done, total)

    return told


@contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Have all that this process prints end up in a file, that of libraries in C too."""
    with log.open("ab") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


@contextmanager
def _variables(given: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment for a process that is started inside the block."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
