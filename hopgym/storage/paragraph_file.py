"""Paragraph files, read row by row: the checked pages of a JSON or JSONL file, one at a time.

Nothing of the file stays in memory but the row at hand and what was read ahead.
"""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import msgspec

from hopgym.documents import Document, cut_title, split_sentences
from hopgym.errors import DataError, did_you_mean

_GZIP_MARK = b"\x1f\x8b"
_MAX_ROW = 64 << 20
_CHUNK = 1 << 20
_INK = re.compile(rb"\S")
# A string, closed or cut off by the end of what is read, or a bracket outside of strings.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
_FIELDS = ("title", "text", "sentences", "doc")
_MEND = (
    "a row is {'title': ..., 'text': ...}, {'title': ..., 'sentences': [...]} or {'doc': ...}; "
    "other fields are ignored"
)
_CUT_OFF = "the file may be cut off: fetch it again"
_SAVE = "save the file as UTF-8, or fetch it again"


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


class _Row(msgspec.Struct):
    title: str | None = None
    text: str | None = None
    sentences: list[str] | None = None
    doc: str | None = None


_ROWS = msgspec.json.Decoder(_Row)
_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(slots=True)
class _Place:
    """Where reading has come to; it moves on with every row."""

    path: str
    unit: str = "line"
    number: int = 0

    def error(self, problem: str) -> DataError:
        return DataError(f"{self.path}, {self.unit} {self.number}: {problem}")

    def too_long(self) -> DataError:
        return self.error(f"expected a row of at most {_MAX_ROW:,} bytes, got more; split it")


def read_pages(path: str) -> Iterator[Document]:
    """Yield the pages of a paragraph file in order; their ids are ``"0"``, ``"1"`` and so on.

    The layouts of `hopgym.storage` are told apart row by row, a JSON list from JSONL by the first
    character, gzip by its first bytes.

    Raises:
        DataError: When the file cannot be read, or a row cannot be used as it is; the message
            names the line (from 1) or the record of a JSON list (from 0).
    """
    place = _Place(path)
    count = 0
    try:
        with open(path, "rb") as file:
            packed = file.peek(2)[:2] == _GZIP_MARK
            with gzip.GzipFile(fileobj=file) if packed else nullcontext(file) as stream:
                for data in _rows(stream, place):
                    yield _page(str(count), data, place)
                    count += 1
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path!r}: expected a whole gzip file, got {error} after {place.unit} "
            f"{place.number}; fetch it again"
        ) from error
    except OSError as error:
        raise DataError(f"{path!r}: expected a readable file, got {error.strerror}") from error
    if not count:
        raise DataError(f"{path!r}: expected paragraphs, got an empty file; fetch it again")


def _rows(stream: _Stream, place: _Place) -> Iterator[bytes]:
    line = _next_line(stream, place)
    while line and not line.strip():
        line = _next_line(stream, place)
    if line.lstrip().startswith(b"["):
        place.unit, place.number = "record", 0
        yield from _ListReader(line, stream, place)
        return
    while line:
        if len(line) > _MAX_ROW:
            raise place.too_long()
        if line.strip():
            yield line
        line = _next_line(stream, place)


def _next_line(stream: _Stream, place: _Place) -> bytes:
    line = stream.readline(_MAX_ROW + 1)
    place.number += bool(line)
    return line.removeprefix(codecs.BOM_UTF8) if place.number == 1 else line


class _ListReader:
    """The objects of a JSON list, cut out of a stream as they come."""

    def __init__(self, head: bytes, stream: _Stream, place: _Place) -> None:
        self._data, self._stream, self._place = head, stream, place
        self._at = head.index(b"[") + 1

    def __iter__(self) -> Iterator[bytes]:
        mark = self._next_mark()
        if mark == b"]":
            return
        while True:
            if mark != b"{":
                raise self._problem("an object", mark)
            yield self._object()
            self._place.number += 1
            mark = self._next_mark()
            if mark == b"]":
                break
            if mark != b",":
                raise self._problem("a comma or the end of the list before it", mark)
            self._at += 1
            mark = self._next_mark()
        self._at += 1
        if mark := self._next_mark():
            raise self._problem("the end of the file after the list", mark)

    def _problem(self, expected: str, mark: bytes) -> DataError:
        got = f"{mark.decode('utf-8', 'replace')!r}" if mark else "the end of the file"
        return self._place.error(f"expected {expected}, got {got}; {_CUT_OFF}")

    def _read_on(self) -> bool:
        # What is read at least doubles, so that a long row is not scanned over and over.
        rest = self._data[self._at :]
        more = self._stream.read(max(_CHUNK, len(rest)))
        self._data, self._at = rest + more, 0
        return bool(more)

    def _next_mark(self) -> bytes:
        """Move to the next byte that is no white space and return it, or nothing at the end."""
        while not (found := _INK.search(self._data, self._at)):
            self._at = len(self._data)
            if not self._read_on():
                return b""
        self._at = found.start()
        return found[0]

    def _object(self) -> bytes:
        while True:
            depth = 0
            for mark in _STRING_OR_BRACKET.finditer(self._data, self._at):
                depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(mark[0], 0)
                if not depth:
                    row, self._at = self._data[self._at : mark.end()], mark.end()
                    if len(row) > _MAX_ROW:
                        raise self._place.too_long()
                    return row
            if len(self._data) - self._at > _MAX_ROW:
                raise self._place.too_long()
            if not self._read_on():
                raise self._problem("a whole record", b"")


def _page(document_id: str, data: bytes, place: _Place) -> Document:
    if b"\0" in data:
        raise place.error(f"expected UTF-8 text, got a NUL byte; {_SAVE}")
    try:
        if not data.isascii():
            data.decode()
        row = _ROWS.decode(data)
    except UnicodeDecodeError as error:
        raise place.error(
            f"expected UTF-8 text, got {error.reason} at byte {error.start} of it; {_SAVE}"
        ) from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise place.error(f"{error}; {_MEND}") from error
    named = (row.title, row.text, row.sentences) != (None, None, None)
    if row.doc is not None and not named:
        title, text = cut_title(row.doc.strip())
        sentences = split_sentences(text)
    else:
        title, sentences = _own(row, data, place)
    if not title and not sentences:
        raise place.error("expected a title or a text, got a row with neither; leave it out")
    return Document(document_id, title, sentences)


def _own(row: _Row, data: bytes, place: _Place) -> tuple[str, tuple[str, ...]]:
    if row.title is None or (row.text is None and row.sentences is None):
        fields = _KEYS.decode(data)
        hints = (did_you_mean(name, _FIELDS) for name in fields if name not in _FIELDS)
        hint = next((hint for hint in hints if hint), "")
        missing = "'title'" if row.title is None else "'text'"
        got = ", ".join(map(repr, fields)) or "none"
        raise place.error(f"expected the field {missing}, got the fields {got}{hint}; {_MEND}")
    if row.text is not None and row.sentences is not None:
        raise place.error("expected 'text' or 'sentences', got both; give one")
    title = row.title.strip()
    if row.sentences is None:
        return title, split_sentences(row.text or "")
    for index, sentence in enumerate(row.sentences):
        if not sentence.strip():
            raise place.error(f"expected text in sentence {index}, got an empty one; leave it out")
    return title, tuple(row.sentences)
