"""Every method with LoRA and with QLoRA: trained, saved, loaded again, and merged."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hopgym_agents.generate import Request, Sampling
from tests.support.training_runs import (
    LATE,
    METHODS,
    assert_same,
    playing,
    prepared,
    stopping,
    trained,
    weights,
)

MISSING = [each for each in ("peft", "bitsandbytes") if find_spec(each) is None]
pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings(LATE),
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
ASKED = [
    Request(({"role": "user", "content": f"Who is the mother of {name}?"},), key=(at, 0, 0))
    for at, name in enumerate(("Ada", "Ivo", "Cleo", "Gil"))
]
REWARDS = {
    "expert_iteration": {"one": 1.0},
    "stepwise": {"good": 1.0, "format": 0.3},
    "trajectory": {"outcome": 1.0, "process": 1.0, "format": 0.3},
}
"""Such as leave something to learn in two steps."""
GREEDY = Sampling(temperature=0, max_tokens=12)


def said(model: Any, tokenizer: Any = None, **settings: Any) -> list[tuple[int, ...]]:
    from hopgym_agents.generate.local import LocalGenerator

    replies = LocalGenerator(model, GREEDY, tokenizer=tokenizer, **settings)(ASKED)
    assert not any(reply.error for reply in replies)
    return [reply.token_ids for reply in replies]


@pytest.mark.parametrize("kind", ["lora", "qlora"])
@pytest.mark.parametrize("method", ["sft", *METHODS])
def test_an_adapter_of_every_method(
    method: str, kind: str, taught: dict[str, Any], tmp_path: Path
) -> None:
    from hopgym_agents.modeling import load_trainable, merge_adapter
    from hopgym_agents.training.loop import run as run_prepared

    model = f"{taught['out']}/model"
    given = {**taught, "model": model} if method == "sft" else playing(method, model, "")
    given = {**given, "out": str(tmp_path / "out"), "batch": 8}
    given["precision"] = {"kind": kind, "rank": 4, "alpha": 8}
    given["trl"] = {**given["trl"], "max_steps": 2, "learning_rate": 0.02, "logging_steps": 1}
    if method in REWARDS:
        given["reward"] = REWARDS[method]
    run = prepared(method, given)
    before = {name: each.clone() for name, each in run.setup.trainable.model.named_parameters()}
    found = run_prepared(run)
    moved = [
        name
        for name, each in run.setup.trainable.model.named_parameters()
        if not before[name].equal(each)
    ]
    assert moved and all("lora_" in name for name in moved)
    assert all("lora_" in name for name in weights(found.model))
    now = said(run.setup.trainable.model, run.setup.trainable.tokenizer)
    again = load_trainable(model, run.config.precision, device="cpu", adapter=found.model)
    assert said(again.model, again.tokenizer) == now
    served = {"load_in_4bit": kind == "qlora", "adapter": found.model, "device": "cpu"}
    assert said(model, **served) == now
    merge_adapter(model, found.model, tmp_path / "merged", device="cpu")
    assert said(str(tmp_path / "merged")) == now


@pytest.mark.parametrize("method", ["trajectory", "stepwise"])
def test_a_stopped_adapter_goes_on_to_the_same(
    method: str, taught: dict[str, Any], tmp_path: Path
) -> None:
    folders = tmp_path / "unbroken", tmp_path / "stopped"
    unbroken, stopped = (playing(method, f"{taught['out']}/model", each) for each in folders)
    for given in (unbroken, stopped):
        given["precision"] = {"kind": "qlora", "rank": 4, "alpha": 8}
    trained(method, unbroken)
    with pytest.raises(KeyboardInterrupt):
        trained(method, stopped, stopping(3))
    trained(method, stopped)
    assert_same(*folders)
