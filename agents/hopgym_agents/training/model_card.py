"""The model card: ``README.md`` in the folder of a trained model."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hopgym.arguments import write_arguments
from hopgym.errors import HopgymError
from hopgym.registry.lookup import make
from hopgym.version import __version__
from hopgym_agents.training.environments import dev_arguments
from hopgym_agents.training.result import TrainingPlan, TrainResult, policy_options


def write_card(folder: Path, plan: TrainingPlan, result: TrainResult) -> None:
    """Write the card of a model into its folder."""
    (folder / "README.md").write_text(model_card(plan, result), encoding="utf-8")


def model_card(plan: TrainingPlan, result: TrainResult) -> str:
    """Return the card as Markdown: base model, data, budget, scores and use."""
    config = plan.config
    data = plan.data
    rewards = ", ".join(f"{name} x {weight:g}" for name, weight in config.reward.items())
    return f"""---
base_model: {json.dumps(config.model)}
tags: [hopgym, {plan.method}]
---

# {Path(config.out).name}

Trained by `hopgym train {plan.method}` (hopgym {__version__}) from `{config.model}`
(digest {plan.identity["model"]}), {config.precision.kind},
{plan.trained_parameters:,} of {plan.parameters:,} parameters, seed {config.seed}.

## Data

{data.summary} Tasks of `{data.env_id}`, source {data.source}; reward {rewards}, style
`{config.style}`.

## Budget

{_budget(plan, result)}

## Scores

{_scores(plan, result)}

## Use

```sh
{play_command(plan, result)}
```
"""


def _budget(plan: TrainingPlan, result: TrainResult) -> str:
    config = plan.config
    spent = result.spent.to_dict()
    settings = "\n".join(f"- {name}: {json.dumps(value)}" for name, value in config.trl.items())
    costs = "\n".join(f"| {name.replace('_', ' ')} | {value:,} |" for name, value in spent.items())
    return f"""{result.steps:,} steps of {config.batch} rows; ended by \
{result.ended_by.replace("_", " ")}.

| spent by this run | |
|---|---|
{costs}

{settings or "TRL's settings are the defaults of the method."}"""


def _scores(plan: TrainingPlan, result: TrainResult) -> str:
    course = f"In training: {result.course} (first and last point of the log)."
    if result.dev_before is None or result.dev_after is None:
        return f"{course} Not evaluated by this run."
    count = plan.config.play.dev
    return (
        f"Success on {count:,} held-out tasks {100 * result.dev_before:.1f} % before, "
        f"{100 * result.dev_after:.1f} % after (greedy). {course}"
    )


def play_command(plan: TrainingPlan, result: TrainResult) -> str:
    """Return the command that evaluates the trained model on held-out tasks of the same kind."""
    kwargs = {**plan.data.env_kwargs, **_held_out_changes(plan)}
    options = policy_options(plan.config, result.model)
    named = {f"llm.{name}": value for name, value in options.items()}
    words = write_arguments({"policy": "llm", **named, **kwargs})
    return shlex.join(["hopgym", "eval", plan.data.env_id, *words])


def _held_out_changes(plan: TrainingPlan) -> Mapping[str, Any]:
    """Return the arguments of held-out tasks; none if the environment cannot be made here."""
    if plan.config.play.dev_kwargs:
        return plan.config.play.dev_kwargs
    try:
        return dev_arguments(make(plan.data.env_id, plan.data.env_kwargs).source)
    except HopgymError:  # A file may be missing; the model is trained all the same.
        return {}
