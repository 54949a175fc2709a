"""Diagnosis: what the sampled actions of a stretch of training look like.

In: steps with their exact verdicts. Out: counts, which add up over processes, and their shares for
the log, from one of its points to the next.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from hopgym.trajectory import Step, Trajectory
from hopgym.verdicts import GOOD_VERDICTS, Verdict

Counts = Counter[tuple[str, int]]
"""By what is counted, and the place in the episode; 0 for what has none."""


class Diagnosis:
    """Counts sampled actions and episodes until it is asked for; those of this process alone."""

    def __init__(self) -> None:
        self._counts = Counts()

    def add_action(self, position: int, step: Step) -> None:
        """Count a sampled action by how many came before it in its episode."""
        self._counts["actions", 0] += 1
        self._counts["judged", position + 1] += step.verdict != Verdict.UNJUDGED
        self._counts["good", position + 1] += step.verdict in GOOD_VERDICTS
        self._counts["malformed", 0] += step.verdict == Verdict.MALFORMED
        self._counts["repeat", 0] += step.verdict == Verdict.REPEAT

    def add_episodes(self, episodes: Iterable[Trajectory]) -> None:
        """Count finished episodes, with their policy's own actions."""
        for episode in episodes:
            own = [step for step in episode.steps if not step.from_prefix]
            for position, step in enumerate(own):
                self.add_action(position, step)
            self._counts["episodes", 0] += 1
            self._counts["success", 0] += episode.is_success
            # The oracle's steps are a search for every hop, and the answer.
            hops = max(episode.oracle_steps - 1, 1)
            calls = sum(bool(step.action and step.action.tool != "answer") for step in own)
            self._counts["searches", hops] += calls

    def taken(self) -> Counts:
        """Return the counts so far, and begin anew."""
        counts, self._counts = self._counts, Counts()
        return counts


def figures(counts: Counts) -> dict[str, Any]:
    """Return what counts come to.

    ``good_by_step`` has [GOOD actions, judged actions] by the place in the episode, from "1";
    ``malformed`` and ``repeat`` are shares of the actions, ``success`` of the episodes;
    ``searches_per_hop`` is the mean of calls over hops. What was not seen is left out.
    """
    found: dict[str, Any] = {}
    if actions := counts["actions", 0]:
        judged = sorted(at for (name, at), count in counts.items() if name == "judged" and count)
        found["good_by_step"] = {
            str(at): [counts["good", at], counts["judged", at]] for at in judged
        }
        for name in ("malformed", "repeat"):
            found[name] = round(counts[name, 0] / actions, 4)
    if episodes := counts["episodes", 0]:
        searches = sum(n / hops for (name, hops), n in counts.items() if name == "searches")
        found["success"] = round(counts["success", 0] / episodes, 4)
        found["searches_per_hop"] = round(searches / episodes, 4)
    return found
