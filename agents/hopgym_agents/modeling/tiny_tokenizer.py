"""The tokenizer of the tiny model: complete words, and bytes for everything else.

A word is the same token everywhere, so that a model can copy a name from a page into a call. A
blank belongs to the word after it; a word without a blank before it is preceded by a joint ("Ann's"
but ``(`` joint ``Ann``), which tags, brackets and hyphens include. A line break is always a token
by itself: the tokens at the start of a message or action do not depend on what precedes it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple
from itertools import chain, islice
from pathlib import Path
from typing import Any

import gymnasium

from hopgym.tools import TOOLS
from hopgym.trajectory import Trajectory
from hopgym.worlds.people.grammar import noun, plural
from hopgym.worlds.people.name_pools import load_name_pool
from hopgym.worlds.people.pages import phrasings
from hopgym.worlds.people.vocabulary import ATTRIBUTES, LEADS, PAGE_ORDER
from hopgym.wrappers import hop_env
from hopgym_agents.prompts import NATIVE, STYLES, render

END = "<|endoftext|>"
"""The padding token."""
TURN = "<|im_start|>"
"""The token at the start of a message."""
TURN_END = "<|im_end|>"
"""The token at the end of a message."""

_JOINT = "⁀"  # represents no byte, and joints are added to texts that are bytes already
_BLANK = "Ġ"  # byte-level tokenizers represent a blank and a line break in this way
_BREAK = "Ċ"
_LETTER = "[A-Za-z_]"
_UNJOINED = (
    rf"(?<![A-Za-z_{_BLANK}])(?!(?<=')s(?!{_LETTER}))(?!(?<=<)[a-z_]+>)(?!(?<=</)[a-z_]+>)"
    rf"(?={_LETTER})"
)
"""A word without a blank before it, except after a letter, at the ``s`` of ``'s``, and in a tag."""
_PIECES = (
    rf"</?[a-z_]+>{_JOINT}?|'s(?!{_LETTER})|{_BLANK}{_LETTER}+|[^{_BREAK}{_JOINT}]{_JOINT}?|[\s\S]"
)
_SAMPLED_TASKS = 20
_MAX_PAGE_WORDS = 8_000
_WORDS = Path(__file__).with_name("tiny_words.txt")
"""Words of prompts, observations, questions and tools. Another word is another model, so the file
does not follow the sources; tests find words that are missing from it."""


def vocabulary_texts(env_id: str, env_kwargs: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts whose words form the vocabulary, the most important ones first.

    These are the words of prompts, questions and pages, all prompts in each style and dialect, the
    small word lists, and the most frequent words of the pages of an environment's first tasks.

    Raises:
        ArgumentError: If the environment does not accept an argument.
    """
    yield from _templates()
    counts: Counter[str] = Counter()
    for dialect in ("tags", "json"):
        arguments = {**env_kwargs, "dialect": dialect, "instructions": True}
        env = hop_env(gymnasium.make(env_id, **arguments))
        for index in range(min(_SAMPLED_TASKS, len(env.source))):
            env.reset(options={"index": index})
            yield from _prompts(env.trajectory())
            for document in islice(env.corpus, 1_000):
                for text in (document.title, *document.sentences):
                    counts.update(text.split(" "))
    yield from (word for word, _ in counts.most_common(_MAX_PAGE_WORDS))


def build_tokenizer(texts: Iterable[str]) -> Any:
    """Return a tokenizer of transformers with one token for every word of the texts.

    ``decode(encode(text)) == text`` for every text in UTF-8; unknown words are encoded as bytes.
    The same texts produce the same tokenizer.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    to_bytes = normalizers.Sequence(
        [normalizers.ByteLevel(), normalizers.Replace(Regex(_UNJOINED), _JOINT + _BLANK)]
    )
    to_pieces = pre_tokenizers.Split(Regex(_PIECES), "isolated")
    pieces: dict[str, None] = {}
    for text in texts:
        for piece, _ in to_pieces.pre_tokenize_str(to_bytes.normalize_str(text)):
            pieces.setdefault(piece)
    single = [*sorted(pre_tokenizers.ByteLevel.alphabet()), _JOINT]
    vocabulary_pieces = [*single, *(piece for piece in pieces if len(piece) > 1)]
    # Without merges a piece is either one token or its characters, one for each byte.
    vocabulary = {piece: number for number, piece in enumerate(vocabulary_pieces)}
    tokens = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokens.normalizer = to_bytes
    tokens.pre_tokenizer = to_pieces
    # A model may write a joint without a word after it: it decodes to nothing.
    undo = [decoders.Replace(_JOINT + _BLANK, ""), decoders.Replace(_JOINT, "")]
    tokens.decoder = decoders.Sequence([decoders.Fuse(), *undo, decoders.ByteLevel()])
    tokens.add_special_tokens([END, TURN, TURN_END])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokens,
        eos_token=TURN_END,
        pad_token=END,
        clean_up_tokenization_spaces=False,
    )


def byte_tokens(tokenizer: Any) -> frozenset[int]:
    """Return the ids of single letters and non-ASCII bytes, which encode unknown words.

    Digits, signs, blanks and line breaks are tokens of one byte, too, but part of known text.
    """
    separators = {_JOINT, _BLANK, _BREAK}
    return frozenset(
        number
        for piece, number in tokenizer.get_vocab().items()
        if len(piece) == 1 and piece not in separators and (piece.isalpha() or not piece.isascii())
    )


def _templates() -> Iterator[str]:
    """Yield the texts of templates and word lists, with words at the start of a line and within."""
    # A sign directly before a word is one token with the joint.
    yield " ".join(f"{sign}word" for sign in '-("[{:/=+|#.,;?!*') + " and 's"
    for tag in (*TOOLS, "tool_call", "think", "support"):
        yield f"<{tag}>word</{tag}> <{tag}>1"
    yield from _WORDS.read_text(encoding="utf-8").splitlines()
    yield from chain.from_iterable(templates for templates, _ in phrasings().values())
    yield from (style.template for style in STYLES.values())
    for thing in (*LEADS, *ATTRIBUTES, *chain.from_iterable(PAGE_ORDER.values())):
        yield f"{noun(thing)} {plural(noun(thing))} {thing.replace('_', ' ')}"
    for names in astuple(load_name_pool("small")):
        yield from chain.from_iterable(names) if isinstance(names[0], tuple) else names


def _prompts(prefix: Trajectory) -> Iterator[str]:
    """Yield the prompt of an episode in every style."""
    for style in STYLES.values():
        if not style.native or prefix.dialect == "json":
            yield from (message["content"] for message in render(prefix, style).messages)
    if prefix.dialect == "json":
        yield json.dumps(render(prefix, NATIVE).tools)
