"""Policies by name: agents of one's own, plug-ins, and their options; and `--dry-run`."""

import json
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hopgym import read_trajectories
from hopgym.arguments import policy_options
from hopgym.cli import dryrun
from hopgym.env import HopEnv
from hopgym.errors import ArgumentError
from hopgym.policies import registry as policies
from hopgym.policies.registry import policy_named
from tests.support.command_line import hopgym as run

SMALL = ("--size", "10", "--questions_per_world", "20")
AGENTS = """
from collections.abc import Sequence
from dataclasses import dataclass
from hopgym import Trajectory
from hopgym.errors import ArgumentError

def plain(transcript: str) -> str:
    assert transcript.startswith("Question: ")
    return "<answer>plain</answer>"

def batched(prefixes: Sequence[Trajectory]) -> list[str]:
    return [f"<answer>{len(prefixes)}</answer>" for _ in prefixes]

class Acting:
    def __init__(self, said: str = "nothing", times: int = 1) -> None:
        self.said = said * times
    def act(self, transcript: str) -> str:
        return f"<answer>{self.said}</answer>"

@dataclass(frozen=True, slots=True)
class Frozen:
    said: str = "frozen"
    seed: int = 0
    def seeded(self, seed: int) -> "Frozen":
        return Frozen(self.said, seed)
    def __call__(self, prefixes: Sequence[Trajectory]) -> list[str]:
        return [f"<answer>{self.said} {self.seed}</answer>"] * len(prefixes)

class Picky:
    def __init__(self, model: str) -> None:
        raise ArgumentError(f"model must be another, got {model!r}")

class Broken:
    def act(self, transcript: str) -> str:
        raise RuntimeError("no model")

made = Acting("made")
number = 3
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "own_agents.py").write_text(AGENTS)
    sys.modules.pop("own_agents", None)
    return tmp_path


def answers(*words: str) -> list[str | None]:
    result = run("rollout", "People-v0", *words, *SMALL, "-n", "3", "--out", "run.jsonl")
    assert result.exit_code == 0, result.output
    return [each.answer for each in read_trajectories("run.jsonl")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("own_agents:plain",), "plain"),
        (("own_agents:batched",), "3"),
        (("own_agents:made",), "made"),
        (("own_agents:Acting",), "nothing"),
        (("own_agents:Acting", "--Acting.said", "a, b", "--Acting.times=2"), "a, ba, b"),
        (("own_agents:Acting", "--own_agents:Acting.said", "x"), "x"),
        (("own_agents:Frozen", "--seed", "7"), "frozen 7"),
        (("hopgym.policies:ConstantPolicy", "--ConstantPolicy.answer", "no"), "no"),
    ],
)
def test_agents_of_ones_own(words: tuple[str, ...], said: str) -> None:
    assert answers("--policy", *words) == [said] * 3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("greedy", "--greedy.depth", "2"), "greedy, which takes none, got --greedy.depth"),
        (("own_agents:plain", "--plain.x", "2"), "which takes none"),
        (("own_agents:made", "--made.x", "2"), "which takes none"),
        (("own_agents:Acting", "--Acting.words", "2"), "unexpected keyword argument 'words'"),
        (("own_agents:Acting", "--llm.model", "m"), "as in --own_agents:Acting.model, got --llm"),
        (("own_agents:Picky", "--Picky.model", "m"), "model must be another, got 'm'"),
        (("own_agents:number",), "can be called or has act"),
        (("own_agents:none",), "no attribute 'none'"),
        (("lllm",), "policy must be one of oracle"),
    ],
)
def test_what_is_no_policy_is_told(words: tuple[str, ...], told: str) -> None:
    result = run("eval", "People-v0", "--policy", *words, *SMALL, "-n", "2")
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.startswith("error: ")
    assert not Path("runs").exists()


def test_another_version_of_an_agent_is_another_run(here: Path) -> None:
    def folders() -> int:
        assert run("eval", "People-v0", *words, *SMALL, "-n", "2").exit_code == 0
        sys.modules.pop("own_agents")
        return len([each for each in Path("runs").iterdir() if each.is_dir()])

    words = ["--policy", "own_agents:Acting"]
    assert folders() == folders() == 1
    words += ["--Acting.said", "else"]
    assert folders() == 2
    (here / "own_agents.py").write_text(AGENTS + "# better now\n")
    assert folders() == 3


def test_an_agent_that_raises_is_recorded_and_the_run_goes_on() -> None:
    result = run("eval", "People-v0", "--policy", "own_agents:Broken", *SMALL, "-n", "3")
    assert result.exit_code == 1
    assert "RuntimeError: no model" in result.stderr
    folder = Path(Path("runs/latest").read_text().strip())
    assert {str(each.stop_reason) for each in read_trajectories(folder / "episodes.jsonl")} == {
        "agent_error"
    }


def test_options_are_told_from_arguments() -> None:
    words = ["--llm.base-url", "http://h:1/v1", "id", "--size", "9", "--llm.stop", "--llm.n=1"]
    rest, options = policy_options([*words, "--hops", "1,2"], "llm")
    assert rest == ["id", "--size", "9", "--hops", "1,2"]
    assert options == {"base_url": "http://h:1/v1", "stop": True, "n": 1}


def plug_in(monkeypatch: pytest.MonkeyPatch, factory: Any) -> None:
    point = EntryPoint("mine", "own_plug_in:factory", policies.PLUG_INS)
    module = SimpleNamespace(factory=factory)
    monkeypatch.setitem(sys.modules, "own_plug_in", module)  # type: ignore[arg-type]
    monkeypatch.setattr(policies, "entry_points", lambda group: [point])


def test_policies_of_other_packages(env: HopEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def factory(env: HopEnv, options: dict[str, Any]) -> Any:
        given.append((env, options))
        if "wrong" in options:
            raise KeyError("wrong")
        return print

    plug_in(monkeypatch, factory)
    assert policy_named("mine", env, {"model": "m"}) is print
    assert given == [(env, {"model": "m"})]
    with pytest.raises(ArgumentError, match="'mine' of own_plug_in:factory, which raised KeyError"):
        policy_named("mine", env, {"wrong": 1})
    with pytest.raises(ArgumentError, match="did you mean 'mine'"):
        policy_named("min", env)


def test_a_dry_run_prints_what_would_be_asked() -> None:
    import gymnasium

    env = gymnasium.make("hopgym/People-v0", size=10, questions_per_world=20)
    prompt, _ = env.reset(options={"index": 0})
    printed = run("eval", "People-v0", "--policy", "greedy", *SMALL, "-n", "4", "--dry-run")
    assert printed.exit_code == 0, printed.output
    assert prompt in printed.stdout
    assert '"required": ["query"]' in printed.stdout
    assert "at least: 4 episodes of 1 step: " in printed.stdout
    assert "at most: 4 episodes of 16 steps: " in printed.stdout
    assert not Path("runs").exists()


def test_the_tokens_of_a_dry_run_add_up() -> None:
    words = ("--policy", "greedy", *SMALL, "-n", "4", "--samples", "2", "--max_steps", "5")
    told = json.loads(run("eval", "People-v0", *words, "--dry-run", "--json").stdout)
    tokens, each = told["tokens"], dryrun.ACTION_TOKENS
    assert told["episodes"] == 8
    assert tokens["lower"]["prompt"] == 8 * tokens["prompt_tokens"]
    assert tokens["lower"]["generated"] == 8 * each
    added = each + tokens["observation_tokens"]
    prompts = [tokens["prompt_tokens"] + t * added for t in range(5)]
    assert tokens["upper"] == {"steps": 5, "prompt": 8 * sum(prompts), "generated": 8 * 5 * each}
    assert tokens["observation_tokens"] > 20
    once = json.loads(
        run("eval", "People-v0", *words, "--mode", "closed_book", "--dry-run", "--json").stdout
    )
    assert once["tokens"]["upper"] == once["tokens"]["lower"]
    assert [tool["function"]["name"] for tool in once["tools"]] == ["answer"]


def test_a_dry_run_shows_what_the_policy_says_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Previewing:
        def __call__(self, prefixes: Any) -> Any:
            raise AssertionError("nothing is played")

        def preview(self, prefix: Any) -> Any:
            messages = ({"role": "system", "content": "[b]Be brief"},)
            return SimpleNamespace(messages=messages, tools=(), tokens=1234, exact=True)

    plug_in(monkeypatch, lambda env, options: Previewing())
    printed = run("eval", "People-v0", "--policy", "mine", *SMALL, "-n", "4", "--dry-run")
    assert printed.exit_code == 0, printed.output
    assert "--- system\n[b]Be brief\n" in printed.stdout
    assert "4,936 in prompts" in printed.stdout
    assert "1,234 tokens (counted by the model's tokenizer)" in printed.stdout
