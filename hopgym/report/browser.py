"""The episode browser: its episodes, their order and filters, in a page or read from files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO

from hopgym.evaluation.endings import ENDINGS, EpisodeSelector, ending_of, equal_shares, urgency
from hopgym.report.episodes import EpisodeView, Head, Labels, episode_view, head_of, key_of
from hopgym.report.table import role_of
from hopgym.report.text import safe_json
from hopgym.runs.trajectory_file import EPISODE_FORMAT, read_header
from hopgym.tasks import TaskSource
from hopgym.trajectory import Trajectory
from hopgym.verdicts import Verdict

MAX_TEXT_CHARS = 20_000
"""Maximum length of a text of an episode that is sent on its own."""

# A page with 500 episodes should stay below about 5 MB. `_max_chars` tries these lengths of texts
# in turn, with rough sizes of a step and an episode without their texts.
_PAGE_BYTES = 4_800_000
_MIN_TEXT_BYTES = 1_000_000
_STEP_BYTES = 240
_EPISODE_BYTES = 1_400
_TEXT_CHARS = (MAX_TEXT_CHARS, 8_000, 4_000, 2_000, 1_500, 1_000, 800, 600, 500, 400, 300, 250, 200)

_FILTER_TITLES = {
    "run": "run",
    "hops": "hops",
    "kind": "kind",
    "reason": "ended as",
    "verdicts": "has a step",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """A label that episodes can be filtered by."""

    name: str
    """A field of `Labels`."""
    title: str
    options: tuple[str, ...]
    """The values that occur."""


@dataclass(frozen=True, slots=True)
class BrowserData:
    """The data that the page's script starts with."""

    remote: bool
    """Whether the episodes are requested from the server."""
    working: bool
    """Whether the server is still evaluating the runs."""
    total: int
    """Number of all episodes."""
    filters: tuple[Filter, ...]
    episodes: tuple[EpisodeView, ...] = ()
    """The episodes in the page itself, failures first."""


@dataclass(frozen=True, slots=True)
class EpisodeQuery:
    """A search for episodes."""

    terms: tuple[str, ...] = ()
    """In lower case; all must occur in an episode's question, task, error, texts or
    observations."""
    labels: tuple[tuple[str, str], ...] = ()
    """Names of fields of `Labels`, and the value that each must have or contain."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the list of episodes."""

    total: int
    """Number of all episodes that match."""
    heads: tuple[Head, ...]


@dataclass(frozen=True, slots=True)
class _IndexEntry:
    """Where an episode is stored, and its labels."""

    key: str
    run: str
    index: int
    reason: str
    verdicts: tuple[str, ...]
    number: int
    """Number of its line, from 1."""
    start: int
    """Byte offset of its line."""
    size: int
    """Bytes of its line."""


