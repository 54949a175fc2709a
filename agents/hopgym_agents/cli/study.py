"""``hopgym study``: a grid of training runs and their evaluations, as tables and curves.

In: a study file, and paths that its suites name. Out: a folder with all runs, ``summary.json``,
``report.md`` and ``report.html``. Stopped or killed, the same command goes on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from hopgym_agents.studies.plan import Job, JobKind, plan_jobs
from hopgym_agents.studies.spec import Study

if TYPE_CHECKING:
    from hopgym_agents.curves import Table
    from hopgym_agents.studies.store import StudyStore

RUNS = Path("runs")


@takes_arguments
def study(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="The study.")],
    out: Annotated[Path | None, typer.Option(help="Its folder; runs/NAME by default.")] = None,
    jobs: Annotated[
        int, typer.Option("-j", "--jobs", min=0, help="Processes; 0 works in this one.")
    ] = 2,
    model: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER, a further model to evaluate; repeatable.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="With the file's table [quick].")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check every part, and list the jobs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Train and evaluate what a study file describes, and write tables and curves.

    Runs go on where they were stopped or killed, and what is done is not done
    again. Files that suites name are given as --NAME FILE; a suite without its
    file is told as not run.
    """
    from hopgym_agents.studies.spec import read_study

    found = read_study(file, quick=quick, models=_models(model or []))
    files = _files(ctx.args, found)
    work = plan_jobs(found, files)
    from hopgym_agents.studies.checking import check_jobs
    from hopgym_agents.studies.store import StudyStore

    check_jobs(work)
    if dry_run:
        _dry_run(work, as_json)
        return
    folder = out or RUNS / (file.stem + ("-quick" if quick else ""))
    store = StudyStore(folder, work)
    with store.open(found):
        _run(ctx, found, work, store, jobs, as_json)


def _models(given: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    for name, equals, path in pairs:
        good = bool(name and equals) and Path(path).is_dir()
        require(good, "--model", "NAME=FOLDER of a model", f"{name}{equals}{path}")
    return {name: path for name, _, path in pairs}


def _files(words: list[str], found: Study) -> dict[str, str]:
    """Return the files that are given, by the names that suites have for them."""
    named = list(dict.fromkeys(suite.file for suite in found.suite if suite.file))
    plain, given = read_arguments(words)
    for name, value in given.items():
        if name not in named:
            told = ", ".join(f"--{each} FILE" for each in named) or "no files"
            hint = did_you_mean(name, named)
            raise ArgumentError(f"this study takes {told}, got --{name}{hint}")
        require(Path(str(value)).exists(), f"--{name}", "a file or folder that exists", value)
    require(not plain, "words", "one study file and options", plain)
    return {name: str(value) for name, value in given.items()}


def _dry_run(work: tuple[Job, ...], as_json: bool) -> None:
    from hopgym_agents.studies.checking import prepare_runs

    runs = sum(job.kind is JobKind.TRAIN for job in work)
    with progress("training runs prepared", runs) as advance:
        checked = prepare_runs(work, lambda done, total: advance(1))
    if as_json:
        rows = [{"name": j.name, "kind": j.kind, "needs": list(j.needs.values())} for j in work]
        print_json({"jobs": rows})
        return
    table = new_table("What would be done", "job", "kind", "needs")
    for job in work:
        table.add_row(job.name, job.kind, "; ".join(job.needs.values()))
    console(markup=False).print(table)
    told = f"{len(work):,} jobs, {runs:,} of them training runs"
    say(f"{told}, {checked:,} of which differ in more than the seed. All can be begun.")


def _run(
    ctx: typer.Context,
    found: Study,
    work: tuple[Job, ...],
    store: "StudyStore",
    processes: int,
    as_json: bool,
) -> None:
    from hopgym_agents.cli.study_progress import Board
    from hopgym_agents.studies.pool import Schedule, run_jobs
    from hopgym_agents.studies.report import write_report

    results = store.read_all()
    schedule = Schedule(work, results)
    if results:
        say(f"{len(results):,} of {len(work):,} jobs are done from before.")
    stopped = False
    try:
        with Board(len(work), len(results)) as board:
            run_jobs(schedule, store, board, processes=processes)
    except KeyboardInterrupt:
        stopped = True
    written = write_report(
        found, work, schedule.results, schedule.failed, store.folder, command=this_command(ctx)
    )
    if as_json:
        print_json(written.summary)
    else:
        _print_tables(written.tables)
    again = {"go on with" if stopped or schedule.failed else "same again": this_command(ctx)}
    say_wrote(written.paths, again)
    if stopped:
        say(f"Stopped with {len(schedule.results):,} of {len(work):,} jobs done.", style="warning")
        raise typer.Exit(130)
    if schedule.failed:
        failed = f"{len(schedule.failed):,} of {len(work):,} jobs failed"
        say(f"{failed}; {store.folder / 'logs'} tells more.")
        raise typer.Exit(1)


def _print_tables(tables: "Sequence[Table]") -> None:
    """Print the tables of suites on stdout."""
    out = console(markup=False)
    for table in tables:
        if not table.rows:
            out.print(f"{table.title}: {table.note}", soft_wrap=True)
            continue
        drawn = new_table(table.title, *table.headings, caption=table.note)
        for row in table.rows:
            drawn.add_row(*map(_short, table.headings, row))
        out.print(drawn)


def _short(heading: str, cell: str) -> str:
    """Return a cell without its interval, but in the columns that are read first."""
    return cell if heading in ("success %", "over start") else cell.partition(" [")[0]
