"""The model card: what a trained model is, written by the run that made it.

In: a run and its result. Out: ``README.md`` in the model's folder.
"""

import json
import shlex
from pathlib import Path

from hopgym import __version__
from hopgym.arguments import write_arguments
from hopgym_agents.training.environments import dev_arguments
from hopgym_agents.training.result import Checked, Trained, play_options


def write_card(folder: Path, checked: Checked, trained: Trained) -> None:
    """Write the card of a model into its folder."""
    (folder / "README.md").write_text(card(checked, trained), encoding="utf-8")


def card(checked: Checked, trained: Trained) -> str:
    """Return the card as Markdown: base, data, budget, scores, use."""
    config, data = checked.config, checked.data
    rewards = ", ".join(f"{name} x {weight:g}" for name, weight in config.reward.items())
    return f"""---
base_model: {json.dumps(config.model)}
tags: [hopgym, {checked.method}]
---

# {Path(config.out).name}

Trained by `hopgym train {checked.method}` (hopgym {__version__}) from `{config.model}`
(digest {checked.identity["model"]}), {config.precision.kind},
{checked.trained_parameters:,} of {checked.parameters:,} parameters, seed {config.seed}.

## Data

{data.told} Tasks of `{data.env_id}`, source {data.source}; reward {rewards}, style
`{config.style}`.

## Budget

{_budget(checked, trained)}

## Scores

{_scores(checked, trained)}

## Use

```sh
{play_command(checked, trained)}
```
"""


def _budget(checked: Checked, trained: Trained) -> str:
    config, spent = checked.config, trained.spent.to_dict()
    settings = "\n".join(f"- {name}: {json.dumps(value)}" for name, value in config.trl.items())
    costs = "\n".join(f"| {name.replace('_', ' ')} | {value:,} |" for name, value in spent.items())
    return f"""{trained.steps:,} steps of {config.batch} rows; ended by \
{trained.ended_by.replace("_", " ")}.

| spent by this run | |
|---|---|
{costs}

{settings or "TRL's settings are the defaults of the method."}"""


def _scores(checked: Checked, trained: Trained) -> str:
    course = f"In training: {trained.course} (first and last point of the log)."
    if trained.dev_before is None or trained.dev_after is None:
        return f"{course} Not evaluated by this run."
    count = checked.config.play.dev
    return (
        f"Success on {count:,} held-out tasks {100 * trained.dev_before:.1f} % before, "
        f"{100 * trained.dev_after:.1f} % after (greedy). {course}"
    )


def play_command(checked: Checked, trained: Trained) -> str:
    """Return the command that evaluates what was trained on other tasks of the same kind."""
    play = checked.config.play
    changed = play.dev_kwargs or dev_arguments(checked.data.env_id)
    kwargs = {**checked.data.env_kwargs, **changed}
    played = play_options(checked.config, trained.model)
    options = {f"llm.{name}": value for name, value in played.items()}
    words = write_arguments({"policy": "llm", **options, **kwargs})
    return shlex.join(["hopgym", "eval", checked.data.env_id, *words])
