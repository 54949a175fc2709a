"""``hopgym export-predictions``: a run as the prediction file that the official script reads.

In: a trajectory file; its source is made again from the records. Out: the first attempt at each
task in the benchmark's own layout.
"""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.arguments import write_arguments
from hopgym.benchmarks.catalogue import find_dataset
from hopgym.benchmarks.lookup import reader_arguments, select_arguments
from hopgym.cli.display import progress, say, say_wrote
from hopgym.errors import ArgumentError, DataError, did_you_mean
from hopgym.registry.lookup import source_of
from hopgym.runs.line_file import whole_file

if TYPE_CHECKING:
    from hopgym.benchmarks.base import BenchmarkSource
    from hopgym.benchmarks.predictions import PredictionEntry, SupportSource
    from hopgym.tasks import Prediction
    from hopgym.trajectory import Trajectory

_HOWS = ("read", "named")


def export_predictions(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A trajectory file.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="By default beside the run.")
    ] = None,
    support: Annotated[
        str | None,
        typer.Option(
            help="Take supporting facts as read (sentences shown) or as named (by the answers); "
            "by default named where any answer named some."
        ),
    ] = None,
) -> None:
    """Write a run on a benchmark as a prediction file in the official layout.

    The first sample of each task counts; an episode that ended in an error has no prediction.
    """
    if support is not None and support not in _HOWS:
        hint = did_you_mean(support, _HOWS)
        raise ArgumentError(f"--support must be read or named, got {support!r}{hint}")
    source, record = _source_of(run)
    predictions = _first_attempts(run, source)
    how = _how(predictions, support, source)
    entries = {source.id_at(i): _entry(source, i, each, how) for i, each in predictions.items()}
    data = source.write_entries(entries)
    suffix = "jsonl" if b"\n" in data else "json"
    path = out or run.with_suffix(f".predictions.{suffix}")
    with whole_file(path, "--out", (run, Path(source.path))) as file:
        file.write(data)
    _tell(path, source, record, entries, how)


def _source_of(run: Path) -> "tuple[BenchmarkSource[Any], Trajectory]":
    """Return the source of a run, and the run's first record.

    Raises:
        ArgumentError: When it is that of no benchmark.
        DataError: When the file has no record, or its tasks are others now.
    """
    from hopgym.benchmarks.base import BenchmarkSource
    from hopgym.benchmarks.catalogue import DATASETS
    from hopgym.runs.trajectory_file import read_trajectories

    if run.is_dir():
        raise DataError(f"{run}: expected a trajectory file, got a folder; name a file in it")
    record = next(read_trajectories(run), None)
    if record is None or not record.env_id:
        got = "none" if record is None else "episodes that name no environment"
        raise DataError(f"{run}: expected episodes of a benchmark, got {got}")
    source = source_of(run, record, progress)
    if not isinstance(source, BenchmarkSource):
        known = ", ".join(dataset.env_id for dataset in DATASETS if dataset.env_id)
        raise ArgumentError(
            f"a run must be of a benchmark with prediction files ({known}), got {record.env_id}"
        )
    return source, record


def _first_attempts(run: Path, source: "BenchmarkSource[Any]") -> "dict[int, Prediction]":
    """Return what the first attempt at each task came to, by index in order.

    Episodes that ended in an error are no attempts, as in `hopgym.evaluation.evaluate`.
    """
    from hopgym.evaluation.official import prediction_of
    from hopgym.runs.trajectory_file import read_trajectories
    from hopgym.trajectory import ERROR_REASONS

    first: dict[int, tuple[int, Prediction]] = {}
    with progress("episodes read") as advance:
        for each in read_trajectories(run):
            index = each.index
            if not 0 <= index < len(source) or source.id_at(index) != each.task_id:
                raise DataError(
                    f"{run}: expected tasks of {source.path}, got {each.task_id!r} at index "
                    f"{index}, where there is none or another; give a file that hopgym wrote"
                )
            later = index in first and first[index][0] < each.sample
            if each.stop_reason not in ERROR_REASONS and not later:
                first[index] = (each.sample, prediction_of(each))
            advance(1)
    return {index: first[index][1] for index in sorted(first)}


def _how(
    predictions: "Mapping[int, Prediction]", wanted: str | None, source: "BenchmarkSource[Any]"
) -> "SupportSource | None":
    """Return where the support is taken from; None where there is none to take.

    Raises:
        ArgumentError: When sentences read are wanted where they are not to be had.
    """
    scored = any(source.support_metrics.values())
    named = any(each.support for each in predictions.values())
    shown = source.comparable and any(each.shown is not None for each in predictions.values())
    if scored and (wanted == "named" or (wanted is None and named)):
        return "named"
    if scored and shown:
        return "read"
    if wanted is not None:
        raise ArgumentError(
            f"--support must not be given for this run, got {wanted!r}: "
            + (
                "nothing was read whose sentences are those of the annotation"
                if scored
                else f"{source.name} has no supporting facts to predict"
            )
        )
    return None


def _entry(
    source: "BenchmarkSource[Any]",
    index: int,
    prediction: "Prediction",
    how: "SupportSource | None",
) -> "PredictionEntry":
    """Return the entry of an attempt; without any support where there is none to take."""
    from dataclasses import replace

    entry = source.entry_of(index, prediction, how or "named")
    return entry if how else replace(entry, facts=None, triples=None, paragraphs=None)


def _tell(
    path: Path,
    source: "BenchmarkSource[Any]",
    record: "Trajectory",
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
    path: Path, source: "BenchmarkSource[Any]", record: "Trajectory", limit: int | None
) -> Iterable[tuple[str, str]]:
    """Yield what to do next and its command: score the file, which for the Hub is fetched first."""
    dataset = find_dataset(source.name)
    given = record.env_kwargs
    gold = source.path
    own = select_arguments(given, reader_arguments(dataset))
    own |= {"limit": limit} if limit else {}
    if given.get("hub"):
        gold = f"{dataset.name}.jsonl"
        wanted = {"split": given.get("split"), "variant": getattr(source, "variant", "")}
        words = write_arguments({name: value for name, value in wanted.items() if value})
        yield (
            "get the gold",
            shlex.join(["hopgym", "data", "fetch", dataset.name, *words, "--out", gold]),
        )
    files = ["--gold", gold, "--predictions", str(path)]
    yield "score it", shlex.join(["hopgym", "score", dataset.name, *files, *write_arguments(own)])
