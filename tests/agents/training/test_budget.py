"""What a run says of itself: its identity, the worlds it saw, and the tasks it came to."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hopgym.errors import ArgumentError
from tests.support.training_runs import (
    LATE,
    assert_same,
    oracle_run,
    playing,
    points,
    prepared,
    stopping,
    trained,
)

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings(LATE)]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    return oracle_run(tmp_path_factory.mktemp("runs") / "run.jsonl", 6)


def given_states(blank: str, out: Path, run: str, **play: Any) -> dict[str, Any]:
    given = playing("stepwise", blank, out, **{"round": 0, **play})
    return given | {"run": run}


def test_the_episodes_learnt_from_belong_to_a_run(
    blank: str, out: Path, run: str, tmp_path: Path
) -> None:
    other = oracle_run(tmp_path / "other.jsonl", 5)
    one, two = (
        prepared("stepwise", given_states(blank, out, file)).plan.identity for file in (run, other)
    )
    assert {name for name in one if one[name] != two[name]} == {"rows"}
    again = prepared("stepwise", given_states(blank, out, run)).plan.identity
    assert again == one


def test_the_judge_belongs_to_a_run_and_its_address_does_not(blank: str, out: Path) -> None:
    def identity(**judge: Any) -> Any:
        options = {"model": "m", **judge}
        given = playing("trajectory", blank, out, judge=options) | {"reward": {"judge": 1.0}}
        return prepared("trajectory", given).plan.identity

    assert identity() == identity(base_url="http://127.0.0.1:1/v1", concurrency=3)
    assert identity() != identity(model="other")
    assert identity(generator="openai")["play"]["judge"] == {"generator": "openai", "model": "m"}


def test_given_states_bring_their_worlds(blank: str, out: Path, run: str) -> None:
    ready = prepared("stepwise", given_states(blank, out, run, max_tokens=4))
    data = ready.plan.data
    assert data.counts == {"held-out tasks": 0, "episodes": 6, "states of them": 12}
    assert (
        f"States of 6 of the 6 episodes of `{run}`" in data.summary and "played" not in data.summary
    )
    found = trained("stepwise", given_states(blank, out, run, max_tokens=4))
    assert found.spent.distinct_worlds == 6
    assert "States of 6" in (out / "model" / "README.md").read_text()


def test_worlds_of_given_states_are_not_counted_again(blank: str, out: Path, run: str) -> None:
    given = given_states(blank, out, run, round=4, tasks=8, max_tokens=4)
    given["trl"]["max_steps"] = 14
    # Six steps take the twelve states of the file; of the rounds behind, two worlds are new.
    found = trained("stepwise", given)
    assert {each["distinct_worlds"] for each in points(out) if each["step"] <= 6} == {6}
    assert found.spent.distinct_worlds in (6, 8)


def test_imitation_counts_the_worlds_it_saw(blank: str, run: str, tmp_path: Path) -> None:
    trl = {"learning_rate": 1e-3, "logging_steps": 1, "save_steps": 1, "max_steps": 3}
    base = {"run": run, "model": blank, "batch": 2, "filter": "none", "trl": trl}
    unbroken, stopped = tmp_path / "unbroken", tmp_path / "stopped"
    trained("sft", {**base, "out": str(unbroken)})
    assert [each["distinct_worlds"] for each in points(unbroken)] == [2, 4, 6]
    with pytest.raises(KeyboardInterrupt):
        trained("sft", {**base, "out": str(stopped)}, stopping(2))
    trained("sft", {**base, "out": str(stopped)})
    assert_same(stopped, unbroken)
    early = {**base, "out": str(tmp_path / "early"), "limits": {"distinct_worlds": 3}}
    found = trained("sft", early)
    assert (found.steps, found.spent.distinct_worlds) == (2, 4)


def test_tasks_that_fill_no_batch_are_learnt_from_too(blank: str, out: Path) -> None:
    given = playing("trajectory", blank, out, tasks=5)
    del given["trl"]["max_steps"]
    given["trl"]["num_train_epochs"] = 1
    ready = prepared("trajectory", given)
    assert ready.plan.steps == 3
    found = trained("trajectory", given)
    assert (found.steps, found.spent.distinct_worlds) == (3, 5)


def test_what_fills_no_batch_is_refused(blank: str, out: Path, run: str) -> None:
    with pytest.raises(ArgumentError, match=r"play\.tasks must be at least 2"):
        prepared("one_turn", playing("one_turn", blank, out, tasks=1))
    given = given_states(blank, out, run) | {"batch": 64}
    with pytest.raises(ArgumentError, match="batch must be at most the 12 states"):
        prepared("stepwise", given)


@pytest.mark.parametrize("name", ["num_iterations", "steps_per_generation"])
def test_what_cannot_be_gone_on_with_is_refused(name: str, blank: str, out: Path) -> None:
    given = playing("trajectory", blank, out)
    given["trl"][name] = 2
    with pytest.raises(ArgumentError, match=f"trl.{name} is set by the method"):
        prepared("trajectory", given)


def test_a_smaller_limit_than_what_is_spent_is_refused(
    blank: str, run: str, tmp_path: Path
) -> None:
    given = {"run": run, "model": blank, "batch": 2, "filter": "none", "out": str(tmp_path / "o")}
    given["trl"] = {"learning_rate": 1e-3, "logging_steps": 1, "max_steps": 50}
    first = trained("sft", {**given, "limits": {"gradient_tokens": 200}})
    kept = json.loads((tmp_path / "o" / "result.json").read_text())
    said = f"at least the {first.spent.gradient_tokens:,} that the run in .* another --out"
    with pytest.raises(ArgumentError, match=said):
        trained("sft", {**given, "limits": {"gradient_tokens": 100}})
    assert json.loads((tmp_path / "o" / "result.json").read_text()) == kept
    same = trained("sft", {**given, "limits": {"gradient_tokens": 200}})
    assert same.to_dict() == first.to_dict()
    assert trained("sft", {**given, "limits": {"gradient_tokens": 400}}).steps > first.steps


def test_cpu_seconds_of_other_processes_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import accelerate.utils
    from transformers import TrainerControl

    from hopgym_agents.training import budget
    from hopgym_agents.training.budget import Limits, Meter, Spent
    from hopgym_agents.training.callback import RunState, make_callback
    from hopgym_agents.training.run_folder import RunFolder

    monkeypatch.setattr(accelerate.utils, "gather_object", lambda own: [*own, 7.0])
    monkeypatch.setattr(accelerate.utils, "broadcast_object_list", lambda said: said)
    monkeypatch.setattr(budget.time, "process_time", lambda: 3.0)
    for processes, others in ((1, 0.0), (2, 7.0)):
        books = RunState(RunFolder(tmp_path), Limits(), Meter(Spent(cpu_seconds=100.0)))
        args, state = SimpleNamespace(world_size=processes), SimpleNamespace(global_step=1)
        make_callback(books, lambda steps: None).on_step_end(args, state, TrainerControl())
        assert books.meter.spent.cpu_seconds == 100.0 + others


def test_gpu_seconds_are_those_of_all_gpus_held(monkeypatch: pytest.MonkeyPatch) -> None:
    from hopgym_agents.training import budget

    clock = iter([10.0, 12.5])
    monkeypatch.setattr(budget.time, "monotonic", lambda: next(clock))
    spent = budget.Meter(budget.Spent(wall_seconds=1.0, gpu_seconds=8.0), gpus=4).spent
    assert (spent.wall_seconds, spent.gpu_seconds) == (3.5, 18.0)
    assert budget.Limits(gpu_seconds=18).reached(spent) == "gpu_seconds"


def test_a_run_counts_the_gpus_of_its_processes(
    blank: str, out: Path, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import TrainingArguments

    # More than one would have the model copied to each.
    monkeypatch.setattr(TrainingArguments, "n_gpu", property(lambda arguments: 1))
    given = {"model": blank, "run": run, "out": str(out), "batch": 8}
    spent = trained("sft", {**given, "trl": {"max_steps": 2}}).spent
    assert spent.gpu_seconds == pytest.approx(spent.wall_seconds, abs=0.01) != 0


def test_a_run_that_is_there_before_it_begins_takes_no_step(
    blank: str, out: Path, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hopgym_agents.training.environments import HeldOutTasks

    monkeypatch.setattr(HeldOutTasks, "evaluate", lambda held_out: {"n": 4, "success": 0.5})
    given = {"model": blank, "run": run, "out": str(out), "batch": 8, "trl": {"max_steps": 2}}
    given["play"] = {"dev": 4, "dev_kwargs": {"split": "dev"}}
    found = trained("sft", {**given, "limits": {"dev_success": 0.5}})
    assert (found.steps, found.ended_by, found.spent.gradient_tokens) == (0, "dev_success", 0)
    assert [each["step"] for each in points(out)] == [0]
    assert (out / "model" / "model.safetensors").is_file()
    assert found.first is None and json.loads((out / "result.json").read_text())["result"]
    assert "NaN" not in (out / "result.json").read_text()
    assert "no step was taken" in (out / "model" / "README.md").read_text()
    further = trained("sft", {**given, "limits": {"dev_success": 0.6}})
    assert (further.steps, further.ended_by) == (2, "steps")
    assert [each["step"] for each in points(out) if "dev" in each] == [0, 2]


@pytest.mark.parametrize("method", ["expert_iteration", "stepwise", "trajectory"])
def test_a_method_that_plays_takes_no_step_either_nor_a_killed_run(
    method: str, blank: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hopgym_agents.training import loop as session
    from hopgym_agents.training.environments import HeldOutTasks

    played: list[int] = []

    def evaluate(held_out: Any) -> dict[str, Any]:
        played.append(1)
        return {"n": 4, "success": 0.5}

    monkeypatch.setattr(HeldOutTasks, "evaluate", evaluate)
    given = playing(method, blank, out, dev=4, dev_kwargs={"split": "dev"})
    given["limits"] = {"dev_success": 0.5}
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(session, "save_trained", killed)
        trained(method, given)
    found = trained(method, given)
    assert (found.steps, found.ended_by, found.spent.generated_tokens) == (0, "dev_success", 0)
    assert len(played) == 1


def killed(*_: Any) -> None:
    raise KeyboardInterrupt


def test_worlds_of_given_states_alone_end_no_run(blank: str, out: Path, run: str) -> None:
    given = given_states(blank, out, run, max_tokens=4) | {"limits": {"distinct_worlds": 6}}
    found = trained("stepwise", given)
    assert (found.steps, found.ended_by) == (1, "distinct_worlds")


def test_a_folder_that_was_moved_holds_the_model(blank: str, out: Path, run: str) -> None:
    given = {"model": blank, "run": run, "out": str(out), "batch": 8, "trl": {"max_steps": 1}}
    trained("sft", given)
    moved = out.rename(out.with_name("moved"))
    found = trained("sft", {**given, "out": str(moved)})
    assert found.model == str(moved / "model")


def test_rounds_go_on_in_a_folder_that_was_moved(
    blank: str, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hopgym.runs.writer import TrajectoryWriter

    model = shutil.copytree(blank, tmp_path / "model")
    given = playing("stepwise", str(model), out, max_tokens=4)
    written: list[Any] = []

    def write(self: TrajectoryWriter, trajectory: Any) -> None:
        whole(self, trajectory)
        written.append(trajectory)
        if len(written) == 3:
            raise KeyboardInterrupt

    whole = TrajectoryWriter.write
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(TrajectoryWriter, "write", write)
        trained("stepwise", given)
    moved = {"model": str(model.rename(tmp_path / "other")), "out": str(out.rename(tmp_path / "m"))}
    assert trained("stepwise", given | moved).steps == 4
