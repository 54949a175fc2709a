"""`hopgym collect`, `decompose` and `export`: from tasks to training rows on the command line."""

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from hopgym.cli.app import VERBS
from hopgym.policies import registry as policies
from hopgym.runs.trajectory_file import read_header, read_trajectories
from hopgym.runs.writer import TrajectoryWriter
from hopgym.trajectory import Completion, StopReason
from hopgym_agents.data.decomposition import decompose, judge_actions
from hopgym_agents.data.export import load_rows, message_row, prompt_row, state_of, state_row
from hopgym_agents.prompts import STYLES
from tests.support.command_line import hopgym

TASKS = 4
WORDS = (
    "collect", "hopgym/People-v0", "--policy", "noisy_oracle", "--noisy_oracle.p", "0.3",
    "--noisy_oracle.kinds", "search,repeat,answer", "--size", "10", "--questions_per_world", "4",
    "--max_steps", "5", "-n", TASKS,
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def entry_points() -> Any:
    """Let the program have verbs and policy, also where those of a checkout are older."""
    with pytest.MonkeyPatch.context() as patch:
        for verb in ("collect", "decompose", "export"):
            patch.setitem(VERBS, verb, f"hopgym_agents.cli.collect:{verb}")
        group = policies.PLUG_INS
        point = EntryPoint("noisy_oracle", "hopgym_agents.noisy_oracle:noisy_oracle", group)
        patch.setattr(policies, "entry_points", lambda group: [point])
        yield


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run.jsonl"
    result = hopgym(*WORDS, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert "20 episodes of noisy_oracle" in result.stderr
    return out


def test_each_task_is_played_five_times(file: Path) -> None:
    played = list(read_trajectories(file))
    assert {each.key[1] for each in played} == set(range(5)) and len(played) == 5 * TASKS
    assert len({each.key for each in played}) == 5 * TASKS
    assert {each.env_kwargs["max_steps"] for each in played} == {5}
    assert len({tuple(step.text for step in each.steps) for each in played}) > TASKS
    help_text = hopgym("collect", "--help").stdout
    assert "several times" in help_text and "[default: 5]" in help_text


def test_a_killed_collection_goes_on(file: Path, tmp_path: Path) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    out = tmp_path / "run.jsonl"
    out.write_bytes(b"".join(lines[:8]) + lines[8][:40])
    result = hopgym(*WORDS, "--out", out)
    assert result.exit_code == 0 and "7 of them from before" in result.stderr
    assert sorted(out.read_bytes().splitlines()) == sorted(file.read_bytes().splitlines())
    other = hopgym(*WORDS, "--noisy_oracle.p", "0.4", "--out", out)
    assert other.exit_code == 2 and "another policy" in other.stderr


def test_decompose_gives_a_row_for_each_action(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "states.jsonl"
    result = hopgym("decompose", file, "--out", out)
    assert result.exit_code == 0, result.stderr
    subs = [sub for each in read_trajectories(file) for sub in decompose(each)]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows == [state_row(sub) for sub in subs]
    assert [state_of(row) for row in rows] == [sub.state for sub in subs]
    outcomes = judge_actions([state_of(row) for row in rows], [row["action"] for row in rows])
    assert [str(outcome.verdict) for outcome in outcomes] == [row["verdict"] for row in rows]
    assert f"{len(rows):,} rows from 20 episodes" in result.stderr
    assert "good" in result.stdout and "GOOD" in result.stdout
    plain = json.loads(hopgym("decompose", file, "--out", out, "--json").stdout)
    assert plain["rows"] == len(rows) == sum(plain["verdicts"].values())
    assert (plain["episodes"], plain["errors"], plain["privileged"]) == (20, 0, 0)


def test_export_renders_as_told(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    episodes = list(read_trajectories(file))
    subs = [sub for each in episodes for sub in decompose(each)]
    out = tmp_path / "rows"
    words = ("export", file, "--out", out, "--style", "swirl", "--weight", "good")
    assert hopgym(*words).exit_code == 0
    good = [prompt_row(sub, STYLES["swirl"], "good") for sub in subs if sub.is_good]
    assert list(load_rows(out)) == good and 0 < len(good) < len(subs)
    assert hopgym("export", file, "--out", out, "--form", "messages").exit_code == 0
    assert list(load_rows(out)) == [message_row(each) for each in episodes]
    own = tmp_path / "own.jinja"
    own.write_text("{% block opening %}Mine: {{ question }}{% endblock %}")
    lines = tmp_path / "rows.jsonl"
    result = hopgym("export", file, "--out", lines, "--template", own)
    assert result.exit_code == 0, result.stderr
    opening = json.loads(lines.read_text().splitlines()[0])["prompt"][0]["content"]
    assert opening == f"Mine: {episodes[0].question}"


def test_what_is_no_training_data_is_counted(file: Path, tmp_path: Path) -> None:
    mixed, out = tmp_path / "mixed.jsonl", tmp_path / "rows.jsonl"
    first, second, *_ = (each for each in read_trajectories(file) if len(each.steps) > 1)
    told = replace(first.steps[0], completion=Completion("x", privileged=True))
    with TrajectoryWriter(mixed, read_header(file)) as writer:
        writer.write(replace(first, steps=(told, *first.steps[1:])))
        writer.write(replace(second, stop_reason=StopReason.API_ERROR))
    result = hopgym("export", mixed, "--out", out)
    assert result.exit_code == 0
    assert "1 ended in an error, 1 steps used what was not shown" in result.stderr
    assert len(out.read_text().splitlines()) == len(first.steps) - 1
    none = hopgym("export", mixed, "--out", tmp_path / "none.jsonl", "--form", "messages")
    assert none.exit_code == 2 and "at least one row" in none.stderr
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--form", "message"), "did you mean 'messages'"),
        (("--weight", "best"), "weight must be one of one, good, process, success"),
        (("--style", "swril"), "did you mean 'swirl'"),
        (("--style", "native"), "needs the dialect 'json'"),
        (("--out", "rows.csv"), "out must end with .jsonl or .parquet"),
    ],
)
def test_wrong_words_are_told(
    file: Path, tmp_path: Path, words: Sequence[str], message: str
) -> None:
    result = hopgym("export", file, "--out", tmp_path / "rows.jsonl", *words)
    assert result.exit_code == 2 and message in result.stderr
    assert not list(tmp_path.iterdir())
