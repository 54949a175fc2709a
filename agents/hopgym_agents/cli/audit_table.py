"""The audit of a judge as tables for the terminal; they fit 100 columns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hopgym.cli.display import new_table
from hopgym.evaluation import Estimate
from hopgym_agents.judging.audit import Audit

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_ABSENT = "–"
_WIDEST = 10
_RATES = {
    "judged_good": "judged GOOD",
    "false_positive_rate": "false positives",
    "false_negative_rate": "false negatives",
    "accuracy": "accuracy",
    "kappa": "kappa",
}
_TRUST = {
    "exact": "The verdicts are exact.",
    "annotated": "The verdicts are as good as the benchmark's annotation.",
    "heuristic": "The verdicts are heuristic.",
    "unknown": "The verdicts are those of the run; its tasks could not be made again to tell how "
    "far they can be trusted.",
}
_RATES_MEAN = (
    "False positives: called GOOD, of the steps that are BAD. False negatives: called BAD, of the "
    "steps that are GOOD. 95% bootstrap intervals over tasks, Wilson's for rates that are 0 or 1 "
    "in every task; unparsed steps are left out."
)
_NOTHING_READ = "No text of the judge could be read: there is nothing to hold against the verdicts."
_SHORT = 160
_NOT_AUDITED = "These steps have no verdicts to hold the judge against."


def confusion_table(audit: Audit) -> "Table":
    """Return exact verdicts by what the judge says of them, in steps."""
    table = new_table("Exact verdicts by the judge's", "", "judged GOOD", "judged BAD", "unparsed")
    for exact, row in audit.confusion.items():
        table.add_row(exact, *(f"{count:,}" for count in row.values()))
    return table


def rates_table(audits: Mapping[str, Audit]) -> "Table":
    """Return the rates of all steps and of each tool, each interval under its mean."""
    table = new_table("By tool", "", "steps", "unparsed", *_RATES.values())
    for column in table.columns[3:-1]:
        column.max_width = _WIDEST
    for part, audit in audits.items():
        rates = (_cell(getattr(audit, name), name) for name in _RATES)
        table.add_row(part, f"{audit.steps:,}", f"{audit.unparsed:,}", *rates)
    return table


def describe_evidence(evidence_source: str, audit: Audit) -> str:
    """Return what is to be known to read the tables.

    Args:
        evidence_source: How far the verdicts can be trusted.
        audit: Of all steps.
    """
    if audit.unparsed == audit.steps:
        return _NOTHING_READ
    if not audit.audited:
        return _NOT_AUDITED
    return f"{_RATES_MEAN} {_TRUST.get(evidence_source, '')}".strip()


def unparsed_lines(audit: Audit, texts: Sequence[str]) -> Iterator[str]:
    """Yield lines on what of a judge could not be read; none where all could.

    Args:
        audit: Of all steps.
        texts: Some of what could not be read.
    """
    if audit.unparsed:
        noun = "text" if audit.unparsed == 1 else "texts"
        yield f"{audit.unparsed:,} {noun} could not be read as GOOD or BAD, such as"
    for text in texts:
        # Its end is where the word should stand.
        shown = text if len(text) <= _SHORT else f"…{text[-_SHORT:]}"
        yield f"  {shown!r}"


def _cell(estimate: Estimate | None, name: str) -> "Text":
    from rich.text import Text

    if estimate is None:
        return Text(_ABSENT)
    values = (estimate.mean, estimate.low, estimate.high)
    if name == "kappa":  # It may be negative, where a dash would mislead.
        mean, low, high = (f"{round(value, 2) + 0.0:.2f}" for value in values)
        interval = f"{low} to {high}"
    else:
        mean = f"{100 * estimate.mean:.1f}%"
        low, high = (f"{100 * value:.1f}".replace("100.0", "100") for value in values[1:])
        interval = f"{low}–{high}"
    return Text.assemble(mean, "\n", (interval if estimate.has_interval else "unknown", "dim"))
