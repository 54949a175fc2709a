"""Prints how long judging 1,250 states with 8 actions each takes; not a test.

Run from the checkout as ``python scripts/judging_speed.py``. States come from episodes of an oracle
that errs; each gets eight different actions that were taken in others. Worlds are made before the
clock starts where they are told to be cached.
"""

import statistics
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

STATES, ACTIONS, ROUNDS = 1_250, 8, 5


def states_and_actions(
    env_id: str, kwargs: Mapping[str, Any], states: int = STATES
) -> tuple[list[Any], list[str]]:
    """Return each state `ACTIONS` times, and an action for each."""
    import gymnasium

    from hopgym.rollout import run_episodes
    from hopgym.wrappers import hop_env
    from hopgym_agents.data.decomposition import decompose
    from hopgym_agents.noisy_oracle import noisy_oracle

    env = hop_env(gymnasium.make(env_id, **kwargs))
    policy = noisy_oracle(env, {"p": 0.3})
    subs = [
        sub for episode in run_episodes(env, policy, range(states)) for sub in decompose(episode)
    ][:states]
    assert len(subs) == states, f"only {len(subs)} states"
    texts = sorted({sub.step.text for sub in subs})
    rng = np.random.default_rng(0)
    drawn = [rng.choice(len(texts), ACTIONS - 1, replace=False) for _ in subs]
    asked = [
        [sub.step.text, *(texts[at] for at in others)]
        for sub, others in zip(subs, drawn, strict=True)
    ]
    repeated = [sub.state for sub in subs for _ in range(ACTIONS)]
    return repeated, [text for group in asked for text in group]


def main(states: int = STATES) -> None:
    """Time the judging of all actions in turn."""
    from hopgym_agents.data.decomposition import judge_actions
    from hopgym_agents.modeling.tiny import DEMO, DEMO_ID

    for name, env_id, kwargs in (
        ("People-v0, its default arguments, worlds cached", DEMO_ID, {}),
        ("the tiny model's worlds, a fresh one for each task", DEMO_ID, DEMO),
    ):
        repeated, actions = states_and_actions(env_id, kwargs, states)
        judge_actions(repeated, actions)
        wall, cpu = [], []
        for _ in range(ROUNDS):
            begun = time.perf_counter(), time.process_time()
            outcomes = judge_actions(repeated, actions)
            wall.append(time.perf_counter() - begun[0])
            cpu.append(time.process_time() - begun[1])
        good = sum(outcome.is_good for outcome in outcomes) / len(outcomes)
        tasks = len({state.index for state in repeated})
        print(
            f"{name}: {states:,} states of {tasks:,} tasks x {ACTIONS} actions in "
            f"{statistics.median(cpu):.2f} CPU s ({min(cpu):.2f} to {max(cpu):.2f}), "
            f"{statistics.median(wall):.2f} s by the clock; "
            f"{100 * good:.0f} % of the actions are GOOD"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STATES)
