"""Results of tool calls, composed of page titles and sentences up to a maximum length."""

from dataclasses import dataclass, field

from hopgym.documents import Document

RESULT_CHARS = 16_000
"""Maximum length of a result without its closing mark, in characters."""

_TITLE_CHARS = 4_000
_MARK_CHARS = 60


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a tool call."""

    text: str
    """The observation."""
    sentences: tuple[tuple[str, int], ...] = ()
    """(document id, 0-based sentence index) of every sentence that the text shows in full."""
    seen: str = ""
    """The corpus text of the observation: only titles and complete sentences."""
    failed: bool = False
    """Whether the call failed, so that nothing was shown."""


@dataclass(slots=True)
class _ResultPart:
    text: str = ""
    seen: list[str] = field(default_factory=list)
    sentences: list[tuple[str, int]] = field(default_factory=list)
    has_sentences: bool = False
    """Whether it holds more than the heading of the current page."""

    def result(self, ending: str) -> Result:
        return Result(self.text + ending, tuple(self.sentences), "\n".join(self.seen))


class Composer:
    """Joins headings and sentences into parts of at most `RESULT_CHARS` characters.

    Parts end between sentences. A sentence that is too long for a part by itself is cut with a
    visible mark, and does not count as shown.

    Args:
        numbered: Whether each sentence is preceded by its number on the page, from 0.
    """

    def __init__(self, *, numbered: bool = False) -> None:
        self._numbered = numbered
        self._parts = [_ResultPart()]
        self._prefix = ""
        self._title = ""

    def heading(self, prefix: str, title: str) -> None:
        """Start a page.

        Args:
            prefix: Text before the title that is not part of the corpus.
            title: The page's title.
        """
        self._prefix = prefix
        self._title = title
        if self._is_full(len(prefix) + len(self._short_title()) + 2):
            self._parts.append(_ResultPart())
        self._parts[-1].has_sentences = bool(self._parts[-1].text)
        self._add_heading()

    def sentence(self, document: Document, index: int) -> None:
        """Add a sentence of the current page by its 0-based index."""
        text = document.sentences[index].strip()
        number = f"[{index}] " if self._numbered else ""
        if self._is_full(len(number) + len(text) + 1):
            self._parts.append(_ResultPart())
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
        part.has_sentences = True

    def result(self) -> Result:
        """Return the first part, with a mark if there are more."""
        cut = sum(len(part.text) for part in self._parts[1:])
        return self._parts[0].result(f"\n[cut: {cut} more characters]" if cut else "")

    def part(self, number: int) -> Result:
        """Return a part by its number, from 1, with a note on how to get the next one."""
        total = len(self._parts)
        if number > total:
            return Result(f"That page ends with part {total}.")
        more = f"\n[part {number} of {total}; the next is #{number + 1}]" if number < total else ""
        return self._parts[number - 1].result(more)

    def _is_full(self, length: int) -> bool:
        part = self._parts[-1]
        return part.has_sentences and len(part.text) + length > RESULT_CHARS

    def _add_heading(self) -> None:
        part = self._parts[-1]
        title = self._short_title()
        start = "\n" if part.text else ""
        part.text += f"{start}{self._prefix}{title}\n"
        if title == self._title:
            part.seen.append(title)

    def _short_title(self) -> str:
        title = self._title
        return title if len(title) <= _TITLE_CHARS else f"{title[:_TITLE_CHARS]}…"


def _cut(text: str, room: int) -> str:
    return f"{text[:room]}… [cut: {len(text) - room} more characters]"
