"""Two processes that train together take the very step that one takes alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import SUPPORT
from tests.support.training_runs import LATE, METHODS, playing, points

# Other processes load torch and trl.
pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.filterwarnings(LATE)]

SCRIPT = str(SUPPORT / "train_step.py")
# With --cpu it would be one process, unless MPI were there.
LAUNCH = ("-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu", "--num_processes=2")


def options_of(taught: dict[str, Any], folder: Path) -> str:
    """Write the options of all methods, for a step each."""
    folder.mkdir()
    model = f"{taught['out']}/model"
    options: dict[str, Any] = {
        method: playing(method, model, folder / method, tasks=8) for method in METHODS
    }
    options["sft"] = {**taught, "model": model, "out": str(folder / "sft"), "batch": 8}
    for method, given in options.items():
        trl = {"max_steps": 1, "logging_steps": 1, "max_grad_norm": 0, "save_steps": 500}
        given["trl"] = {**given.get("trl", {}), **trl}
        if method not in ("sft", "expert_iteration"):
            given["trl"] |= {"num_generations": 2}
    (folder / "options.json").write_text(json.dumps(options))
    return str(folder / "options.json")


@pytest.fixture(scope="module")
def both(taught: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the first gradients of all methods, by one process and by two."""
    from hopgym_agents.training.actor import Actor
    from tests.support import train_step

    folder = tmp_path_factory.mktemp("steps")
    one, two = folder / "one", folder / "two"
    words = [sys.executable, *LAUNCH, SCRIPT, options_of(taught, two), str(two)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(words, **pipes) as launched, pytest.MonkeyPatch.context() as patched:
        patched.setattr(Actor, "play", train_step.play)
        patched.setattr(Actor, "complete", train_step.complete)
        train_step.main(options_of(taught, one), str(one))
        said, _ = launched.communicate()
    assert launched.returncode == 0, said
    assert [(each / "processes").read_text() for each in (one, two)] == ["1", "2"]
    return one, two


@pytest.mark.parametrize("method", ["sft", *METHODS])
def test_two_processes_take_the_step_of_one(both: tuple[Path, Path], method: str) -> None:
    import torch

    one, two = (torch.load(folder / f"{method}.pt") for folder in both)
    assert one.keys() == two.keys() and one
    largest = max(float(each.abs().max()) for each in one.values())
    assert largest > 1e-6
    for name, gradient in one.items():
        assert torch.allclose(gradient, two[name], rtol=0, atol=1e-5 * largest), name
    told = (*(f"{name}_tokens" for name in ("generated", "gradient")), "environment_steps")
    (left,), (right,) = (points(folder / method) for folder in both)
    seen = ("good_by_step", "malformed", "repeat", "success", "searches_per_hop")
    assert method == "sft" or "good_by_step" in left
    for name in (*told, *seen, "distinct_worlds", "gpu_seconds", "reward", "zero_variance"):
        assert left.get(name) == right.get(name), name
    assert left["loss"] == pytest.approx(right["loss"], abs=1e-5)
