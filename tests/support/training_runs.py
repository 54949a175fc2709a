"""Training runs for tests: small worlds, short runs, and what they leave in their folders."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
from typer.testing import CliRunner, Result

from hopgym.cli.app import typer_of
from hopgym.policies import OraclePolicy
from hopgym.rollout import run_episodes
from hopgym.runs.trajectory_file import Header, RunEnvironment
from hopgym.runs.writer import TrajectoryWriter
from hopgym.wrappers import hop_env
from hopgym_agents.modeling.tiny import DEMO, DEMO_ID

METHODS = ("expert_iteration", "stepwise", "trajectory", "one_turn")
"""Methods that play themselves."""
WORLDS: dict[str, Any] = {**DEMO, "size": 10, "hops": 1, "max_steps": 3}
LATE = "ignore:.*is_gradient_checkpointing.*:FutureWarning"
"""What trl and peft still ask a model."""


def env(**changed: Any) -> Any:
    return hop_env(gymnasium.make(DEMO_ID, **{**WORLDS, **changed}))


def oracle_run(path: Path, n: int, one_turn: int = 0) -> str:
    """Write episodes of the oracle, and such with pages in the prompt behind them."""
    made = env()
    with TrajectoryWriter(path, Header.of({}, [RunEnvironment(made.source.fingerprint)])) as file:
        for where, indices in ((made, range(n)), (env(mode="one_turn"), range(n, n + one_turn))):
            for each in run_episodes(where, OraclePolicy(where.source), indices):
                file.write(each)
    return str(path)


def playing(method: str, model: str, out: Path | str, **play: Any) -> dict[str, Any]:
    """The options of a run of four steps that plays, two groups of four behind each."""
    own = {"samples": 4} if method in ("expert_iteration", "stepwise") else {}
    given: dict[str, Any] = {
        "model": model,
        "out": str(out),
        "batch": 8,
        "trl": {"learning_rate": 1e-3, "logging_steps": 1, "save_steps": 2, "max_steps": 4},
        "play": {"env": DEMO_ID, "kwargs": dict(WORLDS), "tasks": 6, "round": 2, "max_tokens": 20},
    }
    given["play"] |= {**own, **play}
    if method != "expert_iteration":
        given["trl"] |= {"num_generations": 4}
    if method == "one_turn":  # Right answers are rare.
        given |= {"reward": {"format": 1.0, "outcome": 1.0}}
        given["play"] |= {"temperature": 1.6}
    return given


def typed(*words: str) -> Result:
    """What `hopgym train` does with words."""
    from hopgym_agents.cli.train import train

    return CliRunner().invoke(typer_of("train", train), words)


def prepared(method: str, options: dict[str, Any]) -> Any:
    from hopgym_agents.training.config import read_config
    from hopgym_agents.training.loop import prepare

    return prepare(method, read_config(options))


def trained(method: str, options: dict[str, Any], show: Any = None) -> Any:
    from hopgym_agents.training.loop import run

    return run(prepared(method, options), show)


def with_trainer(run: Any, change: Callable[[Any], None]) -> Any:
    """Return a prepared run whose trainer is changed before it trains."""

    class Changed(run.method):  # type: ignore[misc]
        def make_trainer(self) -> Any:
            trainer = super().make_trainer()
            change(trainer)
            return trainer

    return replace(run, method=Changed)


def stopping(at: int) -> Callable[[int, int], Callable[[int], None]]:
    """Stops a run at its step of that number of this session."""
    steps: list[int] = []

    def advance(count: int) -> None:
        steps.append(count)
        if len(steps) == at:
            raise KeyboardInterrupt

    return lambda total, done: advance


def points(folder: Path | str) -> list[dict[str, Any]]:
    """The log, without seconds and the checksums that depend on them."""
    lines = (Path(folder) / "progress.jsonl").read_text().splitlines()
    left_out = ("_seconds", "checksum")
    return [
        {key: value for key, value in json.loads(line).items() if not key.endswith(left_out)}
        for line in lines
    ]


def weights(folder: Path | str) -> dict[str, Any]:
    """What was saved: the model's, or an adapter's."""
    from safetensors.torch import load_file

    (file,) = Path(folder).glob("*.safetensors")
    return load_file(file)


def same_weights(one: Path | str, other: Path | str) -> bool:
    import torch

    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return all(torch.equal(left[name], right[name]) for name in left)


def assert_same(one: Path | str, other: Path | str) -> None:
    """Assert that two runs came to the same, by their logs and their bytes."""
    assert points(one) == points(other)
    left, right = ([*Path(each).glob("model/*.safetensors")] for each in (one, other))
    assert [each.name for each in left] == [each.name for each in right] != []
    assert [each.read_bytes() for each in left] == [each.read_bytes() for each in right]
