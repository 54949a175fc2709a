"""``hopgym report`` and ``hopgym view``: a page on finished runs, as a file or in a browser.

In: trajectory files; their source is made again from the records. Out: one HTML file, or a page
served to this machine alone that asks for its episodes when they are wanted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.cli.display import print_json, progress, say, say_wrote
from hopgym.cli.options import make
from hopgym.errors import ArgumentError, DataError, require
from hopgym.progress import Advance
from hopgym.registry.lookup import env_of_run
from hopgym.runs.line_file import whole_file

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.report.server import PageServer
    from hopgym.tasks import TaskSource
    from hopgym.trajectory import Trajectory

_FLOORS = "floors"
_MOST_NAMED = 10

Runs = Annotated[
    list[Path], typer.Argument(metavar="RUN...", help="Trajectory files, or folders of runs.")
]


def report(
    runs: Runs,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path(
        "report.html"
    ),
    episodes: Annotated[
        int, typer.Option(help="Episodes to show one by one, failures first.")
    ] = 500,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the table of results as JSON; write no page.")
    ] = False,
) -> None:
    """Write an HTML report on one or more runs of the same tasks.

    It holds results with intervals, success by hops and kind, how episodes
    ended, and the episodes themselves, step by step. Runs are named after
    their files; oracle is marked as the ceiling, guess, unknown, exhaustive
    and random as floors.
    """
    from hopgym.report import render_report

    require(out.suffix != ".jsonl", "--out", "an HTML file", str(out))
    files = _files(runs)
    if as_json:
        print_json({"runs": _rows(files)})
        return
    with _told(files) as (source, trajectories):
        page = render_report(trajectories, source, episodes=episodes, about=_about(files))
    with whole_file(out, "--out") as file:
        file.write(page)
    say_wrote({"report": out}, {"in a browser": f"hopgym view {out}"})


def view(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN...]",
            help="Trajectory files, folders of runs, or a report written before; by default the "
            "run that was made last.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open a browser as well.")] = False,
) -> None:
    """Serve the report on one or more runs to this machine until Ctrl-C.

    All episodes can be listed and searched; each is read when it is opened.
    """
    paths = runs or [_latest()]
    with _served(paths, port) as server:
        try:
            print(f"{server.url}  (Ctrl-C ends)", flush=True)
            if browser:
                import webbrowser

                webbrowser.open(server.url)
            server.serve_forever()
        except KeyboardInterrupt:
            say("Ended.", style="quiet")


commands: dict[str, Callable[..., None]] = {"report": report, "view": view}
"""Verb to its function."""


@contextmanager
def _served(paths: Sequence[Path], port: int) -> "Iterator[PageServer]":
    """Give a server of a written report, or of runs whose figures are being worked out."""
    from hopgym.report.server import LiveReport, PageServer, html_response

    page = _written(paths)
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


def _latest() -> Path:
    from hopgym.runs.folder import LATEST

    try:
        return Path(LATEST.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise ArgumentError(
            f"RUN must be given where {LATEST} names none ({error.strerror}); name a trajectory "
            "file, the folder of a run, or a report"
        ) from error


def _written(paths: Sequence[Path]) -> bytes | None:
    """Return the page of a report written before; None where the paths are runs."""
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
    from hopgym.evaluation import evaluate
    from hopgym.report import results_rows

    with _told(files) as (source, runs):
        return results_rows({name: evaluate(each, source) for name, each in runs.items()})


@contextmanager
def _told(
    files: Mapping[str, Path],
) -> "Iterator[tuple[TaskSource, dict[str, Iterator[Trajectory]]]]":
    """Read runs as `_read` does, with a progress display."""
    with progress("episodes read") as advance, _read(files) as (source, runs):
        yield source, {name: _counted(each, advance) for name, each in runs.items()}


@contextmanager
def _read(
    files: Mapping[str, Path],
) -> "Iterator[tuple[TaskSource, dict[str, Iterator[Trajectory]]]]":
    """Give the source and the episodes of each file by the name of its run, and of the floors."""
    from hopgym.runs.trajectory_file import read_trajectories

    env = _env_of(files)
    runs = {name: read_trajectories(path) for name, path in files.items()}
    yield env.source, runs | _floors(env, files)


def _floors(env: "HopEnv", files: Mapping[str, Path]) -> "dict[str, Iterator[Trajectory]]":
    """Return the floors on the tasks of the files, where none of these is one itself."""
    from hopgym.policies.registry import FLOORS, POLICIES
    from hopgym.report.table import role_of
    from hopgym.rollout import run_episodes
    from hopgym.runs.trajectory_file import read_trajectories

    if "floor" in map(role_of, files):
        return {}
    read = (each for path in files.values() for each in read_trajectories(path))
    indices = sorted({each.index for each in read})
    return {name: run_episodes(env, POLICIES[name](env), indices) for name in FLOORS}


def _counted(trajectories: "Iterator[Trajectory]", advance: Advance) -> "Iterator[Trajectory]":
    for trajectory in trajectories:
        yield trajectory
        advance(1)


def _files(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the trajectory files of runs by name; the floors of their folders come behind all.

    Raises:
        DataError: When a path names no trajectory file.
    """
    from hopgym.runs.reader import named_files

    for path in paths:
        _refuse_many(path)
    named = named_files(paths)
    floors: dict[str, Path] = {}
    for path in paths:
        for floor in sorted((path / _FLOORS).glob("*.jsonl")):
            floors.setdefault(floor.stem, floor)
    return named | {name: path for name, path in floors.items() if name not in named}


def _refuse_many(path: Path) -> None:
    """Raise for a folder that is no run itself but holds some."""
    from hopgym.runs.reader import EPISODES

    held = [] if (path / EPISODES).is_file() else sorted(path.glob(f"*/{EPISODES}"))
    if held:
        names = ", ".join(str(each.parent) for each in held[:_MOST_NAMED])
        more = f" and {len(held) - _MOST_NAMED} more" if len(held) > _MOST_NAMED else ""
        raise DataError(
            f"{path}: expected the folder of one run with {EPISODES}, got one that holds "
            f"{names}{more}; name one or more of these"
        )


def _about(files: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """Return what was run, of those runs that are folders with a ``config.json``."""
    from hopgym.report.about import about_folder
    from hopgym.runs.reader import EPISODES

    folders = {name: file.parent for name, file in files.items() if file.name == EPISODES}
    return {name: about_folder(folder) for name, folder in folders.items()}


def _env_of(files: Mapping[str, Path]) -> "HopEnv":
    """Return the environment of the files' episodes, made from the first record of the first.

    Raises:
        DataError: When a file has no record, its records name no environment, or its tasks are
            not those of the source.
    """
    from hopgym.runs.trajectory_file import read_header, read_trajectories

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
