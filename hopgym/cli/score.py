"""``hopgym score``: scores the prediction file of any system like the benchmark's own script."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from hopgym.benchmarks.catalogue import find_dataset
from hopgym.benchmarks.lookup import check_reader_arguments, load_scorer, source_class
from hopgym.benchmarks.records import read_content
from hopgym.cli.display import console, new_table, print_json, say, say_wrote
from hopgym.cli.options import single_positional, takes_arguments
from hopgym.errors import DataError
from hopgym.runs.line_file import whole_file

if TYPE_CHECKING:
    from rich.table import Table

    from hopgym.benchmarks.catalogue import Dataset

_COLUMNS = ("em", "exact", "exact_match", "f1", "prec", "recall")
"""Suffixes of metrics that are printed side by side."""
_GROUPS = {"": "answer", "sp": "supporting facts", "evi": "evidence", "sub": "sub-questions"}
_COUNT = "total"
_PERCENT = 100.0
_SHOWN_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of a prediction file."""

    metrics: Mapping[str, float]
    """Unrounded shares in [0, 1], and counts."""
    printed: Mapping[str, float]
    """The metrics as the official script prints them."""
    rows: Mapping[str, Mapping[str, float]]
    """Metrics by record id, in [0, 1]."""
    records: int
    missing: int
    """Records without a predicted answer."""
    extra: Sequence[str]
    """Ids of predictions that belong to no record."""
    percent: bool
    scoring: str
    """Name of the scoring rules."""
    decimals: int | None = None
    """Decimal places of the official script; None if it does not round."""
    left_out: bool = False
    """Whether records without a prediction are left out; otherwise they score 0."""
    remarks: tuple[str, ...] = ()
    """Notes on the metrics."""

    @property
    def unit(self) -> str:
        """Unit of ``printed``: ``percent`` or ``fraction``."""
        return "percent" if self.percent else "fraction"


