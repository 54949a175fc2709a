"""Prints what ``hopgym train stepwise`` costs beside a bare PyTorch loop; not a test.

Run from the checkout as ``python scripts/stepwise_speed.py [FOLDER]``, where FOLDER holds a model
(by default a tiny one with random weights, 128 wide, three layers). Both take the same states of an
oracle that errs, sample a group of actions in each by the same generator, have them judged, and
make one step of AdamW on the difference to the group's mean. The bare loop takes all rows at once;
the spare one computes no row twice and rows of like length together, as ``stepwise`` does. What
counts is the CPU time of this process for each generated token, on one thread, from the end of the
first step to that of the last.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

LONGEST = 64
PARTS = 3
"""Forward passes of a spare loop's step, each over rows of like length."""

Row = tuple[tuple[int, ...], tuple[int, ...]]
"""Tokens of a prompt and of an action."""


@dataclass(frozen=True)
class Cost:
    """CPU seconds and tokens of the steps behind the first."""

    tokens: int
    seconds: float
    acting: float
    """Seconds of those that went into sampling and judging."""

    @property
    def per_token(self) -> float:
        """CPU milliseconds for each generated token."""
        return 1e3 * self.seconds / self.tokens


def settings(model: str, run: str, out: str, steps: int, batch: int, group: int) -> dict[str, Any]:
    """Return the options of ``hopgym train stepwise``."""
    return {
        "model": model,
        "run": run,
        "out": out,
        "batch": batch,
        "play": {"round": 0, "max_tokens": LONGEST},
        "trl": {
            "max_steps": steps,
            "num_generations": group,
            "learning_rate": 1e-4,
            "logging_steps": 1,
            "save_steps": steps + 1,
            "use_cpu": True,
        },
    }


def collect(folder: Path, tasks: int) -> str:
    """Return a file of episodes of an oracle that errs."""
    import gymnasium

    from hopgym.rollout import run_episodes
    from hopgym.wrappers import hop_env
    from hopgym_agents.modeling.tiny import DEMO, DEMO_ID
    from hopgym_agents.noisy_oracle import noisy_oracle

    env = hop_env(gymnasium.make(DEMO_ID, **DEMO))
    file = folder / "run.jsonl"
    list(run_episodes(env, noisy_oracle(env, {"p": 0.3}), range(tasks), out=file))
    return str(file)


def trained(options: dict[str, Any]) -> Cost:
    """Return what the steps of ``hopgym train stepwise`` cost."""
    from hopgym_agents.training.config import read_config
    from hopgym_agents.training.loop import prepare, run
    from hopgym_agents.training.methods.stepwise import StepWise

    acting: list[float] = []

    class TimedStepWise(StepWise):
        """Records the CPU seconds of its rollouts."""

        def rollouts(self, trainer: Any, rows: list[int]) -> Any:
            start = time.process_time()
            batch = super().rollouts(trainer, rows)
            acting.append(time.process_time() - start)
            return batch

    run(prepare(TimedStepWise, read_config(options)))
    lines = (Path(options["out"]) / "progress.jsonl").read_text(encoding="utf-8").splitlines()
    points = [point for point in map(json.loads, lines) if "loss" in point]
    first, last = points[0], points[-1]
    tokens = last["generated_tokens"] - first["generated_tokens"]
    return Cost(tokens, last["cpu_seconds"] - first["cpu_seconds"], sum(acting[1:]))


