"""A tiny language model from scratch that fits the demo worlds.

It is a random model of Qwen3's architecture with its own tokenizer, saved as a folder that
transformers, trl, peft and the generators of this package load like any other. It knows nothing
until it is trained. Its design makes that possible within minutes on a CPU and was found by trial:
few words, each one token everywhere, weights of standard deviation 1 / sqrt(hidden), a small rotary
base, and wide attention.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hopgym.errors import ArgumentError, require
from hopgym_agents.modeling.tiny_tokenizer import (
    END,
    TURN,
    TURN_END,
    build_tokenizer,
    vocabulary_texts,
)

DEMO_ID = "hopgym/People-v0"
DEMO: Mapping[str, Any] = MappingProxyType(
    {
        "size": 25,
        "page_style": "brief",
        "name_pool": "small",
        "names_split": "train",
        "relations": ("mother", "father", "husband", "wife"),
        "kinds": ("chain",),
        "hops": (1, 3),
        "questions_per_world": 1,
        "max_steps": 8,
        "instructions": False,
    }
)
"""Arguments of the worlds for the tiny model: brief pages, few words, one value per attribute and
a new world for every question."""

_HEAD_SIZE = 32
_MAX_WIDE_ATTENTION = 8 * _HEAD_SIZE
"""Up to here attention is twice as wide as the hidden states: small models learn faster."""
_CONTEXT = 4_096

CHAT_TEMPLATE = """\
{%- macro said(message) -%}
{{- message.content if message.content is string else
    (message.content or []) | map(attribute='text') | join('') }}
{%- endmacro -%}
{%- if tools -%}
{{- 'TURNsystem\\n' }}
{%- if messages[0].role == 'system' %}{{- said(messages[0]) + '\\n\\n' }}{% endif %}
{{- 'Tools:' }}
{%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{% endfor %}
{{- '\\nA call is written as\\n<tool_call>\\n' }}
{{- '{"name": tool, "arguments": {argument: value}}\\n</tool_call>END\\n' }}
{%- endif -%}
{%- for message in messages -%}
{%- if message.role == 'assistant' -%}
{{- 'TURNassistant\\n' }}
{%- generation -%}
{{- said(message) }}
{%- for call in message.tool_calls or [] -%}
{%- set call = call.function or call -%}
{{- '\\n' if said(message) or not loop.first }}
{{- '<tool_call>\\n{"name": ' + (call.name | tojson) + ', "arguments": ' }}
{{- call.arguments if call.arguments is string else call.arguments | tojson }}
{{- '}\\n</tool_call>' }}
{%- endfor -%}
{{- 'END' }}
{%- endgeneration -%}
{{- '\\n' }}
{%- elif not (tools and loop.first and message.role == 'system') -%}
{{- 'TURN' + message.role + '\\n' + said(message) + 'END\\n' }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{- 'TURNassistant\\n' }}{% endif -%}
""".replace("TURN", TURN).replace("END", TURN_END)
"""Every message unchanged between its control tokens: a longer conversation extends a shorter one.
The assistant's text is marked as generation, so that trainers can restrict the loss to it."""

RESPONSE_TEMPLATE: Mapping[str, Any] = MappingProxyType(
    {
        "defaults": {"role": "assistant"},
        "start_anchor": f"{TURN}assistant\n",
        "fields": {
            "tool_calls": {
                "open": "<tool_call>",
                "close_pattern": r"</tool_call>\s*",
                "repeats": True,
                "content": "json",
                "transform": {"type": "function", "function": "{content}"},
            },
            "content": {"close_pattern": r"<\|im_end\|>\s*", "content": "text"},
        },
    }
)
"""How transformers and trl parse tool calls in the text of the model."""


@dataclass(frozen=True, slots=True)
class TinyModel:
    """A saved tiny model."""

    path: str
    """Folder of the model."""
    parameters: int
    """Number of parameters."""
    tokens: int
    """Size of the vocabulary, with single bytes and special tokens."""


def make_tiny(
    path: Path | str,
    *,
    hidden: int = 128,
    layers: int = 3,
    seed: int = 0,
    env_id: str = DEMO_ID,
    env_kwargs: Mapping[str, Any] = DEMO,
) -> TinyModel:
    """Create and save a random model of Qwen3's architecture with its tokenizer.

    The same arguments produce the same files. The vocabulary has the words of all templates,
    prompts and the small name pool, and the most frequent words of the environment's first pages.

    Args:
        path: A folder that is new or empty.
        hidden: Size of the hidden states, a multiple of 32, at least 32. 128 with three layers
            learns best for its time.
        layers: Number of layers, at least 1.
        seed: Seed of the weights, 0 or more.
        env_id: Environment that the model is meant for.
        env_kwargs: Arguments of that environment.

    Raises:
        ArgumentError: If an argument is out of range, or the folder is not empty.
    """
    valid = type(hidden) is int and hidden >= _HEAD_SIZE and hidden % _HEAD_SIZE == 0
    require(valid, "hidden", f"a multiple of {_HEAD_SIZE} from {_HEAD_SIZE}", hidden)
    require(type(layers) is int and layers >= 1, "layers", "a whole number from 1", layers)
    require(type(seed) is int and seed >= 0, "seed", "a whole number from 0", seed)
    folder = Path(path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArgumentError(
            f"path must be a folder that is new or empty, got {str(path)!r}, which holds something "
            "already; name another one"
        )
    tokenizer = _tokenizer(env_id, env_kwargs)
    model = _model(tokenizer, hidden, layers, seed)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    parameters = sum(weight.numel() for weight in model.parameters())
    return TinyModel(str(folder), parameters, len(tokenizer))


def _tokenizer(env_id: str, env_kwargs: Mapping[str, Any]) -> Any:
    tokenizer = build_tokenizer([CHAT_TEMPLATE, *vocabulary_texts(env_id, env_kwargs)])
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.response_template = dict(RESPONSE_TEMPLATE)
    tokenizer.model_max_length = _CONTEXT
    return tokenizer


def _model(tokenizer: Any, hidden: int, layers: int, seed: int) -> Any:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    heads = max(hidden, min(2 * hidden, _MAX_WIDE_ATTENTION)) // _HEAD_SIZE
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=_HEAD_SIZE,
        max_position_embeddings=_CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
        initializer_range=hidden**-0.5,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids(TURN_END),
        pad_token_id=tokenizer.convert_tokens_to_ids(END),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
    # ``transformers serve`` respects a temperature only if the model samples by default.
    model.generation_config.do_sample = True
    return model