@takes_arguments
def score(
    ctx: typer.Context,
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="As in hopgym data list.")],
    gold: Annotated[Path, typer.Option(help="The official file.")],
    predictions: Annotated[Path, typer.Option(help="Predictions in the official layout.")],
    records: Annotated[
        Path | None, typer.Option(help="Write the metrics of every record to this JSONL file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Score a prediction file as the benchmark's own script does.

    Arguments of the benchmark may follow: --aliases id_aliases.json (twowiki),
    --variant full (musique), --questions all (cofca), --version 1.1 (squad);
    --limit N scores the first N records.
    """
    name, arguments = single_positional(benchmark, ctx.args, "a benchmark")
    dataset = find_dataset(name)
    check_reader_arguments(dataset, arguments)
    scores = score_file(dataset, gold, predictions, arguments)
    if records is not None:
        with whole_file(records, "--records", (gold, predictions)) as file:
            for task_id, row in scores.rows.items():
                line = json.dumps({"id": task_id, **row}, ensure_ascii=False)
                file.write(f"{line}\n".encode())
    if as_json:
        print_json({"benchmark": dataset.name} | _plain(scores))
    else:
        _print(dataset, scores)
    _warn(scores, gold)
    if records is not None:
        say_wrote({"metrics by record": records}, {})


def score_file(
    dataset: "Dataset", gold: Path, predictions: Path, arguments: Mapping[str, Any]
) -> Scores:
    """Return the scores of a prediction file.

    Args:
        dataset: The benchmark.
        gold: The official file of its records.
        predictions: The prediction file, in the official layout.
        arguments: Arguments of the benchmark.

    Raises:
        ArgumentError: On an argument with a wrong value.
        DataError: When a file does not belong to this benchmark, or no prediction to a record.
    """
    if not dataset.env_id:
        return _score_with_function(dataset, gold, predictions, arguments)
    source = source_class(dataset)(gold, **arguments)
    entries = source.read_entries(read_content(str(predictions)))
    ids = {source.id_at(index) for index in range(len(source))}
    extra = [task_id for task_id in entries if task_id not in ids]
    if entries and len(extra) == len(entries):
        raise DataError(
            f"{str(predictions)!r}: expected predictions for records of {str(gold)!r}, got none, "
            f"but one for {extra[0]!r}; take the predictions of the same split, by its ids"
        )
    metrics, rows = source.score_entries(entries)
    answered = {task_id for task_id, entry in entries.items() if entry.answer is not None}
    return Scores(
        metrics,
        source.printed(metrics),
        rows,
        len(source),
        len(ids - answered),
        extra,
        source.percent,
        source.scoring,
        source.decimals,
        remarks=(*source.remarks, *_missing_support(source, entries)),
    )


def _missing_support(source: Any, entries: Mapping[str, Any]) -> list[str]:
    """Return a remark if supporting facts are scored, but the file has none."""
    scored = any(source.support_metrics.values())
    if not scored or any(item.facts or item.paragraphs for item in entries.values()):
        return []
    return ["the file names no support at all; what depends on it scores 0"]


def _score_with_function(
    dataset: "Dataset", gold: Path, predictions: Path, arguments: Mapping[str, Any]
) -> Scores:
    """Return the scores of a benchmark without an environment."""
    content = read_content(str(predictions))
    # The command line reads 2.0 as a number.
    options = {name: str(value) for name, value in arguments.items()}
    result = load_scorer(dataset)(read_content(str(gold)), content, **options)
    percent = dataset.name == "squad"
    unit = _PERCENT if percent else 1.0
    metrics = {
        name: value if name.endswith(_COUNT) else value / unit
        for name, value in result.metrics.items()
    }
    left_out = any(name.endswith(_COUNT) for name in metrics)
    return Scores(
        metrics,
        result.metrics,
        result.rows,
        len(result.rows) + (result.missing if left_out else 0),
        result.missing,
        [name for name in msgspec.json.decode(content.data) if name not in result.rows],
        percent,
        f"evaluate-v{options.get('version', '2.0')}.py" if percent else "evaluate-v1.1.py",
        left_out=left_out,
    )


def _plain(scores: Scores) -> dict[str, Any]:
    return {
        "records": scores.records,
        "missing": scores.missing,
        "extra": len(scores.extra),
        "scoring": scores.scoring,
        "printed_in": scores.unit,
        "metrics": dict(scores.metrics),
        "printed": dict(scores.printed),
    }


def _warn(scores: Scores, gold: Path) -> None:
    if scores.missing:
        effect = "are left out, as in the official sums" if scores.left_out else "score 0"
        say(
            f"{scores.missing:,} of {scores.records:,} records have no prediction; they {effect}",
            style="warning",
        )
    for remark in scores.remarks:
        say(remark, style="warning")
    if scores.extra:
        say(
            f"ignored as of no record that {gold} has to score: {len(scores.extra):,} of the "
            f"predictions, such as that of {scores.extra[0]!r}",
            style="warning",
        )


def _print(dataset: "Dataset", scores: Scores) -> None:
    out = console(markup=False)  # An id or a source may contain brackets.
    unit = "percent" if scores.percent else "fractions"
    script = f", by {scores.scoring}" if scores.scoring else ""
    title = f"{dataset.title}: {scores.records:,} records, in {unit}{script}"
    out.print(title, style="bold", soft_wrap=True)
    grouped, rest = _group(scores.printed)
    if grouped:
        out.print(_grid(grouped, scores.decimals))
    if rest:
        table = new_table("", "", "value")
        for name, value in rest.items():
            table.add_row(name, _format(value, scores.decimals))
        out.print(table)
    if scores.decimals is None:
        say("the script itself rounds nothing: --json prints all digits", style="quiet")


def _group(
    printed: Mapping[str, float],
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return the metrics with a suffix of `_COLUMNS`, by prefix and suffix, and the rest."""
    grouped: dict[str, dict[str, float]] = {}
    rest: dict[str, float] = {}
    for name, value in printed.items():
        suffixes = [end for end in _COLUMNS if name == end or name.endswith(f"_{end}")]
        if suffixes:
            prefix = name.removesuffix(suffixes[-1]).rstrip("_")
            grouped.setdefault(prefix, {})[suffixes[-1]] = value
        else:
            rest[name] = value
    return grouped, rest


def _grid(grouped: Mapping[str, Mapping[str, float]], decimals: int | None) -> "Table":
    suffixes = [end for end in _COLUMNS if any(end in row for row in grouped.values())]
    table = new_table("", "", *suffixes)
    for prefix, row in grouped.items():
        cells = [_format(row[end], decimals) if end in row else "" for end in suffixes]
        table.add_row(_GROUPS.get(prefix, prefix.replace("_", " ")), *cells)
    return table


def _format(value: float, decimals: int | None) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{_SHOWN_DECIMALS if decimals is None else decimals}f}"
