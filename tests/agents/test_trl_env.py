"""Environments for TRL: the class that its trainer takes, and its own GRPOTrainer on it."""

import inspect
import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from hopgym.errors import ArgumentError
from hopgym.oracle import gold_answer
from hopgym.tools import TOOLS
from hopgym.wrappers import hop_env
from hopgym_agents import trl_env
from hopgym_agents.trl_env import OVER, environment_factory, task_rows
from tests.support.paths import ROOT

EASY = "hopgym/PeopleEasy-v0"
SMALL: dict[str, Any] = {"name_pool": "small", "page_style": "brief", "kinds": ("chain",)}
OLD_NAME = "ignore:.*gradient_checkpointing.* is deprecated:FutureWarning"  # trl 1.16 says it so
EXAMPLE = ROOT / "examples" / "trl_grpo.py"


def public(kind: type) -> set[str]:
    functions = inspect.getmembers(kind, predicate=inspect.isfunction)
    return {name for name, _ in functions if not name.startswith("_")}


def oracle_calls(index: int, **kwargs: Any) -> list[tuple[str, str]]:
    """The oracle's calls for a task, as tool and argument."""
    env = hop_env(gymnasium.make(EASY, **{**SMALL, **kwargs}, reveal=True, dialect="json"))
    _, info = env.reset(options={"index": index})
    calls, over = [], False
    while not over:
        action = json.loads(info["gold"])["oracle"]
        written = json.loads(action.partition("\n")[2].rpartition("\n")[0])
        calls.append((written["name"], *written["arguments"].values()))
        _, _, over, _, info = env.step(action)
    return calls


def test_the_class_is_what_trl_asks_for() -> None:
    kind = environment_factory(EASY, **SMALL)
    assert kind.__name__ == "PeopleEasy"
    assert public(kind) == {"reset", "get_reward", "search", "lookup", "answer"}
    at_once = environment_factory(EASY, **SMALL, mode="closed_book")
    assert public(at_once) == {"reset", "get_reward", "answer"}


def test_methods_tell_the_tools() -> None:
    environment = environment_factory(EASY, **SMALL)()
    for name in ("search", "lookup", "answer"):
        method, argument = getattr(environment, name), TOOLS[name].argument
        assert method.__name__ == name
        assert str(inspect.signature(method)) == f"({argument}: str) -> str"
        assert f"Args:\n    {argument}: " in method.__doc__
        assert TOOLS[name].description[1:] in method.__doc__


@pytest.mark.torch
@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_has_a_schema(name: str) -> None:
    from transformers.utils import get_json_schema

    tool = TOOLS[name]
    schema = get_json_schema(trl_env._method(tool))["function"]
    assert schema["name"] == name
    assert schema["parameters"]["required"] == [tool.argument]
    assert schema["parameters"]["properties"][tool.argument]["type"] == "string"


def test_an_oracle_episode_is_paid_as_the_environment_pays() -> None:
    for reward, paid in (("outcome", 1.0), ("process", 1.0), ("both", 2.0)):
        environment = environment_factory(EASY, **SMALL, reward=reward)()
        prompt = environment.reset(index=3, prompt=[{"role": "user", "content": ""}])
        assert prompt.startswith("Question: ") and "<tool_call>" in prompt
        assert environment.get_reward() == 0.0
        for tool, argument in oracle_calls(3):
            shown = getattr(environment, tool)(argument)
        assert shown == "Answer given."
        assert environment.get_reward() == pytest.approx(paid)


def test_after_the_end_calls_do_nothing() -> None:
    environment = environment_factory(EASY, **SMALL)()
    assert environment.search("anybody") == OVER
    environment.reset(index=0)
    environment.answer("nobody")
    assert environment.answer(gold_answer(environment._env.task.question)) == OVER
    assert environment.get_reward() == 0.0


def test_the_step_budget_ends_an_episode() -> None:
    environment = environment_factory(EASY, **SMALL, max_steps=2)()
    environment.reset(index=0)
    environment.search("one")
    assert "no steps left" in environment.search("two")
    assert environment.search("three") == OVER


def test_tasks_by_index_by_id_and_in_order() -> None:
    kind = environment_factory(EASY, **SMALL)
    first, second = kind(), kind()
    by_index = first.reset(index=2)
    name = first._env.task.question.id
    assert second.reset(task_id=name) == by_index
    assert second.reset(task_id=name, index=2) == by_index
    assert second.reset(index=None, task_id=None) == first.reset(index=0)
    assert second.reset() == first.reset(index=1)


def test_instances_are_reused_and_share_their_worlds() -> None:
    kind = environment_factory(EASY, **SMALL)
    first, second = kind(), kind()
    assert first._env.source is second._env.source
    first.reset(index=0)
    second.reset(index=0)
    for tool, argument in oracle_calls(0):
        getattr(first, tool)(argument)
    assert (first.get_reward(), second.get_reward()) == (1.0, 0.0)
    second.answer("nobody")
    first.reset(index=1)
    assert first.get_reward() == 0.0
    assert first.search("anybody") != OVER


def test_odd_arguments_get_an_observation() -> None:
    environment = environment_factory(EASY, **SMALL)()
    environment.reset(index=0)
    assert "Not understood" in environment.lookup({"title": "x"})
    assert environment.lookup("a </tool_call> b").startswith("No page is titled")
    assert environment.lookup(7).startswith('No page is titled "7"')
    with pytest.raises(TypeError, match="title"):
        environment.lookup(query="x")
    assert environment._env.trajectory().steps[-1].action.argument == "7"


