"""The methods that play: what they spend, log and change, and that a stop changes nothing."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.training_runs import (
    LATE,
    METHODS,
    assert_same,
    oracle_run,
    playing,
    points,
    prepared,
    same_weights,
    stopping,
    trained,
)

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings(LATE)]

KILLED = """
import json, os, signal, sys
from hopgym_agents.training.config import read_config
from hopgym_agents.training.loop import prepare, run

left = [3]
def show(total, done):
    def advance(count):
        left[0] -= count
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
    return advance

run(prepare(sys.argv[1], read_config(json.loads(sys.argv[2]))), show)
"""
DEV = {"dev": 2, "every": 150}


def stop(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def model(taught: dict[str, Any]) -> str:
    return f"{taught['out']}/model"


@pytest.fixture(scope="module", params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def unbroken(
    method: str, model: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A run's folder, and its result."""
    out = tmp_path_factory.mktemp(method) / "out"
    return out, trained(method, playing(method, model, out, **DEV)).to_dict()


@pytest.fixture
def given(method: str, model: str, tmp_path: Path) -> dict[str, Any]:
    return playing(method, model, tmp_path / "out", **DEV)


def test_what_a_run_leaves(unbroken: tuple[Path, dict[str, Any]], model: str, method: str) -> None:
    out, result = unbroken
    assert (result["steps"], result["ended_by"]) == (4, "steps")
    assert not same_weights(out / "model", model)
    log = points(out)
    learnt = [each for each in log if "loss" in each]
    evaluated = [each for each in log if "dev" in each]
    assert [each["step"] for each in learnt] == [1, 2, 3, 4]
    assert (evaluated[0]["step"], evaluated[-1]["step"]) == (0, 4)
    told = evaluated[0]["dev"]
    assert told["n"] == 2 and told["by_hops"].keys() == {"1"}
    assert result["dev_before"] == told["success"]
    assert result["dev_after"] == evaluated[-1]["dev"]["success"]
    for each in learnt:
        assert {"malformed", "repeat", "good_by_step", "entropy"} <= each.keys()
        assert method == "expert_iteration" or {"reward", "zero_variance"} <= each.keys()
    followed = "loss" if method == "expert_iteration" else "reward"
    ends = (learnt[0][followed], learnt[-1][followed])
    assert (result["tracked"], result["first"], result["last"]) == (followed, *ends)
    sums = [each["generated_tokens"] for each in log]
    assert sums == sorted(sums) and sums[-1] == result["spent"]["generated_tokens"]
    # A supervised learner also learns the ends of turns behind calls, at which sampling stops.
    learnt_most = sums[-1] + (method == "expert_iteration") * result["spent"]["environment_steps"]
    assert 0 < result["spent"]["gradient_tokens"] <= learnt_most
    # What was sampled and counted stands in the figures of its places.
    actions = [count for each in learnt for _, count in each["good_by_step"].values()]
    played = result["spent"]["environment_steps"]
    # With the pages in the prompt, answers alone can be malformed, and nothing else is judged.
    assert sum(actions) == played or (method == "one_turn" and sum(actions) < played)
    # Two tasks a step, six in all, and every task a world; states came from the first two.
    worlds = {"stepwise": (2, 4, 6)}.get(method, (6,))
    assert result["spent"]["distinct_worlds"] in worlds
    assert json.loads((out / "result.json").read_text())["result"] == result
    assert "generated tokens" in (out / "model" / "README.md").read_text()


