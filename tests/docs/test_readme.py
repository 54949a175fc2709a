"""Every block of the README and the docs works as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCKS = [
    pytest.param(language, code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, (language, code) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize(("language", "code"), BLOCKS)
def test_block_works(language: str, code: str, tmp_path: Path) -> None:
    if language == "python":
        command = [sys.executable, "-W", "error", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
    elif language == "bash":
        for line in code.strip().splitlines():
            program, *arguments = line.split()
            assert program == "make", f"no way to test {line!r}"
            # A target is asked for without being made: the test would call itself.
            subprocess.run(["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True)
    else:
        assert language == "text", f"a block of {language} is not tested"


def test_the_tree_names_what_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = (block.split("```")[0] for block in text.split("```text")[1:])
    tree = next(block for block in blocks if "documents.py" in block)
    names = re.findall(r"[\w/]+\.py|\w+/", tree.split("hopgym/", 1)[1].split("agents/")[0])
    assert len(names) > 10
    for name in names:
        assert (ROOT / "hopgym" / name).exists(), name


def test_the_table_names_every_id() -> None:
    import hopgym.registry

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(hopgym/[\w-]+)`", text, re.MULTILINE)) == set(
        hopgym.registry.FACTORIES
    )


def test_the_commands_shown_exist() -> None:
    from importlib.metadata import entry_points

    from hopgym.cli.app import VERBS

    added = {each.name for each in entry_points(group="hopgym.commands")}
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    shown = re.findall(r"(?:^|`)hopgym ([\w-]+)", text, re.MULTILINE)
    assert len(shown) > 8 and set(shown) <= {*VERBS} | added
