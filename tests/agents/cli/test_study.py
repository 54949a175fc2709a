"""``hopgym study`` as a whole: real training, the same command again, and what is refused."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import hopgym
from tests.support.paths import ROOT
from tests.support.study_files import WORLDS

STUDIES = sorted((ROOT / "examples" / "studies").glob("*.toml"))
LONG = {"single_vs_stepwise"}
"""Examples that take more than 20 seconds."""
LEARNT = f"""
title = "Learnt"
policies = ["oracle"]
{WORLDS}
[start.tiny]
hidden = 32
layers = 1
[base]
batch = 4
trl = {{ max_steps = 3, logging_steps = 1 }}
[grid]
n = 3
options = {{ trl = {{ max_steps = 1 }} }}
[[arm]]
name = "again"
method = "sft"
collect = {{ policy = "noisy_oracle", options = {{ p = 0.2 }}, tasks = 12 }}
grid = {{ "trl.learning_rate" = [1e-3, 1e-2] }}
[[suite]]
name = "test"
n = 4
[[suite]]
name = "real"
env = "HotpotQA"
file = "hotpotqa"
"""


def command(folder: Path, text: str, *words: str) -> list[str]:
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return ["study", str(folder / "study.toml"), "--out", str(folder / "out"), *words]


@pytest.mark.torch
def test_a_study_of_imitation(tmp_path: Path) -> None:
    words = command(tmp_path, LEARNT, "-j", "0", "--json")
    first = hopgym(*words)
    assert first.exit_code == 0, first.output
    summary = json.loads(first.stdout)
    rows = summary["suites"]["test"]["rows"]
    assert list(rows) == ["guess", "start", "again", "oracle"]
    assert rows["oracle"]["success"]["mean"] == 1.0
    assert rows["again"]["tasks"] == 4
    assert summary["spent"]["again"][0]["gradient_tokens"] > 0
    tried = summary["grids"]["again"]["candidates"]
    assert [values for values, _ in tried] == [
        {"trl.learning_rate": 1e-3},
        {"trl.learning_rate": 1e-2},
    ]
    assert summary["not_run"] == {"jobs": [], "suites": ["real"]}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<h3><bdi>loss</bdi></h3>" in page
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    results = sorted((moved / "results").glob("again-seed-0*"))
    results[0].unlink()
    for each in (moved / "results").glob("test-*"):
        each.unlink()
    for each in (moved / "evaluations").glob("test-again*"):
        whole = each.read_bytes()
        each.write_bytes(whole[: whole.rindex(b"\n", 0, -1) + 1])  # Killed before its last episode.
    times = {path: path.stat().st_mtime_ns for path in (moved / "models").rglob("*.safetensors")}
    again = hopgym(*(str(moved) if word == str(tmp_path / "out") else word for word in words))
    assert not (tmp_path / "out").exists()
    assert json.loads(again.stdout)["suites"] == summary["suites"]
    assert times == {path: path.stat().st_mtime_ns for path in times}, "nothing is trained again"


@pytest.mark.torch
@pytest.mark.parametrize(
    "file",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in LONG))
        for path in STUDIES
    ],
)
def test_examples_can_be_begun(file: Path) -> None:
    dry = hopgym("study", file, "--quick", "--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    assert isinstance(json.loads(dry.stdout)["jobs"], list)


@pytest.mark.torch
def test_models_can_be_taken_through_a_given_benchmark(blank: str, tmp_path: Path) -> None:
    (transfer,) = (file for file in STUDIES if file.stem == "transfer")
    data = tmp_path / "gsm8k.jsonl"
    data.write_text(json.dumps({"question": "How many legs?", "answer": "<<4=4>>4\n#### 4"}))
    words = ["study", str(transfer), "--model", f"mine={blank}", "--gsm8k", str(data)]
    dry = hopgym(*words, "--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    names = {job["name"] for job in json.loads(dry.stdout)["jobs"]}
    modes = ("tools", "one turn", "closed book")
    assert {f"GSM8K, {mode}: {who}" for mode in modes for who in ("mine", "guess")} <= names
    assert not [name for name in names if name.startswith(("HotpotQA", "MuSiQue", "2Wiki"))]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--hotpot", "x"], "this study takes --hotpotqa FILE, got --hotpot .*'hotpotqa'"),
        (["--hotpotqa", "nowhere"], "--hotpotqa must be a file or folder that exists"),
        (["--model", "x"], "--model must be NAME=FOLDER of a model"),
        (["more"], "words must be one study file and options"),
    ],
)
def test_words_that_cannot_be_taken(tmp_path: Path, words: list[str], told: str) -> None:
    result = hopgym(*command(tmp_path, LEARNT, *words))
    assert result.exit_code == 2
    assert told.partition(".*")[0] in " ".join(result.output.split())


@pytest.mark.torch
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'method = "sft"\ncoll',
            'method = "stf"\ncoll',
            "again with trl.learning_rate=0.001, seed 0: method must be one of",
        ),
        ("size = 12", "sise = 12", "got 'sise' (did you mean 'size'?)"),
        ('"oracle"]', '"oracel"]', "test: oracel: policy must be one of"),
        ("n = 4", "n = 10000000", "test: start, seed 0: n must be at most the"),
        ("tasks = 12", "tasks = 10000000", "again: tasks must be at most the"),
        ("tasks = 12", "first = 9999999, tasks = 12", "first + tasks must be at most the"),
        ("batch = 4", "batch = 4\nprecision = { knd = 1 }", "got 'precision.knd'"),
    ],
)
def test_errors_name_the_job_before_anything_is_done(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in LEARNT
    result = hopgym(*command(tmp_path, LEARNT.replace(old, new)))
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()
