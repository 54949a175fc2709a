"""Serves the report on some runs to this machine: results when they are ready, episodes at once."""

import socketserver
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from hopgym.errors import ArgumentError
from hopgym.report.about import About
from hopgym.report.assets import browser_script, content_policy
from hopgym.report.browser import MAX_TEXT_CHARS, BrowserData, EpisodeIndex, EpisodeQuery
from hopgym.report.episodes import Labels, episode_view, task_labels
from hopgym.report.page import render_page, summarize_runs
from hopgym.report.text import safe_json
from hopgym.tasks import TaskSource
from hopgym.trajectory import Trajectory

LIST_SIZE = 100
"""Number of episodes in one response of the list; ``report.js`` has the same."""

_LOOPBACK = "127.0.0.1"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_WORKING = "The figures are being worked out; the page shows them as soon as they are there."


@dataclass(frozen=True, slots=True)
class Response:
    """A response to a request."""

    content: bytes
    type: str = "application/json"
    """The media type."""
    policy: str = "default-src 'none'; frame-ancestors 'none'"
    """The content security policy."""


Route = Callable[[Mapping[str, str]], Response]
"""Answers a request, given the parameters of its query."""

RunReader = AbstractContextManager[tuple[TaskSource, Mapping[str, Iterator[Trajectory]]]]
"""Opens a source and the trajectories by run, floors included."""


def html_response(page: bytes, policy: str = "") -> Response:
    """Return the response that contains a page.

    Args:
        page: UTF-8 HTML.
        policy: A content security policy in addition to that of the page itself.
    """
    parts = filter(None, (policy, "frame-ancestors 'none'"))
    return Response(page, "text/html; charset=utf-8", "; ".join(parts))


class PageServer(ThreadingHTTPServer):
    """Serves some fixed paths to this machine only, and nothing of the file system.

    Args:
        routes: The handler of each path, as in ``/``.
        port: In [0, 65535]; 0 selects a free one.

    Raises:
        ArgumentError: If the port is not available.
    """

    daemon_threads = True

    def __init__(self, routes: Mapping[str, Route], port: int) -> None:
        self.routes = dict(routes)
        try:
            super().__init__((_LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ArgumentError(
                f"--port must be a free port in [0, 65535], got {port} ({error}); 0 takes any"
            ) from error

    def server_bind(self) -> None:
        """Bind without the host name lookup of `http.server`, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name = _LOOPBACK
        self.server_port = int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore browsers that disconnect before the response."""

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{_LOOPBACK}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server_version = "hopgym"
    sys_version = ""

    def do_GET(self) -> None:
        self._respond(with_body=True)

    def do_HEAD(self) -> None:
        self._respond(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _respond(self, with_body: bool) -> None:
        # DNS rebinding: another web page may point its own name at this machine, and must not be
        # able to read the runs.
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in (_LOOPBACK, "localhost"):
            self.send_error(403)
            return
        try:
            url = urlsplit(self.path)
            route = cast(PageServer, self.server).routes.get(url.path)
            if route is None:
                self.send_error(404)
                return
            response = route(dict(parse_qsl(url.query, max_num_fields=20)))
        except ValueError:
            self.send_error(400)
            return
        self.send_response(200)
        headers = {
            "Content-Type": response.type,
            "Content-Length": str(len(response.content)),
            "Content-Security-Policy": response.policy,
        }
        for name, value in (headers | _HEADERS).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(response.content)


class LiveReport:
    """The report on some runs, whose results are computed while it is being served.

    Args:
        files: Trajectory file by name of the run.
        source: The source of their tasks; used by one thread at a time.
        title: The heading until the results are ready.
        about: What was run; see `hopgym.report.write_report`.

    Raises:
        DataError: If a file is not a trajectory file or a line is corrupt.
    """

    def __init__(
        self,
        files: Mapping[str, Path],
        source: TaskSource,
        title: str = "",
        about: About | None = None,
    ) -> None:
        self._index = EpisodeIndex(files)
        self._source = source
        self._source_lock = Lock()
        self._title = title
        self._about = about
        self._working = True
        self._page = self._page_without_results(_WORKING, working=True)

    @property
    def routes(self) -> Mapping[str, Route]:
        """The routes for a `PageServer`."""
        policy = content_policy(browser_script(), remote=True)
        return {
            "/": lambda query: html_response(self._page, policy),
            "/state": lambda query: Response(safe_json({"working": self._working})),
            "/episodes": self._episodes,
            "/episode": self._episode,
        }

    def start_evaluation(self, open_runs: Callable[[], RunReader]) -> Thread:
        """Evaluate the runs in a new thread and return the thread.

        Args:
            open_runs: Returns the runs, floors included, with a source for this thread alone.
        """
        thread = Thread(target=self._evaluate, args=(open_runs,), daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Close the files."""
        self._index.close()

    def _evaluate(self, open_runs: Callable[[], RunReader]) -> None:
        try:
            with open_runs() as (source, runs):
                observed = {name: self._observe(run, source) for name, run in runs.items()}
                summaries = summarize_runs(observed, source)
                data = self._data(working=False)
                page = render_page(summaries, source, data, about=self._about)
        except Exception as error:  # Nobody joins this thread, so the page reports the error.
            notice = f"The figures could not be worked out: {error}"
            page = self._page_without_results(notice, working=False)
        # In this order: a client that reads that the work is done requests the page again.
        self._page = page
        self._working = False

    def _observe(
        self, trajectories: Iterable[Trajectory], source: TaskSource
    ) -> Iterator[Trajectory]:
        """Yield the trajectories unchanged and store the labels of their tasks for the list."""
        for trajectory in trajectories:
            yield trajectory
            self._index.task_labels[trajectory.index] = task_labels(source[trajectory.index])

    def _data(self, *, working: bool) -> BrowserData:
        filters = self._index.filters()
        return BrowserData(remote=True, working=working, total=len(self._index), filters=filters)

    def _page_without_results(self, notice: str, *, working: bool) -> bytes:
        data = self._data(working=working)
        return render_page(
            (), self._source, data, title=self._title, notice=notice, about=self._about
        )

    def _episodes(self, query: Mapping[str, str]) -> Response:
        names = Labels.__slots__
        search = EpisodeQuery(
            terms=tuple(query.get("text", "").lower().split()),
            labels=tuple((name, query[name]) for name in names if query.get(name)),
        )
        start = max(0, int(query.get("start", "0")))
        return Response(safe_json(self._index.listing(search, start, LIST_SIZE)))

    def _episode(self, query: Mapping[str, str]) -> Response:
        record = self._index.read(query.get("key", ""))
        if record is None:
            return Response(b"null")
        run, trajectory = record
        with self._source_lock:
            view = episode_view(run, trajectory, self._source, MAX_TEXT_CHARS)
        return Response(safe_json(view))
