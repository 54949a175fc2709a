"""The episode browser's data: which episodes, in which order, and by what they can be filtered.

In: runs that were looked on at, and their source. Out: a frozen view that goes into the page as
JSON.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hopgym.evaluation.endings import ENDINGS, EpisodeSelector, equal_shares, urgency
from hopgym.report.episodes import EpisodeView, Labels, episode_view
from hopgym.report.table import role_of
from hopgym.report.wording import safe_json
from hopgym.tasks import TaskSource
from hopgym.trajectory import Trajectory
from hopgym.verdicts import Verdict

WHOLE_ROOM = 20_000
"""Characters of a text where episodes are sent one by one."""

# 500 episodes stay below 5 MB or so: long texts give way, the more the longer the episodes are.
_PAGE_BYTES, _LEAST_TEXT_BYTES = 4_800_000, 1_000_000
_STEP_BYTES, _EPISODE_BYTES = 240, 1_400
_ROOMS = (WHOLE_ROOM, 8_000, 4_000, 2_000, 1_500, 1_000, 800, 600, 500, 400, 300, 250, 200)


@dataclass(frozen=True, slots=True)
class Filter:
    """A field that episodes can be filtered by."""

    name: str
    """In `Labels`."""
    title: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BrowserData:
    """What the page's script starts from."""

    remote: bool
    """Whether the episodes are asked of the server."""
    working: bool
    """Whether the server still works out the figures."""
    total: int
    """Episodes in all."""
    filters: tuple[Filter, ...]
    episodes: tuple[EpisodeView, ...] = ()
    """Those in the page itself, failures first."""


def filters_of(labels: Iterable[Labels], runs: Iterable[str]) -> tuple[Filter, ...]:
    """Return what episodes can be filtered by, with the values that occur.

    Args:
        labels: Of all episodes.
        runs: Names of the runs in the order of the page.
    """
    found: dict[str, dict[str, None]] = {name: {} for name in _TITLES}
    for each in labels:
        for name, values in found.items():
            value = getattr(each, name)
            values.update(dict.fromkeys(value if isinstance(value, tuple) else (value,)))
    orders = {
        "run": list(runs),
        # "10 hops" comes behind "2 hops", and "hops unknown" last.
        "hops": sorted(found["hops"], key=lambda words: (len(words), words)),
        "kind": sorted(found["kind"]),
        "reason": [ending.name for ending in ENDINGS],
        "verdicts": [verdict.value for verdict in Verdict],
    }
    return tuple(
        Filter(
            name, _TITLES[name], tuple(value for value in order if value and value in found[name])
        )
        for name, order in orders.items()
    )


def rank(run: str, trajectory: Trajectory) -> tuple[bool, tuple[int, int, int]]:
    """Return what episodes are sorted by: failures first, those of floors at the end."""
    return role_of(run) == "floor", urgency(trajectory)


def chosen_views(
    watches: Mapping[str, EpisodeSelector], source: TaskSource, episodes: int
) -> tuple[EpisodeView, ...]:
    """Return the episodes to show, texts cut to what a file of a few MB holds.

    Args:
        watches: By run, after all trajectories have passed.
        source: Where their tasks come from.
        episodes: How many at most; the runs share them, floors get what the others leave.
    """
    shares = _shares(watches, episodes)
    chosen = [
        (run, trajectory)
        for (run, watch), share in zip(watches.items(), shares, strict=True)
        for trajectory in watch.select(share)
    ]
    room = _room([trajectory for _, trajectory in chosen])
    chosen.sort(key=lambda item: rank(*item))
    return tuple(episode_view(run, each, source, room) for run, each in chosen)


_TITLES = {
    "run": "run",
    "hops": "hops",
    "kind": "kind",
    "reason": "ended as",
    "verdicts": "has a step",
}


def _shares(watches: Mapping[str, EpisodeSelector], episodes: int) -> list[int]:
    """Return how many episodes of each run to show; floors get what the others leave."""
    totals = [watch.endings.total() for watch in watches.values()]
    floors = [role_of(run) == "floor" for run in watches]
    first = [0 if floor else n for n, floor in zip(totals, floors, strict=True)]
    shares = equal_shares(first, episodes)
    rest = [n if floor else 0 for n, floor in zip(totals, floors, strict=True)]
    left = equal_shares(rest, episodes - sum(shares))
    return [a + b for a, b in zip(shares, left, strict=True)]


def _room(trajectories: Sequence[Trajectory]) -> int:
    """Return the most characters of a text with which the page stays within `_PAGE_BYTES`."""
    steps = [step for trajectory in trajectories for step in trajectory.steps]
    texts = [text for step in steps for text in (step.text, step.observation) if text]
    sizes = [len(safe_json(text)) for text in texts]
    frame = _STEP_BYTES * len(steps) + _EPISODE_BYTES * len(trajectories)
    text_bytes = max(_PAGE_BYTES - frame, _LEAST_TEXT_BYTES)

    def fits(room: int) -> bool:
        kept = (min(1.0, room / len(t)) * size for t, size in zip(texts, sizes, strict=True))
        return sum(kept) <= text_bytes

    return next(filter(fits, _ROOMS), _ROOMS[-1])
