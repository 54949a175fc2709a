"""The program: verbs, plug-ins, environment arguments, and how errors are told."""

import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from hopgym.arguments import read_arguments, read_value, write_arguments
from hopgym.cli import app as program
from hopgym.cli.app import VERBS
from hopgym.errors import ArgumentError
from hopgym.registry.lookup import resolve_id
from tests.support.command_line import hopgym as run
from tests.support.paths import ROOT


def test_help_names_every_verb() -> None:
    result = run("--help")
    assert result.exit_code == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)  # FORCE_COLOR colours even this
    for verb in VERBS:
        assert f" {verb} " in plain


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str) -> None:
    result = run(verb, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_version() -> None:
    import hopgym

    assert run("--version").stdout == f"hopgym {hopgym.__version__}\n"


def test_a_mistyped_verb_is_told_what_is_close() -> None:
    result = run("generat")
    assert result.exit_code == 2
    assert "did you mean 'generate'?" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hopgym/Peple-v0"], "did you mean 'hopgym/People-v0'?"),
        (["hopgym/People-v0", "--siez", "9"], "did you mean 'size'?"),
        (["hopgym/People-v0", "--size", "few"], "size must be a whole number"),
        (["hopgym/People-v0", "--policy", "orcle"], "did you mean 'oracle'?"),
        (["hopgym/People-v0", "--policy", "nowhere:agent"], "module:function"),
        (["hopgym/People-v0", "oracle"], "got 'oracle' as well"),
        (["hopgym/People-v0", "--render_mode", "human"], "got 'render_mode'"),
        (["hopgym/HotpotQA-v0"], "path must name the official HotpotQA file"),
        (["hopgym/HotpotQA-v0", "--path", "nowhere.json"], "nowhere.json"),
        (["hopgym/People-v0", "--split", "[1]"], "split must be one of"),
        (["--size", "9"], "an id must be given"),
    ],
)
def test_errors_are_one_message_without_a_traceback(words: list[str], told: str) -> None:
    policy = [] if "--policy" in words else ["--policy", "unknown"]
    result = run("eval", *words, *policy, "-n", "2")
    assert result.exit_code == 2
    message = " ".join(result.stderr.split())
    assert message.startswith("error: ")
    assert told in message
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    out = str(tmp_path / "taken" / "file.jsonl")
    result = run("rollout", "People-v0", "--policy", "unknown", "-n", "1", "--out", out)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")


@pytest.mark.parametrize("name", ["hopgym/People-v0", "People-v0", "people", "hopgym/people"])
def test_ids_may_be_short(name: str) -> None:
    assert resolve_id(name) == "hopgym/People-v0"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1000", 1000),
        ("0.5", 0.5),
        ("false", False),
        ("True", True),
        ("all", "all"),
        ("1,4", [1, 4]),
        ("[1, 4]", [1, 4]),
        ("chain,count", ["chain", "count"]),
        ("mother,", ["mother"]),
        ('"1,4"', "1,4"),
    ],
)
def test_values_are_json_or_lists_by_commas(text: str, value: Any) -> None:
    assert read_value("name", text) == value


def test_a_path_stays_a_text() -> None:
    assert read_value("path", "1,2") == "1,2"


def test_arguments_among_words() -> None:
    words = ["--size", "9", "id", "--page-style=brief", "--reveal", "--hops", "1,2"]
    plain, arguments = read_arguments(words)
    assert plain == ["id"]
    assert arguments == {"size": 9, "page_style": "brief", "reveal": True, "hops": [1, 2]}
    assert read_arguments(write_arguments(arguments)) == ([], arguments)


def test_unknown_ids_name_the_known() -> None:
    with pytest.raises(ArgumentError, match="hopgym/Jsonl-v0"):
        resolve_id("nothing/like-it")


@pytest.fixture
def plug_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three verbs of another package: a function, a typer.Typer, and one that does not load."""
    (tmp_path / "other_package.py").write_text(
        "import typer\n"
        "def greet(name: str) -> None:\n"
        "    'Greet somebody.'\n"
        "    print('hello', name)\n"
        "many = typer.Typer(help='Two verbs.')\n"
        "@many.command()\n"
        "def one() -> None:\n"
        "    print('first')\n"
        "@many.command()\n"
        "def two() -> None:\n"
        "    print('second')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    values = {"greet": "other_package:greet", "many": "other_package:many", "sad": "nowhere:x"}
    points = [EntryPoint(name, value, program.PLUG_INS) for name, value in values.items()]
    monkeypatch.setattr(program, "entry_points", lambda group: points)


@pytest.mark.usefixtures("plug_ins")
def test_plug_ins_add_verbs() -> None:
    assert run("greet", "Ada").stdout == "hello Ada\n"
    assert run("many", "two").stdout == "second\n"
    assert "Greet somebody." in run("--help").stdout


@pytest.mark.usefixtures("plug_ins")
def test_a_broken_plug_in_is_a_warning() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "warning: the verb 'sad' of nowhere:x cannot be used" in result.stderr
    assert " sad " not in result.stdout
    assert run("sad").exit_code == 2
    assert run("list").stderr.count("sad") == 0


def test_a_verb_without_its_module_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VERBS, "later", "hopgym.cli.later:later")
    assert " later " not in run("--help").stdout
    assert run("later").exit_code == 2


def test_colours_only_on_a_terminal_that_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from hopgym.cli.display import console

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert console().color_system is not None
    monkeypatch.setenv("NO_COLOR", "1")
    assert console().color_system is None
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    monkeypatch.delenv("NO_COLOR")
    assert console().color_system is None


def test_no_torch_is_needed_and_none_is_loaded(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'trl', 'datasets'): sys.modules[name] = None\n"
        "from typer.testing import CliRunner\n"
        "from hopgym.cli.app import app\n"
        "def run(*words): return CliRunner().invoke(app, [*words])\n"
        "ev = ['eval', 'People-v0', '--policy', 'greedy', '-n', '3']\n"
        "assert run(*ev).exit_code == 0\n"
        "assert run('--help').exit_code == 0\n"
        "out = ['generate', 'People-v0', '--questions', '3', '--out', sys.argv[1]]\n"
        "assert run(*out).exit_code == 0\n"
        "refused = run(*out, '--format', 'hf')\n"
        "assert refused.exit_code == 2 and 'hopgym[data]' in refused.stderr, refused.output\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
