"""The scripts that measure run, at small sizes."""

import json
import re
import runpy
from typing import Any

import pytest

from tests.support.paths import ROOT

SCRIPTS = ROOT / "scripts"
OLD_NAME = "ignore:.*gradient_checkpointing.* is deprecated:FutureWarning"  # trl 1.16 says it so
PARAMETERS = {"Qwen3-0.6B": 0.596, "Qwen3-1.7B": 1.72, "Qwen3-4B": 4.02, "Qwen3-8B": 8.19}
"""Billions, as the models have them."""


def script(name: str) -> dict[str, Any]:
    return runpy.run_path(str(SCRIPTS / f"{name}.py"))


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
    table = (ROOT / "docs" / "results" / "gpu.md").read_text(encoding="utf-8")
    for name in script("gpu_steps")["SHAPES"]:
        assert table.count(f"| {name} |") == 6


def test_judging_runs_at_a_small_size(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    script("judging_speed")["main"](40)
    assert capsys.readouterr().out.count("40 states of") == 2


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.filterwarnings(OLD_NAME)
def test_stepwise_and_its_references_run_at_a_small_size() -> None:
    (costs,) = script("stepwise_speed")["compare"](steps=2, batch=8, group=4, rounds=1)
    assert set(costs) == {"stepwise", "bare", "spare"}
    assert all(cost.tokens > 0 for cost in costs.values())


def test_the_bench_prints_ratios_and_their_bounds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    bench = script("bench")
    for words in (["--json"], []):
        bench["main"]([*words, "--only", "marks", "--rounds", "1"])
    first, *lines = capsys.readouterr().out.splitlines()
    told = json.loads(first)
    (check,) = told["checks"]
    assert told["cpu"] and told["rounds"] == 1
    assert check["name"] == "marks" and check["ratio"] > 0
    assert lines[0] == f"CPU: {told['cpu']}; medians of 1 rounds"
    assert lines[1].split()[:2] == ["name", "ratio"]
    assert re.fullmatch(r"marks .*<= \d+ +(ok|MISS)  +harmless .*", lines[2])


def test_checks_of_the_bench_have_names_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    checks = script("bench")["CHECKS"]
    assert len({check.name for check in checks}) == len(checks) >= 15
