"""Tests of the local generator on tiny random models: what is kept between turns changes nothing.

Two references stand beside it: transformers' own ``generate``, and a plain loop that runs the whole
sequence through the model for every token.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hopgym.trajectory import Completion
from hopgym_agents.generate import Request, Sampling
from tests.support.example_model import make_tiny_model
from tests.support.scripted_turns import play, request_at

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.torch

GREEDY = Sampling(temperature=0, max_tokens=12)
DRAWN = Sampling(temperature=0.8, top_k=40, top_p=0.95, max_tokens=12, seed=3)
ALONE = {"batch_size": 1, "cached_tokens": 0}


@pytest.fixture(scope="module")
def loaded(folder: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    return model.eval(), AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def local(loaded: tuple[Any, Any]) -> Callable[..., Any]:
    """Return what makes a generator of the tiny model."""
    from hopgym_agents.generate.local import LocalGenerator

    def make(sampling: Sampling = GREEDY, **settings: Any) -> Any:
        return LocalGenerator(loaded[0], sampling, tokenizer=loaded[1], **settings)

    return make


def assert_same(left: dict[Any, Completion], right: dict[Any, Completion]) -> None:
    assert left.keys() == right.keys()
    for place, one in left.items():
        other = right[place]
        assert one.token_ids == other.token_ids, place
        assert (one.text, one.finish_reason) == (other.text, other.finish_reason)
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_neither_cache_nor_company_nor_order_changes_a_token(
    local: Callable[..., Any], sampling: Sampling
) -> None:
    reference = play(local(sampling, **ALONE), 6, 4)
    assert len({reply.token_ids for reply in reference.values()}) > 12
    for settings, order in (({}, None), ({}, 1), ({"batch_size": 4}, 2), ({"cached_tokens": 0}, 3)):
        assert_same(play(local(sampling, **settings), 6, 4, order), reference)


@pytest.mark.parametrize("room", [1, 300, 900])
def test_states_dropped_in_the_middle_change_nothing(local: Callable[..., Any], room: int) -> None:
    reference, small = local(DRAWN, **ALONE), local(DRAWN, cached_tokens=room)
    assert_same(play(small, 5, 4, 7), play(reference, 5, 4))
    assert small.encoded_tokens < reference.encoded_tokens or room == 1
    small.forget()
    assert_same(play(small, 5, 2), play(reference, 5, 2))


def test_every_token_is_encoded_once(local: Callable[..., Any]) -> None:
    sizes = {"least": 60, "most": 110}
    kept, again = local(GREEDY), local(GREEDY, cached_tokens=0)
    made = play(kept, 1, 8, **sizes)
    assert_same(play(again, 1, 8, **sizes), made)
    last = made[0, 7]
    assert 120 < (last.prompt_tokens - made[0, 0].prompt_tokens) / 7 < 320
    # All but the last token drawn, which nothing follows; without a cache, that of every turn.
    assert kept.encoded_tokens == last.prompt_tokens + last.generated_tokens - 1
    assert kept.encoded_tokens == sum(reply.processed_tokens for reply in made.values())
    each_turn = sum(reply.prompt_tokens + reply.generated_tokens - 1 for reply in made.values())
    assert again.encoded_tokens == each_turn
    assert again.encoded_tokens > 3.5 * kept.encoded_tokens


def test_in_a_batch_little_more_is_encoded(local: Callable[..., Any]) -> None:
    sizes = {"least": 60, "most": 110}
    kept, again = local(GREEDY), local(GREEDY, cached_tokens=0)
    assert_same(play(kept, 5, 8, **sizes), play(again, 5, 8, **sizes))
    assert again.encoded_tokens > 2.5 * kept.encoded_tokens


def test_what_is_kept_of_another_conversation_under_the_same_key_does_no_harm(
    local: Callable[..., Any],
) -> None:
    warm, cold = local(GREEDY), local(GREEDY, **ALONE)
    one, other = request_at(1, []), request_at(2, [])
    swapped = Request(other.messages, opening=2, key=one.key)
    requests = [one, swapped, one, one, swapped]
    reference = dict(enumerate(cold(requests)))
    for _ in range(2):
        assert_same(dict(enumerate(warm(requests))), reference)
    assert_same(dict(enumerate(reply for each in requests for reply in warm([each]))), reference)


def configs() -> dict[str, tuple[str, dict[str, Any]]]:
    small = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "head_dim": 16,
        "num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.3,
    }  # fmt: skip
    mixed = ["sliding_attention", "full_attention", "sliding_attention"]
    return {
        "Llama": ("LlamaForCausalLM", small),
        "Mistral": ("MistralForCausalLM", small | {"sliding_window": 24}),
        "Qwen2": ("Qwen2ForCausalLM", small | {
            "use_sliding_window": True, "sliding_window": 24, "layer_types": mixed,
        }),
        "Gemma3Text": ("Gemma3ForCausalLM", small | {"sliding_window": 24, "layer_types": mixed}),
        "GPT2": ("GPT2LMHeadModel", {"n_embd": 32, "n_layer": 2, "n_head": 2,
                                     "initializer_range": 0.3}),
    }  # fmt: skip


@pytest.mark.parametrize("kind", configs())
def test_greedy_turns_are_those_of_transformers_generate(
    loaded: tuple[Any, Any], kind: str
) -> None:
    import torch
    import transformers

    from hopgym_agents.generate.local import LocalGenerator

    name, settings = configs()[kind]
    tokenizer = loaded[1]
    special = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    torch.manual_seed(1)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), **special, **settings
    )
    model = getattr(transformers, name)(config).eval()
    generator = LocalGenerator(model, GREEDY, tokenizer=tokenizer)
    asked: list[Request] = []

    def recorded(requests: Sequence[Request]) -> list[Completion]:
        replies = generator(requests)
        for request, reply in zip(requests, replies, strict=True):
            ids = torch.tensor([generator.encoder.encode(request)])
            whole = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
            )
            assert reply.token_ids == tuple(whole[0, ids.shape[1] :].tolist())
            assert reply.prompt_tokens == ids.shape[1]
        asked.extend(requests)
        return replies

    recorded.encoder = generator.encoder  # type: ignore[attr-defined]
    play(recorded, 4, 3, 5)
    assert len(asked) == 12


def test_drawn_turns_are_those_of_a_plain_loop(
    local: Callable[..., Any], loaded: tuple[Any, Any]
) -> None:
    import torch

    generator = local(DRAWN)
    requests = [request_at(each, [], sample=each % 3) for each in range(5)]
    for request, reply in zip(requests, generator(requests), strict=True):
        rng = np.random.default_rng(np.random.SeedSequence(DRAWN.seed, spawn_key=request.key))
        ids, logprobs = generator.encoder.encode(request), []
        for _ in reply.token_ids:
            with torch.inference_mode():
                logits = loaded[0](torch.tensor([ids])).logits[0, -1].double().numpy()
            scaled = logits / DRAWN.temperature
            logp = scaled - np.log(np.exp(scaled - scaled.max()).sum()) - scaled.max()
            order = np.argsort(-logp)[: DRAWN.top_k]
            shares = np.exp(logp[order]) / np.exp(logp[order]).sum()
            kept = order[np.cumsum(shares) - shares < DRAWN.top_p]
            chances = np.where(np.isin(np.arange(len(logp)), kept), np.exp(logp), 0)
            sums = np.cumsum(chances)
            token = int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
            ids.append(token)
            logprobs.append(logp[token])
        assert reply.token_ids == tuple(ids[reply.prompt_tokens :])
        assert reply.logprobs == pytest.approx(logprobs, abs=1e-4)
        assert reply.generated_tokens == len(logprobs)


def test_a_model_loaded_here_gets_one_thread_unless_told(
    folder: str, local: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from hopgym_agents.generate.local import LocalGenerator

    used: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    local()
    assert used == [], "who loads it sets them"
    LocalGenerator(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    LocalGenerator(folder)
    LocalGenerator(folder, threads=3)
    assert used == [1, 2, 3]


def test_a_folder_that_was_moved_is_the_same_model(folder: str, tmp_path: Path) -> None:
    from hopgym_agents.generate.local import LocalGenerator

    one = LocalGenerator(folder).fingerprint
    assert LocalGenerator(str(shutil.copytree(folder, tmp_path / "other"))).fingerprint == one
    assert LocalGenerator(make_tiny_model(tmp_path / "new", seed=5)).fingerprint != one
