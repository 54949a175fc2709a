"""What the program makes of users' words: odd names, typos, agents that break."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hopgym.cli import bench as benchmark
from tests.support.command_line import hopgym as run

SMALL = ("--size", "10", "--questions_per_world", "20", "-n", "6")
FLAKY = (
    "def act(transcript: str) -> str:\n    raise ValueError('no [/b] model')\n"
    "calls = []\ndef once(transcript: str) -> str:\n    calls.append(1)\n"
    "    if len(calls) <= 3:\n        raise ValueError('cold')\n"
    "    return '<answer>unknown</answer>'\n"
)


@pytest.fixture
def agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "flaky_agent.py").write_text(FLAKY)
    yield tmp_path
    sys.modules.pop("flaky_agent", None)


def test_brackets_are_no_markup(tmp_path: Path) -> None:
    path = tmp_path / "[" / "x]" / "own.jsonl"
    path.parent.mkdir(parents=True)
    rows = [
        {"title": "Ada", "text": "Ada is a baker."},
        {"id": "q", "question": "What is Ada?", "answer": "baker", "kind": "[/b]odd"},
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    words = ("eval", "Jsonl-v0", "--path", str(path), "--policy", "greedy", "-n", "1")
    result = run(*words, "--out", str(tmp_path / "run"))
    assert result.exit_code == 0, result.output
    assert "[/b]odd" in result.stdout
    assert "[/x]" in result.stdout


@pytest.mark.parametrize(
    ("text", "told"), [("1 / 0", "ZeroDivisionError"), ("def", "SyntaxError"), ("exit(3)", "3")]
)
def test_a_module_that_cannot_be_imported(agents: Path, text: str, told: str) -> None:
    (agents / "broken_agent.py").write_text(text)
    result = run("eval", "People-v0", "--policy", "broken_agent:act", *SMALL)
    assert result.exit_code == 2
    assert "importing broken_agent raised" in result.stderr
    assert told in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_an_agent_that_always_fails(agents: Path) -> None:
    words = ("People-v0", "--policy", "flaky_agent:act", *SMALL)
    result = run("eval", *words)
    assert result.exit_code == 1
    assert "all 6 episodes ended in an error of the policy" in result.stderr
    assert "ValueError: no [/b] model" in result.stderr
    kinds = result.stdout.partition("By kind of question")[2]
    assert "guess F1" in kinds
    assert "%" in kinds
    result = run("eval", *words, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["errors"] == 6
    result = run("rollout", *words, "--out", str(agents / "run.jsonl"))
    assert result.exit_code == 1
    assert "ValueError: no [/b] model" in result.stderr


def test_an_agent_that_fails_at_first(agents: Path) -> None:
    words = ("--policy", "flaky_agent:once", *SMALL, "--slots", "1")
    with pytest.warns(UserWarning, match="^1 call of the policy failed .* ValueError: cold"):
        result = run("rollout", "People-v0", *words, "--out", str(agents / "run.jsonl"))
    assert result.exit_code == 0, result.output
    assert "of 6 episodes ended in an error of the policy" in result.stderr
    assert "ValueError: cold" in result.stderr


def test_eval_tells_what_is_from_before(tmp_path: Path) -> None:
    words = ("eval", "People-v0", "--policy", "unknown", *SMALL, "--out", str(tmp_path))
    assert "from before" not in run(*words).stderr
    told = run(*words).stderr
    assert "6 of 6 episodes of unknown are there from before; --fresh plays them again." in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("rollout People-v0 --policy unknown --out x --sampels 2", "did you mean 'samples'?"),
        ("generate People-v0 --out x --questons 3", "did you mean 'questions'?"),
        ("eval People-v0 --polcy unknown", "did you mean --policy?"),
        ("bench --rounds 0", "rounds"),
    ],
)
def test_typos_of_a_verbs_own_options(
    words: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*words.split())
    assert result.exit_code == 2
    assert told in result.stderr
    assert not list(tmp_path.iterdir())


def test_ctrl_c_in_bench_prints_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(rounds: int) -> Iterator[benchmark.Figure]:
        yield benchmark.Figure("steps", rounds, "/s", ">= 1")
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "_MEASURES", (interrupted,))
    result = run("bench", "--rounds", "2")
    assert result.exit_code == 130
    assert "steps" in result.stdout
    assert "Stopped after 1 figures." in result.stderr
    assert json.loads(run("bench", "--json").stdout)[0]["value"] == 5
