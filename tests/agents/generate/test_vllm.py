"""What `VLLMGenerator` hands to vLLM, against a stand-in with the names and types of its API."""

import json
import sys
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import pytest

from hopgym.errors import HopgymError
from hopgym.trajectory import StopReason
from hopgym_agents.generate import Request, Sampling, Turn
from hopgym_agents.generate.vllm import VLLMGenerator


@dataclass
class SamplingParams:
    """The fields used of vLLM's own; any other name is refused."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = 16
    logprobs: int | None = None
    include_stop_str_in_output: bool = False

    def __post_init__(self) -> None:
        whole = (self.top_k, self.seed, self.max_tokens, self.logprobs)
        assert all(type(value) is int for value in whole)
        assert isinstance(self.stop, list) and all(isinstance(text, str) for text in self.stop)


@dataclass
class Logprob:
    logprob: float


@dataclass
class CompletionOutput:
    text: str
    token_ids: list[int]
    logprobs: list[dict[int, Logprob]] | None
    finish_reason: str | None = "stop"


@dataclass
class RequestOutput:
    prompt_token_ids: list[int] | None
    outputs: list[CompletionOutput]


class Tokenizer:
    """One token a letter, and a template that writes settings, tools and all messages."""

    chat_template = "a template"

    def apply_chat_template(
        self,
        messages: list[dict[str, Any]],
        *,
        tools: list[dict[str, Any]] | None,
        add_generation_prompt: bool,
        tokenize: bool,
        date_string: str,
        enable_thinking: bool = True,
    ) -> str:
        assert add_generation_prompt and not tokenize
        if any(message["content"] == "bad" for message in messages):
            raise ValueError("this template knows no such role")
        said = "".join(f"[{message['role']}]{message['content']}" for message in messages)
        return f"{enable_thinking} {json.dumps(tools)} {said}[assistant]"

    def __call__(self, text: str, **_: bool) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}

    def decode(self, token_ids: list[int], **_: bool) -> str:
        return "".join(map(chr, token_ids))


class LLM:
    """Says a user's last words, one token a letter; takes no last words above 20 letters."""

    calls: list[dict[str, Any]]

    def __init__(self, model: str, *, tensor_parallel_size: int = 1, logprobs_mode: str) -> None:
        self.options = (model, tensor_parallel_size, logprobs_mode)
        self.calls = []

    def get_tokenizer(self) -> Tokenizer:
        return Tokenizer()

    def generate(
        self,
        prompts: list[dict[str, list[int]]],
        sampling_params: list[SamplingParams],
        *,
        use_tqdm: bool = True,
    ) -> list[RequestOutput]:
        assert not use_tqdm
        assert len(prompts) == len(sampling_params) > 0
        texts = [Tokenizer().decode(prompt["prompt_token_ids"]) for prompt in prompts]
        self.calls.append({"params": sampling_params, "texts": texts})
        said = [text.removesuffix("[assistant]").rpartition("]")[2] for text in texts]
        if any(len(text) > 20 for text in said):
            raise ValueError("The decoder prompt is longer than the maximum model length of 20.")
        return [RequestOutput([1] * len(text), [self._output(text)]) for text in said]

    def _output(self, text: str) -> CompletionOutput:
        ids = [ord(letter) for letter in text]
        # The sampled token stands beside likelier ones.
        logprobs = [{0: Logprob(-0.1), token: Logprob(-token / 100)} for token in ids]
        return CompletionOutput(text, ids, logprobs, "length" if text == "long" else "stop")


@pytest.fixture(autouse=True)
def vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = LLM, SamplingParams  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)


def asked(text: str, **more: Any) -> Request:
    return Request(({"role": "user", "content": text},), **more)


def test_sampling_reaches_the_engine() -> None:
    sampling = Sampling(0.7, 0.9, 40, 33, ("</search>",), seed=4)
    settings = {"enable_thinking": False}
    generate = VLLMGenerator(
        "a/model", sampling, chat_template_kwargs=settings, tensor_parallel_size=2
    )
    generate([asked("a", key=(0, 0, 0)), asked("b", key=(0, 1, 0))])
    assert generate._engine.options == ("a/model", 2, "processed_logprobs")
    ((call),) = generate._engine.calls
    assert call["texts"][0] == "False null [user]a[assistant]"
    first, second = call["params"]
    assert first.seed != second.seed
    assert replace(first, seed=0) == replace(second, seed=0)
    assert replace(first, seed=0) == SamplingParams(
        0.7, 0.9, 40, 0, ["</search>"], 33, logprobs=0, include_stop_str_in_output=True
    )


def test_completions_have_ids_and_the_sampled_tokens_logprobs() -> None:
    (reply,) = VLLMGenerator("m")([asked("ab")])
    assert (reply.text, reply.token_ids, reply.finish_reason) == ("ab", (97, 98), "stop")
    assert reply.logprobs == (-0.97, -0.98)
    assert (reply.generated_tokens, reply.prompt_tokens) == (2, 2)
    long, empty = VLLMGenerator("m")([asked("long"), asked("")])
    assert (long.finish_reason, empty.finish_reason) == ("length", "empty")


def test_histories_are_the_tokens_of_the_encoder() -> None:
    tools = ({"type": "function", "function": {"name": "search"}},)
    turns = (Turn("look", (), "seen"),)
    messages = tuple(
        {"role": role, "content": said}
        for role, said in (("user", "a"), ("assistant", "look"), ("user", "seen"))
    )
    generate = VLLMGenerator("m")
    request = Request(messages, tools, 1, turns)
    first, last = generate([asked("a"), request])
    assert (first.text, last.text) == ("a", "seen")
    ((call),) = generate._engine.calls
    assert call["texts"][1] == Tokenizer().decode(generate.encoder.encode(request))
    assert call["texts"][1].endswith("[user]a[assistant]look[user]seen[assistant]")
    assert json.dumps(tools) in call["texts"][1]
    assert generate([]) == []


def test_a_request_that_fails_spoils_no_other() -> None:
    requests = [asked("a"), asked("x" * 21), asked("bad"), asked("b")]
    good, long, bad, other = VLLMGenerator("m")(requests)
    assert (good.text, other.text) == ("a", "b")
    assert (long.finish_reason, "maximum model length" in long.error) == ("context", True)
    assert bad.error.startswith("ArgumentError: the chat template of")
    assert bad.error_reason is StopReason.AGENT_ERROR
    assert "this template knows no such role" in bad.error


def test_fingerprint_names_what_decides_the_answers() -> None:
    told = VLLMGenerator("m", Sampling(seed=9), tensor_parallel_size=2).fingerprint
    assert all(word in told for word in ("m", "seed=9", "tensor_parallel_size", "processed"))


def test_without_vllm_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(HopgymError, match="pip install vllm"):
        VLLMGenerator("m")