def test_rows_name_their_tasks() -> None:
    rows = task_rows(EASY, SMALL, range(3, 5))
    assert rows == [
        {"prompt": [{"role": "user", "content": ""}], "index": index} for index in (3, 4)
    ]
    with pytest.raises(IndexError):
        task_rows(EASY, {**SMALL, "worlds": 1, "questions_per_world": 2}, [2])


def test_another_dialect_is_refused() -> None:
    with pytest.raises(ArgumentError, match="dialect must be 'json'"):
        environment_factory(EASY, dialect="tags")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("trl")
    from hopgym_agents.modeling.tiny import make_tiny

    path = tmp_path_factory.mktemp("models") / "tiny"
    return make_tiny(path, hidden=32, layers=1, env_id=EASY, env_kwargs=SMALL).path


class Scripted:
    """Makes a model say certain tokens: all other logits are at minus infinity.

    In the first turn of an episode, rows take turns between the oracle's calls and a wrong answer;
    the conversation tells later which of the two it is.
    """

    def __init__(self, tokenizer: Any, scripts: dict[str, list[str]]) -> None:
        self._tokenizer, self._scripts = tokenizer, scripts
        self._begin = tokenizer("<|im_start|>assistant\n")["input_ids"]

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        import torch

        forced = torch.full_like(scores, float("-inf"))
        for row, ids in enumerate(input_ids.tolist()):
            forced[row, self._next(row, ids)] = 0.0
        return forced

    def _next(self, row: int, ids: list[int]) -> int:
        n = len(self._begin)
        starts = [at for at in range(len(ids)) if ids[at : at + n] == self._begin]
        said = ids[starts[-1] + n :]
        if self._tokenizer.eos_token_id in said:
            return int(self._tokenizer.pad_token_id)
        before = self._tokenizer.decode(ids[: starts[-1]])
        right = "nobody" not in before if len(starts) > 1 else row % 2 == 0
        question = before.partition("Question: ")[2].partition("\n")[0]
        script = self._scripts[question] if right else [call("answer", "nobody")]
        text = script[len(starts) - 1] if len(starts) <= len(script) else "done"
        return int(self._tokenizer(f"{text}<|im_end|>")["input_ids"][len(said)])


def call(tool: str, argument: str) -> str:
    arguments = json.dumps({TOOLS[tool].argument: argument})
    return f'<tool_call>\n{{"name": "{tool}", "arguments": {arguments}}}\n</tool_call>'


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import torch

    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    torch.manual_seed(0)
    yield


@pytest.mark.torch
@pytest.mark.usefixtures("quiet")
@pytest.mark.filterwarnings(OLD_NAME)
@pytest.mark.slow
def test_grpo_trainer_plays_the_environment(folder: str, tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessorList
    from trl import GRPOConfig, GRPOTrainer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    source = environment_factory(EASY, **SMALL)()._env.source
    scripts = {
        source[index].question.text: [call(*each) for each in oracle_calls(index)]
        for index in range(2)
    }
    model = AutoModelForCausalLM.from_pretrained(folder)
    generate, scripted = model.generate, LogitsProcessorList([Scripted(tokenizer, scripts)])
    model.generate = lambda *a, **k: generate(*a, **k, logits_processor=scripted)
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        args=GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=2,
            num_generations=2,
            per_device_train_batch_size=4,
            max_completion_length=400,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            bf16=False,
            learning_rate=1e-3,
        ),
        train_dataset=Dataset.from_list(task_rows(EASY, SMALL, range(2))),
        environment_factory=environment_factory(EASY, **SMALL),
    )
    before = model.model.embed_tokens.weight.detach().clone()
    trainer.train()
    logs = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert [entry["rewards/PeopleEasy/mean"] for entry in logs] == [0.5, 0.5]
    assert all(entry["tools/failure_frequency"] == 0 for entry in logs)
    calls = [len(script) for script in scripts.values()]
    assert logs[-1]["tools/call_frequency"] == pytest.approx((sum(calls) + 2) / 4)
    verdicts = [each._env.trajectory().steps[-1].verdict for each in trainer.environments]
    assert sorted(verdicts) == ["supported"] * 2 + ["unsupported"] * 2
    assert not before.equal(model.model.embed_tokens.weight)
    assert len(trainer._environment_pool[None]) == 4


@pytest.mark.torch
@pytest.mark.usefixtures("quiet")
@pytest.mark.filterwarnings(OLD_NAME)
def test_the_example_runs(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(EXAMPLE))["main"]
    out = tmp_path / "trained"
    few = ["--steps", "1", "--tasks", "2", "--questions", "1", "--group", "2", "--tokens", "24"]
    main([folder, "--out", str(out), *few, "--env", json.dumps(SMALL)])
    line = json.loads(capsys.readouterr().out)
    assert (line["step"], line["reward"]) == (1, 0.0)
    assert (out / "model.safetensors").is_file()


@pytest.mark.usefixtures("quiet")
@pytest.mark.filterwarnings(OLD_NAME)
def test_the_example_passes_a_dry_run(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = runpy.run_path(str(EXAMPLE))["main"]
    out = tmp_path / "trained"
    trainer = main(
        [folder, "--out", str(out), "--tasks", "2", "--env", json.dumps(SMALL), "--dry-run"]
    )
    prompt = capsys.readouterr().out
    assert "Question: " in prompt and '"name": "lookup"' in prompt
    assert prompt.endswith("<|im_start|>assistant\n\n")
    assert trainer.state.global_step == 0 and not (out / "model.safetensors").exists()
