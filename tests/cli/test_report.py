"""``hopgym report`` and ``hopgym view``: runs by file name, one page served to this machine."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from hopgym.errors import ArgumentError, DataError
from hopgym.policies import ConstantPolicy
from hopgym.report.table import caption_of
from hopgym.rollout import run_episodes
from hopgym.wrappers import run_header


@pytest.fixture
def files(tmp_path: Path) -> Mapping[str, Path]:
    """Two runs over the user's own file, and one over another."""
    from gymnasium import make

    from hopgym.wrappers import hop_env

    rows = [
        {"title": "Ada Brook", "text": "Ada Brook was born in 1950. Her mother is Cleo Dunn."},
        {"id": "q", "question": "Who is the mother of Ada Brook?", "answer": "Cleo Dunn"},
    ]
    paths = {}
    for name, policy in (("guess", "a"), ("mine", "Cleo Dunn"), ("other", "b")):
        data = tmp_path / ("other.data" if name == "other" else "data")
        rows[1]["id"] = data.name
        data.write_text("\n".join(map(json.dumps, rows)))
        env = hop_env(make("hopgym/Jsonl-v0", path=str(data)))
        paths[name] = tmp_path / f"{name}.jsonl"
        list(run_episodes(env, ConstantPolicy(policy), [0], out=paths[name]))
    paths["empty"] = tmp_path / "empty.jsonl"
    paths["empty"].write_text(json.dumps(asdict(run_header(env))) + "\n")
    return paths


def test_report_verb(files: Mapping[str, Path], tmp_path: Path, capsys: Any) -> None:
    from hopgym.cli.report import commands

    out = tmp_path / "deep" / "report.html"
    commands["report"]([files["guess"], files["mine"]], out)
    page = out.read_text(encoding="utf-8")
    assert re.findall(r'"key":"(\w+)/data/0"', page) == ["mine", "guess"]
    assert "<h1>hopgym/Jsonl-v0</h1>" in page
    assert str(out) in capsys.readouterr().err.replace("\n", "")


def test_report_verb_refuses(files: Mapping[str, Path], tmp_path: Path) -> None:
    from hopgym.cli.report import report

    with pytest.raises(DataError, match=r"other\.jsonl: expected tasks of hopgym/Jsonl-v0"):
        report([files["mine"], files["other"]], tmp_path / "x.html")
    with pytest.raises(DataError, match="expected at least one episode, got none"):
        report([files["empty"]], tmp_path / "x.html")
    with pytest.raises(DataError, match="got no such file"):
        report([tmp_path / "none.jsonl"], tmp_path / "x.html")
    with pytest.raises(ArgumentError, match="--out must be an HTML file"):
        report([files["mine"]], files["mine"])
    with pytest.raises(DataError, match=r"expected the folder of a run with episodes\.jsonl"):
        report([tmp_path], tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()


def test_view_refuses_a_page_among_runs(files: Mapping[str, Path], tmp_path: Path) -> None:
    from hopgym.cli.report import view

    with pytest.raises(ArgumentError, match="must be viewed alone"):
        view([tmp_path / "report.html", files["mine"]])
    with pytest.raises(DataError, match="expected a report, got no such file"):
        view([tmp_path / "none.html"])


def test_report_verb_prints_json(files: Mapping[str, Path], tmp_path: Path, capsys: Any) -> None:
    from hopgym.cli.report import report

    out = tmp_path / "x.html"
    report([files["guess"], files["mine"]], out, as_json=True)
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [(row["run"], row["role"]) for row in rows] == [("guess", "floor"), ("mine", "")]
    assert [row["success"]["mean"] for row in rows] == [0.0, 1.0]
    assert not out.exists()


def test_floors_are_played_where_no_run_is_one(
    files: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hopgym.cli.report import report

    rows = {}
    for name in ("guess", "mine"):
        report([files[name]], tmp_path / "x.html", as_json=True)
        rows[name] = json.loads(capsys.readouterr().out)["runs"]
    assert [row["run"] for row in rows["guess"]] == ["guess"]
    assert [row["run"] for row in rows["mine"]] == ["mine", "guess", "unknown"]
    assert {row["tasks"] for row in rows["mine"]} == {rows["mine"][0]["tasks"]}


def test_the_caption_tells_of_floors_where_there_are_some() -> None:
    assert "floors are policies" in caption_of({"mine": 0, "guess": 0})
    told = caption_of({"mine": 0})
    assert told.startswith("95% bootstrap intervals over tasks, Wilson's where all tasks score 0")
    assert "floors" not in told


def test_the_caption_counts_privileged_steps() -> None:
    caption = caption_of({"oracle": 1_046, "mine": 0})
    assert caption.endswith("used a title that was not shown: oracle 1,046.")


def test_a_folder_is_a_run_with_its_floors(
    files: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from hopgym.cli.report import report

    folder = tmp_path / "attempt"
    (folder / "floors").mkdir(parents=True)
    files["mine"].rename(folder / "episodes.jsonl")
    files["guess"].rename(folder / "floors" / "guess.jsonl")
    report([folder], tmp_path / "x.html", as_json=True)
    rows = json.loads(capsys.readouterr().out)["runs"]
    assert [(row["run"], row["role"]) for row in rows] == [("attempt", ""), ("guess", "floor")]


def test_a_folder_of_runs_is_refused_by_their_names(
    files: Mapping[str, Path], tmp_path: Path
) -> None:
    from hopgym.cli.report import report, view

    for name in ("guess", "mine"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        files[name].rename(tmp_path / "runs" / name / "episodes.jsonl")
    for verb in (view, lambda paths: report(paths, tmp_path / "x.html")):
        with pytest.raises(DataError, match=r"got one that holds .*runs/guess, .*runs/mine; name"):
            verb([tmp_path / "runs"])


def test_the_page_of_a_folder_says_what_was_run(files: Mapping[str, Path], tmp_path: Path) -> None:
    from hopgym.cli.report import report

    folder = tmp_path / "attempt"
    folder.mkdir()
    files["mine"].rename(folder / "episodes.jsonl")
    (folder / "config.json").write_text('{"policy": "mine", "seed": 7, "command": "hopgym eval X"}')
    report([folder], tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "<dt>seed</dt><dd>7</dd><dt>command</dt><dd><code>hopgym eval X</code></dd>" in page


def test_view_without_a_run_takes_the_latest(
    files: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hopgym.cli.report import view

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match="RUN must be given where runs/latest names none"):
        view()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "latest").write_text(f"{files['mine'].name}\n")
    with pytest.raises(ArgumentError, match="got 99999"):
        view(port=99_999)  # The run was found: only the port is wrong.
