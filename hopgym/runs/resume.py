"""Resuming a trajectory file: which run may resume it, and which of its records stay.

Finished episodes stay. Episodes that ended in an error, damaged lines and a half-written last line
are dropped, so that they are played again. `hopgym.runs.folder` compares the rest of a run folder.
"""

import warnings
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import msgspec

from hopgym.errors import RunFileError
from hopgym.runs.key_set import KeySet
from hopgym.runs.line_file import replace_lines
from hopgym.runs.trajectory_file import (
    Header,
    as_recorded,
    decode_header,
    ignore_damage,
    read_lines,
)
from hopgym.trajectory import ERROR_REASONS

_OPENING = {")": "(", "]": "[", "}": "{"}
_CLOSING = {opening: closing for closing, opening in _OPENING.items()}


def resume(path: Path, header: Header) -> KeySet:
    """Make a file ready for appending, under its lock, and return the keys of its records."""
    if not path.exists() or not path.stat().st_size:
        as_recorded(header)
        replace_lines(path, [msgspec.json.encode(header) + b"\n"])
        return KeySet()
    with path.open("rb") as file:
        first = file.readline().removesuffix(b"\n") + b"\n"
    _refuse_another(path, decode_header(path, first), header)
    keys = KeySet()
    size = len(first)
    for line, trajectory in read_lines(path, _warn_of_damage):
        if trajectory.stop_reason not in ERROR_REASONS:
            keys.add((trajectory.index, trajectory.sample))
            size += len(line)
    # Another pass instead of a list of lines, as the file may be larger than memory.
    if size != path.stat().st_size:
        lines = (
            line
            for line, trajectory in read_lines(path, ignore_damage)
            if trajectory.stop_reason not in ERROR_REASONS
        )
        replace_lines(path, chain([first], lines))
    return keys


def _refuse_another(path: Path, stored: Header, header: Header) -> None:
    """Raise if a file belongs to another run; warn if another version of hopgym started it."""
    if stored.source != header.source:
        cause = "source: another version or arguments of the tasks"
        change = f"hash {stored.source[:8]}, now {header.source[:8]}"
    elif stored.config == header.config:
        if stored.version != header.version:
            warnings.warn(
                f"{path} was started by hopgym {stored.version} and is resumed by {header.version}",
                stacklevel=5,
            )
        return
    elif stored.policy == header.policy or not (stored.policy and header.policy):
        cause = "config: another environment argument, seed or policy"
        change = f"hash {stored.config[:8]}, now {header.config[:8]}"
    else:
        cause = "policy: its name, options, seed, or the code of an agent has changed since"
        change = describe_difference(stored.policy, header.policy)
    raise RunFileError(
        f"{path} was written with another {cause} ({change}); give the old ones again or another "
        "file (--out)"
    )


def describe_difference(then: str, now: str) -> str:
    """Return the words that are in only one of two fingerprints, for messages."""
    old = then.split()
    new = now.split()
    removed = _trim_brackets(word for word in old if word not in new)
    added = _trim_brackets(word for word in new if word not in old)
    return f"then {removed or 'nothing more':.200}, now {added or 'nothing more':.200}"


def _trim_brackets(tokens: Iterable[str]) -> str:
    """Join words into a text without unmatched brackets at its ends."""
    text = " ".join(tokens).strip(",;")
    while (end := text[-1:]) in _OPENING and text.count(end) > text.count(_OPENING[end]):
        text = text[:-1]
    while (start := text[:1]) in _CLOSING and text.count(start) > text.count(_CLOSING[start]):
        text = text[1:]
    return text


def _warn_of_damage(message: str) -> None:
    warnings.warn(f"a damaged episode is dropped and played again: {message}", stacklevel=6)
