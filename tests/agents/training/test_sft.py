"""`hopgym train sft`: what it learns and costs, and that a kill changes nothing."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hopgym.errors import DataError
from hopgym.rollout import run_episodes
from hopgym.trajectory import Trajectory
from tests.support.training_runs import (
    LATE,
    assert_same,
    env,
    oracle_run,
    points,
    prepared,
    stopping,
)
from tests.support.training_runs import trained as trained_by

pytestmark = pytest.mark.torch

TRL = {"learning_rate": 1e-2, "logging_steps": 2, "save_steps": 4, "max_steps": 10}
KILLED = """
import json, os, signal, sys
from hopgym_agents.training.config import read_config
from hopgym_agents.training.loop import prepare, run

steps = []
def show(total, done):
    def advance(count):
        steps.append(count)
        if len(steps) == 7:
            os.kill(os.getpid(), signal.SIGKILL)
    return advance

run(prepare("sft", read_config(json.loads(sys.argv[1]))), show)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return oracle_run(tmp_path_factory.mktemp("runs") / "oracle.jsonl", 12)


@pytest.fixture
def given(run: str, blank: str, tmp_path: Path) -> dict[str, Any]:
    return {"run": run, "model": blank, "out": str(tmp_path / "out"), "batch": 4, "trl": dict(TRL)}


def trained(given: dict[str, Any], show: Any = None) -> Any:
    return trained_by("sft", given, show)


@pytest.fixture(scope="module")
def unbroken(run: str, blank: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = str(tmp_path_factory.mktemp("unbroken") / "out")
    trained({"run": run, "model": blank, "out": out, "batch": 4, "trl": dict(TRL)})
    return out


def stopped(*_: Any) -> None:
    raise KeyboardInterrupt


def greedy(model: str, count: int) -> list[Trajectory]:
    from hopgym_agents.policy import llm

    made = env()
    options = {"model": model, "generator": "local", "temperature": 0.0, "max_tokens": 24}
    return list(run_episodes(made, llm(made, options), range(count)))


def test_what_it_has_learnt_shows_when_it_plays(taught: dict[str, Any]) -> None:
    found = trained(taught, lambda total, done: pytest.fail("it has ended"))
    assert found.tracked == "loss" and found.last < 0.2 * found.first
    before = sum(each.is_success for each in greedy(taught["model"], 6))
    after = sum(each.is_success for each in greedy(found.model, 6))
    assert before == 0 and after >= 3


@pytest.mark.slow  # another process loads torch and trl
def test_a_real_kill_changes_nothing(given: dict[str, Any], unbroken: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, json.dumps(given)], capture_output=True, text=True
    )
    assert done.returncode == -9, done.stderr
    assert points(given["out"])[-1]["step"] == 6  # Behind the checkpoint: it is done again.
    seen: list[int] = []

    def show(total: int, step: int) -> Callable[[int], None]:
        seen.extend((total, step))
        return seen.append

    assert trained(given, show).steps == 10
    assert seen == [10, 4, *[1] * 6]
    assert_same(given["out"], unbroken)


def test_a_checkpoint_that_is_not_whole_is_passed_over(
    given: dict[str, Any], unbroken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hopgym_agents.training.run_folder import RunFolder

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(RunFolder, "complete_checkpoint", stopped)
        trained(given)
    assert (Path(given["out"]) / "checkpoints" / "checkpoint-4").is_dir()
    trained(given)
    assert_same(given["out"], unbroken)


def test_a_run_that_has_ended_is_not_done_again(given: dict[str, Any]) -> None:
    first = trained(given)
    again = trained(given, lambda total, done: pytest.fail("it trained"))
    assert again.to_dict() == first.to_dict()


def test_the_budget_ends_with_the_batch_that_reaches_it(given: dict[str, Any]) -> None:
    given["limits"] = {"gradient_tokens": 90}
    found = trained(given)
    per_batch = points(given["out"])[-1]["gradient_tokens"] / found.steps
    assert found.ended_by == "gradient_tokens" and found.spent.gradient_tokens >= 90
    assert found.spent.gradient_tokens - per_batch < 90
    # With a larger one the same run goes on, and comes to the same as at one go.
    given["limits"] = {"gradient_tokens": 10_000}
    assert trained(given).ended_by == "steps"
    tokens = [each["gradient_tokens"] for each in points(given["out"])]
    assert tokens == sorted(tokens) and len(set(tokens)) == len(tokens)


def test_a_kill_behind_the_last_checkpoint_adds_no_batch(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hopgym_agents.training import loop as session

    given["limits"] = {"gradient_tokens": 90}
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(session, "save_trained", stopped)
        trained(given)
    before = points(given["out"])
    found = trained(given)
    assert points(given["out"]) == before and found.steps == before[-1]["step"]
    assert found.spent.gradient_tokens == before[-1]["gradient_tokens"]


def test_the_sums_are_those_of_the_rows(given: dict[str, Any]) -> None:
    from hopgym_agents.training.loop import run as run_prepared

    del given["trl"]["max_steps"]
    given["trl"]["num_train_epochs"] = 2
    ready = prepared("sft", given)
    found = run_prepared(ready)
    assert found.steps == ready.plan.steps == 6
    learnt = ready.plan.data.counts["tokens with a loss"]
    assert found.spent.gradient_tokens == 2 * learnt
    assert (found.spent.distinct_worlds, found.spent.generated_tokens) == (12, 0)


@pytest.mark.filterwarnings(LATE)
def test_a_lora_adapter_is_trained_and_played(given: dict[str, Any]) -> None:
    given["precision"] = {"kind": "lora", "rank": 4}
    found = trained(given)
    assert found.last < found.first
    assert (Path(found.model) / "adapter_config.json").is_file()
    card = (Path(found.model) / "README.md").read_text()
    assert f"--llm.model {given['model']} --llm.adapter {found.model}" in card


def test_damaged_files_are_named_and_an_earlier_checkpoint_is_used(
    given: dict[str, Any], unbroken: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(given, stopping(10))
    out = Path(given["out"])
    weights = out / "checkpoints" / "checkpoint-8" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.warns(UserWarning, match=r"checkpoint-8 is damaged \(model.safetensors\)"):
        trained(given)
    assert_same(given["out"], unbroken)


def test_a_damaged_line_of_the_log_is_named(given: dict[str, Any]) -> None:
    from hopgym_agents.training.run_folder import read_log

    trained(given)
    log = Path(given["out"]) / "progress.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace('"step": 4', '"step": 5')
    log.write_text("".join(lines))
    with pytest.warns(UserWarning, match="progress.jsonl, line 2 is damaged"):
        assert [point["step"] for point in read_log(log)] == [2, 6, 8, 10]


@pytest.mark.parametrize("change", [{"schema": 1}, {"seed": 7}])
def test_a_folder_of_another_version_or_changed_by_hand_is_refused(
    given: dict[str, Any], change: dict[str, int]
) -> None:
    trained(given)
    file = Path(given["out"]) / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(DataError, match=r"expected schema 2|has been changed"):
        trained(given)
