"""``hopgym study``: a grid of training runs and their evaluations, as tables and curves.

The folder of a study has all runs, ``summary.json``, ``report.md`` and ``report.html``.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.arguments import read_arguments
from hopgym.cli.display import (
    console,
    new_table,
    print_json,
    progress,
    say,
    say_wrote,
    this_command,
)
from hopgym.cli.options import takes_arguments
from hopgym.errors import ArgumentError, did_you_mean, require
from hopgym_agents.studies.checking import check_jobs, prepare_runs
from hopgym_agents.studies.plan import Job, JobKind, plan_jobs
from hopgym_agents.studies.pool import Schedule, run_jobs
from hopgym_agents.studies.report import write_report
from hopgym_agents.studies.spec import Study, read_study
from hopgym_agents.studies.store import StudyStore

if TYPE_CHECKING:
    from hopgym_agents.curves import Table

RUNS = Path("runs")

_LINE_EVERY = 15.0


@takes_arguments
def study(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="The study.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the study; by default runs/NAME.")
    ] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", min=0, help="Worker processes; 0 uses this process.")
    ] = 2,
    model: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER, a further model to evaluate; repeatable.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help=r"Apply the table \[quick] of the file.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check every part, and list the jobs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Train and evaluate what a study file describes, and write tables and curves.

    The same command resumes a stopped study and skips finished jobs. Files that
    suites name are given as --NAME FILE; a suite without its file is reported as
    not run.
    """
    spec = read_study(file, quick=quick, models=_models(model or []))
    files = _files(ctx.args, spec)
    planned = plan_jobs(spec, files)
    check_jobs(planned)
    if dry_run:
        _dry_run(planned, as_json)
        return
    folder = out or RUNS / (file.stem + ("-quick" if quick else ""))
    store = StudyStore(folder, planned)
    with store.open(spec):
        _run(ctx, spec, planned, store, jobs, as_json)


def _models(arguments: list[str]) -> dict[str, str]:
    pairs = [argument.partition("=") for argument in arguments]
    for name, equals, path in pairs:
        valid = bool(name and equals) and Path(path).is_dir()
        require(valid, "--model", "NAME=FOLDER of a model", f"{name}{equals}{path}")
    return {name: path for name, _, path in pairs}


def _files(args: list[str], spec: Study) -> dict[str, str]:
    """Return the files on the command line, by the names that the suites use for them."""
    known = list(dict.fromkeys(suite.file for suite in spec.suite if suite.file))
    positional, files = read_arguments(args)
    for name, value in files.items():
        if name not in known:
            expected = ", ".join(f"--{item} FILE" for item in known) or "no files"
            hint = did_you_mean(name, known)
            raise ArgumentError(f"this study takes {expected}, got --{name}{hint}")
        require(Path(str(value)).exists(), f"--{name}", "a file or folder that exists", value)
    require(not positional, "words", "one study file and options", positional)
    return {name: str(value) for name, value in files.items()}


def _dry_run(jobs: tuple[Job, ...], as_json: bool) -> None:
    runs = sum(job.kind is JobKind.TRAIN for job in jobs)
    with progress("training runs prepared", runs) as advance:
        checked = prepare_runs(jobs, lambda done, total: advance(1))
    if as_json:
        rows = [{"name": j.name, "kind": j.kind, "needs": list(j.needs.values())} for j in jobs]
        print_json({"jobs": rows})
        return
    table = new_table("What would be done", "job", "kind", "needs")
    for job in jobs:
        table.add_row(job.name, job.kind, "; ".join(job.needs.values()))
    console(markup=False).print(table)
    say(
        f"{len(jobs):,} jobs, {runs:,} of them training runs, {checked:,} of which differ in more "
        "than the seed. All can be started."
    )


