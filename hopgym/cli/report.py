"""``hopgym report`` and ``hopgym view``: a page on finished runs, as a file or in a browser.

The report is one HTML file. The page in the browser is served to this machine only and loads
episodes on demand.
"""

import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.cli.display import print_json, progress, say, say_wrote
from hopgym.cli.options import make
from hopgym.errors import ArgumentError, DataError, require
from hopgym.evaluation import evaluate
from hopgym.policies.registry import FLOORS, POLICIES
from hopgym.progress import Advance
from hopgym.registry.lookup import env_of_run
from hopgym.report import render_report, results_rows
from hopgym.report.about import about_folder
from hopgym.report.server import LiveReport, PageServer, html_response
from hopgym.report.table import role_of
from hopgym.rollout import run_episodes
from hopgym.runs.folder import LATEST
from hopgym.runs.line_file import whole_file
from hopgym.runs.reader import EPISODES, named_files
from hopgym.runs.trajectory_file import read_header, read_trajectories
from hopgym.trajectory import Trajectory

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.tasks import TaskSource

_FLOORS = "floors"
_LISTED_RUNS = 10

Runs = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="Trajectory files, or folders of runs.")
]


def report(
    runs: Runs,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path(
        "report.html"
    ),
    episodes: Annotated[
        int, typer.Option(help="How many episodes to include, failures first.")
    ] = 500,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the table of results as JSON; write no page.")
    ] = False,
) -> None:
    """Write an HTML report on one or more runs of the same tasks.

    It shows results with intervals, success by hops and kind, how episodes
    ended, and the episodes themselves, step by step. Runs are named after
    their files; oracle is marked as the ceiling, guess, unknown, exhaustive
    and random as floors.
    """
    require(out.suffix != ".jsonl", "--out", "an HTML file", str(out))
    files = _files(runs)
    if as_json:
        print_json({"runs": _rows(files)})
        return
    with _read_with_progress(files) as (source, trajectories):
        page = render_report(trajectories, source, episodes=episodes, about=_about(files))
    with whole_file(out, "--out") as file:
        file.write(page)
    say_wrote({"report": out}, {"in a browser": f"hopgym view {out}"})


def view(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN...]",
            help="Trajectory files, folders of runs, or an existing report; by default the "
            "latest run.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 selects a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open it in a browser.")] = False,
) -> None:
    """Serve the report on one or more runs to this machine until Ctrl-C.

    All episodes can be listed and searched; each one is read when it is opened.
    """
    paths = runs or [_latest_run()]
    with _serve(paths, port) as server:
        try:
            print(f"{server.url}  (Ctrl-C ends)", flush=True)
            if browser:
                webbrowser.open(server.url)
            server.serve_forever()
        except KeyboardInterrupt:
            say("Ended.", style="quiet")


commands: dict[str, Callable[..., None]] = {"report": report, "view": view}
"""Verb to its function."""


@contextmanager
def _serve(paths: Sequence[Path], port: int) -> Iterator[PageServer]:
    """Open a server for an existing report, or for runs that are evaluated meanwhile."""
    page = _existing_report(paths)
    if page is not None:
        with PageServer({"/": lambda query: html_response(page)}, port) as server:
            yield server
        return
    files = _files(paths)
    env = _env_of(files)
    title = env.spec.id if env.spec else ""
    with (
        closing(LiveReport(files, env.source, title, _about(files))) as live,
        PageServer(live.routes, port) as server,
    ):
        live.start_evaluation(lambda: _read(files))
        yield server


