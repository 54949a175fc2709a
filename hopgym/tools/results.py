"""Results: what a tool call showed, and how titles and sentences are put together into one.

In: headings and sentences of pages. Out: `Result`s of bounded length that know which corpus text
stands in them in full.
"""

from dataclasses import dataclass, field

from hopgym.documents import Document

RESULT_CHARS = 16_000
"""Longest result without its closing mark, in characters."""

_TITLE_CHARS = 4_000
_MARK_CHARS = 60


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool call showed."""

    text: str
    """The observation."""
    sentences: tuple[tuple[str, int], ...] = ()
    """(document id, 0-based sentence index) of every sentence that stands in the text in full."""
    seen: str = ""
    """The corpus text of the observation: titles and whole sentences, nothing else."""
    failed: bool = False


@dataclass(slots=True)
class _Part:
    text: str = ""
    seen: list[str] = field(default_factory=list)
    sentences: list[tuple[str, int]] = field(default_factory=list)
    begun: bool = False
    """Whether it holds more than the heading of the page under way."""

    def result(self, ending: str) -> Result:
        return Result(self.text + ending, tuple(self.sentences), "\n".join(self.seen))


class Composer:
    """Puts headings and sentences together into parts of at most `RESULT_CHARS` characters.

    A part ends between sentences, so that what is shown is shown in full. Only what is too long
    for a part of its own is cut, with a visible mark, and does not count as shown.

    Args:
        numbered: Whether each sentence stands behind its number on the page, from 0.
    """

    def __init__(self, *, numbered: bool = False) -> None:
        self._numbered = numbered
        self._parts = [_Part()]
        self._prefix, self._title = "", ""

    def heading(self, prefix: str, title: str) -> None:
        """Begin a page.

        Args:
            prefix: What stands before the title and is no corpus text.
            title: The page's title.
        """
        self._prefix, self._title = prefix, title
        shown = self._shown_title()
        if self._is_full(len(prefix) + len(shown) + 2):
            self._parts.append(_Part())
        self._parts[-1].begun = bool(self._parts[-1].text)
        self._add_heading()

    def sentence(self, document: Document, index: int) -> None:
        """Add a sentence of the page under way by its 0-based index."""
        text = document.sentences[index].strip()
        number = f"[{index}] " if self._numbered else ""
        if self._is_full(len(number) + len(text) + 1):
            self._parts.append(_Part())
            self._add_heading()
        part = self._parts[-1]
        space = ("" if part.text.endswith("\n") else " ") + number
        room = RESULT_CHARS - len(part.text) - len(space)
        if len(text) <= room:
            part.text += space + text
            part.seen.append(text)
            part.sentences.append((document.id, index))
        else:
            part.text += space + _cut(text, max(room - _MARK_CHARS, 0))
        part.begun = True

    def result(self) -> Result:
        """Return the first part, with a mark where more had to be cut."""
        cut = sum(len(part.text) for part in self._parts[1:])
        return self._parts[0].result(f"\n[cut: {cut} more characters]" if cut else "")

    def part(self, number: int) -> Result:
        """Return a part by its number from 1, and how to get the next."""
        total = len(self._parts)
        if number > total:
            return Result(f"That page ends with part {total}.")
        more = f"\n[part {number} of {total}; the next is #{number + 1}]" if number < total else ""
        return self._parts[number - 1].result(more)

    def _is_full(self, length: int) -> bool:
        part = self._parts[-1]
        return part.begun and len(part.text) + length > RESULT_CHARS

    def _add_heading(self) -> None:
        part, shown = self._parts[-1], self._shown_title()
        start = "\n" if part.text else ""
        part.text += f"{start}{self._prefix}{shown}\n"
        if shown == self._title:
            part.seen.append(shown)

    def _shown_title(self) -> str:
        title = self._title
        return title if len(title) <= _TITLE_CHARS else f"{title[:_TITLE_CHARS]}…"


def _cut(text: str, room: int) -> str:
    return f"{text[:room]}… [cut: {len(text) - room} more characters]"
