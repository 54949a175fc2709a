"""``hopgym export-predictions``: writes a run as a prediction file for the official script."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.arguments import write_arguments
from hopgym.benchmarks.base import BenchmarkSource
from hopgym.benchmarks.catalogue import DATASETS, find_dataset
from hopgym.benchmarks.lookup import reader_arguments, select_arguments
from hopgym.cli.display import progress, say, say_wrote
from hopgym.cli.options import make
from hopgym.errors import ArgumentError, DataError, did_you_mean
from hopgym.evaluation.official import prediction_of
from hopgym.registry.lookup import source_of
from hopgym.runs.line_file import whole_file
from hopgym.runs.trajectory_file import read_trajectories
from hopgym.trajectory import ERROR_REASONS, Trajectory

if TYPE_CHECKING:
    from hopgym.benchmarks.predictions import PredictionEntry, SupportSource
    from hopgym.tasks import Prediction

_SUPPORT_KINDS = ("read", "named")


def export_predictions(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A trajectory file.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="By default in the folder of the run.")
    ] = None,
    support: Annotated[
        str | None,
        typer.Option(
            help="Take supporting facts as read (sentences shown) or as named (by the answers); "
            "by default named if any answer names some."
        ),
    ] = None,
) -> None:
    """Write a run on a benchmark as a prediction file in the official layout.

    The first sample of each task counts. An episode that ended in an error has
    no prediction.
    """
    if support is not None and support not in _SUPPORT_KINDS:
        hint = did_you_mean(support, _SUPPORT_KINDS)
        raise ArgumentError(f"--support must be read or named, got {support!r}{hint}")
    source, record = _source_of(run)
    predictions = _first_attempts(run, source)
    how = _support_kind(predictions, support, source)
    entries = {
        source.id_at(index): _entry(source, index, prediction, how)
        for index, prediction in predictions.items()
    }
    data = source.write_entries(entries)
    suffix = "jsonl" if b"\n" in data else "json"
    path = out or run.with_suffix(f".predictions.{suffix}")
    with whole_file(path, "--out", (run, Path(source.path))) as file:
        file.write(data)
    _report(path, source, record, entries, how)


def _source_of(run: Path) -> tuple[BenchmarkSource[Any], Trajectory]:
    """Return the source of a run, and the run's first record.

    Raises:
        ArgumentError: When the run is not on a benchmark with prediction files.
        DataError: When the file has no record, or the benchmark's tasks have changed.
    """
    if run.is_dir():
        raise DataError(f"{run}: expected a trajectory file, got a folder; name a file in it")
    record = next(read_trajectories(run), None)
    if record is None or not record.env_id:
        got = "none" if record is None else "episodes that name no environment"
        raise DataError(f"{run}: expected episodes of a benchmark, got {got}")
    source = source_of(run, record, make)
    if not isinstance(source, BenchmarkSource):
        known = ", ".join(dataset.env_id for dataset in DATASETS if dataset.env_id)
        raise ArgumentError(
            f"a run must be of a benchmark with prediction files ({known}), got {record.env_id}"
        )
    return source, record


def _first_attempts(run: Path, source: BenchmarkSource[Any]) -> "dict[int, Prediction]":
    """Return the prediction of the first attempt at each task, by index, in order.

    Episodes that ended in an error do not count as attempts, as in `hopgym.evaluation.evaluate`.
    """
    first: dict[int, tuple[int, Prediction]] = {}
    with progress("episodes read") as advance:
        for episode in read_trajectories(run):
            index = episode.index
            if not 0 <= index < len(source) or source.id_at(index) != episode.task_id:
                raise DataError(
                    f"{run}: expected tasks of {source.path}, got {episode.task_id!r} at index "
                    f"{index}, which is another task or none; give a file that hopgym wrote"
                )
            later = index in first and first[index][0] < episode.sample
            if episode.stop_reason not in ERROR_REASONS and not later:
                first[index] = (episode.sample, prediction_of(episode))
            advance(1)
    return {index: first[index][1] for index in sorted(first)}


def _support_kind(
    predictions: "Mapping[int, Prediction]", requested: str | None, source: BenchmarkSource[Any]
) -> "SupportSource | None":
    """Return where supporting facts are taken from; None if the run has none.

    Raises:
        ArgumentError: When the requested kind is not available.
    """
    scored = any(source.support_metrics.values())
    has_named = any(item.support for item in predictions.values())
    has_read = source.comparable and any(
        item.shown_sentences is not None for item in predictions.values()
    )
    if scored and (requested == "named" or (requested is None and has_named)):
        return "named"
    if scored and has_read:
        return "read"
    if requested is not None:
        raise ArgumentError(
            f"--support must not be given for this run, got {requested!r}: "
            + (
                "nothing was read whose sentences are those of the annotation"
                if scored
                else f"{source.name} has no supporting facts to predict"
            )
        )
    return None


def _entry(
    source: BenchmarkSource[Any], index: int, prediction: "Prediction", how: "SupportSource | None"
) -> "PredictionEntry":
    """Return the entry of a prediction, without supporting facts if ``how`` is None."""
    entry = source.entry_of(index, prediction, how or "named")
    return entry if how else replace(entry, facts=None, triples=None, paragraphs=None)


def _report(
    path: Path,
    source: BenchmarkSource[Any],
    record: Trajectory,
    entries: "Mapping[str, PredictionEntry]",
    how: "SupportSource | None",
) -> None:
    answered = sum(entry.answer is not None for entry in entries.values())
    support = f"support as {how}" if how else "without support"
    say(f"Wrote {answered:,} answers to {len(source):,} records, {support}.")
    if answered < len(source):
        say(
            f"{len(source) - answered:,} records have no answer in the run; they score 0",
            style="warning",
        )
    first = {source.id_at(index) for index in range(len(entries))} == set(entries)
    limit = len(entries) if first and len(entries) < len(source) else None
    say_wrote({"predictions": path}, dict(_commands(path, source, record, limit)))


def _commands(
    path: Path, source: BenchmarkSource[Any], record: Trajectory, limit: int | None
) -> Iterable[tuple[str, str]]:
    """Yield the next commands: fetch the gold file if it is on the Hub, and score the run."""
    dataset = find_dataset(source.name)
    arguments = record.env_kwargs
    gold = source.path
    options = select_arguments(arguments, reader_arguments(dataset))
    options |= {"limit": limit} if limit else {}
    if arguments.get("hub"):
        gold = f"{dataset.name}.jsonl"
        fetched = {"split": arguments.get("split"), "variant": getattr(source, "variant", "")}
        args = write_arguments({name: value for name, value in fetched.items() if value})
        command = ["hopgym", "data", "fetch", dataset.name, *args, "--out", gold]
        yield "get the gold", shlex.join(command)
    files = ["--gold", gold, "--predictions", str(path)]
    command = ["hopgym", "score", dataset.name, *files, *write_arguments(options)]
    yield "score it", shlex.join(command)