def _latest_run() -> Path:
    try:
        return Path(LATEST.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise ArgumentError(
            f"RUN must be given where {LATEST} names none ({error.strerror}); name a trajectory "
            "file, the folder of a run, or a report"
        ) from error


def _existing_report(paths: Sequence[Path]) -> bytes | None:
    """Return the page of an existing report; None if the paths are runs."""
    pages = [path for path in paths if path.suffix == ".html"]
    if not pages:
        return None
    if len(paths) > 1:
        raise ArgumentError(
            f"a written report must be viewed alone, got {pages[0]} among {len(paths)} files; "
            "name trajectory files alone to compare runs"
        )
    if not pages[0].is_file():
        raise DataError(f"{pages[0]}: expected a report, got no such file")
    return pages[0].read_bytes()


def _rows(files: Mapping[str, Path]) -> list[dict[str, Any]]:
    with _read_with_progress(files) as (source, runs):
        return results_rows({name: evaluate(items, source) for name, items in runs.items()})


@contextmanager
def _read_with_progress(
    files: Mapping[str, Path],
) -> "Iterator[tuple[TaskSource, dict[str, Iterator[Trajectory]]]]":
    """Read runs as `_read` does, with a progress display."""
    with progress("episodes read") as advance, _read(files) as (source, runs):
        yield source, {name: _count(items, advance) for name, items in runs.items()}


@contextmanager
def _read(
    files: Mapping[str, Path],
) -> "Iterator[tuple[TaskSource, dict[str, Iterator[Trajectory]]]]":
    """Open the source, and the episodes of each run and of the floors, by name."""
    env = _env_of(files)
    runs = {name: read_trajectories(path) for name, path in files.items()}
    yield env.source, runs | _floors(env, files)


def _floors(env: "HopEnv", files: Mapping[str, Path]) -> dict[str, Iterator[Trajectory]]:
    """Play the floors on the tasks of the files, unless one of the files is a floor itself."""
    if "floor" in map(role_of, files):
        return {}
    episodes = (episode for path in files.values() for episode in read_trajectories(path))
    indices = sorted({episode.index for episode in episodes})
    return {name: run_episodes(env, POLICIES[name](env), indices) for name in FLOORS}


def _count(trajectories: Iterator[Trajectory], advance: Advance) -> Iterator[Trajectory]:
    for trajectory in trajectories:
        yield trajectory
        advance(1)


def _files(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the trajectory files of runs by name, followed by the floors of their folders.

    Raises:
        DataError: When a path names no trajectory file.
    """
    for path in paths:
        _refuse_folder_of_runs(path)
    named = named_files(paths)
    floors: dict[str, Path] = {}
    for path in paths:
        for floor in sorted((path / _FLOORS).glob("*.jsonl")):
            floors.setdefault(floor.stem, floor)
    return named | {name: path for name, path in floors.items() if name not in named}


def _refuse_folder_of_runs(path: Path) -> None:
    if (path / EPISODES).is_file():
        return
    if runs := sorted(path.glob(f"*/{EPISODES}")):
        names = ", ".join(str(run.parent) for run in runs[:_LISTED_RUNS])
        more = f" and {len(runs) - _LISTED_RUNS} more" if len(runs) > _LISTED_RUNS else ""
        raise DataError(
            f"{path}: expected the folder of one run with {EPISODES}, got one that holds "
            f"{names}{more}; name one or more of these"
        )


def _about(files: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """Return the descriptions of the runs that are folders with a ``config.json``."""
    folders = {name: file.parent for name, file in files.items() if file.name == EPISODES}
    return {name: about_folder(folder) for name, folder in folders.items()}


def _env_of(files: Mapping[str, Path]) -> "HopEnv":
    """Return the environment of the runs, rebuilt from the first record of the first file.

    Raises:
        DataError: When a file has no record, its records name no environment, or its tasks are
            not those of the source.
    """
    first_path = next(iter(files.values()))
    first = next(read_trajectories(first_path), None)
    if first is None:
        raise DataError(f"{first_path}: expected at least one episode, got none; finish one first")
    env = env_of_run(first_path, first, make)
    for path in files.values():
        recorded = read_header(path).source
        if recorded != env.source.fingerprint:
            raise DataError(
                f"{path}: expected tasks of {first.env_id} with the arguments of {first_path} "
                f"(hash {env.source.fingerprint[:12]}), got others (hash {recorded[:12]}); make a "
                "report of its own for it"
            )
    return env
