"""Exports sub-trajectories and episodes as training rows for TRL.

A row has ``prompt`` and ``completion``, or ``messages``, rendered as for acting. It also has what
`judge_actions` needs to judge another action in the same state. Rows are written as JSON lines, as
parquet, or as a folder of the package datasets.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from hopgym.errors import ArgumentError, DataError, HopgymError, require
from hopgym.runs.line_file import whole_file
from hopgym.trajectory import ERROR_REASONS, Step, Trajectory
from hopgym.verdicts import GOOD_VERDICTS
from hopgym_agents.data.decomposition import State, SubTrajectory, is_privileged
from hopgym_agents.generate import Message
from hopgym_agents.prompts import PLAIN, Style, render

TrainingRow = dict[str, Any]
"""A row by column name; plain JSON values."""

FORMS = ("prompt_completion", "messages")
"""``prompt_completion``: one row per action; ``messages``: one row per episode."""

_ROWS_PER_TABLE = 10_000

WEIGHTS: Mapping[str, Callable[[Sequence[Step], bool], float]] = {
    "one": lambda steps, is_success: 1.0,
    "good": lambda steps, is_success: float(all(s.verdict in GOOD_VERDICTS for s in steps)),
    "process": lambda steps, is_success: sum(step.process_reward for step in steps),
    "success": lambda steps, is_success: float(is_success),
}
"""What the column ``weight`` holds, by name, computed from the actions of a row and whether their
episode ended with the right answer; all in [0, 1]. ``one``: 1; ``good``: 1 if all actions are GOOD;
``process``: the sum of their process rewards; ``success``: 1 for a right answer."""


def state_row(sub: SubTrajectory) -> TrainingRow:
    """Return an action with its state, verdict and rewards, as plain values.

    The environment's arguments are a JSON string, as the columns of a table would merge the
    arguments of different rows.
    """
    state = sub.state
    step = sub.step
    return {
        "env_id": state.env_id,
        "env_kwargs": json.dumps(dict(state.env_kwargs), sort_keys=True),
        "index": state.index,
        "task_id": state.task_id,
        "sample": sub.prefix.sample,
        "step": len(state.prefix),
        "prefix": list(state.prefix),
        "action": step.text,
        "verdict": str(step.verdict),
        "process_reward": step.process_reward,
        "outcome_reward": step.outcome_reward,
        "is_success": sub.is_success,
    }


def state_of(row: Mapping[str, Any]) -> State:
    """Return the state of a row, for `hopgym_agents.data.decomposition.judge_actions`.

    Args:
        row: A row of `state_row`, `prompt_row` or `message_row`, also after reading it back. For a
            row of an episode, the state at its start.
    """
    return State(
        env_id=row["env_id"],
        env_kwargs=json.loads(row["env_kwargs"]),
        index=row["index"],
        prefix=tuple(row["prefix"]),
        task_id=row["task_id"],
    )


def prompt_row(sub: SubTrajectory, style: Style = PLAIN, weight: str = "one") -> TrainingRow:
    """Return an action as a conversational row of ``prompt`` and ``completion``.

    The prompt is what `hopgym_agents.prompts.render` returns for the prefix; the completion is the
    assistant message that follows. If the style passes tools as schemas, the column ``tools`` holds
    them, and the arguments of calls are objects, as chat templates expect them (servers expect
    text).

    Args:
        sub: The action.
        style: How it is rendered.
        weight: A key of `WEIGHTS`.

    Raises:
        ArgumentError: If the style does not support the trajectory's dialect.
    """
    rendered = render(sub.with_action, style)
    *prompt, action, _ = map(_decode_arguments, rendered.messages)
    row: TrainingRow = {"prompt": prompt, "completion": [action]}
    if style.native:
        row["tools"] = list(rendered.tools)
    return row | state_row(sub) | {"weight": WEIGHTS[weight]((sub.step,), sub.is_success)}


def message_row(
    episode: Trajectory, style: Style = PLAIN, weight: str = "one"
) -> TrainingRow | None:
    """Return an episode as a row of ``messages`` that ends with its last action.

    Return None if the episode cannot be trained on as one conversation: without an action by the
    policy, with a step that used a title not shown, or after an error of the policy.

    Raises:
        ArgumentError: If the style does not support the trajectory's dialect.
    """
    policy_steps = [step for step in episode.steps if not step.from_prefix]
    if (
        not policy_steps
        or episode.stop_reason in ERROR_REASONS
        or any(map(is_privileged, policy_steps))
    ):
        return None
    rendered = render(episode, style)
    row: TrainingRow = {
        "messages": [_decode_arguments(message) for message in rendered.messages[:-1]]
    }
    if style.native:
        row["tools"] = list(rendered.tools)
    return row | {
        "env_id": episode.env_id,
        "env_kwargs": json.dumps(dict(episode.env_kwargs), sort_keys=True),
        "index": episode.index,
        "task_id": episode.task_id,
        "sample": episode.sample,
        "prefix": [step.text for step in episode.steps if step.from_prefix],
        "actions": [step.text for step in policy_steps],
        "verdicts": [str(step.verdict) for step in policy_steps],
        "process_rewards": [step.process_reward for step in policy_steps],
        "outcome_reward": episode.steps[-1].outcome_reward,
        "is_success": episode.is_success,
        "weight": WEIGHTS[weight](policy_steps, episode.is_success),
    }


def check_output_path(path: Path, source: Path) -> None:
    """Raise unless `write_rows` can write to a path; nothing is written.

    Args:
        path: As for `write_rows`.
        source: The trajectory file that the rows come from.

    Raises:
        ArgumentError: If the suffix is not one of `write_rows`, or the path is the source, its
            folder, or a folder that holds something else.
        HopgymError: If the package datasets is needed and missing.
    """
    if path.suffix not in (".jsonl", ".parquet", ""):
        raise ArgumentError(
            f"out must end with .jsonl or .parquet, or be a folder without a suffix, got {path}"
        )
    if path.resolve() in (source.resolve(), source.resolve().parent):
        raise ArgumentError(f"out must be another path than the run's own, got {path}")
    is_dataset = (path / "dataset_info.json").is_file()
    if not path.suffix and path.exists() and not is_dataset:
        empty = path.is_dir() and not any(path.iterdir())
        require(empty, "out", "a new or empty folder, or one of rows", str(path))
    if path.suffix != ".jsonl":
        _datasets()


def write_rows(rows: Iterable[TrainingRow], path: Path) -> int:
    """Write rows to a file or folder and return their number; an error leaves no partial output.

    Args:
        rows: Rows of one kind.
        path: ``.jsonl`` for JSON lines, ``.parquet`` for a table, no suffix for a folder that
            ``datasets.load_from_disk`` reads. An existing folder of rows is replaced.

    Raises:
        DataError: If there are no rows.
    """
    iterator = iter(rows)
    first = next(iterator, None)
    if first is None:
        raise DataError("expected at least one row to write, got none; filter less, or collect")
    all_rows = chain([first], iterator)
    if path.suffix == ".jsonl":
        return _write_lines(all_rows, path)
    return _write_dataset(all_rows, first, path)


def load_rows(path: str | os.PathLike[str]) -> Any:
    """Return the rows that `write_rows` wrote, as a ``datasets.Dataset``.

    Messages are returned as they were written. ``datasets.load_dataset`` would add the keys of all
    messages of a JSON file to each of them, with None as their values, which chat templates print.

    Raises:
        DataError: If the file or folder does not exist or holds no rows.
        HopgymError: If the package datasets is missing.
    """
    datasets = _datasets()
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: expected rows of hopgym export, got no such file or folder")
    if path.is_dir():
        return datasets.load_from_disk(str(path))
    if path.suffix == ".parquet":
        return datasets.Dataset.from_parquet(str(path))
    with path.open(encoding="utf-8") as file:
        rows = map(json.loads, file)
        first = next(rows, None)
        if first is None:
            raise DataError(f"{path}: expected at least one row, got none")
        return _table(datasets, chain([first], rows), first)


def _decode_arguments(message: Message) -> Message:
    """Return a message whose tool calls have their arguments as objects.

    Many chat templates quote arguments that are text a second time.
    """
    if "tool_calls" not in message:
        return message
    calls = [
        {**call, "function": {**call["function"], "arguments": json.loads(arguments)}}
        for call in message["tool_calls"]
        for arguments in [call["function"]["arguments"]]
    ]
    return {**message, "tool_calls": calls}


def _write_lines(rows: Iterator[TrainingRow], path: Path) -> int:
    count = 0
    with whole_file(path, "--out") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            count += 1
    return count


def _write_dataset(rows: Iterator[TrainingRow], first: TrainingRow, path: Path) -> int:
    datasets = _datasets()
    datasets.disable_progress_bars()
    table = _table(datasets, rows, first)
    if path.suffix:
        with whole_file(path, "--out") as file:
            table.to_parquet(file)
        return len(table)
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        table.save_to_disk(str(partial))
        shutil.rmtree(path, ignore_errors=True)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return len(table)


def _table(datasets: Any, rows: Iterator[TrainingRow], first: TrainingRow) -> Any:
    """Return rows as a dataset, converted in batches: rows need far more memory as dicts."""
    features = datasets.Features(
        {name: _column_type(datasets, name, first[name]) for name in first}
    )
    tables = []
    while batch := list(islice(rows, _ROWS_PER_TABLE)):
        tables.append(datasets.Dataset.from_list(batch, features=features))
    return datasets.concatenate_datasets(tables)


def _column_type(datasets: Any, name: str, value: object) -> Any:
    """Return the type of a column, which does not depend on the rows: lists may be empty.

    Messages and tools are JSON, each with its own keys (as with ``on_mixed_types="use_json"``).
    """
    if name in ("prompt", "completion", "messages", "tools"):
        return datasets.List(datasets.Json())
    if isinstance(value, list):
        element = "float64" if name == "process_rewards" else "string"
        return datasets.List(datasets.Value(element))
    kinds = {bool: "bool", int: "int64", float: "float64", str: "string"}
    return datasets.Value(kinds[type(value)])


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise HopgymError(
            "parquet and folders need the package datasets; pip install 'hopgym[data]' brings it, "
            "or write JSON lines (a name that ends with .jsonl)"
        ) from error
    if not hasattr(datasets, "Json"):
        raise HopgymError(
            f"datasets must be 4.7 or newer, got {datasets.__version__}; upgrade it, or write "
            "JSON lines (a name that ends with .jsonl)"
        )
    return datasets
