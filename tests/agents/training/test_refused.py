"""What keeps a run that plays from going through is told before anything is trained or written."""

import json
from pathlib import Path
from typing import Any

import pytest

from hopgym.arguments import write_arguments
from hopgym.errors import ArgumentError, DataError, HopgymError, RunFileError
from hopgym_agents.modeling.tiny import DEMO_ID
from tests.support.training_runs import (
    LATE,
    METHODS,
    WORLDS,
    oracle_run,
    playing,
    prepared,
    trained,
    typed,
)

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings(LATE)]

NOT_OURS = (
    *("use_vllm", "fp16", "tf32", "use_liger_kernel"),
    *("min_p", "repetition_penalty", "generation_kwargs", "mask_truncated_completions"),
    *("use_transformers_paged", "reward_weights", "generation_batch_size", "shuffle_dataset"),
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def refused(
    method: str, model: str, out: Path, said: str, kind: type[HopgymError], given: dict[str, Any]
) -> None:
    options = playing(method, model, out)
    for name, value in given.items():
        there = options.get(name)
        both = isinstance(there, dict) and name != "reward"
        options[name] = {**there, **value} if both else value
    options["trl"] = {key: value for key, value in options["trl"].items() if value is not None}
    with pytest.raises(kind, match=said):
        prepared(method, options)
    assert not out.exists()


@pytest.mark.parametrize(
    ("method", "said", "given"),
    [
        ("trajectory", "divisor of the batch", {"trl": {"num_generations": 3}}),
        ("stepwise", "at least 2, got 1", {"trl": {"num_generations": 1}}),
        ("one_turn", "divisor of the batch", {"batch": 6}),
        ("expert_iteration", "divisor of the batch", {"play": {"samples": 3}}),
        ("stepwise", "limits must be one", {"trl": {"max_steps": None}}),
        ("stepwise", "limits must be one", {"trl": {"max_steps": -1}}),
        ("stepwise", "play.round must be from 1", {"play": {"round": 0}}),
        ("stepwise", "at most the 6 tasks", {"play": {"round": 7}}),
        ("trajectory", "among .*sizes", {"play": {"kwargs": {"sizes": 3}}}),
        ("trajectory", "an id must be one of", {"play": {"env": "hopgym/Peple-v0"}}),
        ("trajectory", "play.env must be given", {"play": {"env": ""}}),
        ("expert_iteration", "play.tasks must be at most", {"play": {"tasks": 10**9}}),
        ("expert_iteration", "play.dev must be at most", {"play": {"dev": 10**9}}),
        ("expert_iteration", "dev_success .*--dev N", {"limits": {"dev_success": 0.5}}),
        ("one_turn", "mode must be one_turn", {"play": {"kwargs": {"mode": "tools"}}}),
        ("one_turn", "not judged", {"reward": {"good": 1.0}}),
        ("trajectory", "left out for trajectory", {"run": "a.jsonl"}),
        ("trajectory", "filter must be left out", {"filter": "process"}),
        ("expert_iteration", "filter must be left out", {"filter": "outcome"}),
        ("trajectory", "flip must be 0", {"play": {"flip": 0.2}}),
        ("stepwise", "flip", {"play": {"flip": 1.2}}),
        ("stepwise", "play.judge", {"reward": {"judge": 1.0}}),
        ("stepwise", "play.judge", {"play": {"judge": {"model": "m"}}}),
        (
            "trajectory",
            "generator",
            {"reward": {"judge": 1}, "play": {"judge": {"model": "m", "generator": "x"}}},
        ),
        ("trajectory", "without CUDA", {"trl": {"optim": "paged_adamw_8bit"}}),
        *(("trajectory", f"trl.{name}", {"trl": {name: True}}) for name in NOT_OURS),
    ],
)
def test_what_cannot_be_done(
    method: str, said: str, given: dict[str, Any], blank: str, out: Path
) -> None:
    refused(method, blank, out, said, ArgumentError, given)


@pytest.mark.parametrize("changed", [{"split": "train"}, {"reward": "process"}])
def test_tasks_that_are_learnt_from_are_not_held_out(
    changed: dict[str, Any], blank: str, out: Path
) -> None:
    given = {"play": {"dev": 2, "dev_kwargs": changed}}
    refused("trajectory", blank, out, "other tasks than those", ArgumentError, given)


def test_there_is_nothing_to_learn_from(blank: str, out: Path) -> None:
    refused("stepwise", blank, out, "no such file", DataError, {"run": str(out / "none.jsonl")})


@pytest.mark.parametrize(
    ("said", "name", "value"),
    [
        ("chat template, got none", "chat_template", None),
        ("pad token, got none", "pad_token", None),
        (
            "end the assistant's turn",
            "chat_template",
            "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
        ),
        (
            "leaves messages",
            "chat_template",
            "{% for m in messages[1:] %}<|im_start|>{{ m.content }}<|im_end|>\n{% endfor %}",
        ),
        ("cannot be used", "chat_template", "{{ raise_exception('no') }}"),
    ],
)
@pytest.mark.parametrize("method", ["stepwise", "expert_iteration"])
def test_models_that_cannot_be_trained(
    method: str, said: str, name: str, value: Any, blank: str, tmp_path: Path, out: Path
) -> None:
    import shutil

    from transformers import AutoTokenizer

    made = shutil.copytree(blank, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(made)
    setattr(tokenizer, name, value)
    for each in ("chat_template.jinja", "special_tokens_map.json"):
        (made / each).unlink(missing_ok=True)
    tokenizer.save_pretrained(made)
    refused(method, str(made), out, said, ArgumentError, {})


def test_a_folder_is_of_one_method(taught: dict[str, Any], blank: str, out: Path) -> None:
    trained("trajectory", playing("trajectory", blank, out))
    for method in ("stepwise", "expert_iteration"):
        with pytest.raises(RunFileError, match=f"'trajectory', not '{method}'"):
            prepared(method, playing(method, blank, out))
    with pytest.raises(RunFileError, match="not 'sft'"):
        prepared("sft", {**taught, "out": str(out)})
    with pytest.raises(RunFileError, match="play"):
        prepared("trajectory", playing("trajectory", blank, out, tasks=5))


@pytest.mark.parametrize("method", METHODS)
def test_a_dry_run_shows_what_is_learnt(method: str, blank: str, out: Path) -> None:
    given = {"model": blank, "out": str(out), "batch": 8, "env": DEMO_ID, "tasks": 6, "dev": 2}
    given |= {"round": 2, "samples": 4, "trl.max_steps": 4}
    given |= {f"env.{name}": value for name, value in WORLDS.items()}
    if method != "expert_iteration":
        given["trl.num_generations"] = 4
    words = (method, "--dry-run", *write_arguments(given))
    found = typed(*words)
    assert found.exit_code == 0, found.output
    assert "<answer>" in found.stdout and "<|im_end|>]]" in found.stdout
    assert "GiB" in found.stdout and "held-out tasks" in found.stdout
    told = json.loads(typed(*words, "--json").stdout)
    learnt = [part.partition("]]")[0] for part in told["sample"].split("[[")[1:]]
    assert learnt[-1].startswith("<answer>") and learnt[-1].endswith("<|im_end|>")
    # The last action alone is learnt in a state, and in a prompt with pages there is one.
    assert len(learnt) == (2 if method in ("expert_iteration", "trajectory") else 1)
    assert told["memory_bytes"] > 4 * 4 * told["trained_parameters"]
    assert (told["steps"], told["data"]["counts"]["tasks"]) == (4, 6)
    assert not out.exists()


def test_states_of_a_run_alone_need_no_tasks(blank: str, tmp_path: Path, out: Path) -> None:
    """SWiRL's setting: no task is ever played."""
    from hopgym_agents.training.actor import Actor

    run = oracle_run(tmp_path / "run.jsonl", 6)
    given = playing("stepwise", blank, out, round=0)
    given |= {"run": run, "filter": "process"}
    given["play"] = {"round": 0, "max_tokens": 8}
    del given["trl"]["max_steps"]

    def play(*_: Any, **__: Any) -> Any:
        raise AssertionError("a task was played")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Actor, "play", play)
        found = trained("stepwise", given | {"trl": {**given["trl"], "num_train_epochs": 1}})
    # Twelve states, each once in four samples.
    assert found.steps == 6 and found.spent.environment_steps == 48
    assert not (out / "rounds").exists()
