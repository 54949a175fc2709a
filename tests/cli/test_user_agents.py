"""What the verbs say of agents of one's own that break, print, wait, or were changed."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hopgym import read_trajectories
from hopgym.cli.app import app

SMALL = ("--size", "10", "--questions_per_world", "20")
AGENTS = """
from pathlib import Path
from hopgym import Completion, StopReason

print("loaded")

def down(transcript: str) -> str:
    if Path("up").exists():
        return "<answer>unknown</answer>"
    raise RuntimeError("no server")

def leaves(transcript: str) -> str:
    raise SystemExit("no key")

def unreachable(transcript: str) -> Completion:
    return Completion("", error="503 from the server", error_reason=StopReason.API_ERROR)

def printing(transcript: str) -> str:
    print("thinking")
    return "<answer>unknown</answer>"

def at_once(transcript: str) -> str:
    print("thinking")
    return "<answer>unknown</answer>"

at_once.concurrency = 3

class Seeded:
    def seeded(self, seed: int) -> "Seeded":
        print("seeded")
        return self
    def __call__(self, transcript: str) -> str:
        print("thinking")
        return "<answer>unknown</answer>"

class Many:
    batched = True
    def act(self, prefixes):
        return [f"<answer>{len(prefixes)}</answer>" for _ in prefixes]

def too_long(transcript: str) -> Completion:
    return Completion("", finish_reason="context")

def too_long_later(transcript: str) -> Completion:
    if "No page" in transcript:
        return Completion("", finish_reason="context")
    return Completion("<lookup>nobody at all</lookup>")
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "mine.py").write_text(AGENTS)
    sys.modules.pop("mine", None)
    yield tmp_path
    sys.modules.pop("mine", None)


def run(verb: str, agent: str, *words: str, out: str = "run") -> Result:
    sys.modules.pop("mine", None)
    policy = ("--policy", f"mine:{agent}")
    return CliRunner().invoke(app, [verb, "People-v0", *policy, *SMALL, *words, "--out", out])


@pytest.mark.parametrize(
    ("agent", "told"),
    [("down", "RuntimeError: no server"), ("leaves", "no key"), ("unreachable", "503 from the")],
)
@pytest.mark.parametrize("verb", ["eval", "rollout"])
def test_a_run_in_which_nothing_succeeds_is_stopped(verb: str, agent: str, told: str) -> None:
    result = run(verb, agent, "-n", "60", "-c", "1")
    assert result.exit_code == 2
    words = f"the first 20 of 60 episodes of mine:{agent} all ended in an error of the policy"
    assert words in result.stderr
    assert told in result.stderr
    assert "give the same command again" in result.stderr
    file = Path("run/episodes.jsonl") if verb == "eval" else Path("run")
    assert len(list(read_trajectories(file))) == 20


def test_a_stopped_run_is_gone_on_with(here: Path) -> None:
    assert run("eval", "down", "-n", "25", "-c", "1").exit_code == 2
    (here / "up").touch()
    assert run("eval", "down", "-n", "25", "-c", "1").exit_code == 0
    assert json.loads((here / "run" / "summary.json").read_text())["episodes"] == 25
    (here / "up").unlink()
    # What succeeded before counts: such a run is not hopeless.
    result = run("eval", "down", "-n", "50", "-c", "1")
    assert result.exit_code == 0
    assert "25 of 50 episodes ended in an error of the policy" in result.stderr


def test_another_version_of_the_agents_file_is_told(here: Path) -> None:
    assert run("eval", "printing", "-n", "2").exit_code == 0
    (here / "mine.py").write_text(AGENTS + "# better now\n")
    result = run("eval", "printing", "-n", "2")
    assert result.exit_code == 2
    told = "mine.py has changed since this run was started: --fresh plays all of it again, or give"
    assert f"error: {told} another --out" in result.stderr
    assert run("eval", "printing", "-n", "2", "--fresh").exit_code == 0
    # Another agent, or another seed as well, is another matter.
    (here / "mine.py").write_text(AGENTS)
    assert "policy was 'mine:printing'" in run("eval", "at_once", "-n", "2").stderr
    assert "seed was 0, is 1" in run("eval", "printing", "-n", "2", "--seed", "1").stderr


def test_a_rollout_tells_of_another_version_of_the_agent(here: Path) -> None:
    assert run("rollout", "printing", "-n", "2").exit_code == 0
    (here / "mine.py").write_text(AGENTS + "# better now\n")
    result = run("rollout", "printing", "-n", "2")
    assert result.exit_code == 2 and "the code of an agent has changed since" in result.stderr


@pytest.mark.parametrize("agent", ["printing", "at_once", "Seeded"])
def test_what_an_agent_prints_is_no_result(agent: str) -> None:
    result = run("eval", agent, "-n", "4", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["episodes"] == 4
    assert result.stderr.count("thinking") == 4
    assert "loaded" in result.stderr
    result = run("rollout", agent, "-n", "4", out="run.jsonl")
    assert (result.exit_code, result.stdout) == (0, "")


@pytest.mark.parametrize(
    ("agent", "words", "warned"),
    [
        ("printing", ("-c", "8"), True),
        ("printing", ("--slots", "1"), False),
        ("printing", (), False),
        ("at_once", ("-c", "8"), False),
        ("Many", ("-c", "8"), False),
    ],
)
def test_slots_that_an_agent_makes_no_use_of(
    agent: str, words: tuple[str, ...], warned: bool
) -> None:
    told = (
        "warning: mine:printing takes one call at a time; set its attribute concurrency to 8 to "
        "have 8 at once"
    )
    assert run("eval", agent, "-n", "2", *words).stderr.count(told) == warned


def test_an_object_may_say_that_it_takes_many() -> None:
    assert run("rollout", "Many", "-n", "3", out="run.jsonl").exit_code == 0
    assert [each.answer for each in read_trajectories("run.jsonl")] == ["3"] * 3


def test_prompts_that_do_not_fit_at_all_are_told() -> None:
    result = run("eval", "too_long", "-n", "3")
    assert result.exit_code == 1
    told = "error: in 3 of 3 episodes not even the first prompt fits into the policy's context"
    assert told in result.stderr
    assert "max_context" in result.stderr
    result = run("eval", "too_long_later", "-n", "3", out="later")
    assert result.exit_code == 0
    assert {len(each.steps) for each in read_trajectories("later/episodes.jsonl")} == {1}
    assert "first prompt" not in result.stderr


def test_the_time_is_that_of_this_call() -> None:
    def line(*words: str) -> str:
        printed = run("eval", "printing", *words).stdout.splitlines()
        (found,) = (line for line in printed if line.startswith("time: "))
        return found

    first = line("-n", "4")
    assert " s for 4 episodes, " in first
    assert "in all" not in first
    more = line("-n", "7")
    assert " s for 3 episodes, " in more.partition("; in all ")[0]
    assert " s for 7 episodes, " in more.partition("; in all ")[2]
    assert line("-n", "7").startswith("time: nothing was left to play; in all ")
