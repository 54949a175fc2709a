"""``hopgym report`` and ``hopgym view``: a page on finished runs, as a file or in a browser.

In: trajectory files; their source is made again from the records. Out: one HTML file, or the same
page served to this machine alone.
"""

import socketserver
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hopgym.cli.arguments import make, resolve_id
from hopgym.cli.screen import Advance, print_json, progress, say, say_wrote
from hopgym.errors import ArgumentError, DataError, require

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.trajectory import Trajectory

_LOOPBACK = "127.0.0.1"

Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Trajectory files.")]
Episodes = Annotated[int, typer.Option(help="Episodes to show one by one, failures first.")]


def report(
    runs: Runs,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path(
        "report.html"
    ),
    episodes: Episodes = 500,
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
    require(out.suffix != ".jsonl", "--out", "an HTML file", str(out))
    if as_json:
        print_json({"runs": _rows(runs)})
        return
    page = _page(runs, episodes)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(page)
    say_wrote({"report": out}, {"in a browser": f"hopgym view {out}"})


def view(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Trajectory files, or a report written before."),
    ],
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    episodes: Episodes = 500,
    browser: Annotated[bool, typer.Option(help="Open a browser as well.")] = False,
) -> None:
    """Serve the report on one or more runs to this machine until Ctrl-C."""
    page = _written(runs) or _page(runs, episodes)
    with PageServer(page, port) as server:
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


class PageServer(ThreadingHTTPServer):
    """Serves one page under ``/`` to this machine, and nothing else to nobody else.

    Args:
        page: UTF-8 HTML.
        port: In [0, 65535]; 0 takes a free one.

    Raises:
        ArgumentError: When the port is not to be had.
    """

    daemon_threads = True

    def __init__(self, page: bytes, port: int) -> None:
        self.page = page
        try:
            super().__init__((_LOOPBACK, port), _PageHandler)
        except (OSError, OverflowError) as error:
            raise ArgumentError(
                f"--port must be a free port in [0, 65535], got {port} ({error}); 0 takes any"
            ) from error

    def server_bind(self) -> None:
        """Bind without the look-up of a host name that `http.server` does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = _LOOPBACK, int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where the page is to be had."""
        return f"http://{_LOOPBACK}:{self.server_port}/"


class _PageHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._reply(with_body=True)

    def do_HEAD(self) -> None:
        self._reply(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _reply(self, with_body: bool) -> None:
        # A web page elsewhere may point its own name at this machine; it must not read the runs.
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in (_LOOPBACK, "localhost"):
            self.send_error(403)
            return
        if self.path.partition("?")[0] != "/":
            self.send_error(404)
            return
        page = cast(PageServer, self.server).page
        self.send_response(200)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(page))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(page)


def _written(paths: Sequence[Path]) -> bytes | None:
    """Return the page of a report written before; None where the paths are trajectory files."""
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


def _page(paths: Sequence[Path], episodes: int) -> bytes:
    from hopgym.report import render_report

    env = _env_of(paths)
    with _episodes(env, paths) as runs:
        return render_report(runs, env.source, episodes=episodes)


def _rows(paths: Sequence[Path]) -> list[dict[str, Any]]:
    from hopgym.evaluation import evaluate
    from hopgym.report import results_rows

    env = _env_of(paths)
    with _episodes(env, paths) as runs:
        return results_rows({name: evaluate(each, env.source) for name, each in runs.items()})


@contextmanager
def _episodes(env: "HopEnv", paths: Sequence[Path]) -> "Iterator[dict[str, Iterator[Trajectory]]]":
    """Give the episodes of each file by the name of its run, and those of the floors."""
    from hopgym.runfile import read_trajectories

    with progress("episodes read") as advance:
        files = _named(paths)
        runs = {name: _counted(read_trajectories(path), advance) for name, path in files.items()}
        yield runs | _floors(env, files)


def _floors(env: "HopEnv", files: Mapping[str, Path]) -> "dict[str, Iterator[Trajectory]]":
    """Return the floors on the tasks of the files, where none of these is one itself."""
    from hopgym.cli.policies import FLOORS, POLICIES
    from hopgym.report.table import role_of
    from hopgym.rollout import run_episodes
    from hopgym.runfile import read_trajectories

    if "floor" in map(role_of, files):
        return {}
    read = (each for path in files.values() for each in read_trajectories(path))
    indices = sorted({each.index for each in read})
    return {name: run_episodes(env, POLICIES[name](env), indices) for name in FLOORS}


def _counted(trajectories: "Iterator[Trajectory]", advance: Advance) -> "Iterator[Trajectory]":
    for trajectory in trajectories:
        yield trajectory
        advance(1)


def _named(paths: Sequence[Path]) -> Mapping[str, Path]:
    """Return the files by stem; where two have the same, by folder and stem, or else by path."""
    files = list(dict.fromkeys(paths))
    namings: list[Callable[[Path], str]] = [
        lambda path: path.stem,
        lambda path: f"{path.resolve().parent.name}/{path.stem}",
        str,
    ]
    named = [{name(path): path for path in files} for name in namings]
    return next(each for each in named if len(each) == len(files))


def _env_of(paths: Sequence[Path]) -> "HopEnv":
    """Return the environment of the files' episodes, made from the first record of the first.

    Raises:
        DataError: When a file has no record, its records name no environment, or its tasks are
            not those of the source.
    """
    from hopgym.runfile import read_header, read_trajectories

    for path in paths:
        if path.is_dir():
            raise DataError(
                f"{path}: expected a trajectory file, got a folder; name the .jsonl files in it"
            )
    first = next(read_trajectories(paths[0]), None)
    if first is None:
        raise DataError(f"{paths[0]}: expected at least one episode, got none; finish one first")
    if not first.env_id:
        raise DataError(
            f"{paths[0]}: expected records that name their environment, got none; call "
            "hopgym.report.write_report with their source"
        )
    env = make(resolve_id(first.env_id), first.env_kwargs)
    source = env.source
    for path in paths:
        found = read_header(path).source
        if found != source.fingerprint:
            raise DataError(
                f"{path}: expected tasks of {first.env_id} with the arguments of {paths[0]} "
                f"(hash {source.fingerprint[:12]}), got others (hash {found[:12]}); make a report "
                "of its own for it"
            )
    return env
