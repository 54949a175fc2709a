"""Training rows: sub-trajectories and episodes as plain values that TRL reads.

In: sub-trajectories or whole episodes, and a style. Out: rows of ``prompt`` and ``completion``, or
of ``messages``, rendered as for acting, with what it takes to judge another action in the same
state; as JSON lines, parquet, or a folder of the package datasets.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hopgym.errors import ArgumentError, DataError, HopgymError, require
from hopgym.trajectory import ERROR_REASONS, Step, Trajectory
from hopgym.verdicts import GOOD_VERDICTS
from hopgym_agents.data.decomposition import State, SubTrajectory, is_privileged
from hopgym_agents.generate import Message
from hopgym_agents.prompts import PLAIN, Style, render

Row = dict[str, Any]

FORMS = ("prompt_completion", "messages")
"""``prompt_completion``: a row for each action; ``messages``: a row for each episode."""

_AT_ONCE = 10_000
_LINES = (".jsonl",)

WEIGHTS: Mapping[str, Callable[[Sequence[Step], bool], float]] = {
    "one": lambda steps, is_success: 1.0,
    "good": lambda steps, is_success: float(all(s.verdict in GOOD_VERDICTS for s in steps)),
    "process": lambda steps, is_success: sum(step.process_reward for step in steps),
    "success": lambda steps, is_success: float(is_success),
}
"""What the column ``weight`` may hold, all in [0, 1], from the actions of a row and whether their
episode ended with the right answer: 1; 1 where all are GOOD; the sum of their process rewards; 1
for a right answer."""


def state_row(sub: SubTrajectory) -> Row:
    """Return an action with its state, verdict and rewards, as plain values.

    The environment's arguments are one JSON text: tables would mix those of different rows up.
    """
    state, step = sub.state, sub.step
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
        row: Of `state_row`, `prompt_row` or `message_row`, as written or as read back. That of an
            episode gives the state at its begin.
    """
    return State(
        env_id=row["env_id"],
        env_kwargs=json.loads(row["env_kwargs"]),
        index=row["index"],
        prefix=tuple(row["prefix"]),
        task_id=row["task_id"],
    )


def prompt_row(sub: SubTrajectory, style: Style = PLAIN, weight: str = "one") -> Row:
    """Return an action as a conversational row of ``prompt`` and ``completion``.

    The prompt is what `hopgym_agents.prompts.render` gives for the prefix, the completion the one
    message of the assistant that follows there. Where the style gives tools as schemas, the column
    ``tools`` holds them, and the arguments of calls are objects, as chat templates want them, where
    servers take them as text.

    Args:
        sub: The action.
        style: How it is rendered.
        weight: A name of `WEIGHTS`.

    Raises:
        ArgumentError: When the style does not go with the trajectory's dialect.
    """
    rendered = render(sub.with_action, style)
    *prompt, action, _ = map(_decoded, rendered.messages)
    row: Row = {"prompt": prompt, "completion": [action]}
    if style.native:
        row["tools"] = list(rendered.tools)
    return row | state_row(sub) | {"weight": WEIGHTS[weight]((sub.step,), sub.is_success)}


def message_row(episode: Trajectory, style: Style = PLAIN, weight: str = "one") -> Row | None:
    """Return a whole episode as a row of ``messages`` that ends with its last action.

    None for one that no learner may train on as a whole: without an action of the policy's own,
    with a step that used a title not shown, or ended in an error.

    Raises:
        ArgumentError: When the style does not go with the trajectory's dialect.
    """
    own = [step for step in episode.steps if not step.given]
    if not own or episode.reason in ERROR_REASONS or any(map(is_privileged, own)):
        return None
    rendered = render(episode, style)
    row: Row = {"messages": [_decoded(each) for each in rendered.messages[:-1]]}
    if style.native:
        row["tools"] = list(rendered.tools)
    return row | {
        "env_id": episode.env_id,
        "env_kwargs": json.dumps(dict(episode.env_kwargs), sort_keys=True),
        "index": episode.index,
        "task_id": episode.task_id,
        "sample": episode.sample,
        "prefix": [step.text for step in episode.steps if step.given],
        "actions": [step.text for step in own],
        "verdicts": [str(step.verdict) for step in own],
        "process_rewards": [step.process_reward for step in own],
        "outcome_reward": episode.steps[-1].outcome_reward,
        "is_success": episode.is_success,
        "weight": WEIGHTS[weight](own, episode.is_success),
    }


