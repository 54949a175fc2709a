"""The scripts in docs/ that measure: they run, and what they measure keeps its bounds."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs"
OLD_NAME = "ignore:.*gradient_checkpointing.* is deprecated:FutureWarning"  # trl 1.16 says it so
PARAMETERS = {"Qwen3-0.6B": 0.596, "Qwen3-1.7B": 1.72, "Qwen3-4B": 4.02, "Qwen3-8B": 8.19}
"""Billions, as the models have them."""


def script(name: str) -> dict[str, Any]:
    return runpy.run_path(str(DOCS / f"{name}.py"))


@pytest.mark.torch
@pytest.mark.filterwarnings(OLD_NAME)
def test_the_table_of_the_gpu_is_made_on_a_cpu_at_a_tiny_size(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script("gpu_steps")["main"](["--tiny", "--rows", "1", "--steps", "1"])
    lines = capsys.readouterr().out.splitlines()
    rows = [re.split(r" *\| *", line.strip("| ")) for line in lines if line.startswith("| tiny")]
    assert {tuple(row[1:4]) for row in rows} == {
        (kind, step, context)
        for kind in ("QLoRA", "LoRA")
        for step in ("sft", "grpo")
        for context in ("32", "64")
    }
    assert all(float(row[4]) > 0 and float(row[6]) > 0 for row in rows)


@pytest.mark.torch
def test_the_shapes_of_the_gpu_table_are_those_of_the_models() -> None:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    found = script("gpu_steps")
    for name, shape in found["SHAPES"].items():
        with torch.device("meta"):
            model = Qwen3ForCausalLM(Qwen3Config(**{**found["COMMON"], **shape}))
        count = sum(weight.numel() for weight in model.parameters())
        assert count / 1e9 == pytest.approx(PARAMETERS[name], rel=0.01), name


@pytest.mark.torch
def test_what_is_not_measured_is_told_as_not_run() -> None:
    table = (DOCS / "results" / "gpu.md").read_text(encoding="utf-8")
    for name in script("gpu_steps")["SHAPES"]:
        assert table.count(f"| {name} |") == 6


def test_judging_runs_at_a_small_size(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    script("judging_speed")["main"](40)
    assert capsys.readouterr().out.count("40 states of") == 2


@pytest.mark.slow
@pytest.mark.torch
def test_judging_keeps_its_bound(capsys: pytest.CaptureFixture[str]) -> None:
    script("judging_speed")["main"]()
    told = capsys.readouterr().out.splitlines()
    assert all(float(re.findall(r"([\d.]+) CPU s", line)[0]) < 2 for line in told)


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.filterwarnings(OLD_NAME)
def test_stepwise_costs_little_beside_a_bare_loop() -> None:
    for costs in script("stepwise_speed")["compare"](steps=6, batch=32, rounds=1):
        assert all(cost.tokens > 0 for cost in costs.values())
        assert costs["stepwise"].per_token < 2 * costs["bare"].per_token
        assert costs["stepwise"].per_token < 2 * costs["spare"].per_token
