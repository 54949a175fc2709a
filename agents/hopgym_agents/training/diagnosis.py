"""Diagnosis: what the sampled actions of a stretch of training look like.

In: steps with their exact verdicts. Out: shares for the log, from one of its points to the next.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from hopgym.trajectory import Step, Trajectory
from hopgym.verdicts import GOOD_VERDICTS, Verdict


class Diagnosis:
    """Counts sampled actions and episodes until it is asked for; those of this process alone."""

    def __init__(self) -> None:
        self._clear()

    def add_action(self, position: int, step: Step) -> None:
        """Count a sampled action by how many came before it in its episode."""
        self._judged[position] += step.verdict != Verdict.UNJUDGED
        self._good[position] += step.verdict in GOOD_VERDICTS
        self._verdicts[step.verdict] += 1

    def add_episodes(self, episodes: Iterable[Trajectory]) -> None:
        """Count finished episodes, with their policy's own actions."""
        for episode in episodes:
            own = [step for step in episode.steps if not step.given]
            for position, step in enumerate(own):
                self.add_action(position, step)
            calls = [step for step in own if step.action and step.action.tool != "answer"]
            # The oracle's steps are a search for every hop, and the answer.
            hops = max(episode.oracle_steps - 1, 1)
            self._searches += len(calls) / hops
            self._episodes += 1
            self._successes += episode.is_success

    def taken(self) -> dict[str, Any]:
        """Return the figures so far, and begin anew.

        ``good_by_step`` has [GOOD actions, judged actions] by the place in the episode, from "1";
        ``malformed`` and ``repeat`` are shares of the actions, ``success`` of the episodes;
        ``searches_per_hop`` is the mean of calls over hops. What was not seen is left out.
        """
        found: dict[str, Any] = {}
        if actions := self._verdicts.total():
            found["good_by_step"] = {
                str(at + 1): [self._good[at], count]
                for at, count in sorted(self._judged.items())
                if count
            }
            found["malformed"] = round(self._verdicts[Verdict.MALFORMED] / actions, 4)
            found["repeat"] = round(self._verdicts[Verdict.REPEAT] / actions, 4)
        if self._episodes:
            found["success"] = round(self._successes / self._episodes, 4)
            found["searches_per_hop"] = round(self._searches / self._episodes, 4)
        self._clear()
        return found

    def _clear(self) -> None:
        self._judged: Counter[int] = Counter()
        self._good: Counter[int] = Counter()
        self._verdicts: Counter[Verdict] = Counter()
        self._episodes = self._successes = 0
        self._searches = 0.0
