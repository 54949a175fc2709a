"""`hopgym compare`: paired differences against numbers by hand, and runs that are refused."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from hopgym.cli.app import app
from hopgym.evaluation.comparison import TaskMeans, compare, means_by_task
from hopgym.policies import ConstantPolicy, ScriptedPolicy
from hopgym.rollout import as_policy, run_episodes

TOWNS = ("Elmstead", "Farrow", "Graveley", "Harrow", "Islay", "Jarrow")


def run(*words: Any) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, words)])


def figures(success: float, index: int = 0, **others: float) -> TaskMeans:
    return TaskMeans(index, others.pop("hops", "1"), "chain", {"success": success, **others})  # type: ignore[arg-type]


def test_differences_by_hand() -> None:
    first = {"a": figures(0.0, 2), "b": figures(1.0, 0), "c": figures(0.5, 1), "x": figures(1.0, 3)}
    other = {"a": figures(1.0, 2), "b": figures(0.0, 0), "c": figures(1.0, 1), "y": figures(1.0, 4)}
    found = compare(first, other)
    assert (found.tasks, found.won, found.lost, found.even) == (3, ("c", "a"), ("b",), 0)
    success = found.metrics["success"]
    assert success is not None and success.n == 3
    assert (success.first, success.other) == pytest.approx((0.5, 2 / 3))
    assert success.mean == pytest.approx((1 - 1 + 0.5) / 3)
    assert (success.low, success.high) == pytest.approx((-1.0, 1.0))
    assert found.metrics["f1"] is None
    assert set(found.by_hops) == {"1"} and set(found.by_kind) == {"chain"}


def test_a_metric_is_compared_where_both_have_it() -> None:
    first = {"a": figures(1.0, supported=1.0), "b": figures(1.0)}
    other = {"a": figures(1.0, supported=0.0), "b": figures(1.0, supported=1.0)}
    supported = compare(first, other).metrics["supported"]
    assert supported is not None and (supported.n, supported.mean) == (1, -1.0)


def test_pairing_narrows_the_interval() -> None:
    # 300 tasks, half of them hard for both; the other run wins 30 of them and loses 6.
    hard = [float(i % 2) for i in range(300)]
    better = [1.0 if i % 20 == 0 else 0.0 if i % 50 == 49 else hard[i] for i in range(300)]
    first = {f"t{i}": figures(hard[i], i) for i in range(300)}
    other = {f"t{i}": figures(better[i], i) for i in range(300)}
    found = compare(first, other)
    assert (len(found.won), len(found.lost), found.even) == (15, 6, 279)
    success = found.metrics["success"]
    assert success is not None and success.mean == pytest.approx(9 / 300)
    gains = np.array(better) - np.array(hard)
    spread = 1.96 * gains.std() / np.sqrt(300)
    assert (success.low, success.high) == pytest.approx((0.03 - spread, 0.03 + spread), abs=0.006)
    unpaired = 1.96 * np.sqrt(2 * 0.25 / 300)
    assert success.high - success.low < unpaired
    # A mean of 1.9 standard errors: two-sided, 0.05 or so, as a normal deviate would have.
    assert 0.03 < success.share < 0.09
    back = compare(other, first).metrics["success"]
    assert back is not None and (back.mean, back.share) == (-success.mean, success.share)
    assert (back.low, back.high) == pytest.approx((-success.high, -success.low))


@pytest.mark.parametrize(("gain", "share"), [(0.0, 1.0), (0.1, 2 / 1001)])
def test_share_of_a_sign_that_never_turns(gain: float, share: float) -> None:
    first = {f"t{i}": figures(0.3, i) for i in range(20)}
    other = {f"t{i}": figures(0.3 + gain, i) for i in range(20)}
    success = compare(first, other).metrics["success"]
    assert success is not None and success.share == pytest.approx(share)
    assert success.low == pytest.approx(gain) == success.high


def test_a_task_counts_once_whatever_its_attempts(env: Any, source: Any) -> None:
    scripts = {"q0": ["<answer>baker</answer>"], "q1": ["<answer>Ada Brook</answer>"]}
    right = list(run_episodes(env, ScriptedPolicy(scripts), range(2), samples=3))
    wrong = list(run_episodes(env, ConstantPolicy("none"), range(2)))
    of_q0 = [each for each in (*right, *wrong) if each.task_id == "q0"]
    mixed, alone = means_by_task([of_q0, right], source)
    assert mixed["q0"].means["success"] == 3 / 4 and set(mixed) == {"q0"}
    assert alone["q1"].means == pytest.approx(
        {"success": 0.0, "f1": 2 / 3, "supported": 0.0, "steps": 1.0}
    )


def write_tasks(path: Path, count: int = 6) -> Path:
    pages = [{"title": town, "text": f"{town} lies on river {i}."} for i, town in enumerate(TOWNS)]
    questions = [
        {"id": f"q{i}", "question": f"On which river lies {town}?", "answer": f"river {i}"}
        for i, town in enumerate(TOWNS[:count])
    ]
    path.write_text("\n".join(map(json.dumps, [*pages, *questions])))
    return path


@pytest.fixture
def runs(tmp_path: Path) -> Mapping[str, Path]:
    """Runs on one file: of one answer, of another in a folder, of fewer tasks; and on another."""
    data, other = write_tasks(tmp_path / "data"), write_tasks(tmp_path / "other.data", 5)
    paths = {}

    def play(
        name: str, policy: Any, tasks: Any = range(6), path: Path = data, **kwargs: Any
    ) -> None:
        paths[name] = tmp_path / (f"{name}/episodes.jsonl" if name == "folder" else f"{name}.jsonl")
        env_kwargs = {"path": str(path), **kwargs}
        playing = run_episodes(
            "hopgym/Jsonl-v0", policy, tasks, env_kwargs=env_kwargs, out=paths[name]
        )
        assert len(list(playing)) == len(tasks)

    play("first", ConstantPolicy("river 1"))
    play("folder", as_policy(read_and_answer))
    play("fewer", ConstantPolicy("river 2"), range(4))
    play("other", ConstantPolicy("river 1"), range(5), other)
    play("settings", ConstantPolicy("river 1"), max_steps=3)
    play("later", ConstantPolicy("river 5"), range(4, 6))
    play("broken", as_policy(breaks_on_harrow))
    play("failed", as_policy(breaks))
    return paths


def read_and_answer(transcript: str) -> str:
    town = next(town for town in TOWNS if f"lies {town}?" in transcript)
    number = TOWNS.index(town)
    known = f"{town} lies on river {number}." in transcript
    return f"<answer>river {number}</answer>" if known else f"<lookup>{town}</lookup>"


def breaks(transcript: str) -> str:
    raise ValueError("no")


def breaks_on_harrow(transcript: str) -> str:
    if "Harrow" in transcript:
        raise ValueError("no")
    return "<answer>river 0</answer>"


def test_compare_prints_tables_that_fit(runs: Mapping[str, Path], tmp_path: Path) -> None:
    long = [tmp_path / f"{'a-run-with-a-name-that-goes-on-' * 3}{i}.jsonl" for i in (1, 2)]
    for path, name in zip(long, ("fewer", "folder"), strict=True):
        path.write_bytes(runs[name].read_bytes())
    for words in ((runs["first"], runs["folder"].parent, long[0]), long):
        result = run(*words, "--common")
        assert result.exit_code == 0, result.stderr
        assert max(map(len, map(str.rstrip, result.stdout.splitlines()))) <= 100
    result = run(runs["first"], runs["folder"].parent, long[0], "--common")
    assert "folder against first: 4 common tasks" in result.stdout
    assert "won 3: q0, q2, q3" in result.stdout and "lost 0\n" in result.stdout
    row = next(line for line in result.stdout.splitlines() if line.startswith("success"))
    assert re.split(r"\s{2,}", row.strip())[1:4] == ["25.0%", "100.0%", "+75.0"]


def test_compare_as_json(runs: Mapping[str, Path]) -> None:
    result = run(runs["first"], runs["folder"].parent, "--json")
    assert result.exit_code == 0, result.stderr
    plain = json.loads(result.stdout)
    (only,) = plain["comparisons"]
    assert (plain["first"], only["other"], only["tasks"]) == ("first", "folder", 6)
    assert only["won"] == ["q0", "q2", "q3", "q4", "q5"] and only["lost"] == []
    assert only["even"] == 1 and only["settings"] == {}
    success = only["metrics"]["success"]
    assert success["mean"] == pytest.approx(5 / 6) and 0 < success["share"] <= 1
    assert success["low"] < success["mean"] < success["high"]
    steps = only["metrics"]["steps"]  # One more on every task: an interval of one point is none.
    assert (steps["mean"], steps["low"], steps["high"]) == (1.0, None, None)
    assert "resamples" in plain["share"]
    assert plain["runs"]["first"] == {
        "path": str(runs["first"]), "episodes": 6, "tasks": 6, "errors": 0,
    }  # fmt: skip


def test_other_settings_are_told(runs: Mapping[str, Path]) -> None:
    result = run(runs["first"], runs["settings"])
    assert result.exit_code == 0
    assert "max_steps: the default in first, 3 in settings" in result.stdout


def test_episodes_in_error_are_left_out_and_told(runs: Mapping[str, Path]) -> None:
    result = run(runs["first"], runs["broken"])
    assert result.exit_code == 0
    assert "5 common tasks" in result.stdout
    assert "only errors of its policy there: 1 tasks." in result.stdout
    assert "won 1: q0" in result.stdout and "lost 1: q1" in result.stdout


def test_runs_without_an_episode_to_compare_are_refused(runs: Mapping[str, Path]) -> None:
    for words in [(), ("--common",)]:
        result = run(runs["first"], runs["failed"], *words)
        assert result.exit_code == 2 and result.stdout == ""
        assert "failed: expected tasks that it and first both played without" in result.stderr
        assert "6 in first (0 episodes" in result.stderr
        assert "0 in failed (6 episodes ended in an error" in result.stderr


def test_other_tasks_are_refused(runs: Mapping[str, Path]) -> None:
    result = run(runs["first"], runs["fewer"])
    assert result.exit_code == 2 and result.stdout == ""
    assert (
        "fewer: expected the tasks of first, got others: the two share 4, 2 more" in result.stderr
    )
    assert "0 in fewer alone; add --common" in result.stderr
    assert run(runs["first"], runs["fewer"], "--common").exit_code == 0
    apart = run(runs["fewer"], runs["later"], "--common")
    assert apart.exit_code == 2 and "which all share none" in apart.stderr


def test_other_sources_are_refused_even_in_common(runs: Mapping[str, Path]) -> None:
    for words in [(), ("--common",)]:
        result = run(runs["first"], runs["other"], *words)
        assert result.exit_code == 2 and result.stdout == ""
        assert "of the same source as those of first, got another" in result.stderr
        assert "path (" in result.stderr and "5 task ids stand in both" in result.stderr


def test_wrong_paths_are_told(runs: Mapping[str, Path], tmp_path: Path) -> None:
    assert "two or more different runs" in run(runs["first"], runs["first"]).stderr
    assert "no such file" in run(runs["first"], tmp_path / "none").stderr
    found = run(runs["first"], tmp_path).stderr
    assert "episodes.jsonl" in found and "first.jsonl" in found
    folder = runs["folder"].parent
    twice = tmp_path / "again" / "folder"
    twice.mkdir(parents=True)
    (twice / "episodes.jsonl").write_bytes(runs["folder"].read_bytes())
    assert "again/folder against" in run(folder, twice).stdout
