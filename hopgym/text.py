"""Text rules that titles, pages and answers share: folding, sentences, whole phrases."""

import re
import unicodedata

_MAX_TITLE_CHARS = 200
_CUT_TITLE_CHARS = 20
_JOINS_BEFORE = re.compile(r"\w-?\Z")
_JOINS_AFTER = re.compile(r"-?\w")
_SENTENCE_END = re.compile(r"(?<=[.!?])([\"'”’)\]]*)\s+")


def fold(text: str) -> str:
    """Return a text after NFKC, case folding and white space folding; titles match in this form."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def cut_title(text: str) -> tuple[str, str]:
    """Return title and text of a page without an explicit title.

    If the page has several lines and the first has at most 200 characters, that line is the title
    and the rest is the text. Otherwise the title is the first 20 characters and the text is all.
    """
    first, _, rest = text.strip().partition("\n")
    if rest and len(first.rstrip()) <= _MAX_TITLE_CHARS:
        return first.rstrip(), rest
    return text.strip()[:_CUT_TITLE_CHARS].rstrip(), text


def split_sentences(text: str) -> tuple[str, ...]:
    """Return the non-empty sentences of a text.

    The text is split at line breaks and at white space after ``.``, ``!`` or ``?`` with closing
    quotes and brackets; also after abbreviations.
    """
    # The pattern matches closing quotes with the white space, but they belong to the sentence.
    marked = _SENTENCE_END.sub(lambda match: (match[1] or "") + "\n", text)
    return tuple(piece.strip() for piece in marked.split("\n") if piece.strip())


def stands_whole(phrase: str, text: str) -> bool:
    """Return whether a phrase occurs in a text verbatim, between word boundaries."""
    start = text.find(phrase) if phrase else -1
    while start >= 0:
        end = start + len(phrase)
        joined_before = phrase[0].isalnum() and _JOINS_BEFORE.search(
            text[max(start - 2, 0) : start]
        )
        joined_after = phrase[-1].isalnum() and _JOINS_AFTER.match(text[end : end + 2])
        if not joined_before and not joined_after:
            return True
        start = text.find(phrase, start + 1)
    return False


def without_marks(title: str) -> str:
    """Return only the letters and digits of a title, without accents and case."""
    decomposed = unicodedata.normalize("NFKD", title).casefold()
    return "".join(c for c in decomposed if c.isalnum())
