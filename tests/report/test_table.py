"""Reports in numbers: those of evaluate in page, rows and terminal; bytes, sizes and refusals."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError
from hopgym.evaluation import evaluate
from hopgym.evaluation.endings import equal_shares
from hopgym.policies import ScriptedPolicy
from hopgym.report import COLUMNS, render_report, results_rows, results_table, write_report
from hopgym.rollout import run_episodes
from hopgym.trajectory import StopReason, Trajectory
from tests.support.report_page import SCRIPT


def cells_of(page: str) -> list[list[str]]:
    table = page[page.index('<table class="results">') :]
    rows = re.findall(r"<tr.*?</tr>", table[: table.index("</table>")], re.DOTALL)[1:]
    return [re.findall(r"<td[^>]*>([^<]*) <small>([^<]*)", row) for row in rows]


def test_numbers_are_those_of_evaluate(source: Any, runs: dict[str, list[Trajectory]]) -> None:
    page = render_report(runs, source).decode()
    evaluations = {name: evaluate(trajectories, source) for name, trajectories in runs.items()}
    rows = results_rows(evaluations)
    for row, found in zip(rows, cells_of(page), strict=True):
        assert found.pop() == ("4", "")
        for column, (value, interval) in zip(COLUMNS, found, strict=True):
            estimate = row[column.name]
            if estimate is None:
                assert (value, interval) == ("–", "")
                continue
            scale = 100 if column.share else 1
            known = estimate["low"] is not None
            ends = interval.split("–") if known else []
            assert known or interval == "unknown"
            numbers = [float(value.rstrip("%")), *map(float, ends)]
            keys = ("mean", "low", "high") if known else ("mean",)
            expected = [scale * estimate[key] for key in keys]
            assert numbers == pytest.approx(expected, abs=0.051)
    # Bars: success in the table, then by hops (0, 1, 2) and by kind (attribute, chain).
    drawn = re.findall(r'class="mean" width="([\d.]+)"', page)
    by_run = [evaluation.metrics["success"] for evaluation in evaluations.values()]
    groups = [
        *([e.by_hops[hops]["success"] for e in evaluations.values()] for hops in "012"),
        *([e.by_kind[kind]["success"] for e in evaluations.values()] for kind in KINDS),
    ]
    means = [100 * e.mean for group in (by_run, *groups) for e in group if e is not None]
    assert [float(width) for width in drawn] == pytest.approx(means, abs=0.01)
    roles = re.findall(r'class="role">(\w+)', page)
    assert roles == ["ceiling", "floor"] * 3


KINDS = ("attribute", "chain")


def test_rows_are_plain_json(source: Any, scripted: list[Trajectory]) -> None:
    failed = replace(scripted[0], sample=1, stop_reason=StopReason.API_ERROR, error="500")
    (row,) = results_rows({"guess": evaluate([*scripted, failed], source)})
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert list(row) == [
        *("run", "role", "success", "f1", "supported", "process_accuracy", "regret", "steps"),
        *("episodes", "tasks", "errors"),
    ]
    counts = [row[name] for name in ("run", "role", "episodes", "tasks", "errors")]
    assert counts == ["guess", "floor", 4, 4, 1]
    assert row["success"]["mean"] == 0.75
    (row,) = results_rows({"x": evaluate([t for t in scripted if t.task_id == "q3"], source)})
    assert (row["supported"], row["process_accuracy"], row["regret"]) == (None, None, None)


def test_terminal_table_fits_80_columns(source: Any, scripted: list[Trajectory]) -> None:
    from rich.console import Console

    unjudged = [t for t in scripted if t.task_id == "q3"]
    evaluations = {
        "exhaustive": evaluate(scripted, source),
        "[red]mine": evaluate(unjudged, source),
    }
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(results_table(evaluations))
    text = capture.get()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert all(word in text for word in ("exhaustive", "floor", "75.0%", "[red]mine", "–"))


@pytest.mark.parametrize(
    ("available", "total", "shares"),
    [
        ([200, 200], 500, [200, 200]),
        ([10, 400, 400], 500, [10, 245, 245]),
        ([7, 7], 5, [3, 2]),
        ([3], 0, [0]),
        ([0, 9], 4, [0, 4]),
    ],
)
def test_shares(available: list[int], total: int, shares: list[int]) -> None:
    assert equal_shares(available, total) == shares


def test_order_and_form_change_no_byte(env: HopEnv, source: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    played = list(run_episodes(env, ScriptedPolicy(SCRIPT), range(4), samples=2, out=path))
    expected = render_report({"mine": played}, source)
    assert render_report({"mine": iter(played[::-1])}, source) == expected
    assert render_report({"mine": path}, source) == expected
    write_report({"mine": path}, source, tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_bytes() == expected


def test_what_cannot_be_reported_is_refused(source: Any, scripted: list[Trajectory]) -> None:
    with pytest.raises(ArgumentError, match="runs must be at least one"):
        render_report({}, source)
    with pytest.raises(ArgumentError, match=r"run 'mine': .* got none"):
        render_report({"mine": []}, source)
    with pytest.raises(ArgumentError, match="episodes must be a whole number from 0, got -1"):
        render_report({"mine": scripted}, source, episodes=-1)
    with pytest.raises(ArgumentError, match=r"run 'mine': .* must be finished"):
        render_report({"mine": [scripted[0].prefix(0)]}, source)
    with pytest.raises(ArgumentError, match="was 'another' and is"):
        render_report({"mine": [replace(scripted[0], question="another")]}, source)
    page = render_report({"mine": scripted}, source, episodes=0).decode()
    assert "0 of 4, failures first" in page


def test_500_long_episodes_stay_small(source: Any, scripted: list[Trajectory]) -> None:
    (one,) = (t for t in scripted if t.task_id == "q0")
    first = one.steps[0]
    long = replace(first, observation=f"{first.observation} {'Is 1 < 2 & 3 > 2? ' * 80}")
    steps = (
        long,
        *(replace(long, shown_content=replace(long.shown_content, sentences=())),) * 14,
        one.steps[-1],
    )
    many = [replace(one, steps=steps, sample=i) for i in range(600)]
    page = render_report({"mine": many}, source)
    assert 1e6 < len(page) < 5.5e6
    text = page.decode()
    assert text.count('"head":{') == 500
    assert text.count('["Her mother is Cleo Dunn.","evidence"]') == 500
    assert re.search(r"… \[[\d,]+ more\]", text)
    assert " more]" not in render_report({"mine": many[:20]}, source).decode()
