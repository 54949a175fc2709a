"""Options generated from dataclasses: names, types, defaults, help, and what is refused."""

import json
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
import typer
from msgspec import Meta
from typer.testing import CliRunner, Result

from hopgym.arguments import policy_options
from hopgym.cli.app import app, typer_of
from hopgym.cli.options import field_docstrings, options_of, takes_options
from hopgym.errors import ArgumentError


@dataclass(frozen=True)
class Inner:
    """A table."""

    kind: str = "full"
    """Its kind."""
    most: Annotated[int, Meta(ge=1)] | None = None
    """Most of it. This is not in the help text."""
    seed: int = 1
    """A seed of its own, as the name is not unique."""


@dataclass(frozen=True)
class Settings:
    """What a verb can do."""

    model: str
    """Name of `a model`."""
    seed: int = 0
    fast_mode: bool = False
    """Whether it is fast."""
    weights: dict[str, float] = field(default_factory=dict)
    """Weights by name."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Further values [as they are]."""
    inner: Inner = field(default_factory=Inner)


OPTIONS = options_of(Settings, panel="Settings", tables={"more": "extra"})
RECEIVED: list[dict[str, Any]] = []


@takes_options(OPTIONS)
def verb(
    ctx: typer.Context, name: str, options: dict[str, Any], quick: bool = False, count: int = 1
) -> None:
    """Do it."""
    RECEIVED.append(options | {"_": (name, quick, count)})


def run(*words: str) -> Result:
    return CliRunner().invoke(typer_of("verb", verb), words)


def options(*words: str) -> dict[str, Any]:
    result = run(*words)
    assert result.exit_code == 0, result.output or result.exception
    return RECEIVED.pop()


def test_names_are_short_where_they_are_unique() -> None:
    names = [option.name for option in OPTIONS]
    assert names == ["model", "seed", "fast-mode", "weights", "more", "inner", "most", "inner.seed"]
    prefixed = [option.name for option in options_of(Settings, "llm")]
    assert prefixed[:3] == ["llm.model", "llm.seed", "llm.fast_mode"]
    assert prefixed[-3:] == ["llm.inner", "llm.inner.most", "llm.inner.seed"]


def test_docstrings_are_read_from_the_source() -> None:
    texts = field_docstrings(Settings)
    assert texts["model"] == "Name of `a model`." and "seed" not in texts
    assert [option.help for option in OPTIONS if option.name == "most"] == ["Most of it."]


def test_help_shows_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = run("--help").stdout
    for option in OPTIONS:
        assert f"{option.flag} " in text
    for part in ("Name of a model. Required.", "default: full", "default: false", "[as they are]"):
        assert part in text
    assert "Settings" in text and "Inner" in text and "This is not" not in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), {}),
        (("--model", "1,2"), {"model": "1,2"}),
        (("--seed", "3", "--inner.seed=4"), {"seed": 3, "inner": {"seed": 4}}),
        (("--inner", "none", "--most", "5"), {"inner": {"kind": "none", "most": 5}}),
        (("--inner.kind", "x", "--inner.most", "None"), {"inner": {"kind": "x", "most": None}}),
        (("--fast-mode", "--seed", "-1"), {"fast_mode": True, "seed": -1}),
        (("--fast_mode", "false"), {"fast_mode": False}),
        (("--weights", "good,bad=0.5"), {"weights": {"good": 1.0, "bad": 0.5}}),
        (("--weights.good", "2"), {"weights": {"good": 2}}),
        (("--more.size", "25", "--more.hops", "1,2"), {"extra": {"size": 25, "hops": [1, 2]}}),
        (("--more.deep.path", "a,b", "--more.on"), {"extra": {"deep.path": "a,b", "on": True}}),
        (("--extra", '{"size": 2}', "--extra.x", "y"), {"extra": {"size": 2, "x": "y"}}),
    ],
)
def test_values_have_the_types_of_their_fields(
    words: tuple[str, ...], expected: dict[str, Any]
) -> None:
    assert options("it", *words) == expected | {"_": ("it", False, 1)}
    assert options(*words, "--count", "2", "--quick", "it") == expected | {"_": ("it", True, 2)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--modle", "x"), r"got --modle \(did you mean 'model'\?\)"),
        (("--inner.moost", "1"), "did you mean 'inner.most'"),
        (("--qick",), "did you mean 'quick'"),
        (
            ("--size", "3"),
            r"--help, got --size; entries of tables are --more.NAME",
        ),
        (("--seed",), "--seed must have a value, <int>, got none"),
        (("--weights", "good=much"), "weights must be names, or NAME=WEIGHT"),
    ],
)
def test_what_is_no_option_is_refused(words: tuple[str, ...], message: str) -> None:
    result = run("it", *words)
    assert isinstance(result.exception, ArgumentError)
    with pytest.raises(ArgumentError, match=message):
        raise result.exception
    assert not RECEIVED


def test_other_defaults_and_unknown_tables() -> None:
    (seed,) = [o for o in options_of(Settings, defaults={"model": "m"}) if o.name == "model"]
    assert seed.shown_default == "m"
    with pytest.raises(AssertionError, match="has no tables"):
        options_of(Settings, tables={"env": "inner"})


def test_entries_of_a_policys_options() -> None:
    args = ["--llm.extra.top_k", "5", "id", "--llm.extra.min-p", "0.1", "--llm.model=m", "--x", "1"]
    remaining, options = policy_options(args, "llm")
    assert remaining == ["id", "--x", "1"]
    assert options == {"extra": {"top_k": 5, "min-p": 0.1}, "model": "m"}
    assert policy_options(["--Own.a.b", "1"], "my.module:Own")[1] == {"a": {"b": 1}}


def test_list_prints_the_options_of_a_policy() -> None:
    result = CliRunner().invoke(app, ["list", "--policy", "llm"])
    assert result.exit_code == 0
    assert "--llm.max_tokens" in result.stdout and "512" in result.stdout
    rows = json.loads(CliRunner().invoke(app, ["list", "--policy", "llm", "--json"]).stdout)
    assert {"option": "--llm.stop", "type": "bool", "default": "true"}.items() <= rows[8].items()
    assert "has no options" in CliRunner().invoke(app, ["list", "--policy", "oracle"]).stdout
    result = CliRunner().invoke(app, ["list", "--policy", "orcale"])
    assert result.exit_code == 2 and "did you mean 'oracle'" in result.stderr
