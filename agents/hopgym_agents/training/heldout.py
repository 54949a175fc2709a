"""Held-out tasks: how well the model in training does on what it does not learn from.

In: an environment of other tasks and the player. Out: success and F1, in all and by hops.
"""

from typing import Any

from hopgym.env import HopEnv
from hopgym_agents.training.actor import Player

_SEED = 0


class HeldOut:
    """A fixed set of tasks, played greedily.

    Args:
        env: Where they are.
        count: How many, the first ones.
        player: The model.
    """

    def __init__(self, env: HopEnv, count: int, player: Player) -> None:
        self._env, self._count, self._player = env, count, player
        self._hops: list[int] = []

    def evaluate(self) -> dict[str, Any]:
        """Return ``n``, ``success`` and ``f1``, and the same of each number of hops, in [0, 1]."""
        if not self._hops:
            tasks = (self._env.source[index] for index in range(self._count))
            self._hops = [task.question.hop_count for task in tasks]
        jobs = ((index, 1) for index in range(self._count))
        played = self._player.play(self._env, jobs, _SEED, greedy=True)
        source = self._env.source
        scored = [
            (self._hops[each.index], each.is_success, self._f1(source, each.index, each.answer))
            for each in played
        ]
        groups = {
            str(hops): _mean([each[1:] for each in scored if each[0] == hops])
            for hops in sorted(set(self._hops))
        }
        return {**_mean([each[1:] for each in scored]), "by_hops": groups}

    @staticmethod
    def _f1(source: Any, index: int, answer: str | None) -> float:
        return 0.0 if answer is None else float(source.score(source[index], answer).f1)


def _mean(scored: list[tuple[bool, float]]) -> dict[str, Any]:
    count = len(scored)
    return {
        "n": count,
        "success": round(sum(success for success, _ in scored) / count, 4),
        "f1": round(sum(f1 for _, f1 in scored) / count, 4),
    }
