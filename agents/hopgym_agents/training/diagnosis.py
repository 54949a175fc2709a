"""Diagnosis: what the actions sampled during training look like."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from hopgym.trajectory import Step, Trajectory
from hopgym.verdicts import GOOD_VERDICTS, Verdict

Counts = Counter[tuple[str, int]]
"""Counts by name and position in the episode (0 where the position does not matter)."""


class Diagnosis:
    """Counts sampled actions and episodes of this process since the last `reset`."""

    def __init__(self) -> None:
        self._counts = Counts()

    def add_action(self, position: int, step: Step) -> None:
        """Count a sampled action.

        Args:
            position: Number of actions before it in its episode.
            step: The action with its verdict.
        """
        self._counts["actions", 0] += 1
        self._counts["judged", position + 1] += step.verdict != Verdict.UNJUDGED
        self._counts["good", position + 1] += step.verdict in GOOD_VERDICTS
        self._counts["malformed", 0] += step.verdict == Verdict.MALFORMED
        self._counts["repeat", 0] += step.verdict == Verdict.REPEAT

    def add_episodes(self, episodes: Iterable[Trajectory]) -> None:
        """Count finished episodes and the actions of their policy."""
        for episode in episodes:
            steps = [step for step in episode.steps if not step.from_prefix]
            for position, step in enumerate(steps):
                self.add_action(position, step)
            self._counts["episodes", 0] += 1
            self._counts["success", 0] += episode.is_success
            # The oracle takes one step per hop, and one to answer.
            hops = max(episode.oracle_steps - 1, 1)
            calls = sum(bool(step.action and step.action.tool != "answer") for step in steps)
            self._counts["searches", hops] += calls

    def reset(self) -> Counts:
        """Return the counts so far and start over."""
        counts = self._counts
        self._counts = Counts()
        return counts


def diagnosis_figures(counts: Counts) -> dict[str, Any]:
    """Return the figures that counts amount to; what was not seen is left out.

    ``good_by_step`` maps the position in the episode (from "1") to [GOOD actions, judged actions].
    ``malformed`` and ``repeat`` are shares of the actions, ``success`` is a share of the episodes,
    ``searches_per_hop`` the mean number of tool calls per hop.
    """
    figures: dict[str, Any] = {}
    if actions := counts["actions", 0]:
        judged = sorted(at for (name, at), count in counts.items() if name == "judged" and count)
        figures["good_by_step"] = {
            str(at): [counts["good", at], counts["judged", at]] for at in judged
        }
        for name in ("malformed", "repeat"):
            figures[name] = round(counts[name, 0] / actions, 4)
    if episodes := counts["episodes", 0]:
        searches = sum(n / hops for (name, hops), n in counts.items() if name == "searches")
        figures["success"] = round(counts["success", 0] / episodes, 4)
        figures["searches_per_hop"] = round(searches / episodes, 4)
    return figures
