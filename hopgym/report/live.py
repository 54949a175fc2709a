"""The report while it is looked at: the list at once, the figures when they are worked out.

In: trajectory files and their source. Out: the answers to what the page of `hopgym view` asks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from threading import Lock, Thread

from hopgym.report.about import About
from hopgym.report.assets import content_policy
from hopgym.report.browser import WHOLE_ROOM, BrowserData
from hopgym.report.episodes import Labels, episode_view, task_labels
from hopgym.report.index import EpisodeIndex, Query
from hopgym.report.page import figures_of, render_page
from hopgym.report.server import Reply, Route, html_reply
from hopgym.report.wording import safe_json
from hopgym.tasks import TaskSource
from hopgym.trajectory import Trajectory

PAGE = 100
"""Episodes in a part of the list."""

Reading = AbstractContextManager[tuple[TaskSource, Mapping[str, Iterator[Trajectory]]]]
"""A source and the runs' trajectories, floors among them, while they are read."""

_WORKING = "The figures are being worked out; the page shows them as soon as they are there."


class LiveReport:
    """Answers the page's questions about some runs.

    Args:
        files: Trajectory file by name of the run.
        source: Where their tasks come from; used by one thread at a time.
        title: Of the page until the figures are there.
        about: What was run; see `hopgym.report.write_report`.

    Raises:
        DataError: When a file is no trajectory file or a line is corrupt.
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
        self._one_at_a_time = Lock()
        self._working = True
        self._title, self._about = title, about
        self._page = self._without_figures(self._data(), _WORKING)

    @property
    def routes(self) -> Mapping[str, Route]:
        """By path, for a `PageServer`."""
        return {
            "/": lambda query: html_reply(self._page, content_policy(remote=True)),
            "/state": lambda query: Reply(safe_json({"working": self._working})),
            "/episodes": self._episodes,
            "/episode": self._episode,
        }

    def work_out(self, runs: Callable[[], Reading]) -> Thread:
        """Work out the figures in a thread of its own; return it, started.

        Args:
            runs: Gives a source of its own and the runs once more, floors among them.
        """
        thread = Thread(target=self._work_out, args=(runs,), daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Close the files."""
        self._index.close()

    def _work_out(self, runs: Callable[[], Reading]) -> None:
        try:
            with runs() as (source, trajectories):
                noted = {run: self._noting(each, source) for run, each in trajectories.items()}
                figures = figures_of(noted, source)
                data = replace(self._data(), working=False)
                page = render_page(figures, source, data, about=self._about)
        except Exception as error:  # Nobody waits for this thread: the page must tell.
            notice = f"The figures could not be worked out: {error}"
            data = replace(self._data(), working=False)
            page = self._without_figures(data, notice)
        self._page, self._working = page, False

    def _without_figures(self, data: BrowserData, notice: str) -> bytes:
        return render_page(
            (), self._source, data, title=self._title, notice=notice, about=self._about
        )

    def _noting(
        self, trajectories: Iterable[Trajectory], source: TaskSource
    ) -> Iterator[Trajectory]:
        """Yield the trajectories; note hops and kinds of their tasks for the list."""
        for trajectory in trajectories:
            yield trajectory
            self._index.tasks[trajectory.index] = task_labels(source[trajectory.index])

    def _data(self) -> BrowserData:
        return BrowserData(True, True, len(self._index), self._index.filters())

    def _episodes(self, query: Mapping[str, str]) -> Reply:
        names = Labels.__slots__
        wanted = Query(
            words=tuple(query.get("text", "").lower().split()),
            chosen=tuple((name, query[name]) for name in names if query.get(name)),
        )
        start = max(0, int(query.get("start", "0")))
        return Reply(safe_json(self._index.listing(wanted, start, PAGE)))

    def _episode(self, query: Mapping[str, str]) -> Reply:
        found = self._index.read(query.get("key", ""))
        if found is None:
            return Reply(b"null")
        run, trajectory = found
        with self._one_at_a_time:
            view = episode_view(run, trajectory, self._source, WHOLE_ROOM)
        return Reply(safe_json(view))
