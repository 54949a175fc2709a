"""Writes a tiny random model with a tokenizer and a chat template, without any download.

``python examples/tiny_model.py FOLDER`` writes a language model that loads, samples and is served
like any other. It knows nothing, and is meant for trying out everything around a model.
"""

import sys
from pathlib import Path

TEXTS = (
    "You answer questions about people by searching their pages.",
    "The mother of Ada Brook is Cleo Dunn. Cleo Dunn works as a baker and lives in Elmstead.",
    "Her brother was born in 1950. His friends are Gil Hart and Ivo Jay, who keep bees.",
    "What is the job of the father of the person whose hobby is chess? Who are the friends?",
    "<search>the mother of Ada Brook</search> <lookup>Cleo Dunn</lookup> <answer>baker</answer>",
    '<tool_call>\n{"name": "search", "arguments": {"query": "Elmstead"}}\n</tool_call>',
    "No results. You have 12 steps left. Results 1 to 5 of 23, page 1. Nothing was found.",
)
"""Texts that the tokenizer learns its merges from; all other text falls back to bytes."""

CHAT_TEMPLATE = """\
{%- if tools -%}
<|im_start|>system
{% if messages[0].role == "system" %}{{ messages[0].content }}

{% endif %}# Tools

{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% elif messages[0].role == "system" -%}
<|im_start|>system
{{ messages[0].content }}<|im_end|>
{% endif -%}
{%- for message in messages -%}
{%- if message.role == "assistant" -%}
<|im_start|>assistant
{{ message.content or "" }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{{ (call.function or call) | tojson }}
</tool_call>
{%- endfor -%}
<|im_end|>
{% elif message.role == "tool" -%}
<|im_start|>user
<tool_response>
{{ message.content }}
</tool_response><|im_end|>
{% elif message.role == "user" or not loop.first -%}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""
"""ChatML like Qwen's templates, with tools and their results."""


def make_tiny_model(folder: Path | str, *, seed: int = 0, hidden: int = 32, layers: int = 2) -> str:
    """Write a random model of Qwen3's architecture with its tokenizer; return the folder.

    Args:
        folder: The folder, created if it does not exist.
        seed: Seed of the weights, whose spread makes the output depend on the prompt.
        hidden: Size of the hidden states, a multiple of 16.
        layers: Number of layers.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _tokenizer()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 16,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=8_192,
        initializer_range=0.25,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return str(folder)


def _tokenizer():  # type: ignore[no-untyped-def]
    """Return a byte-level tokenizer of about 600 tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens = Tokenizer(models.BPE())
    tokens.pre_tokenizer = bytes_of
    tokens.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=bytes_of.alphabet(), show_progress=False
    )
    tokens.train_from_iterator(TEXTS, trainer)
    tokens.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    # Not special, as in Qwen3: decoding without special tokens keeps them.
    markup = ("<think>", "</think>", "<tool_call>", "</tool_call>")
    tokens.add_tokens([AddedToken(text, special=False, normalized=False) for text in markup])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.model_max_length = 8_192
    return tokenizer


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/tiny_model.py FOLDER")
    print(make_tiny_model(sys.argv[1]))
