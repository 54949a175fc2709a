"""The tiny model's tokenizer: whole words, and bytes for all else.

In: texts. Out: a tokenizer of transformers that knows their words and gives back any text exactly.

A word is one and the same token wherever it stands, so that a model can copy a name from a page
into a call. A blank belongs to the word behind it; a word that follows none has a joint before it
("Ann's" but ``(`` joint ``Ann``), which tags, brackets and hyphens take in. A line break takes
nothing in: whatever a message or an action begins with, its tokens are those that it has alone.
"""

import ast
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple
from importlib import import_module
from inspect import getsource
from itertools import chain, islice
from typing import Any

from hopgym.tools import TOOLS
from hopgym.trajectory import Trajectory
from hopgym_agents.prompts import NATIVE, STYLES, render

END, TURN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
"""The special tokens: padding, a message's begin and its end."""

_JOINT = "⁀"  # no byte is written so, and texts are bytes before joints come in
_BLANK, _BREAK = "Ġ", "Ċ"  # how byte-level tokenizers write these two bytes
_LETTER = "[A-Za-z_]"
_UNJOINED = (
    rf"(?<![A-Za-z_{_BLANK}])(?!(?<=')s(?!{_LETTER}))(?!(?<=<)[a-z_]+>)(?!(?<=</)[a-z_]+>)"
    rf"(?={_LETTER})"
)
"""Where a word follows no blank: not behind a letter, at the ``s`` of ``'s``, or within a tag."""
_PIECES = (
    rf"</?[a-z_]+>{_JOINT}?|'s(?!{_LETTER})|{_BLANK}{_LETTER}+|[^{_BREAK}{_JOINT}]{_JOINT}?|[\s\S]"
)
_PLAYED, _MOST_WORDS = 20, 8_000
_WRITERS = (
    *(
        "hopgym.env.prompt",
        "hopgym.tools.toolbox",
        "hopgym.tools.results",
        "hopgym.env.episode",
        "hopgym.actions",
    ),
    *("hopgym.tools.calculator", "hopgym.scoring", "hopgym.worlds.people.forms"),
    *("hopgym.worlds.people.grammar", "hopgym.worlds.people.pages"),
    *("hopgym.worlds.people.source", "hopgym.worlds.people.population", "hopgym.worlds.evaluator"),
    *("hopgym.worlds.people.vocabulary", "hopgym.worlds.relations", "hopgym_agents.tool_calls"),
)
"""Modules that write what a model reads. All words of their texts are known, so that a template
that is added tomorrow is covered too."""


def texts_of(env_id: str, env_kwargs: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts whose words the tiny model knows, the most needed ones first.

    Every template, every prompt in each style and dialect, the small word lists; then the pages
    of the first tasks of an environment, of whose words the most frequent are taken.

    Raises:
        ArgumentError: On arguments that the environment does not take.
    """
    import gymnasium

    from hopgym.wrappers import hop_env

    yield from _templates()
    seen: Counter[str] = Counter()
    for dialect in ("tags", "json"):
        chosen = {**env_kwargs, "dialect": dialect, "instructions": True}
        env = hop_env(gymnasium.make(env_id, **chosen))
        for index in range(min(_PLAYED, len(env.source))):
            env.reset(options={"index": index})
            yield from _prompts(env.trajectory())
            for document in islice(env.corpus, 1_000):
                for text in (document.title, *document.sentences):
                    seen.update(text.split(" "))
    yield from (word for word, _ in seen.most_common(_MOST_WORDS))


def build_tokenizer(texts: Iterable[str]) -> Any:
    """Return a tokenizer of transformers with every word of some texts as a token of its own.

    ``decode(encode(text)) == text`` for every text that UTF-8 can write; words that are not known
    are spelled in bytes. The same texts give the same tokenizer.
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
    known = [*single, *(piece for piece in pieces if len(piece) > 1)]
    # Without merges a piece is a token as a whole or else its characters, one for each byte.
    vocabulary = {piece: number for number, piece in enumerate(known)}
    tokens = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokens.normalizer = to_bytes
    tokens.pre_tokenizer = to_pieces
    # A joint without a word behind it, which a model may write, is nothing.
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
    """Return the ids of the tokens that spell what is no word: letters and bytes above ASCII.

    Digits, signs, blanks and line breaks are tokens of one byte too, but written on purpose.
    """
    meant = {_JOINT, _BLANK, _BREAK}
    return frozenset(
        number
        for piece, number in tokenizer.get_vocab().items()
        if len(piece) == 1 and piece not in meant and (piece.isalpha() or not piece.isascii())
    )


def _templates() -> Iterator[str]:
    """Yield what stands in templates and word lists, a word both at a line's begin and within."""
    from hopgym.worlds.people.grammar import noun, plural
    from hopgym.worlds.people.pages import phrasings
    from hopgym.worlds.people.vocabulary import ATTRIBUTES, LEADS, PAGE_ORDER
    from hopgym.worlds.people.words import load_words

    # Signs may stand before a word: with the joint they are one token.
    yield " ".join(f"{sign}word" for sign in '-("[{:/=+|#.,;?!*') + " and 's"
    for tag in (*TOOLS, "tool_call", "think", "support"):
        yield f"<{tag}>word</{tag}> <{tag}>1"
    for module in _WRITERS:
        yield from map(_without_fields, _written_in(module))
    yield from chain.from_iterable(templates for templates, _ in phrasings().values())
    yield from (style.template for style in STYLES.values())
    for thing in (*LEADS, *ATTRIBUTES, *chain.from_iterable(PAGE_ORDER.values())):
        yield f"{noun(thing)} {plural(noun(thing))} {thing.replace('_', ' ')}"
    for words in astuple(load_words("small")):
        flat = chain.from_iterable(words) if isinstance(words[0], tuple) else words
        yield from flat


def _prompts(prefix: Trajectory) -> Iterator[str]:
    """Yield what a model is told at an episode's begin, in every style."""
    for style in STYLES.values():
        if not style.native or prefix.dialect == "json":
            yield from (message["content"] for message in render(prefix, style).messages)
    if prefix.dialect == "json":
        yield json.dumps(render(prefix, NATIVE).tools)


def _written_in(module: str) -> Iterator[str]:
    """Yield the string literals of a module, docstrings aside."""
    tree = ast.parse(getsource(import_module(module)))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def _without_fields(template: str) -> str:
    """Return a template with its ``{fields}`` as words of their own."""
    return template.replace("{", " ").replace("}", " ")