class EpisodeIndex:
    """Finds the episodes of some runs in their files, failures first; threads may share it.

    Texts are read when needed and never all in memory. The files stay open, so that a run that is
    resumed and replaces its file does no harm.

    Args:
        files: Trajectory file by name of the run.

    Raises:
        DataError: If a file is not a trajectory file or a line is corrupt.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.task_labels: dict[int, tuple[str, str]] = {}
        """Hops and kind by index of the task, filled in by whoever reads the tasks."""
        self._lock = Lock()
        self._files: dict[str, IO[bytes]] = {}
        self._verdicts: dict[tuple[str, ...], tuple[str, ...]] = {}
        ranked = []
        try:
            for run, path in files.items():
                read_header(path)
                self._files[run] = path.open("rb")
                for entry, trajectory in self._scan(run, path):
                    ranked.append((rank(run, trajectory), entry))
        except BaseException:
            self.close()
            raise
        ranked.sort(key=lambda item: item[0])
        self._entries = [entry for _, entry in ranked]
        self._positions = {entry.key: i for i, entry in enumerate(self._entries)}
        self._latest: tuple[tuple[EpisodeQuery, int], list[_IndexEntry]] | None = None

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self._entries)

    def filters(self) -> tuple[Filter, ...]:
        """Return what the episodes can be filtered by."""
        return filters_of(map(self._labels, self._entries), self._files)

    def read(self, key: str) -> tuple[str, Trajectory] | None:
        """Return the run and the record of a key; None if there is no such episode."""
        position = self._positions.get(key)
        if position is None:
            return None
        entry = self._entries[position]
        return entry.run, self._record(entry)

    def listing(self, query: EpisodeQuery, start: int, count: int) -> Listing:
        """Return at most ``count`` of the episodes that match, from the 0-based ``start``."""
        matching = self._matching(query)
        heads = (
            head_of(entry.run, self._record(entry), self._task_labels(entry))
            for entry in matching[start : start + count]
        )
        return Listing(len(matching), tuple(heads))

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _scan(self, run: str, path: Path) -> Iterator[tuple[_IndexEntry, Trajectory]]:
        file = self._files[run]
        start = len(file.readline())
        for number, line, trajectory in EPISODE_FORMAT.read(path, file):
            verdicts = tuple(dict.fromkeys(step.verdict.value for step in trajectory.steps))
            # Few combinations occur, so that entries can share them.
            verdicts = self._verdicts.setdefault(verdicts, verdicts)
            entry = _IndexEntry(
                key=key_of(run, trajectory),
                run=run,
                index=trajectory.index,
                reason=ending_of(trajectory).name,
                verdicts=verdicts,
                number=number,
                start=start,
                size=len(line),
            )
            yield entry, trajectory
            start += len(line)

    def _task_labels(self, entry: _IndexEntry) -> tuple[str, str]:
        return self.task_labels.get(entry.index, ("", ""))

    def _labels(self, entry: _IndexEntry) -> Labels:
        return Labels(entry.run, *self._task_labels(entry), entry.reason, entry.verdicts)

    def _record(self, entry: _IndexEntry) -> Trajectory:
        with self._lock:
            file = self._files[entry.run]
            file.seek(entry.start)
            line = file.read(entry.size)
        return EPISODE_FORMAT.decode(line, Path(file.name), entry.number)

    def _matching(self, query: EpisodeQuery) -> list[_IndexEntry]:
        # The pages of one list are requested one after the other, so the latest result is cached.
        state = (query, len(self.task_labels))
        latest = self._latest
        if latest is not None and latest[0] == state:
            return latest[1]
        matching = [
            entry
            for entry in self._entries
            if (not query.labels or _has_labels(self._labels(entry), query))
            and (not query.terms or _contains(self._record(entry), query.terms))
        ]
        self._latest = (state, matching)
        return matching


def filters_of(labels: Iterable[Labels], runs: Iterable[str]) -> tuple[Filter, ...]:
    """Return what episodes can be filtered by, with the values that occur.

    Args:
        labels: The labels of all episodes.
        runs: Names of the runs in the order of the page.
    """
    occurring: dict[str, dict[str, None]] = {name: {} for name in _FILTER_TITLES}
    for episode_labels in labels:
        for name, values in occurring.items():
            values.update(dict.fromkeys(_values(episode_labels, name)))
    orders = {
        "run": list(runs),
        # By length, so that "10 hops" comes after "2 hops" and "hops unknown" last.
        "hops": sorted(occurring["hops"], key=lambda text: (len(text), text)),
        "kind": sorted(occurring["kind"]),
        "reason": [ending.name for ending in ENDINGS],
        "verdicts": [verdict.value for verdict in Verdict],
    }
    filters = []
    for name, order in orders.items():
        options = tuple(value for value in order if value and value in occurring[name])
        filters.append(Filter(name, _FILTER_TITLES[name], options))
    return tuple(filters)


def rank(run: str, trajectory: Trajectory) -> tuple[bool, tuple[int, int, int]]:
    """Return the sort key of an episode: failures first, and floors after all other runs."""
    return role_of(run) == "floor", urgency(trajectory)


def select_views(
    selectors: Mapping[str, EpisodeSelector], source: TaskSource, episodes: int
) -> tuple[EpisodeView, ...]:
    """Return the episodes to show in a page, with texts cut to keep it at a few MB.

    Args:
        selectors: By run, after all its trajectories were observed.
        source: The source of their tasks.
        episodes: The maximum number of episodes. The runs share it; floors get the rest.
    """
    shares = _shares(selectors, episodes)
    selected = [
        (run, trajectory)
        for (run, selector), share in zip(selectors.items(), shares, strict=True)
        for trajectory in selector.select(share)
    ]
    max_chars = _max_chars([trajectory for _, trajectory in selected])
    selected.sort(key=lambda item: rank(*item))
    return tuple(episode_view(run, episode, source, max_chars) for run, episode in selected)


def _shares(selectors: Mapping[str, EpisodeSelector], episodes: int) -> list[int]:
    """Return how many episodes of each run to show; floors get what the other runs leave."""
    totals = [selector.endings.total() for selector in selectors.values()]
    are_floors = [role_of(run) == "floor" for run in selectors]
    first = [0 if floor else n for n, floor in zip(totals, are_floors, strict=True)]
    rest = [n if floor else 0 for n, floor in zip(totals, are_floors, strict=True)]
    shares = equal_shares(first, episodes)
    floor_shares = equal_shares(rest, episodes - sum(shares))
    return [a + b for a, b in zip(shares, floor_shares, strict=True)]


def _max_chars(trajectories: Sequence[Trajectory]) -> int:
    """Return the maximum length of a text with which the page stays within `_PAGE_BYTES`."""
    steps = [step for trajectory in trajectories for step in trajectory.steps]
    texts = [text for step in steps for text in (step.text, step.observation) if text]
    sizes = [len(safe_json(text)) for text in texts]
    frame_bytes = _STEP_BYTES * len(steps) + _EPISODE_BYTES * len(trajectories)
    text_bytes = max(_PAGE_BYTES - frame_bytes, _MIN_TEXT_BYTES)

    def fits(max_chars: int) -> bool:
        pairs = zip(texts, sizes, strict=True)
        return sum(min(1.0, max_chars / len(text)) * size for text, size in pairs) <= text_bytes

    return next(filter(fits, _TEXT_CHARS), _TEXT_CHARS[-1])


def _values(labels: Labels, name: str) -> tuple[str, ...]:
    value: str | tuple[str, ...] = getattr(labels, name)
    return value if isinstance(value, tuple) else (value,)


def _has_labels(labels: Labels, query: EpisodeQuery) -> bool:
    return all(value in _values(labels, name) for name, value in query.labels)


def _contains(trajectory: Trajectory, terms: tuple[str, ...]) -> bool:
    texts = [trajectory.question, trajectory.task_id, trajectory.error]
    for step in trajectory.steps:
        texts += (step.text, step.observation)
    text = "\n".join(texts).lower()
    return all(term in text for term in terms)
