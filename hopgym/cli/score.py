"""``hopgym score``: any system's prediction file, scored as the benchmark's own script scores it.

In: the official gold file and a prediction file in the official layout. Out: the official metrics,
over all records and if wanted record by record.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.benchmarks.catalogue import find_dataset
from hopgym.benchmarks.lookup import check_reader_arguments, load_scorer, source_class
from hopgym.cli.display import console, new_table, print_json, say, say_wrote
from hopgym.cli.options import single_positional, takes_arguments
from hopgym.errors import DataError
from hopgym.runs.line_file import whole_file

if TYPE_CHECKING:
    from rich.table import Table

    from hopgym.benchmarks.catalogue import Dataset

_COLUMNS = ("em", "exact", "exact_match", "f1", "prec", "recall")
"""Ends of names of metrics that stand side by side."""
_PARTS = {"": "answer", "sp": "supporting facts", "evi": "evidence", "sub": "sub-questions"}
_COUNT = "total"
_PERCENT = 100.0
_SHOWN_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Scores:
    """What a prediction file comes to."""

    metrics: Mapping[str, float]
    """Unrounded shares in [0, 1]; counts as they are."""
    printed: Mapping[str, float]
    """As the official script prints them."""
    rows: Mapping[str, Mapping[str, float]]
    """By record id, in [0, 1]."""
    records: int
    missing: int
    """Records without a predicted answer."""
    extra: Sequence[str]
    """Ids of predictions of no record."""
    percent: bool
    scoring: str
    """What they follow, in words."""
    decimals: int | None = None
    """Places that the official script rounds to; None where it prints all."""
    left_out: bool = False
    """Whether records without a prediction are left out, where others score 0."""
    remarks: tuple[str, ...] = ()
    """What there is to know of the figures."""

    @property
    def unit(self) -> str:
        """``percent`` or ``fraction``: the unit of ``printed``."""
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

    The benchmark's own arguments may follow: --aliases id_aliases.json (twowiki), --variant full
    (musique), --questions all (cofca), --version 1.1 (squad); --limit scores the first records.
    """
    name, own = single_positional(benchmark, ctx.args, "a benchmark")
    dataset = find_dataset(name)
    check_reader_arguments(dataset, own)
    scores = scored(dataset, gold, predictions, own)
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


def scored(dataset: "Dataset", gold: Path, predictions: Path, own: Mapping[str, Any]) -> Scores:
    """Return what a prediction file comes to.

    Args:
        dataset: The benchmark.
        gold: Its official file.
        predictions: In its official layout.
        own: The benchmark's own arguments.

    Raises:
        ArgumentError: On an argument of a wrong value.
        DataError: When a file is none of this benchmark, or no prediction is of a record.
    """
    from hopgym.benchmarks.records import read_content

    if not dataset.env_id:
        return _by_function(dataset, gold, predictions, own)
    source = source_class(dataset)(gold, **own)
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
        remarks=(*source.remarks, *_lacking(source, entries)),
    )


def _lacking(source: Any, entries: Mapping[str, Any]) -> list[str]:
    """Return what a prediction file says nothing of although it is scored."""
    scored = any(source.support_metrics.values())
    if not scored or any(each.facts or each.paragraphs for each in entries.values()):
        return []
    return ["the file names no support at all; what depends on it scores 0"]


def _by_function(
    dataset: "Dataset", gold: Path, predictions: Path, own: Mapping[str, Any]
) -> Scores:
    """Return the scores of a benchmark without an environment."""
    import msgspec

    from hopgym.benchmarks.records import read_content

    given = read_content(str(predictions))
    # On the command line 2.0 reads as a number.
    arguments = {name: str(value) for name, value in own.items()}
    found = load_scorer(dataset)(read_content(str(gold)), given, **arguments)
    percent = dataset.name == "squad"
    unit = _PERCENT if percent else 1.0
    metrics = {
        name: value if name.endswith(_COUNT) else value / unit
        for name, value in found.metrics.items()
    }
    left_out = any(name.endswith(_COUNT) for name in metrics)
    return Scores(
        metrics,
        found.metrics,
        found.rows,
        len(found.rows) + (found.missing if left_out else 0),
        found.missing,
        [name for name in msgspec.json.decode(given.data) if name not in found.rows],
        percent,
        f"evaluate-v{arguments.get('version', '2.0')}.py" if percent else "evaluate-v1.1.py",
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
        what = "are left out, as in the official sums" if scores.left_out else "score 0"
        say(f"{scores.missing:,} of {scores.records:,} records have no prediction; they {what}",
            style="warning")  # fmt: skip
    for remark in scores.remarks:
        say(remark, style="warning")
    if scores.extra:
        say(
            f"ignored as of no record that {gold} has to score: {len(scores.extra):,} of the "
            f"predictions, such as that of {scores.extra[0]!r}",
            style="warning",
        )


def _print(dataset: "Dataset", scores: Scores) -> None:
    out = console(markup=False)  # An id or a source may hold brackets.
    unit = "percent" if scores.percent else "fractions"
    script = f", by {scores.scoring}" if scores.scoring else ""
    title = f"{dataset.title}: {scores.records:,} records, in {unit}{script}"
    out.print(title, style="bold", soft_wrap=True)
    shaped, others = _shaped(scores.printed)
    if shaped:
        out.print(_grid(shaped, scores.decimals))
    if others:
        table = new_table("", "", "value")
        for name, value in others.items():
            table.add_row(name, _figure(value, scores.decimals))
        out.print(table)
    if scores.decimals is None:
        say("the script itself rounds nothing: --json prints all digits", style="quiet")


def _shaped(
    printed: Mapping[str, float],
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return the metrics that end as `_COLUMNS` do, by what stands before, and the others."""
    shaped: dict[str, dict[str, float]] = {}
    others: dict[str, float] = {}
    for name, value in printed.items():
        ends = [end for end in _COLUMNS if name == end or name.endswith(f"_{end}")]
        if ends:
            part = name.removesuffix(ends[-1]).rstrip("_")
            shaped.setdefault(part, {})[ends[-1]] = value
        else:
            others[name] = value
    return shaped, others


def _grid(shaped: Mapping[str, Mapping[str, float]], decimals: int | None) -> "Table":
    ends = [end for end in _COLUMNS if any(end in row for row in shaped.values())]
    table = new_table("", "", *ends)
    for part, row in shaped.items():
        figures = [_figure(row[end], decimals) if end in row else "" for end in ends]
        table.add_row(_PARTS.get(part, part.replace("_", " ")), *figures)
    return table


def _figure(value: float, decimals: int | None) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{_SHOWN_DECIMALS if decimals is None else decimals}f}"
