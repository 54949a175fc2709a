"""One step of each method, on given episodes and actions: `python train_step.py OPTIONS OUT`.

In: options by method as JSON. Out: a file of gradients for each method, from the first process.
Launched alone or by ``accelerate launch``, it is to come to the same ones.
"""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from hopgym.rollout import run_episodes
from hopgym.runs.trajectory_file import Header, RunEnvironment
from hopgym.runs.writer import TrajectoryWriter
from hopgym.trajectory import Completion, Trajectory
from hopgym_agents.noisy_oracle import noisy_oracle
from hopgym_agents.training import loop
from hopgym_agents.training.actor import Actor
from hopgym_agents.training.config import read_config
from hopgym_agents.training.run_folder import is_leader
from tests.support.training_runs import with_trainer


def said(player: Actor, text: str) -> Completion:
    ids = player.encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
    return Completion(text, token_ids=tuple(ids), generated_tokens=len(ids))


def play(self: Actor, env: Any, jobs: Any, seed: int, **options: Any) -> list[Trajectory]:
    """Episodes that are the same whoever plays them, and when."""
    found = list[Trajectory]()
    for index, samples in jobs:
        made = run_episodes(env, noisy_oracle(env, {"p": 0.5}), [index], samples=samples)
        for each in sorted(made, key=lambda episode: episode.sample):
            steps = (replace(step, completion=said(self, step.text)) for step in each.steps)
            found.append(replace(each, steps=tuple(steps)))
    if options.get("out"):
        with TrajectoryWriter(options["out"], Header.of({}, [RunEnvironment("given")])) as file:
            for each in found:
                file.write(each)
    return found


def complete(self: Actor, env: Any, requests: Any, seed: int) -> list[Completion]:
    """Actions that belong to the number of a state and a sample."""
    texts = [f"<search>{word}</search>" for word in ("mother", "father", "Ada")]
    for step in play(self, env, [(0, 1), (1, 1)], 0)[0].steps:
        texts.append(step.text)
    texts += [turn.text for request in requests for turn in request.turns][:2]
    return [said(self, texts[sum(request.key) % len(texts)]) for request in requests]


class Keeping(TrainerCallback):
    """Keeps the gradients of the first step."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        for name, weight in given["model"].named_parameters():
            self.kept[name.removeprefix("module.")] = weight.grad.clone()


def step(method: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the gradients of a method's first step."""
    keeping = Keeping()
    prepared = loop.prepare(method, read_config(given))
    loop.run(with_trainer(prepared, lambda trainer: trainer.add_callback(keeping)))
    return keeping.kept


def main(options: str, out: str) -> None:
    """Write the gradients of all, and how many processes came to them."""
    for method, given in json.loads(Path(options).read_text()).items():
        kept = step(method, given)
        if is_leader():
            torch.save(kept, Path(out) / f"{method}.pt")
            (Path(out) / "processes").write_text(os.environ.get("WORLD_SIZE", "1"))


if __name__ == "__main__":
    Actor.play, Actor.complete = play, complete  # type: ignore[method-assign]
    main(*sys.argv[1:])
