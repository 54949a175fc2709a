"""The options of the learning side's verbs: every field of their dataclasses is in the help."""

from collections.abc import Sequence

import pytest
from typer.testing import CliRunner

from hopgym.cli.app import VERBS, app
from hopgym.cli.options import Option, options_of
from hopgym_agents.cli import judge, train
from hopgym_agents.options import LLMOptions


@pytest.fixture(autouse=True)
def verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program have the verbs, also where the entry points of a checkout are older."""
    for name in ("judge", "train"):
        monkeypatch.setitem(VERBS, name, f"hopgym_agents.cli.{name}:{name}")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize(("verb", "options"), [("train", train.OPTIONS), ("judge", judge.OPTIONS)])
def test_every_option_is_in_the_help(verb: str, options: Sequence[Option]) -> None:
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    for option in (option for option in options if not option.hidden):
        (line,) = [line for line in lines if f"│ {option.flag} " in line]
        assert option.metavar in line


@pytest.mark.parametrize("option", [*train.OPTIONS, *options_of(LLMOptions, "llm")])
def test_every_option_has_a_line_of_help(option: Option) -> None:
    assert option.help and option.help.endswith(".")
