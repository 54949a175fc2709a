"""`hopgym export-predictions`: a run's prediction file scores as its evaluation."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from hopgym.evaluation import Evaluation, evaluate
from hopgym.runs.trajectory_file import read_header, read_trajectories
from tests.support.command_line import hopgym as run
from tests.support.records import changed_record

ADA: dict[str, Any] = {
    "_id": "ada",
    "question": "On which river lies the town where Ada Brook was born?",
    "answer": "the Farrow",
    "supporting_facts": [["Ada Brook", 1], ["Elmstead", 0]],
    "context": [
        ["Ada Brook", ["Ada Brook is a baker.", " She was born in Elmstead."]],
        ["Elmstead", ["It lies on the Farrow.", " It was founded in 1410."]],
    ],
    "type": "bridge",
    "level": "hard",
}
GIL = ADA | {"_id": "gil", "question": "Was Gil Hart or Ada Brook a baker?", "answer": "Ada Brook"}
TOM = ADA | {"_id": "tom", "question": "Is Elmstead older than Tom Reed?", "answer": "yes"}


def told(result: Result) -> str:
    """The one line of an error."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    path = tmp_path / "gold.json"
    path.write_text(json.dumps([ADA, GIL, TOM]))
    return path


AGENT = """\
def act(transcript):
    if "[1] Elmstead" not in transcript:
        return "<search>Elmstead</search>"
    if "Gil Hart" in transcript:
        return "<answer>Ada Brook</answer>"
    if "Tom Reed" in transcript:
        return "<search>Reed</search>"
    return "<answer>Farrow</answer>"

def fails(transcript):
    if "Gil Hart" in transcript:
        raise ValueError("no model")
    return "<answer>the Farrow</answer>"
"""


