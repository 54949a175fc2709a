"""`hopgym eval`: the folder of a run, taking it up, stopping it, and what it holds."""

import json
import os
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from hopgym import read_trajectories
from hopgym.errors import RunFileError
from hopgym.runs.folder import DECISIVE, open_folder
from hopgym.runs.line_file import lock, unlock
from hopgym.runs.secrets import command_without_secrets
from tests.support.command_line import hopgym as run
from tests.support.paths import ROOT

SMALL = ("--size", "10", "--questions_per_world", "20")
RUN = ("eval", "People-v0", "--policy", "random", *SMALL)
AGENTS = """
from pathlib import Path
from hopgym import Completion

def flaky(transcript: str) -> str:
    if not sum(map(ord, transcript)) % 3 or not Path("up").exists():
        raise RuntimeError("down")
    return "<answer>unknown</answer>"

class Counting:
    def __init__(self, tokens: int = 3) -> None:
        self.tokens = tokens
    def act(self, transcript: str) -> Completion:
        tokens = {"generated_tokens": self.tokens, "prompt_tokens": 10}
        return Completion("<answer>unknown</answer>", **tokens)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "my_agents.py").write_text(AGENTS)
    sys.modules.pop("my_agents", None)
    return tmp_path


def ran(*words: str) -> Result:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result


def latest() -> Path:
    return Path(Path("runs/latest").read_text().strip())


def read(name: str) -> Any:
    return json.loads((latest() / name).read_text())


def lines(path: Path) -> list[str]:
    return sorted(path.read_text().splitlines())


def test_the_folder_of_a_run(here: Path) -> None:
    ran(*RUN, "-n", "8", "-c", "3", "--seed", "5")
    folder = latest()
    assert folder.parent == Path("runs")
    assert folder.name.startswith("People-v0-random-")
    config = read("config.json")
    wanted = {"id": "hopgym/People-v0", "policy": "random", "options": {}, "tasks": 8}
    wanted |= {"samples": 1, "slots": 3, "seed": 5, "fingerprint": "RandomPolicy(seed=0)"}
    wanted |= {"env_kwargs": {"size": 10, "questions_per_world": 20}}
    assert {name: config[name] for name in wanted} == wanted
    summary = read("summary.json")
    assert sum(summary["reasons"].values()) == summary["episodes"] == 8
    assert summary["timing"]["episodes"] == 8
    assert summary["timing"]["seconds"] > 0
    # The command in it makes the run again, byte for byte.
    again = shlex.split(config["command"])[1:]
    ran(*again, "--out", "again")
    assert lines(here / "again" / "episodes.jsonl") == lines(folder / "episodes.jsonl")
    assert latest() == Path("again")


def test_the_environment_of_a_run() -> None:
    import numpy

    import hopgym

    ran(*RUN, "-n", "2")
    found = read("environment.json")
    assert found["versions"]["hopgym"] == hopgym.__version__
    assert found["versions"]["numpy"] == numpy.__version__
    assert found["hardware"]["cores"] >= 1
    assert found["commit"] is None
    for words in (["init", "-q"], ["add", "my_agents.py"], ["commit", "-qm", "x"]):
        named = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *named, *words], check=True)
    ran(*RUN, "-n", "3")
    found, earlier = read("environment.json"), found
    assert len(found["commit"]["hash"]) == 40
    assert found["commit"]["changed"] is False
    assert found["earlier"] == [earlier]


def test_torch_is_not_imported_for_its_version() -> None:
    code = (
        "import sys; from hopgym.runs.machine import describe_environment as d; d(); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    paths = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=paths, check=False).returncode == 0


def test_the_same_command_goes_on() -> None:
    assert "from before" not in ran(*RUN, "-n", "4").stderr
    folder = latest()
    told = ran(*RUN, "-n", "9", "-c", "1").stderr
    assert latest() == folder
    assert "4 of 9 episodes of random are there from before; --fresh plays them again." in told
    assert read("config.json")["tasks"] == 9
    assert read("summary.json")["timing"]["episodes"] == 9
    keys = [each.key for each in read_trajectories(folder / "episodes.jsonl")]
    assert len(keys) == len(set(keys)) == 9
    # Fewer tasks than are there: the figures are of these alone.
    ran(*RUN, "-n", "3")
    assert latest() == folder
    assert read("summary.json")["tasks"] == 3
    ran(*RUN, "-n", "3", "--seed", "1")
    ran(*RUN, "-n", "3", "--max_steps", "2")
    assert len(list(Path("runs").iterdir())) == 4


def test_errors_are_done_again(here: Path) -> None:
    words = ("eval", "People-v0", "--policy", "my_agents:flaky", *SMALL, "-n", "12")
    assert run(*words).exit_code == 1
    assert read("summary.json")["reasons"] == {"agent error": 12}
    (here / "up").touch()
    told = run(*words).stderr
    reasons = read("summary.json")["reasons"]
    assert 0 < reasons["agent error"] < 12
    assert sum(reasons.values()) == 12
    assert f"{reasons['agent error']} of 12 episodes ended in an error of the policy" in told
    assert "from before" not in told
    assert f"{12 - reasons['agent error']} of 12" in run(*words).stderr


def test_fresh_moves_a_run_aside() -> None:
    ran(*RUN, "-n", "3")
    folder = latest()
    before = (folder / "episodes.jsonl").read_bytes()
    for number in (1, 2):
        told = ran(*RUN, "-n", "2", "--fresh").stderr
        aside = folder.with_name(f"{folder.name}.{number}")
        assert f"The run so far is {aside} now." in told
        assert "from before" not in told
        assert "--fresh" not in told.partition("resume")[2]
    assert (folder.with_name(f"{folder.name}.1") / "episodes.jsonl").read_bytes() == before
    assert len(lines(folder / "episodes.jsonl")) == 3


def test_a_folder_of_another_run_is_refused(here: Path) -> None:
    ran(*RUN, "-n", "2", "--out", "run")
    kept = {path: path.read_bytes() for path in (here / "run").rglob("*") if path.is_file()}
    for words, told in (
        ((*RUN, "--seed", "3"), "seed was 0, is 3"),
        ((*RUN, "--hops", "2"), "env_kwargs was"),
        (("eval", "People-v0", "--policy", "greedy", *SMALL), "policy was 'random', is 'greedy'"),
    ):
        result = run(*words, "-n", "2", "--out", "run")
        assert result.exit_code == 2
        assert told in result.stderr
        assert "--fresh" in result.stderr
        assert all(path.read_bytes() == content for path, content in kept.items())


def test_files_that_are_no_runs_are_left_alone(here: Path) -> None:
    (here / "project").mkdir()
    (here / "project" / "config.json").write_text('{"mine": 1}')
    for words in ((), ("--fresh",)):
        result = run(*RUN, "-n", "2", "--out", "project", *words)
        assert result.exit_code == 2
        assert "config.json of an evaluation" in result.stderr
    assert [path.name for path in (here / "project").iterdir()] == ["config.json"]
    assert run(*RUN, "--out", "my_agents.py").exit_code == 2


def test_samples_play_each_task_so_often() -> None:
    ran(*RUN, "-n", "5", "--samples", "3")
    records = list(read_trajectories(latest() / "episodes.jsonl"))
    assert Counter(each.index for each in records) == dict.fromkeys(range(5), 3)
    assert Counter(each.sample for each in records) == dict.fromkeys(range(3), 5)
    for floor in ("guess", "unknown"):
        assert len(lines(latest() / "floors" / f"{floor}.jsonl")) == 6
    summary = read("summary.json")
    assert (summary["tasks"], summary["episodes"]) == (5, 15)
    assert set(summary["pass_at"]) == {"1", "2", "3"}
    assert "pass@2" in ran(*RUN, "-n", "5", "--samples", "3").stdout


def test_tokens_are_told_as_sums_and_means() -> None:
    words = (
        "eval",
        "People-v0",
        "--policy",
        "my_agents:Counting",
        "--Counting.tokens",
        "7",
        *SMALL,
    )
    printed = ran(*words, "-n", "4").stdout
    assert "tokens: 28 generated in all, 7.0 per episode; 40 in prompts in all, 10.0" in printed
    tokens = read("summary.json")["tokens"]
    assert tokens == {"generated": {"sum": 28, "mean": 7.0}, "prompt": {"sum": 40, "mean": 10.0}}


def test_keys_stay_out_of_commands() -> None:
    shown = ["--llm.max_tokens", "9", "--llm.api_key_env", "K", "--llm.tokenizer=t", "[1, 2]"]
    secret = ["--llm.api_key", "s3", "--A.TOKEN=s3", "--llm.extra", '{"a": [{"hf_token": "s3"}]}']
    kept = command_without_secrets([*secret, *shown])
    assert "s3" not in " ".join(kept)
    assert kept[-6:] == shown
    assert kept[4] == '{"a": [{"hf_token": "(hidden)"}]}'


def test_keys_of_ones_own_agents_stay_out_of_all_that_is_written(tmp_path: Path) -> None:
    Path("keyed.py").write_text(
        "class Agent:\n"
        "    def __init__(self, api_key='', nested=None):\n"
        "        pass\n"
        "    def __call__(self, prefixes):\n"
        "        return ['<answer>x</answer>' for _ in prefixes]\n"
        "    batched = True\n"
    )
    words = ("eval", "People-v0", *SMALL, "--policy", "keyed:Agent", "-n", "2", "--out", "r")
    nested = ("--keyed:Agent.nested", '{"token": "sk-NESTED"}')
    first = ran(*words, "--keyed:Agent.api_key", "sk-ONE", *nested)
    # Another key is no other agent.
    again = ran(*words, "--keyed:Agent.api_key", "sk-TWO", *nested)
    assert "2 of 2" in again.stdout + again.stderr
    written = [each.read_text() for each in Path("r").rglob("*") if each.is_file()]
    for text in (*written, first.stdout, first.stderr, again.stdout, again.stderr):
        assert "sk-" not in text


def test_a_run_that_is_played_is_neither_moved_nor_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    config = dict.fromkeys((*DECISIVE, "config"), "x") | {"schema": 2, "slots": 4}
    begun = open_folder(folder, config, fresh=False)
    held = lock(begun.episodes)
    for fresh in (True, False):
        with pytest.raises(RunFileError, match="one writer at a time"):
            open_folder(folder, config | {"slots": 1}, fresh=fresh)
    assert json.loads(begun.config.read_text())["slots"] == 4
    assert not (tmp_path / "r.1").exists()
    unlock(begun.episodes, held)
    open_folder(folder, config | {"slots": 1}, fresh=True)
    assert json.loads((tmp_path / "r.1" / "config.json").read_text())["slots"] == 4


def test_what_another_policy_holds_is_told_by_its_words(tmp_path: Path) -> None:
    config = dict.fromkeys((*DECISIVE, "config"), "x") | {"schema": 2}
    long = (
        "the same words of a policy that are more than eighty characters long, all of them alike, "
    )
    open_folder(tmp_path / "r", config | {"fingerprint": f"{long} warm"}, fresh=False)
    now = config | {"config": "y", "fingerprint": f"{long} cold"}
    with pytest.raises(RunFileError, match=r"fingerprint: then warm, now cold\); give the old"):
        open_folder(tmp_path / "r", now, fresh=False)
