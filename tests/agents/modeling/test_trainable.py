"""Tests of models to train: each precision loaded, trained, saved, merged and loaded again."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hopgym_agents.generate import Request, Sampling
from hopgym_agents.modeling import (
    PRECISIONS,
    Precision,
    Trainable,
    load_trainable,
    merge_adapter,
    save_trained,
    widen_adapter,
)

NEEDED = ("torch", "transformers", "peft", "bitsandbytes")
MISSING = [package for package in NEEDED if find_spec(package) is None]
pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings(
        "ignore:.*gradient_checkpointing.* is deprecated:FutureWarning"
    ),  # peft's
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
LINEARS = 14  # seven in each of two layers
SAID = [f"Who is the mother of number {each}?" for each in range(4)]
ASKED = [
    Request(({"role": "user", "content": said},), key=(each, 0, 0))
    for each, said in enumerate(SAID)
]
GREEDY = Sampling(temperature=0, max_tokens=16)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hopgym_agents.modeling.tiny import make_tiny

    return Path(make_tiny(tmp_path_factory.mktemp("tiny") / "m", hidden=64, layers=2).path)


def load(tiny: Path, kind: str, **settings: Any) -> Trainable:
    return load_trainable(tiny, Precision(kind, rank=4, alpha=8, **settings), device="cpu")


def losses(trained: Trainable, steps: int = 4, rate: float = 1e-2) -> list[float]:
    """Some steps towards one text; the loss before each."""
    import torch

    moved = [each for each in trained.model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(moved, lr=rate)
    ids = torch.tensor([trained.tokenizer("Ann Lee is the mother of Bo Lee. " * 3)["input_ids"]])
    seen = list[float]()
    for _ in range(steps):
        loss = trained.model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seen.append(loss.item())
    return seen


def said_by(model: Any, tokenizer: Any = None, **settings: Any) -> list[tuple[int, ...]]:
    from hopgym_agents.generate.local import LocalGenerator

    name = str(model) if isinstance(model, Path) else model
    generator = LocalGenerator(name, GREEDY, tokenizer=tokenizer, **settings)
    replies = generator(ASKED)
    assert not any(reply.error for reply in replies)
    return [reply.token_ids for reply in replies]


@pytest.mark.parametrize("kind", ["lora", "qlora"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapter_is_trained_saved_merged_and_loaded(
    tiny: Path, tmp_path: Path, kind: str, dtype: str
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    trained = load(tiny, kind, dtype=dtype)
    assert (trained.optimizer, trained.precision.dtype) == ("adamw_torch", dtype)
    before = said_by(trained.model, trained.tokenizer)
    trained.model.train()
    seen = losses(trained)
    assert seen[-1] < seen[0] - 0.3
    save_trained(trained, tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    said = said_by(trained.model, trained.tokenizer)
    assert said != before
    again = load_trainable(tiny, trained.precision, device="cpu", adapter=tmp_path / "adapter")
    assert said_by(again.model, again.tokenizer) == said
    served = {"load_in_4bit": kind == "qlora", "adapter": str(tmp_path / "adapter")}
    assert said_by(tiny, dtype=dtype, device="cpu", **served) == said
    merge_adapter(tiny, tmp_path / "adapter", tmp_path / "merged", device="cpu")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert {each.dtype for each in plain.parameters()} == {getattr(torch, dtype)}
    assert not (tmp_path / "merged" / "adapter_config.json").exists()
    ids = torch.tensor([trained.tokenizer(SAID[0])["input_ids"]])
    with torch.no_grad():
        one, other = (model.eval()(ids).logits.float() for model in (trained.model, plain))
    if dtype == "float32":
        assert said_by(tmp_path / "merged") == said
        assert torch.allclose(one, other, atol=1e-4)
    else:  # the merged weights are rounded once more: a near-tie may fall the other way
        assert torch.cosine_similarity(one, other, dim=-1).min() > 0.999
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("kind", ["lora", "qlora"])
def test_only_adapters_of_all_linear_layers_move(tiny: Path, kind: str) -> None:
    import torch
    from bitsandbytes.nn import Linear4bit

    trained = load(tiny, kind)
    moved = {name for name, each in trained.model.named_parameters() if each.requires_grad}
    assert len(moved) == 2 * LINEARS
    assert all("lora_" in name and "lm_head" not in name for name in moved)
    quantised = [part for part in trained.model.modules() if isinstance(part, Linear4bit)]
    assert len(quantised) == (LINEARS if kind == "qlora" else 0)
    for part in quantised:
        assert (part.weight.quant_state.quant_type, part.weight.quant_state.nested) == ("nf4", True)
    still = {
        name: each.detach().clone()
        for name, each in trained.model.named_parameters()
        if name not in moved
    }
    losses(trained, 2)
    for name, each in trained.model.named_parameters():
        assert name in moved or torch.equal(each, still[name])
    one, other = (
        load_trainable(tiny, trained.precision, device="cpu", seed=seed).model for seed in (0, 1)
    )
    name = sorted(name for name in moved if "lora_A" in name)[0]
    assert not torch.equal(one.get_parameter(name), other.get_parameter(name))
    again = load(tiny, kind).model
    assert torch.equal(one.get_parameter(name), again.get_parameter(name))


def test_all_parameters_are_trained_saved_and_loaded(tiny: Path, tmp_path: Path) -> None:
    import torch

    trained = load_trainable(str(tiny), Precision(), device="cpu")
    assert all(each.requires_grad for each in trained.model.parameters())
    assert {each.dtype for each in trained.model.parameters()} == {torch.float32}
    assert trained.model.training
    before = said_by(trained.model, trained.tokenizer)
    losses(trained, 3)
    save_trained(trained, tmp_path / "a" / "full")
    said = said_by(trained.model, trained.tokenizer)
    assert said_by(tmp_path / "a" / "full") == said != before
    again = load_trainable(tmp_path / "a" / "full", Precision(), device="cpu")
    assert said_by(again.model, again.tokenizer) == said


def test_small_steps_reach_an_adapter_that_trl_has_narrowed(tiny: Path) -> None:
    import torch

    def moved(widened: bool) -> bool:
        trained = load(tiny, "qlora")
        weights = [each for each in trained.model.parameters() if each.requires_grad]
        for each in weights:
            each.data = each.data.to(torch.bfloat16)  # as its trainers do
        if widened:
            widen_adapter(trained)
        large = max(weights, key=lambda each: each.abs().max().item())
        before = large.detach().clone()
        losses(trained, 2, rate=1e-7)
        assert large.dtype == (torch.float32 if widened else torch.bfloat16)
        at = before.abs().argmax()
        return bool(large.flatten()[at] != before.flatten()[at])

    assert (moved(False), moved(True)) == (False, True)


def gradients(trained: Trainable) -> Any:
    import torch

    torch.manual_seed(3)
    for name, each in trained.model.named_parameters():
        if "lora_B" in name:  # from zero, A would get no gradient
            each.data.normal_(std=0.05)
    ids = torch.tensor([trained.tokenizer(SAID[0])["input_ids"]])
    with torch.no_grad():
        trained.model.eval()(input_ids=ids)
    trained.model.train()(input_ids=ids, labels=ids).loss.backward()
    return torch.cat(
        [each.grad.flatten() for each in trained.model.parameters() if each.requires_grad]
    )


def test_gradients_after_an_evaluation_are_the_dequantised_ones(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On any CPU the layers are told it has AVX512-BF16, so that the guard has work to do."""
    import bitsandbytes
    import torch

    real = bitsandbytes.functional.has_avx512bf16()
    monkeypatch.setattr(bitsandbytes.nn.modules, "has_avx512bf16", lambda: True)
    trained = load(tiny, "qlora")
    layers = [each for each in trained.model.modules() if hasattr(each, "quant_state")]
    assert len(layers) == LINEARS
    found = gradients(trained)
    assert not any(
        getattr(each.weight.quant_state, "packing_format_for_cpu", False) for each in layers
    )
    plain = load(tiny, "qlora").model.unload().dequantize()
    plain.save_pretrained(tmp_path / "plain")
    trained.tokenizer.save_pretrained(tmp_path / "plain")
    wanted = gradients(load(tmp_path / "plain", "lora"))
    assert torch.cosine_similarity(found, wanted, dim=0) >= 0.999
    assert found.norm() == pytest.approx(wanted.norm().item(), rel=1e-3)
    if real:  # and without the guard they are not, so that this test would tell
        unguarded = load(tiny, "qlora")
        for each in unguarded.model.modules():
            if hasattr(each, "quant_state"):
                each.support_avx512bf16_for_cpu = True
        with pytest.warns(UserWarning, match="(?i)autograd|backward|gradient"):
            lost = gradients(unguarded)
        assert torch.cosine_similarity(lost, wanted, dim=0) < 0.99


@pytest.mark.parametrize("kind", ["full", "qlora"])
def test_layers_computed_again_give_the_same_gradients(tiny: Path, kind: str) -> None:
    import torch

    one, other = (load(tiny, kind, gradient_checkpointing=again) for again in (False, True))
    on = [
        any(getattr(part, "gradient_checkpointing", False) for part in each.model.modules())
        for each in (one, other)
    ]
    assert on == [False, True]
    assert torch.allclose(gradients(one), gradients(other), atol=1e-6)
    assert PRECISIONS["qlora"].gradient_checkpointing
