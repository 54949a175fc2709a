"""The README's block on language models as agents, line by line, in an empty folder."""

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hopgym.cli.app import app
from tests.support.paths import ROOT


def lines_of(heading: str) -> list[str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8").split(f"## {heading}")[1]
    return text.split("```text\n")[1].split("```")[0].splitlines()


def view(words: list[str]) -> str:
    command = [sys.executable, "-m", "hopgym", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = re.search(r"http://\S+", process.stdout.readline() if process.stdout else "")
            with urllib.request.urlopen(url[0] if url else "") as reply:
                return str(reply.read().decode())
        finally:
            process.terminate()


@pytest.mark.slow
@pytest.mark.torch
def test_every_line_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    said: dict[str, str] = {}
    for line in lines_of("Language models as agents"):
        program, *words = shlex.split(line)
        if program == "python":
            subprocess.run([sys.executable, str(ROOT / words[0]), *words[1:]], check=True)
        elif words[0] == "view":
            said["view"] = view(words)
        else:
            result = CliRunner().invoke(app, words)
            assert result.exit_code == 0, (line, result.output)
            said[words[0]] = result.stdout
    summaries = {
        path.parent.name: json.loads(path.read_text())
        for path in Path("runs").glob("*/summary.json")
    }
    assert summaries["oracle"]["success"]["mean"] == 1.0
    assert summaries["hotpot-oracle"]["official"]["joint_named_f1"] == 1.0
    assert summaries["llm"]["tokens"]["generated"]["sum"] > 0
    assert sum(summaries["llm"]["reasons"].values()) == 8
    assert "won" in said["compare"] and "kappa" in said["judge"]
    assert "Content-Security-Policy" in said["view"]
