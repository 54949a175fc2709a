"""`OpenAIGenerator` against the real ``transformers serve``, on a tiny random model.

One server is started for all tests of this file, on loopback, with the Hub switched off.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.rollout import run_episodes
from hopgym.tasks import TaskSource
from hopgym.trajectory import StopReason
from hopgym_agents.generate import Request, Sampling
from hopgym_agents.generate.openai import OpenAIGenerator
from hopgym_agents.policy import LLMPolicy
from hopgym_agents.prompts import NATIVE
from tests.support import transformers_serve

pytestmark = transformers_serve.MARKS

TEMPLATE = """\
{%- if tools %}{{- '<|im_start|>system\n' + (tools | tojson) + '<|im_end|>\n' }}{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\n' + (message.content or '') }}
{%- for call in message.tool_calls or [] %}{{- '<tool_call>\n' + (call | tojson) }}{%- endfor %}
{{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"""


def make_model(folder: Path) -> Any:
    """Write a random Qwen3 of some thousand weights; return its tokenizer, of a token a byte."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|im_end|>", "<|im_start|>"]
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    bytes_alone = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytes_alone.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_alone.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_alone,
        eos_token=special[0],
        pad_token=special[0],
        additional_special_tokens=special,
        chat_template=TEMPLATE,
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=8192,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    model = Qwen3ForCausalLM(config)
    model.generation_config.do_sample = True  # the server takes a temperature only then
    model.save_pretrained(folder)
    return tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return make_model(folder)


@pytest.fixture(scope="module")
def url(folder: Path, tokenizer: Any) -> Iterator[str]:
    with transformers_serve.serve(folder, folder) as url:
        yield url


def generator(url: str, folder: Path, **sampling: Any) -> OpenAIGenerator:
    chosen = Sampling(**{"max_tokens": 24} | sampling)
    return OpenAIGenerator(str(folder), url, chosen, concurrency=4, retries=1)


def asked(**more: Any) -> Request:
    return Request(({"role": "user", "content": "What colour is the sky?"},), **more)


def test_tokens_are_counted_as_the_tokenizer_counts_them(
    url: str, folder: Path, tokenizer: Any
) -> None:
    (reply,) = generator(url, folder, temperature=0.0, max_tokens=5)([asked()])
    prompt = tokenizer.apply_chat_template(
        list(asked().messages), add_generation_prompt=True, return_dict=True
    )
    assert (reply.finish_reason, reply.error) == ("length", "")
    assert (reply.generated_tokens, reply.prompt_tokens) == (5, len(prompt["input_ids"]))


def test_a_stop_text_ends_the_completion_and_stays(url: str, folder: Path) -> None:
    (whole,) = generator(url, folder, temperature=0.0)([asked()])
    stop = re.search("[!-~]{2}", whole.text[2:])[0]  # type: ignore[index]
    (cut,) = generator(url, folder, temperature=0.0, stop=(stop,))([asked()])
    assert cut.text == whole.text[: whole.text.index(stop) + len(stop)]
    assert cut.finish_reason == "stop"
    assert cut.generated_tokens < whole.generated_tokens


def test_samples_differ_and_repeat(url: str, folder: Path) -> None:
    generate = generator(url, folder, seed=3)
    # This server seeds one generator for all its requests, so it repeats only one at a time.
    first, again = ([generate([asked(key=(0, n, 0))])[0].text for n in range(3)] for _ in range(2))
    assert first == again
    assert len(set(first)) == 3


def test_a_batch_comes_back_in_order(url: str, folder: Path) -> None:
    generate = generator(url, folder, temperature=0.0, max_tokens=8)
    texts = ("a", "some more words", "red bees", "?")
    requests = [Request(({"role": "user", "content": text},)) for text in texts]
    assert generate(requests) == [generate([request])[0] for request in requests]


def test_what_the_server_refuses_is_told_at_once(url: str, folder: Path) -> None:
    generate = OpenAIGenerator(str(folder), url, retries=5, backoff=60.0, extra={"top_q": 1})
    (reply,) = generate([asked()])
    assert reply.error.startswith("HTTP 422: Unexpected fields")
    assert reply.error_reason is StopReason.API_ERROR
    assert "top_q" in reply.error


@pytest.mark.parametrize("style", ["plain", "native"])
def test_episodes_are_played_to_their_end(
    url: str, folder: Path, source: TaskSource, style: str
) -> None:
    dialect = "json" if style == "native" else "tags"
    env = HopEnv(source, EnvSettings(dialect=dialect, max_steps=3))
    generate = generator(url, folder, stop=("</answer>",), seed=1)
    policy = LLMPolicy(generate, NATIVE) if style == "native" else LLMPolicy(generate)
    played = list(run_episodes(env, policy, range(4), slots=4))
    assert len(played) == 4
    for trajectory in played:
        assert trajectory.stop_reason in (
            StopReason.BUDGET,
            StopReason.MALFORMED,
            StopReason.ANSWER,
        )
        completions = [step.completion for step in trajectory.steps]
        assert all(each and 0 < each.generated_tokens <= 24 for each in completions)
        sizes = [each.prompt_tokens for each in completions if each]
        assert sizes == sorted(set(sizes))