def check_out(path: Path, source: Path) -> None:
    """Raise unless rows can be written to a path, before any are made.

    Args:
        path: As for `write_rows`.
        source: The file that they are made from.

    Raises:
        ArgumentError: On another suffix than `write_rows` takes, the source itself, or a folder
            that holds something else.
        HopgymError: When the package datasets is needed and missing.
    """
    if path.suffix not in (*_LINES, "", ".parquet"):
        raise ArgumentError(
            f"out must end with .jsonl or .parquet, or be a folder without a suffix, got {path}"
        )
    if path.resolve() in (source.resolve(), source.resolve().parent):
        raise ArgumentError(f"out must be another path than the run's own, got {path}")
    rows_there = (path / "dataset_info.json").is_file()
    if not path.suffix and path.exists() and not rows_there:
        empty = path.is_dir() and not any(path.iterdir())
        require(empty, "out", "a new or empty folder, or one of rows", str(path))
    if path.suffix not in _LINES:
        _datasets()


def write_rows(rows: Iterable[Row], path: Path) -> int:
    """Write rows to a file or folder, whole or not at all; return their number.

    Args:
        rows: All of one kind.
        path: ``.jsonl`` gives JSON lines, ``.parquet`` a table, and a name without a suffix a
            folder that ``datasets.load_from_disk`` reads, in the place of one that is there.

    Raises:
        DataError: When there is no row.
    """
    coming = iter(rows)
    first = next(coming, None)
    if first is None:
        raise DataError("expected at least one row to write, got none; filter less, or collect")
    together = _chained(first, coming)
    if path.suffix in _LINES:
        return _write_lines(together, path)
    return _write_dataset(together, first, path)


def load_rows(path: str | os.PathLike[str]) -> Any:
    """Return the rows of a file or folder of `write_rows` as a ``datasets.Dataset``.

    Messages come back as they were written. ``datasets.load_dataset`` would give every message of
    a JSON file the keys of all others, with None as their values, which chat templates print.

    Raises:
        DataError: When there is no such file or folder, or it holds no row.
        HopgymError: When the package datasets is missing.
    """
    datasets, path = _datasets(), Path(path)
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
        return _table(datasets, _chained(first, rows), first)


def _decoded(message: Message) -> Message:
    """Return a message whose calls hold their arguments as objects.

    Given as text, many chat templates would quote them once more.
    """
    if "tool_calls" not in message:
        return message
    calls = [
        {**call, "function": {**call["function"], "arguments": json.loads(written)}}
        for call in message["tool_calls"]
        for written in [call["function"]["arguments"]]
    ]
    return {**message, "tool_calls": calls}


def _chained(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def _write_lines(rows: Iterator[Row], path: Path) -> int:
    from hopgym.runs.line_file import whole_file

    count = 0
    with whole_file(path, "--out") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            count += 1
    return count


def _write_dataset(rows: Iterator[Row], first: Row, path: Path) -> int:
    from hopgym.runs.line_file import whole_file

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


def _table(datasets: Any, rows: Iterator[Row], first: Row) -> Any:
    """Return rows as a dataset, made in parts, as they take far less memory there."""
    features = datasets.Features({name: _type(datasets, name, first[name]) for name in first})
    parts = []
    while part := list(islice(rows, _AT_ONCE)):
        parts.append(datasets.Dataset.from_list(part, features=features))
    return datasets.concatenate_datasets(parts)


def _type(datasets: Any, name: str, value: object) -> Any:
    """Return the type of a column, the same for any rows, so that empty lists keep theirs.

    Messages and tools are JSON, each with its own keys (what ``on_mixed_types="use_json"`` makes
    of them where it meets different ones).
    """
    if name in ("prompt", "completion", "messages", "tools"):
        return datasets.List(datasets.Json())
    numbers = name == "process_rewards"
    if isinstance(value, list):
        return datasets.List(datasets.Value("float64" if numbers else "string"))
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