def bare(options: dict[str, Any], spare: bool = False) -> Cost:
    """Return what the steps of a bare loop cost; a spare one computes no row twice."""
    import numpy as np
    import torch

    from hopgym.runs.trajectory_file import read_trajectories
    from hopgym_agents.data.decomposition import decompose, judge_actions
    from hopgym_agents.generate import Sampling
    from hopgym_agents.modeling import Precision, load_trainable
    from hopgym_agents.modeling.tiny import DEMO, DEMO_ID
    from hopgym_agents.prompts import PLAIN, build_request
    from hopgym_agents.training.actor import Actor
    from hopgym_agents.training.environments import PlaySettings, train_env

    trainable = load_trainable(options["model"], Precision(), device="cpu")
    model, ends = trainable.model, trainable.tokenizer.pad_token_id
    player = Actor(trainable, PLAIN, Sampling(max_tokens=LONGEST))
    env = train_env(PlaySettings(env=DEMO_ID, kwargs=dict(DEMO)))
    optimiser = torch.optim.AdamW(model.parameters(), lr=options["trl"]["learning_rate"])
    states = [sub for each in read_trajectories(Path(options["run"])) for sub in decompose(each)]
    order = np.random.default_rng([0, 0]).permutation(len(states))
    group = options["trl"]["num_generations"]
    width, steps = options["batch"] // group, options["trl"]["max_steps"]
    tokens, acting, begun = 0, 0.0, 0.0
    for step in range(steps):
        if step == 1:
            tokens, acting, begun = 0, 0.0, time.process_time()
        start = time.process_time()
        chosen = [states[at] for at in order[step * width : (step + 1) * width]]
        subs = [sub for sub in chosen for _ in range(group)]
        requests = [
            replace(build_request(sub.prefix, PLAIN), key=(sub.prefix.index, *divmod(row, group)))
            for row, sub in enumerate(subs)
        ]
        made = player.complete(env, requests, step)
        outcomes = judge_actions([sub.state for sub in subs], [each.text for each in made])
        acting += time.process_time() - start
        tokens += sum(each.generated_tokens for each in made)
        prompts = [player.encoder.encode(request) for request in requests]
        rewards = torch.tensor([float(outcome.is_good) for outcome in outcomes]).view(-1, group)
        advantages = (rewards - rewards.mean(1, keepdim=True)).flatten().tolist()
        rows = [(tuple(p), each.token_ids) for p, each in zip(prompts, made, strict=True)]
        loss = _loss(model, rows, advantages, ends, PARTS if spare else 0)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    return Cost(tokens, time.process_time() - begun, acting)


def _loss(
    model: Any, rows: Sequence[Row], advantages: Sequence[float], pad: int, parts: int
) -> Any:
    """Return REINFORCE's loss over a batch; with parts, no row twice, and those of like length."""
    weighed: dict[Any, float] = {}
    for number, (row, advantage) in enumerate(zip(rows, advantages, strict=True)):
        key = (*row, 0 if parts else number)
        weighed[key] = weighed.get(key, 0.0) + advantage
    order = sorted(weighed.items(), key=lambda each: len(each[0][0]) + len(each[0][1]))
    size = -(-len(order) // max(parts, 1))
    pieces = [order[at : at + size] for at in range(0, len(order), size)]
    total = sum(_summed(model, piece, pad) for piece in pieces)
    return -total / sum(len(action) for _, action in rows)


def _summed(model: Any, piece: Sequence[tuple[Any, float]], pad: int) -> Any:
    """Return the weighed log-probabilities of actions, prompts padded left, actions right."""
    import torch

    left, right = (max(len(row[part]) for row, _ in piece) for part in (0, 1))
    ids = torch.full((len(piece), left + right), pad)
    mask = torch.zeros_like(ids)
    for number, ((prompt, action, _), _) in enumerate(piece):
        first, last = left - len(prompt), left + len(action)
        ids[number, first:last] = torch.tensor([*prompt, *action])
        mask[number, first:last] = 1
    logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=right + 1).logits[:, :-1]
    chances = torch.log_softmax(logits, -1).gather(-1, ids[:, left:, None])[..., 0]
    return (chances * mask[:, left:] * torch.tensor([[each] for _, each in piece])).sum()


def compare(
    model: str = "", *, steps: int = 12, batch: int = 64, group: int = 8, rounds: int = 3
) -> list[dict[str, Cost]]:
    """Return the costs of each round: ``stepwise``, ``bare``, and the ``spare`` bare loop.

    Args:
        model: Folder; empty for a tiny one with random weights.
        steps: Of the optimiser, the first of which does not count.
        batch: Actions behind a step.
        group: Actions in a state.
        rounds: How often all are run.
    """
    import torch

    from hopgym_agents.modeling.tiny import make_tiny

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = model or make_tiny(folder / "tiny").path
        run = collect(folder, tasks=steps * batch // group)
        found = []
        for each in range(rounds):
            options = settings(model, run, str(folder / f"out{each}"), steps, batch, group)
            costs = {"bare": bare(options), "stepwise": trained(options)}
            found.append(costs | {"spare": bare(options, spare=True)})
    return found


def main() -> None:
    """Print the costs of each round, and their parts."""
    from hopgym_agents.training.loop import silence_libraries

    silence_libraries()
    for costs in compare(*sys.argv[1:2]):
        ours = costs["stepwise"]
        for name, cost in costs.items():
            acting = 1e3 * cost.acting / cost.tokens
            print(
                f"{name:8} {cost.per_token:.2f} CPU ms a token over {cost.tokens:,} tokens: "
                f"{acting:.2f} sampling and judging, {cost.per_token - acting:.2f} the step; "
                f"stepwise costs {ours.per_token / cost.per_token:.2f}x of it"
            )


if __name__ == "__main__":
    main()
