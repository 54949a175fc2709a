"""Figures and tables of a study, from results made up here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hopgym.evaluation.bootstrap import wilson
from hopgym_agents.studies.jobs import METRICS
from hopgym_agents.studies.plan import Job, plan_jobs
from hopgym_agents.studies.report import write_report
from hopgym_agents.studies.scores import mean_score, score_difference, scores_on_suite
from hopgym_agents.studies.tables import cost_table, format_difference, format_share, suite_table
from tests.support.study_files import TEXT, read

TASKS = 120
SPENT = {
    **{"generated_tokens": 100, "gradient_tokens": 50, "environment_steps": 7},
    **{"distinct_worlds": 3, "cpu_seconds": 1.5, "wall_seconds": 2.0},
}
Right = Callable[[int], bool]


def evaluated(right: Right, **more: Any) -> dict[str, Any]:
    """The result of an evaluation whose tasks have one or two hops, by turns."""
    tasks = {}
    for number in range(TASKS):
        won = float(right(number))
        ratios = dict.fromkeys(METRICS, (won, 1.0)) | {"process_accuracy": (1 + 2 * won, 3.0)}
        tasks[f"t{number}"] = {"hops": 1 + number % 2, **ratios}
    return {"tasks": tasks, "errors": 0, "official": {}, "unit": "", "file": "x"} | more


def results_of(jobs: tuple[Job, ...], skill: dict[str, Right]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for job in jobs:
        if job.kind == "evaluate" and job.subject in skill:
            found[job.name] = evaluated(skill[job.subject])
        elif job.kind == "train":
            seed = {"generated_tokens": 100 * (1 + job.arguments["seed"])}
            log = {"spent": SPENT | seed, "ended_by": "generated_tokens", "steps": 4}
            found[job.name] = log | {"progress": "none.jsonl"}
        elif job.kind == "collect":
            found[job.name] = {"passing": {"none": 20, "process": 11}}
    return found


SKILL: dict[str, Right] = {
    "oracle": lambda n: True,
    "guess": lambda n: n % 10 == 0,
    "start": lambda n: n % 4 == 0,
    "one": lambda n: n % 4 != 3,
    "two": lambda n: n % 2 == 0,
}


@pytest.fixture
def study(tmp_path: Path) -> Any:
    return read(tmp_path)


def test_shares_and_their_intervals(study: Any) -> None:
    jobs = plan_jobs(study)
    entries = scores_on_suite(jobs, results_of(jobs, SKILL), "test")
    one = entries["one"]
    assert (len(one.tasks), one.seeds, one.hop_counts) == (TASKS, (0, 1), [1, 2])
    found = mean_score(one, "success")
    assert found is not None
    assert found.mean == pytest.approx(0.75)
    assert 0.64 < found.low < 0.75 < found.high < 0.85
    assert found.n == 2 * TASKS
    by_hops = [mean_score(one, "success", hops) for hops in (1, 2)]
    assert [each.mean for each in by_hops if each] == [1.0, 0.5]
    accuracy = mean_score(one, "process_accuracy")
    assert accuracy is not None
    assert accuracy.mean == pytest.approx((1 + 2 * 0.75) / 3)


def test_shares_that_are_the_same_for_all(study: Any) -> None:
    jobs = plan_jobs(study)
    oracle = scores_on_suite(jobs, results_of(jobs, SKILL), "test")["oracle"]
    found, steps = mean_score(oracle, "success"), mean_score(oracle, "steps")
    assert found is not None and (found.low, found.high) == pytest.approx(wilson(1.0, TASKS))
    assert format_share(found) == "100.0 [96.9, 100.0]"
    assert steps is not None and not steps.has_interval, "a count is no share"
    assert format_share(steps).endswith(" [unknown]")
    assert format_difference(score_difference(oracle, oracle, "success")) == "+0.0 [unknown]"


def test_seeds_that_differ_widen_the_interval(study: Any) -> None:
    jobs = plan_jobs(study)
    results = results_of(jobs, SKILL)
    even = mean_score(scores_on_suite(jobs, results, "test")["one"], "success")
    results["test: one, seed 0"] = evaluated(lambda n: n % 2 == 0)
    results["test: one, seed 1"] = evaluated(lambda n: True)
    uneven = mean_score(scores_on_suite(jobs, results, "test")["one"], "success")
    assert even is not None and uneven is not None
    assert uneven.mean == even.mean == 0.75
    assert uneven.high - uneven.low > 2 * (even.high - even.low)


def test_differences_are_paired_by_task(study: Any) -> None:
    jobs = plan_jobs(study)
    entries = scores_on_suite(jobs, results_of(jobs, SKILL), "test")
    gain = score_difference(entries["one"], entries["start"], "success")
    assert gain is not None
    assert gain.mean == pytest.approx(0.5)
    assert gain.low > 0.4, "one is right wherever the start is, which pairing knows"
    assert gain.p_value < 0.01
    nothing = score_difference(entries["one"], entries["one"], "success")
    assert nothing is not None
    assert (nothing.mean, nothing.low, nothing.high, nothing.p_value) == (0, 0, 0, 1)
    floor = score_difference(entries["one"], entries["guess"], "success")
    assert floor is not None, "what all seeds share goes with each"
    assert floor.mean == pytest.approx(0.65)


def test_the_table_of_a_suite(study: Any) -> None:
    jobs = plan_jobs(study)
    table = suite_table(study, jobs, results_of(jobs, SKILL), "test")
    assert [row[0] for row in table.rows] == ["guess", "start", "one", "two", "oracle"]
    assert table.headings[1:6] == ("success %", "over start", "1 hop", "2 hops", "F1")
    rows = {row[0]: dict(zip(table.headings, row, strict=True)) for row in table.rows}
    assert rows["one"]["success %"].startswith("75.0 [")
    assert rows["one"]["over start"].startswith("+50.0 [+")
    assert (rows["start"]["over start"], rows["oracle"]["over start"]) == ("–", "–")
    assert rows["one"]["tasks × seeds"] == "120 × 2"
    assert "not run: test: greedy, test: random, test: unknown." in table.note


def test_official_figures_stand_beside(study: Any) -> None:
    jobs = plan_jobs(study)
    results = results_of(jobs, SKILL)
    for seed, em in ((0, 40.0), (1, 50.0)):
        official = {"em": em, "f1": em + 1, "prec": 0.0}
        results[f"test: one, seed {seed}"] |= {"official": official, "unit": "percent"}
    table = suite_table(study, jobs, results, "test")
    row = dict(zip(table.headings, table.rows[2], strict=True))
    assert (row["official em"], row["official f1"]) == ("45.00", "46.00")
    assert "official prec" not in row


def test_costs_are_means_over_seeds(study: Any) -> None:
    jobs = plan_jobs(study)
    table = cost_table(study, jobs, results_of(jobs, {}))
    assert [row[0] for row in table.rows] == ["start, stage 1", "one", "two"]
    assert table.rows[1][1:3] == ("2", "150")
    assert table.rows[1][-1] == "generated tokens"
    assert cost_table(study, jobs, {}).rows[1][-1] == "not run"


def test_what_is_written(tmp_path: Path) -> None:
    text = TEXT.replace('name = "test"', 'name = "test"\n').replace(
        "[quick]", '[[suite]]\nname = "real"\nfile = "hotpotqa"\nenv = "HotpotQA"\n[quick]', 1
    )
    study = read(tmp_path, text)
    jobs = plan_jobs(study)
    results = results_of(jobs, SKILL)
    failed = {"test: greedy": "no <such> thing"}
    written = write_report(study, jobs, results, failed, tmp_path / "out", command="hopgym study")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["suites"]["test"]["rows"]["one"]["success"]["mean"] == 0.75
    assert summary["suites"]["test"]["pairs"][0]["success"]["mean"] == 0.25
    assert summary["not_run"]["suites"] == ["real"]
    assert summary["failed"] == failed
    assert [each["generated_tokens"] for each in summary["spent"]["one"]] == [100, 200]
    page = (tmp_path / "out" / "report.md").read_text()
    for words in (
        "## Suite test",
        "| one | 75.0 [",
        "not run: no --hotpotqa FILE was given.",
        "| one − two | +25.0 [",
        "| one, test | 50.0 [",
        "| episodes for start, stage 1 | 20 | 11 |",
        "| test: greedy | no <such> thing |",
    ):
        assert words in page, words
    html = (tmp_path / "out" / "report.html").read_text()
    assert "no &lt;such&gt; thing" in html
    assert set(written.paths) == {"figures", "table", "report"}
    again = write_report(study, jobs, results, failed, tmp_path / "two", command="hopgym study")
    assert again.paths["report"].read_text() == html
