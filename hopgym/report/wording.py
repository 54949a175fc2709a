"""Texts as a report shows them: cut to a length, visible, and safe inside a page.

In: texts of models and tools, which are untrusted. Out: the same as texts that no page chokes on.
"""

from typing import Any

from hopgym.actions import replace_surrogates

_MOST_CHARS = 2_000
# Browsers drop NUL and hide the other control characters; their pictures say what was there.
_CONTROL_PICTURES = {c: 0x2400 + c for c in range(32) if chr(c) not in "\t\n\r"} | {127: 0x2421}
# What ends a script element or a line of script, written so that it stands in a JSON text alone.
_ESCAPES = {
    **{sign.encode(): f"\\u{ord(sign):04x}".encode() for sign in "<>&"},
    **{sign.encode(): f"\\u{ord(sign):04x}".encode() for sign in "\u2028\u2029"},
}


def shortened(text: str, room: int = _MOST_CHARS) -> str:
    """Return a text of at most so many characters, with a visible mark where it was cut."""
    return text if len(text) <= room else f"{text[:room]}… [{len(text) - room:,} more characters]"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, as in ``1 step`` and ``2 steps``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def hops_words(count: int) -> str:
    """Return a question's number of hops in words; 0 is unknown."""
    return counted(count, "hop") if count else "hops unknown"


def visible(text: str) -> str:
    """Return a text that is valid UTF-8, with pictures for control characters."""
    return replace_surrogates(text).translate(_CONTROL_PICTURES)


def safe_json(view: object) -> bytes:
    """Return a view as JSON that may stand inside a ``script`` element, its texts made visible."""
    import msgspec

    encoded = msgspec.json.encode(_visible_in(msgspec.to_builtins(view)))
    for sign, escape in _ESCAPES.items():
        encoded = encoded.replace(sign, escape)
    return encoded


def _visible_in(value: Any) -> Any:
    """Return plain values with all their texts visible; the keys of ours are so already."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {name: _visible_in(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_visible_in(each) for each in value]
    return value
