"""A study whose start is an adapter: the job that trained it merges it, and nobody else."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.command_line import hopgym
from tests.support.study_files import WORLDS
from tests.support.training_runs import LATE, same_weights

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings(LATE),
    pytest.mark.skipif(find_spec("peft") is None, reason="not installed: peft"),
]
STUDY = f"""
title = "Adapters"
policies = []
{WORLDS}
[start.tiny]
hidden = 32
layers = 1
[[start.stage]]
collect = {{ tasks = 8 }}
train = {{ batch = 4, precision = {{ kind = "lora", rank = 4 }}, trl = {{ max_steps = 1 }} }}
[[arm]]
name = "one"
method = "sft"
batch = 4
collect = {{ tasks = 8 }}
trl = {{ max_steps = 1 }}
[[suite]]
name = "test"
n = 2
"""


def test_runs_start_from_the_adapter_of_the_very_run(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    out = tmp_path / "out"
    words = ["study", str(tmp_path / "study.toml"), "--out", str(out), "-j", "0"]
    done = hopgym(*words)
    assert done.exit_code == 0, done.output
    (stage,) = (out / "results").glob("start-stage-1*")
    (merged,) = (out / "models").glob("start-stage-1*/merged")
    (base,) = (out / "models").glob("tiny-model*")
    assert not same_weights(merged, base)
    # Stopped before its result was kept, with another model in that place.
    first = shutil.copytree(merged, tmp_path / "first")
    stage.unlink()
    shutil.rmtree(merged)
    shutil.copytree(base, merged)
    again = hopgym(*words)
    assert again.exit_code == 0, again.output
    assert same_weights(merged, first)
    assert not list((out / "models").glob("one*/merged")), "nothing starts from it"
