"""Recipes and examples: every command that a recipe names is checked on a tiny model."""

import re
import shlex
from itertools import takewhile
from pathlib import Path

import gymnasium
import pytest
from typer.testing import CliRunner

from hopgym.arguments import read_arguments
from hopgym.cli.app import typer_of
from hopgym.policies import OraclePolicy
from hopgym.rollout import run_episodes
from hopgym.runs.trajectory_file import Header, RunEnvironment
from hopgym.runs.writer import TrajectoryWriter
from hopgym.wrappers import hop_env
from tests.support.paths import ROOT

EXAMPLES = ROOT / "examples"
RECIPES = sorted((EXAMPLES / "recipes").glob("*.toml"))
TESTS = ROOT / "tests"
OLD_NAME = "ignore:.*gradient_checkpointing.* is deprecated:FutureWarning"  # trl 1.16 says it so


def head(recipe: Path) -> list[str]:
    """The comment that a recipe begins with, line by line."""
    lines = recipe.read_text(encoding="utf-8").splitlines()
    return [line[1:] for line in takewhile(lambda line: line.startswith("#"), lines)]


def commands(recipe: Path, verb: str) -> list[list[str]]:
    """The words behind ``hopgym VERB`` of the commands in a recipe's head."""
    found = [line.strip() for line in head(recipe) if line.startswith(f"   hopgym {verb} ")]
    return [shlex.split(line)[2:] for line in found]


TRAINED = [(recipe.name, words) for recipe in RECIPES for words in commands(recipe, "train")]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    from hopgym_agents.modeling.tiny import make_tiny

    return make_tiny(tmp_path_factory.mktemp("models") / "tiny", hidden=32, layers=1).path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    from hopgym_agents.modeling.tiny import DEMO, DEMO_ID

    env = hop_env(gymnasium.make(DEMO_ID, **DEMO))
    path = tmp_path_factory.mktemp("runs") / "run.jsonl"
    with TrajectoryWriter(path, Header.of({}, [RunEnvironment("tasks")])) as file:
        for each in run_episodes(env, OraclePolicy(env.source), range(8)):
            file.write(each)
    return str(path)


def without(words: list[str], *names: str) -> list[str]:
    """Words without options that take one value."""
    drop = {at for name in names for at, word in enumerate(words) if word == name}
    return [word for at, word in enumerate(words) if not {at, at - 1} & drop]


@pytest.mark.torch
@pytest.mark.filterwarnings(OLD_NAME)
@pytest.mark.parametrize(
    ("name", "words"), TRAINED, ids=[f"{name} {' '.join(words[3:])}" for name, words in TRAINED]
)
def test_every_command_of_a_recipe_passes_a_dry_run(
    name: str, words: list[str], model: str, run: str, tmp_path: Path
) -> None:
    from hopgym_agents.cli.train import train

    assert words[1:3] == ["--recipe", f"examples/recipes/{name}"]
    recipe = EXAMPLES / "recipes" / name
    given = without(words, "--recipe", "--model", "--out", "--run")
    given += ["--recipe", str(recipe), "--model", model, "--out", str(tmp_path / "out")]
    if "--run" in words or re.search("^run = ", recipe.read_text(encoding="utf-8"), re.MULTILINE):
        given += ["--run", run]
    done = CliRunner().invoke(
        typer_of("train", train), [*given, "--trl.use_cpu", "true", "--dry-run"]
    )
    assert done.exit_code == 0, done.output or done.exception
    assert "All checks passed" in done.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_says_what_it_is_and_whether_it_was_run(recipe: Path) -> None:
    assert any(name == recipe.name for name, _ in TRAINED)
    first = " ".join(line.strip() for line in head(recipe)[:2])
    assert "Not run." in first or "Run once" in first


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_evaluations_take_the_options_that_they_name(recipe: Path) -> None:
    from hopgym_agents.options import read_options

    for words in commands(recipe, "eval"):
        plain, given = read_arguments(without(words, "-n"))
        assert plain in ([], [words[0]]) and words[0] in gymnasium.registry
        llm = {key[4:]: value for key, value in given.items() if key.startswith("llm.")}
        assert read_options(llm).generator == "local"
        kwargs = set(given) - {f"llm.{key}" for key in llm} - {"policy"}
        assert kwargs <= {"path", "mode", "max_steps"}


@pytest.mark.parametrize("example", sorted(EXAMPLES.rglob("*.py")), ids=lambda path: path.name)
def test_every_example_is_run_by_a_test(example: Path) -> None:
    readme = TESTS.parent / "README.md"  # whose blocks run in tests
    others = [path for path in TESTS.rglob("test_*.py") if path.name != Path(__file__).name]
    named = f"({example.name}|\\b{example.stem}\\b)"
    assert any(re.search(named, path.read_text(encoding="utf-8")) for path in (readme, *others))
