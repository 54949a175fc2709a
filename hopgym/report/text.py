"""Makes texts fit to show: shortened, with control characters visible, and safe inside a page.

Texts of models and tools are untrusted.
"""

from typing import Any

import msgspec

from hopgym.actions import replace_surrogates

_MAX_CHARS = 2_000
# Browsers drop NUL and hide other control characters; their Unicode pictures keep them visible.
_CONTROL_PICTURES = {c: 0x2400 + c for c in range(32) if chr(c) not in "\t\n\r"} | {127: 0x2421}
# Characters that could end a script element or a line of script. All of them occur only inside
# JSON strings, where the escape stands for the same character.
_ESCAPES = {
    sign.encode(): f"\\u{ord(sign):04x}".encode() for sign in ("<", ">", "&", "\u2028", "\u2029")
}


def shortened(text: str, max_chars: int = _MAX_CHARS) -> str:
    """Return at most ``max_chars`` characters of a text, with a visible note if it was cut."""
    if len(text) <= max_chars:
        return text
    return f"{text[:max_chars]}… [{len(text) - max_chars:,} more characters]"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, as in ``1 step`` and ``2 steps``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def hops_text(count: int) -> str:
    """Return a number of hops as text, as in ``2 hops``; 0 means that it is unknown."""
    return counted(count, "hop") if count else "hops unknown"


def visible(text: str) -> str:
    """Return a text as valid Unicode, with pictures in place of control characters."""
    return replace_surrogates(text).translate(_CONTROL_PICTURES)


def safe_json(view: object) -> bytes:
    """Return a view as JSON that is safe inside a ``script`` element, with all texts visible."""
    encoded = msgspec.json.encode(_with_visible_texts(msgspec.to_builtins(view)))
    for sign, escape in _ESCAPES.items():
        encoded = encoded.replace(sign, escape)
    return encoded


def _with_visible_texts(value: Any) -> Any:
    # Keys are field names of our own views, which need no treatment.
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {name: _with_visible_texts(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_visible_texts(item) for item in value]
    return value
