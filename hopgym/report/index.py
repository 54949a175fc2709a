"""An index of trajectory files: where each episode stands, and what it is filtered by.

In: trajectory files. Out: pages of a list, and single episodes read from where they stand; their
texts are never all in memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO

import msgspec

from hopgym.evaluation.endings import ending_of
from hopgym.report.browser import Filter, filters_of, rank
from hopgym.report.episodes import Head, Labels, head_of, key_of
from hopgym.runs.line_file import read_lines
from hopgym.runs.trajectory_file import read_header
from hopgym.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for."""

    words: tuple[str, ...] = ()
    """In lower case; an episode must hold them all in question, task, error, texts or tools'
    answers."""
    chosen: tuple[tuple[str, str], ...] = ()
    """Names of `Labels` with the value wanted."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A part of the list."""

    total: int
    """Episodes that match."""
    heads: tuple[Head, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    run: str
    index: int
    reason: str
    verdicts: tuple[str, ...]
    start: int
    """Byte offset of its line."""
    size: int


class EpisodeIndex:
    """Finds the episodes of some runs, failures first; threads may share it.

    The files stay open, so that a run that goes on and rewrites its file does no harm.

    Args:
        files: Trajectory file by name of the run.

    Raises:
        DataError: When a file is no trajectory file or a line is corrupt.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.tasks: dict[int, tuple[str, str]] = {}
        """Hops and kind of a task's question by its index, as far as somebody has noted them."""
        self._lock = Lock()
        self._files: dict[str, IO[bytes]] = {}
        self._verdicts: dict[tuple[str, ...], tuple[str, ...]] = {}
        found = []
        try:
            for run, path in files.items():
                read_header(path)
                self._files[run] = path.open("rb")
                found += [(rank(run, each), entry) for entry, each in self._scan(run, path)]
        except BaseException:
            self.close()
            raise
        found.sort(key=lambda item: item[0])
        self._entries = [entry for _, entry in found]
        self._places = {entry.key: place for place, entry in enumerate(self._entries)}
        self._latest: tuple[tuple[Query, int], list[_Entry]] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def filters(self) -> tuple[Filter, ...]:
        """Return what the episodes can be filtered by."""
        return filters_of(map(self._labels, self._entries), self._files)

    def read(self, key: str) -> tuple[str, Trajectory] | None:
        """Return the run and the record of a key; None where there is none."""
        place = self._places.get(key)
        if place is None:
            return None
        return self._entries[place].run, self._record(self._entries[place])

    def listing(self, query: Query, start: int, count: int) -> Listing:
        """Return a part of the episodes that match, from the 0-based ``start``."""
        matching = self._matching(query)
        heads = (
            head_of(entry.run, self._record(entry), self.tasks.get(entry.index, ("", "")))
            for entry in matching[start : start + count]
        )
        return Listing(len(matching), tuple(heads))

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _scan(self, run: str, path: Path) -> Iterator[tuple[_Entry, Trajectory]]:
        file = self._files[run]
        start = len(file.readline())
        for _, line, each in read_lines(path, file, Trajectory, "a trajectory"):
            verdicts = tuple(dict.fromkeys(step.verdict.value for step in each.steps))
            verdicts = self._verdicts.setdefault(verdicts, verdicts)
            reason, key = ending_of(each).name, key_of(run, each)
            yield _Entry(key, run, each.index, reason, verdicts, start, len(line)), each
            start += len(line)

    def _labels(self, entry: _Entry) -> Labels:
        hops, kind = self.tasks.get(entry.index, ("", ""))
        return Labels(entry.run, hops, kind, entry.reason, entry.verdicts)

    def _record(self, entry: _Entry) -> Trajectory:
        with self._lock:
            file = self._files[entry.run]
            file.seek(entry.start)
            line = file.read(entry.size)
        return msgspec.json.decode(line, type=Trajectory)

    def _matching(self, query: Query) -> list[_Entry]:
        # The pages of one list are asked for one after the other.
        state = (query, len(self.tasks))
        latest = self._latest
        if latest is not None and latest[0] == state:
            return latest[1]
        found = [
            entry
            for entry in self._entries
            if self._wanted(entry, query.chosen)
            and (not query.words or _holds(self._record(entry), query.words))
        ]
        self._latest = (state, found)
        return found

    def _wanted(self, entry: _Entry, chosen: tuple[tuple[str, str], ...]) -> bool:
        labels = self._labels(entry) if chosen else None
        values = ((getattr(labels, name), value) for name, value in chosen)
        return all(
            value in found if isinstance(found, tuple) else value == found
            for found, value in values
        )


def _holds(trajectory: Trajectory, words: tuple[str, ...]) -> bool:
    texts = [trajectory.question, trajectory.task_id, trajectory.error]
    for step in trajectory.steps:
        texts += (step.text, step.observation)
    text = "\n".join(texts).lower()
    return all(word in text for word in words)
