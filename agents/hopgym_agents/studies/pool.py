"""Runs the jobs of a study in parallel processes, each job once its needs are done.

Each process uses one thread: on a busy machine, threads that wait for each other made the same work
take ten times as long. What a job prints goes to a log file of its own.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from threading import Thread
from typing import Protocol

from hopgym.errors import HopgymError
from hopgym_agents.studies.jobs import JobInput, JobResult, ReportProgress, run_job
from hopgym_agents.studies.plan import Job
from hopgym_agents.studies.store import StudyStore

ONE_THREAD: Mapping[str, str] = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
}
"""Environment variables of the worker processes."""
_SECONDS_BETWEEN_REPORTS = 0.3
_SECONDS_TO_EXIT = 3.0
"""How long a process may take to exit before it is killed."""


class JobMonitor(Protocol):
    """Shows the progress of a study."""

    def start(self, job: Job) -> None:
        """Called when a job starts."""

    def advance(self, job: Job, done: int, total: int) -> None:
        """Called with how many units of a job are done; ``total`` is 0 if unknown."""

    def finish(self, job: Job, error: str) -> None:
        """Called when a job ends; ``error`` is empty if it succeeded."""


class Schedule:
    """Decides which job can run next, and holds the results and failures of the others.

    Args:
        jobs: Each after the jobs that it needs; of the jobs that can run, the first runs first.
        results: Results of the jobs that are done already, by name.
    """

    def __init__(self, jobs: Sequence[Job], results: Mapping[str, JobResult]) -> None:
        self.results: dict[str, JobResult] = dict(results)
        self.failed: dict[str, str] = {}
        """Error messages by the name of the job."""
        self._waiting = [job for job in jobs if job.name not in results]

    def next(self) -> Job | None:
        """Remove and return a job that can run now; None if there is none."""
        for job in self._waiting:
            if all(name in self.results for name in job.needs.values()):
                self._waiting.remove(job)
                return job
        return None

    def finish(self, job: Job, result: JobResult) -> None:
        """Store the result of a job."""
        self.results[job.name] = result

    def fail(self, job: Job, error: str) -> None:
        """Give up a job and all jobs that need it."""
        self.failed[job.name] = error
        dependents = [other for other in self._waiting if job.name in other.needs.values()]
        self._waiting = [other for other in self._waiting if other not in dependents]
        for other in dependents:
            self.fail(other, f"needs {job.name}, which failed")


def run_jobs(schedule: Schedule, store: StudyStore, monitor: JobMonitor, *, processes: int) -> None:
    """Run all jobs that can run.

    Args:
        schedule: The jobs; holds their results afterwards.
        store: Where results and files are stored.
        monitor: Shows the progress of every job.
        processes: How many jobs run at a time; 0 runs all in this process.
    """
    runner = _JobRunner(schedule, store, monitor)
    if processes:
        runner.run_in_processes(processes)
    else:
        runner.run_here()


@dataclass(frozen=True, slots=True)
class _Progress:
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class _Success:
    result: JobResult


@dataclass(frozen=True, slots=True)
class _Failure:
    error: str
    process_died: bool = False


_Message = _Progress | _Success | _Failure


class _JobRunner:
    def __init__(self, schedule: Schedule, store: StudyStore, monitor: JobMonitor) -> None:
        self._schedule = schedule
        self._store = store
        self._monitor = monitor

    def run_here(self) -> None:
        while job := self._schedule.next():
            self._monitor.start(job)

            def report(done: int, total: int, job: Job = job) -> None:
                self._monitor.advance(job, done, total)

            self._handle(job, _run(self._input(job), report))

    def run_in_processes(self, processes: int) -> None:
        workers: list[_Worker] = []
        try:
            while True:
                idle = [worker for worker in workers if worker.job is None]
                while (idle or len(workers) < processes) and (job := self._schedule.next()):
                    if not idle:
                        idle.append(_Worker())
                        workers.append(idle[0])
                    self._monitor.start(job)
                    idle.pop().submit(self._input(job), self._store.log_file(job))
                busy = [worker for worker in workers if worker.job is not None]
                if not busy:
                    return
                ready = wait([worker.connection for worker in busy])
                for worker in [worker for worker in busy if worker.connection in ready]:
                    self._receive(worker, workers)
        finally:
            for worker in workers:
                worker.stop()

    def _receive(self, worker: "_Worker", workers: list["_Worker"]) -> None:
        job = worker.job
        assert job is not None
        message = worker.receive()
        if not isinstance(message, _Progress):
            worker.job = None
        if isinstance(message, _Failure) and message.process_died:
            workers.remove(worker)
        self._handle(job, message)

    def _handle(self, job: Job, message: _Message) -> None:
        match message:
            case _Progress(done, total):
                self._monitor.advance(job, done, total)
            case _Success(result):
                self._store.write(job, result)
                self._schedule.finish(job, result)
                self._monitor.finish(job, "")
            case _Failure(error):
                self._schedule.fail(job, error)
                self._monitor.finish(job, error)

    def _input(self, job: Job) -> JobInput:
        results = {role: self._schedule.results[name] for role, name in job.needs.items()}
        return JobInput(job, results, self._store.path(job))


class _Worker:
    """A process that runs one job after another."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self.connection, child_connection = context.Pipe()
        self._process = context.Process(target=_work, args=(child_connection,), daemon=True)
        with _environment_variables(ONE_THREAD):
            self._process.start()
        child_connection.close()
        self.job: Job | None = None

    def submit(self, work: JobInput, log: Path) -> None:
        self.job = work.job
        self.connection.send((work, log))

    def receive(self) -> _Message:
        try:
            message: _Message = self.connection.recv()
            return message
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            error = f"its process ended with code {code}; too little memory, perhaps"
            return _Failure(error, process_died=True)

    def stop(self) -> None:
        if self.job is None:
            with suppress(OSError):
                self.connection.send(None)
        else:
            self._process.terminate()
        self._process.join(_SECONDS_TO_EXIT)
        self._process.kill()
        self._process.join()


def _work(connection: Connection) -> None:
    """Run the jobs that arrive; the main function of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent process stops this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    Thread(target=_exit_with_parent, daemon=True).start()
    while (submission := connection.recv()) is not None:
        work, log = submission
        report = _throttled(lambda done, total: connection.send(_Progress(done, total)))
        with _output_to(log):
            message = _run(work, report)
        connection.send(message)


def _run(work: JobInput, report: ReportProgress) -> _Success | _Failure:
    try:
        return _Success(run_job(work, report))
    except HopgymError as error:
        return _Failure(str(error))
    except Exception as error:
        traceback.print_exc()
        return _Failure(f"{type(error).__name__}: {error}")


def _exit_with_parent() -> None:
    """Exit once the parent process is gone, even if it was killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _throttled(report: ReportProgress) -> ReportProgress:
    """Return a function that reports progress at most every `_SECONDS_BETWEEN_REPORTS`."""
    last = 0.0

    def throttled(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            report(done, total)

    return throttled


@contextmanager
def _output_to(log: Path) -> Iterator[None]:
    """Append everything that this process prints to a file, including output of C libraries."""
    with log.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


@contextmanager
def _environment_variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a process that is started inside the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