def test_a_stopped_run_goes_on_to_the_same(
    given: dict[str, Any], method: str, unbroken: tuple[Path, dict[str, Any]]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(method, given, stopping(3))
    found = trained(method, given)
    assert found.steps == 4
    assert_same(given["out"], unbroken[0])
    again = trained(method, given, lambda total, done: pytest.fail("it trained"))
    assert again.to_dict() == found.to_dict()


def test_a_limit_ends_a_run_with_the_batch_that_reaches_it(
    given: dict[str, Any], method: str, unbroken: tuple[Path, dict[str, Any]]
) -> None:
    del given["trl"]["max_steps"]
    log = [each for each in points(unbroken[0]) if "loss" in each]
    limit = (log[0]["generated_tokens"] + log[1]["generated_tokens"]) // 2
    given["limits"] = {"generated_tokens": limit}
    given["trl"]["lr_scheduler_type"] = "constant"
    found = trained(method, given)
    assert (found.steps, found.ended_by) == (2, "generated_tokens")
    assert found.spent.generated_tokens == log[1]["generated_tokens"] >= limit
    # A larger one goes on behind the end.
    given["limits"] = {"environment_steps": log[2]["environment_steps"]}
    assert trained(method, given).ended_by == "environment_steps"
    assert points(given["out"])[-1]["generated_tokens"] == log[2]["generated_tokens"]


@pytest.mark.parametrize("where", ["complete_checkpoint", "save_trained", "evaluate"])
@pytest.mark.parametrize("method", ["trajectory"], indirect=True)
def test_stops_elsewhere(
    given: dict[str, Any],
    where: str,
    unbroken: tuple[Path, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hopgym_agents.training import loop as session
    from hopgym_agents.training.environments import HeldOutTasks
    from hopgym_agents.training.run_folder import RunFolder

    place = {"complete_checkpoint": RunFolder, "save_trained": session, "evaluate": HeldOutTasks}[
        where
    ]
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(place, where, stop)
        trained("trajectory", given)
    trained("trajectory", given)
    assert_same(given["out"], unbroken[0])


@pytest.mark.parametrize("method", ["stepwise"], indirect=True)
@pytest.mark.parametrize("episodes", [1, 6])
def test_a_stop_while_a_round_is_played(
    given: dict[str, Any],
    episodes: int,
    unbroken: tuple[Path, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hopgym.runs.writer import TrajectoryWriter

    written: list[Any] = []
    write = TrajectoryWriter.write

    def stopped(self: TrajectoryWriter, episode: Any) -> None:
        written.append(episode)
        if len(written) == episodes:
            raise KeyboardInterrupt
        write(self, episode)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(TrajectoryWriter, "write", stopped)
        trained("stepwise", given)
    trained("stepwise", given)
    assert_same(given["out"], unbroken[0])


@pytest.mark.slow  # another process loads torch and trl
@pytest.mark.parametrize("method", ["stepwise"], indirect=True)
def test_a_real_kill(given: dict[str, Any], unbroken: tuple[Path, dict[str, Any]]) -> None:
    words = [sys.executable, "-c", KILLED, "stepwise", json.dumps(given)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    trained("stepwise", given)
    assert_same(given["out"], unbroken[0])


@pytest.mark.parametrize("method", ["sft", "stepwise"])
def test_settings_of_the_chat_template_hold_while_it_learns(
    method: str, blank: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trl

    from hopgym_agents.generate.local import LocalGenerator

    model = shutil.copytree(blank, tmp_path / "model")
    template = Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja"
    shutil.copy(template, model / "chat_template.jinja")
    given = playing(method, str(model), tmp_path / "out", dev=2, dev_kwargs={"split": "dev"})
    if method == "sft":
        given["run"] = oracle_run(tmp_path / "run.jsonl", 8)
        del given["trl"]["num_generations"]
    given["trl"]["max_steps"] = 1
    given["play"]["chat_settings"] = {"enable_thinking": False}
    seen: list[str] = []
    monkeypatch.setattr(LocalGenerator, "__call__", keeping(seen, LocalGenerator.__call__))
    run = prepared(method, given)
    silent = "assistant\n<think>\n\n</think>\n\n"
    assert silent in run.plan.sample
    trained(method, given)
    assert seen and all(prompt.endswith(silent) for prompt in seen)
    card = (tmp_path / "out" / "model" / "README.md").read_text()
    assert """--llm.chat_settings '{"enable_thinking": false}'""" in card


def keeping(seen: list[str], generate: Any) -> Any:
    """Generate, and keep the prompts as text."""

    def wrapped(self: Any, requests: Any) -> Any:
        seen.extend(self.encoder.tokenizer.decode(self.encoder.encode(each)) for each in requests)
        return generate(self, requests)

    return wrapped