@pytest.fixture
def played(gold: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plays a policy on the gold file, and gives the run's file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_agent.py").write_text(AGENT)
    monkeypatch.syspath_prepend(str(tmp_path))

    def play(policy: str, *words: object) -> Path:
        out = tmp_path / "runs" / "run.jsonl"
        words = ("HotpotQA-v0", "--path", gold, "--policy", policy, *words, "--out", out)
        result = run("rollout", *words)
        assert out.exists(), result.output
        return out

    return play


def evaluated(path: Path) -> Evaluation:
    import gymnasium

    from hopgym.wrappers import hop_env

    records = list(read_trajectories(path))
    env = gymnasium.make(records[0].env_id, **records[0].env_kwargs)
    assert hop_env(env).source.fingerprint == read_header(path).source
    return evaluate(records, hop_env(env).source)


def scored_again(exported: Result) -> dict[str, float]:
    """Runs the command that an export tells, and gives its metrics."""
    (line,) = (each for each in exported.stderr.splitlines() if "hopgym score" in each)
    words = shlex.split(line[line.index("hopgym score") :])
    found = json.loads(run(*words[1:], "--json").stdout)
    metrics: dict[str, float] = found["metrics"]
    return metrics


@pytest.mark.parametrize(
    ("policy", "how", "words"),
    [
        ("oracle", "read", ()),
        ("oracle", "named", ()),
        ("greedy", "read", ()),
        ("own_agent:act", "read", ("--max_steps", 3)),
        ("oracle", "named", ("--limit", 2)),
    ],
)
def test_an_exported_run_scores_as_its_evaluation(
    played: Any, tmp_path: Path, policy: str, how: str, words: tuple[object, ...]
) -> None:
    run_path = played(policy, *words)
    out = tmp_path / "out" / "predictions.json"
    exported = run("export-predictions", run_path, "--support", how, "--out", out)
    assert exported.exit_code == 0, exported.output
    assert str(out) in exported.stderr
    official, metrics = evaluated(run_path).official, scored_again(exported)
    for name, value in metrics.items():
        head, _, tail = name.partition("_")
        mine = official[f"{head}_{how}_{tail}" if tail else name]
        assert value == pytest.approx(mine, abs=1e-12), name
    if policy == "oracle":
        assert metrics["em"] == metrics["sp_recall"] == 1.0
    else:
        assert 0 < metrics["sp_f1"] < 1


def test_an_exported_file_is_in_the_official_layout(played: Any, tmp_path: Path) -> None:
    run_path = played("own_agent:act", "--max_steps", 3)
    exported = run("export-predictions", run_path)
    given = json.loads((tmp_path / "runs" / "run.predictions.json").read_text())
    assert given["answer"] == {"ada": "Farrow", "gil": "Ada Brook"}
    assert list(given["sp"]) == ["ada", "gil", "tom"]
    assert ["Elmstead", 0] in given["sp"]["ada"]
    assert "support as read" in exported.stderr
    assert "1 records have no answer in the run; they score 0" in exported.stderr
    run_path.unlink()
    assert "support as named" in run("export-predictions", played("oracle")).stderr
    given = json.loads((tmp_path / "runs" / "run.predictions.json").read_text())
    assert given["sp"]["ada"] == ADA["supporting_facts"]


def test_errors_have_no_prediction_and_the_first_sample_counts(played: Any, tmp_path: Path) -> None:
    run_path = played("own_agent:fails", "--samples", 2)
    header, *lines = run_path.read_bytes().splitlines(keepends=True)
    episodes = {line: json.loads(line)["episode"] for line in lines}
    first = [line for line in lines if episodes[line]["task_id"] == "ada"]
    assert [episodes[line]["sample"] for line in first] == [0, 1]
    # The second sample stands first, with another answer.
    changed = changed_record(first[1], lambda data: data.replace(b"the Farrow", b"the Other"))
    rest = [line for line in lines if episodes[line]["task_id"] != "ada"]
    run_path.write_bytes(b"".join([header, changed, first[0], *rest]))
    assert run("export-predictions", run_path).exit_code == 0
    given = json.loads((tmp_path / "runs" / "run.predictions.json").read_text())
    assert given["answer"] == {"ada": "the Farrow", "tom": "the Farrow"}
    assert "gil" not in given["sp"]


def test_a_run_without_pages_has_no_support(played: Any, tmp_path: Path) -> None:
    run_path = played("own_agent:fails", "--mode", "one_turn")
    exported = run("export-predictions", run_path)
    assert "without support" in exported.stderr
    given = json.loads((tmp_path / "runs" / "run.predictions.json").read_text())
    assert given["sp"] == {}
    message = told(run("export-predictions", run_path, "--support", "read"))
    assert "nothing was read whose sentences are those of the annotation" in message


def test_runs_that_cannot_be_exported(played: Any, gold: Path, tmp_path: Path) -> None:
    people = tmp_path / "people.jsonl"
    run("rollout", "People-v0", "--policy", "unknown", "-n", 1, "--size", 10, "--out", people)
    message = told(run("export-predictions", people))
    assert "a run must be of a benchmark" in message and "got hopgym/People-v0" in message
    assert "expected the header of a trajectory file" in told(run("export-predictions", gold))
    assert "got no such file" in told(run("export-predictions", tmp_path / "nowhere"))
    assert "got a folder" in told(run("export-predictions", tmp_path))
    run_path = played("oracle")
    before = run_path.read_bytes()
    for out in (run_path, gold):
        told(run("export-predictions", run_path, "--out", out))
    assert run_path.read_bytes() == before
    assert "did you mean 'named'?" in told(run("export-predictions", run_path, "--support", "nmed"))
    assert list((tmp_path / "runs").iterdir()) == [run_path]
    gold.write_text(json.dumps([ADA, GIL]))
    assert "put the files of that run back" in told(run("export-predictions", run_path))
    run_path.write_bytes(before.splitlines(keepends=True)[0])
    assert "expected episodes of a benchmark, got none" in told(run("export-predictions", run_path))
