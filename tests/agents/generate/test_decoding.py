"""Tests of how the local generator draws and ends completions, fails, and loads its model."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError
from hopgym.rollout import run_episodes
from hopgym.trajectory import Completion, StopReason
from hopgym_agents.generate import Request, Sampling
from hopgym_agents.generate.cache import CachedPrefix, StateCache

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytestmark = pytest.mark.torch


@pytest.fixture
def local(folder: str) -> Callable[..., Any]:
    from hopgym_agents.generate.local import LocalGenerator

    def make(sampling: Sampling | None = None, **settings: Any) -> Any:
        return LocalGenerator(folder, sampling, **settings)

    return make


def ask(text: str, *key: int) -> Request:
    return Request(({"role": "user", "content": text},), key=(key or (0, 0, 0)))  # type: ignore[arg-type]


ASKED = [ask(f"Who is number {each}?" + " Really?" * each, each, 0, 0) for each in range(6)]


def test_a_completion_ends_behind_a_stop_text(local: Callable[..., Any]) -> None:
    free = local(Sampling(temperature=0, max_tokens=40))(ASKED)
    # Texts from the middle of what is said, some of which begin and end inside tokens.
    stops = tuple(reply.text[9:12] for reply in free)
    ended = local(Sampling(temperature=0, max_tokens=40, stop=(*stops, "")))(ASKED)
    for whole, cut in zip(free, ended, strict=True):
        end = min(whole.text.find(stop) + len(stop) for stop in stops if stop in whole.text)
        assert (cut.text, cut.finish_reason) == (whole.text[:end], "stop")
        assert cut.token_ids == whole.token_ids[: cut.generated_tokens]
        assert len(cut.logprobs) == cut.generated_tokens < whole.generated_tokens


def test_a_completion_ends_with_the_turn_or_at_its_length(local: Callable[..., Any]) -> None:
    generator = local(Sampling(temperature=3.0, max_tokens=60))
    end = generator.encoder.tokenizer.eos_token_id
    replies = generator([ask("Who?", each, 0, 0) for each in range(64)])
    assert {reply.finish_reason for reply in replies} == {"stop", "length"}
    for reply in replies:
        assert (reply.token_ids[-1] == end) == (reply.finish_reason == "stop")
        assert end not in reply.token_ids[:-1]
        assert "<|im_end|>" not in reply.text
        assert reply.finish_reason == "stop" or reply.generated_tokens == 60


def test_the_context_bounds_prompt_and_completion(local: Callable[..., Any]) -> None:
    sampling = Sampling(temperature=0, max_tokens=10)
    lengths = [reply.prompt_tokens for reply in local(sampling)(ASKED)]
    tight = local(sampling, max_context=lengths[2] + 3)(ASKED)
    rooms = [min(10, max(0, lengths[2] + 3 - length)) for length in lengths]
    assert rooms[0] == 10 > rooms[2] == 3 > rooms[-1] == 0
    for reply, room, length in zip(tight, rooms, lengths, strict=True):
        assert (reply.generated_tokens, reply.prompt_tokens) == (room, length)
        assert reply.finish_reason == ("length" if room else "context")
    assert local().max_context == 8_192


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (3, 1.0), (0, 0.6), (5, 0.7), (9, 0.01)])
def test_tokens_are_drawn_as_often_as_they_are_likely(top_k: int, top_p: float) -> None:
    import torch

    from hopgym_agents.generate.decoding import sample_tokens

    scores = np.random.default_rng(5).normal(0, 2, 12)
    shares = np.exp(scores / 1.5) / np.exp(scores / 1.5).sum()
    kept = list(np.argsort(-shares)[: top_k or 12])
    within = shares / shares[kept].sum()
    before = np.cumsum(within[kept]) - within[kept]
    kept = [token for token, less in zip(kept, before, strict=True) if less < top_p]
    rows, sampling = 20_000, Sampling(temperature=1.5, top_k=top_k, top_p=top_p)
    logits = torch.tensor(scores).expand(rows, -1)
    tokens, logprobs = sample_tokens(logits, sampling, [(row + 0.5) / rows for row in range(rows)])
    counts = Counter(tokens)
    assert set(counts) == set(kept)
    for token in kept:
        expected = shares[token] / shares[kept].sum()
        assert counts[token] / rows == pytest.approx(expected, abs=2 / rows)
    for token, logprob in zip(tokens, logprobs, strict=True):
        assert logprob == pytest.approx(np.log(shares[token]), abs=1e-5)
    highest, _ = sample_tokens(logits[:1], sampling, [np.nextafter(1, 0)])
    assert highest == [max(kept)]


def test_draws_depend_on_seed_and_key_alone(local: Callable[..., Any]) -> None:
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    requests = [ask("Who?", *key) for key in keys]
    sampling = Sampling(max_tokens=8, seed=1)
    texts = [reply.token_ids for reply in local(sampling)(requests)]
    assert len(set(texts)) == 4
    assert [reply.token_ids for reply in local(sampling)(requests[::-1])] == texts[::-1]
    others = local(Sampling(max_tokens=8, seed=2))(requests)
    assert not set(texts) & {reply.token_ids for reply in others}


def test_what_fails_together_is_tried_in_halves(
    local: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from transformers import Qwen3ForCausalLM

    sampling = Sampling(max_tokens=6)
    reference = [reply.token_ids for reply in local(sampling)(ASKED)]
    whole, calls, failed = Qwen3ForCausalLM.forward, [], []

    def forward(self: Any, input_ids: Any, **settings: Any) -> Any:
        rows, columns = input_ids.shape
        calls.append(rows)
        if len(calls) % 7 == 0 and rows > 2:
            failed.append(rows)
            raise torch.OutOfMemoryError("too much")
        if columns > 150:
            raise ValueError("too long")
        return whole(self, input_ids=input_ids, **settings)

    monkeypatch.setattr(Qwen3ForCausalLM, "forward", forward)
    long = ask("Who? " * 100)
    replies = local(sampling)([*ASKED[:3], long, *ASKED[3:]])
    error = Completion("", error="ValueError: too long", error_reason=StopReason.AGENT_ERROR)
    assert replies.pop(3) == error
    assert [reply.token_ids for reply in replies] == reference
    assert failed


def test_a_request_that_cannot_be_written_fails_alone(local: Callable[..., Any]) -> None:
    bad = Request(({"role": "user", "content": None},))
    good, failed = local(Sampling(max_tokens=3))([ASKED[0], bad])
    assert good.generated_tokens == 3 and not good.error
    assert failed.error and failed.error_reason is StopReason.AGENT_ERROR


def test_a_model_gone_wrong_is_told(local: Callable[..., Any]) -> None:
    import torch

    generator = local(Sampling(max_tokens=3))
    with torch.no_grad():
        generator._decoder._model.model.norm.weight.fill_(float("nan"))
    (reply,) = generator(ASKED[:1])
    assert reply.error == "HopgymError: expected finite numbers from the model, got nan"
    assert reply.error_reason is StopReason.AGENT_ERROR


def test_states_are_kept_up_to_a_bound_and_used_last_stay_longest() -> None:
    cache = StateCache(10)
    for key in "abc":
        cache.put(key, [1, 2, 3], ())
    assert cache.find("a", [1, 2, 9]).tokens == 2
    assert cache.find("a", [1, 2, 3]).tokens == 2  # the last one is always encoded
    assert cache.find("a", [1, 2, 3, 4]).tokens == 3
    assert cache.find("a", [9, 2]) == cache.find("x", [1]) == CachedPrefix()
    cache.put("d", [1, 2], ())
    assert (cache.tokens, cache.find("b", [1, 2])) == (8, CachedPrefix())
    cache.put("d", [1, 2, 3, 4], ())
    assert (cache.tokens, cache.find("c", [1, 2]).tokens) == (10, 1)
    cache.put("d", list(range(11)), ())
    assert (cache.tokens, cache.find("d", [0, 1])) == (6, CachedPrefix())
    cache.clear()
    assert (cache.tokens, cache.find("a", [1, 2])) == (0, CachedPrefix())


def test_a_policy_plays_the_same_with_and_without_kept_states(
    local: Callable[..., Any], env: HopEnv
) -> None:
    from hopgym_agents.policy import LLMPolicy

    sampling = Sampling(max_tokens=20)
    runs = []
    for tokens, slots in ((100_000, 8), (0, 1), (700, 3)):
        policy = LLMPolicy(local(sampling, cached_tokens=tokens))
        played = run_episodes(env, policy, range(4), slots=slots, samples=2, seed=4)
        runs.append({each.key: [step.text for step in each.steps] for each in played})
        assert len(runs[-1]) == 8
    assert runs[0] == runs[1] == runs[2]
    short = LLMPolicy(local(sampling, max_context=300))
    reasons = {each.stop_reason for each in run_episodes(env, short, range(4))}
    assert reasons == {StopReason.CONTEXT}


def test_models_that_cannot_be_used_are_told(folder: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer, MambaConfig, MambaForCausalLM

    from hopgym_agents.generate.local import LocalGenerator

    tokenizer = AutoTokenizer.from_pretrained(folder)
    mamba = MambaForCausalLM(MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=1))
    with pytest.raises(ArgumentError, match="must keep keys and values of every token"):
        LocalGenerator(mamba, tokenizer=tokenizer)
    with pytest.raises(ArgumentError, match="tokenizer must be given with a loaded model"):
        LocalGenerator(mamba)
    with pytest.raises(DataError, match=f"tokenizer must be a folder.*{tmp_path.name}"):
        LocalGenerator(str(tmp_path))
    told = "folder with a model or an id of the Hub such as Qwen/Qwen3-0.6B, got 'nosuch'"
    with pytest.raises(ArgumentError, match=f"model: expected a {told}"):
        LocalGenerator("nosuch")
    with pytest.raises(DataError, match=r"model must be a folder.*, got '/no/such/folder'"):
        LocalGenerator("/no/such/folder")
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(DataError, match=f"model must be a folder.*{tmp_path.name}"):
        LocalGenerator(str(tmp_path))
    with pytest.raises(DataError, match="adapter must be a folder"):
        LocalGenerator(folder, adapter=str(tmp_path))
    tokenizer.chat_template = None
    with pytest.raises(ArgumentError, match="chat template"):
        LocalGenerator(folder, tokenizer=tokenizer)
    with pytest.raises(ArgumentError, match="batch_size must be"):
        LocalGenerator(folder, batch_size=0)


def test_a_tokenizer_needs_no_pad_token(folder: str, local: Callable[..., Any]) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = None
    sampling = Sampling(max_tokens=5)
    unpadded = local(sampling, tokenizer=tokenizer)(ASKED)
    assert [each.token_ids for each in unpadded] == [
        each.token_ids for each in local(sampling)(ASKED)
    ]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's
def test_an_adapter_is_put_on_the_model(
    folder: str, tmp_path: Path, local: Callable[..., Any]
) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    from hopgym_agents.generate.local import LocalGenerator

    base = AutoModelForCausalLM.from_pretrained(folder)
    settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(base, settings)
    adapted.save_pretrained(str(tmp_path))
    sampling = Sampling(temperature=0, max_tokens=12)
    plain, lora = local(sampling), local(sampling, adapter=str(tmp_path))
    merged = LocalGenerator(adapted.merge_and_unload(), sampling, tokenizer=folder)
    one, two, three = ([each.token_ids for each in g(ASKED)] for g in (plain, lora, merged))
    assert one != two == three
    assert len({g.fingerprint for g in (plain, lora, merged, local())}) == 4
    assert plain.fingerprint == local(sampling).fingerprint


def test_weights_in_four_bits(local: Callable[..., Any]) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    sampling = Sampling(temperature=0, max_tokens=12)
    quantised = local(sampling, load_in_4bit=True)
    kinds = [type(part) for part in quantised._decoder._model.modules()]
    assert kinds.count(bitsandbytes.nn.Linear4bit) == 14
    assert quantised.fingerprint != local(sampling).fingerprint


def test_the_type_of_the_weights_tells_runs_apart(local: Callable[..., Any]) -> None:
    types = ("float32", "bfloat16")
    whole, half = (local(Sampling(), dtype=name).fingerprint for name in types)
    assert " float32 " in whole and " bfloat16 " in half
