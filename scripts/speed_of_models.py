"""The cost of models compared with references: cached states, judging, and ``stepwise``."""

import tempfile
from functools import cache

import judging_speed
import stepwise_speed
from paired import Ratios, alternate
from tests.support.example_model import make_tiny_model
from tests.support.scripted_turns import play

EPISODES = 8
TURNS = 8
TOKENS = 24
STATES = 200
MAX_ROUNDS = 3
"""Rounds of training, which takes long."""


def compare_kept_states(rounds: int) -> Ratios:
    """Compare eight episodes of eight turns with and without states cached between turns."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    from hopgym_agents.generate import Sampling
    from hopgym_agents.generate.local import LocalGenerator

    sampling = Sampling(temperature=0, max_tokens=TOKENS)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with tempfile.TemporaryDirectory() as name:
        folder = make_tiny_model(name)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        tokenizer = AutoTokenizer.from_pretrained(folder)

    def run(cached_tokens: int) -> None:
        generator = LocalGenerator(
            model, sampling, tokenizer=tokenizer, cached_tokens=cached_tokens, threads=1
        )
        play(generator, EPISODES, TURNS, least=60, most=110)

    return alternate(rounds, lambda: run(1_000_000), lambda: run(0))


def compare_judging(rounds: int) -> Ratios:
    """Compare judging actions with replaying each action's episode in the environment."""
    import gymnasium

    from hopgym.wrappers import hop_env
    from hopgym_agents.data.decomposition import judge_actions
    from hopgym_agents.modeling.tiny import DEMO_ID

    states, actions = judging_speed.states_and_actions(DEMO_ID, {}, STATES)
    env = hop_env(gymnasium.make(DEMO_ID))

    def replay() -> None:
        for state, action in zip(states, actions, strict=True):
            env.reset(options={"index": state.index, "prefix": list(state.prefix)})
            env.step(action)

    return alternate(rounds, lambda: judge_actions(states, actions), replay)


def compare_stepwise_bare(rounds: int) -> Ratios:
    """Compare ``stepwise`` with a loop that takes all rows at once, per generated token."""
    return [each["stepwise"].per_token / each["bare"].per_token for each in _run_stepwise(rounds)]


def compare_stepwise_spare(rounds: int) -> Ratios:
    """Compare ``stepwise`` with a loop that computes no row twice, per generated token."""
    return [each["stepwise"].per_token / each["spare"].per_token for each in _run_stepwise(rounds)]


@cache
def _run_stepwise(rounds: int) -> list[dict[str, stepwise_speed.Cost]]:
    """Return the costs of a few steps; both checks look at the same ones."""
    from hopgym_agents.training.loop import silence_libraries

    silence_libraries()
    return stepwise_speed.compare(steps=6, batch=32, rounds=min(rounds, MAX_ROUNDS))
