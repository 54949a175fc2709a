"""Methods by name, and methods of your own."""

import json
from pathlib import Path
from typing import Any

import pytest

from hopgym.errors import ArgumentError, RunFileError
from hopgym_agents.training.method import METHODS, method_named
from tests.support.training_runs import LATE, playing, trained

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings(LATE)]

MINE = """
from hopgym_agents.training.methods.trajectory import TrajectoryRL


class Mine(TrajectoryRL):
    reward = "format"
    trl_defaults = {"beta": 0.04}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with modules, off the path as for a console script."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_method.py").write_text(MINE)
    (tmp_path / "broken_method.py").write_text("def (")
    (tmp_path / "raising_method.py").write_text("raise RuntimeError('no')")
    return tmp_path


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_name(name: str) -> None:
    method = method_named(name)
    assert method.name == method.identity() == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stepwize", "did you mean 'stepwise'"),
        (":SFT", "must name a class"),
        (".x:Y", "must name a class"),
        ("my_method:Missing", "has no attribute 'Missing'"),
        ("no_module_of_this_name:X", "No module named"),
        ("broken_method:X", "importing broken_method raised SyntaxError"),
        ("raising_method:X", "importing raising_method raised RuntimeError: no"),
        ("json:dumps", "subclass of Method"),
        ("hopgym_agents.training.grpo:GRPOMethod", "must define data, rollouts, reward"),
    ],
)
def test_what_is_no_method_is_refused_in_one_line(name: str, message: str, here: Path) -> None:
    with pytest.raises(ArgumentError, match=message):
        method_named(name)


def test_your_own_method_trains_and_is_known_by_its_source(blank: str, here: Path) -> None:
    options: dict[str, Any] = playing("trajectory", blank, here / "out")
    options["trl"] |= {"max_steps": 1}
    del options["trl"]["num_generations"]  # The default of the base class remains.
    assert trained("my_method:Mine", options).steps == 1
    identity = json.loads((here / "out" / "run.json").read_text())
    assert identity["method"].startswith("my_method:Mine ")
    assert identity["reward"] == {"format": 1.0}
    card = (here / "out" / "model" / "README.md").read_text()
    assert "Trained by `hopgym train my_method:Mine`" in card
    with pytest.raises(RunFileError, match="method 'my_method:Mine"):
        trained("trajectory", options | {"reward": {"format": 1.0}})


def test_a_method_of_executed_code_is_known_by_its_name_alone() -> None:
    # As in a notebook, or under runpy: no module of this name was imported.
    module: dict[str, Any] = {"__name__": "<run_path>"}
    exec(MINE, module)
    assert module["Mine"].identity() == "<run_path>:Mine"


def test_a_method_whose_file_is_gone_is_known_by_its_name_alone(here: Path) -> None:
    (here / "fleeting.py").write_text(MINE)
    method = method_named("fleeting:Mine")
    assert method.identity().startswith("fleeting:Mine ")
    (here / "fleeting.py").unlink()
    assert method.identity() == "fleeting:Mine"


def test_a_run_is_not_given_to_a_method_that_plays(blank: str, here: Path) -> None:
    with pytest.raises(ArgumentError, match="run must be left out"):
        trained("trajectory", playing("trajectory", blank, here / "out") | {"run": "none"})