def _run(
    ctx: typer.Context,
    spec: Study,
    jobs: tuple[Job, ...],
    store: StudyStore,
    processes: int,
    as_json: bool,
) -> None:
    results = store.read_all()
    schedule = Schedule(jobs, results)
    if results:
        say(f"{len(results):,} of {len(jobs):,} jobs are done from before.")
    stopped = False
    try:
        with JobBoard(len(jobs), len(results)) as board:
            run_jobs(schedule, store, board, processes=processes)
    except KeyboardInterrupt:
        stopped = True
    report = write_report(
        spec, jobs, schedule.results, schedule.failed, store.folder, command=this_command(ctx)
    )
    if as_json:
        print_json(report.summary)
    else:
        _print_tables(report.tables)
    label = "resume" if stopped or schedule.failed else "same again"
    say_wrote(report.paths, {label: this_command(ctx)})
    if stopped:
        say(f"Stopped with {len(schedule.results):,} of {len(jobs):,} jobs done.", style="warning")
        raise typer.Exit(130)
    if schedule.failed:
        failed = f"{len(schedule.failed):,} of {len(jobs):,} jobs failed"
        say(f"{failed}; see {store.folder / 'logs'}.")
        raise typer.Exit(1)


def _print_tables(tables: "Sequence[Table]") -> None:
    out = console(markup=False)
    for table in tables:
        if not table.rows:
            out.print(f"{table.title}: {table.note}", soft_wrap=True)
            continue
        grid = new_table(table.title, *table.headings, caption=table.note)
        for row in table.rows:
            grid.add_row(*map(_short_cell, table.headings, row))
        out.print(grid)


def _short_cell(heading: str, cell: str) -> str:
    """Return a cell without its interval, except in the most important columns."""
    return cell if heading in ("success %", "over start") else cell.partition(" [")[0]


class JobBoard:
    """Shows the progress of a study's jobs on stderr while the block runs.

    On a terminal there is a bar for all jobs and one for each running job. Otherwise, a line is
    printed when a job ends, and every 15 seconds for running jobs.

    Args:
        jobs: Number of jobs.
        done: Number of jobs that are already done.
    """

    def __init__(self, jobs: int, done: int) -> None:
        self._jobs = jobs
        self._done = done
        self._started: dict[str, float] = {}
        self._last_line: dict[str, float] = {}
        self._tasks: dict[str, Any] = {}
        self._bars: Any = None
        if sys.stderr.isatty():
            self._bars = _bars()
            self._total = self._bars.add_task("jobs", total=jobs, completed=done)

    def __enter__(self) -> "JobBoard":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def start(self, job: Job) -> None:
        """Show that a job has started."""
        self._started[job.name] = time.monotonic()
        self._last_line[job.name] = self._started[job.name]
        if self._bars:
            self._tasks[job.name] = self._bars.add_task(job.name, total=None)

    def advance(self, job: Job, done: int, total: int) -> None:
        """Show the progress of a job; the total is 0 for a run that only a limit ends."""
        if self._bars:
            self._bars.update(self._tasks[job.name], completed=done, total=total or None)
        elif time.monotonic() - self._last_line[job.name] >= _LINE_EVERY:
            self._last_line[job.name] = time.monotonic()
            of_total = f" of {total:,}" if total else ""
            say(f"{job.name}: {done:,}{of_total}", style="quiet")

    def finish(self, job: Job, error: str) -> None:
        """Show that a job has ended, with its error if it failed."""
        self._done += 1
        if self._bars:
            self._bars.remove_task(self._tasks.pop(job.name))
            self._bars.advance(self._total)
        if error:
            say(f"{job.name}: {error}", style="error")
        elif not self._bars or job.kind is JobKind.TRAIN:
            seconds = time.monotonic() - self._started[job.name]
            say(f"[{self._done:,}/{self._jobs:,}] {job.name}, {seconds:.0f} s", style="quiet")


def _bars() -> Any:
    from rich import progress

    return progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        console=console(stderr=True),
        transient=True,
    )
