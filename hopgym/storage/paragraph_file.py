"""Reads paragraph files (JSON or JSONL) one validated page at a time.

Only the current row and the read-ahead buffer are in memory.
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
_NOT_SPACE = re.compile(rb"\S")
# A string, closed or cut off by the end of the buffer, or a bracket outside of strings.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[{}\[\]]', re.DOTALL)
_FIELDS = ("title", "text", "sentences", "doc")
_LAYOUT_HINT = (
    "a row is {'title': ..., 'text': ...}, {'title': ..., 'sentences': [...]} or {'doc': ...}; "
    "other fields are ignored"
)
_TRUNCATED_HINT = "the file may be cut off: fetch it again"
_ENCODING_HINT = "save the file as UTF-8, or fetch it again"


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


class _Paragraph(msgspec.Struct):
    title: str | None = None
    text: str | None = None
    sentences: list[str] | None = None
    doc: str | None = None


_ROWS = msgspec.json.Decoder(_Paragraph)
_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(slots=True)
class _Position:
    """The current line or record, for error messages."""

    path: str
    unit: str = "line"
    number: int = 0

    def error(self, problem: str) -> DataError:
        return DataError(f"{self.path}, {self.unit} {self.number}: {problem}")

    def too_long(self) -> DataError:
        return self.error(f"expected a row of at most {_MAX_ROW:,} bytes, got more; split it")


def read_pages(path: str) -> Iterator[Document]:
    """Yield the pages of a paragraph file in order; their ids are ``"0"``, ``"1"`` and so on.

    The layout (see `hopgym.storage`) is detected for each row, a JSON list by the first character
    of the file, and gzip by its first bytes.

    Raises:
        DataError: When the file cannot be read, or a row is invalid; the message names the line
            (from 1) or the record of a JSON list (from 0).
    """
    position = _Position(path)
    count = 0
    try:
        with open(path, "rb") as file:
            is_gzip = file.peek(2)[:2] == _GZIP_MARK
            with gzip.GzipFile(fileobj=file) if is_gzip else nullcontext(file) as stream:
                for data in _rows(stream, position):
                    yield _page(str(count), data, position)
                    count += 1
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path!r}: expected a whole gzip file, got {error} after {position.unit} "
            f"{position.number}; fetch it again"
        ) from error
    except OSError as error:
        raise DataError(f"{path!r}: expected a readable file, got {error.strerror}") from error
    if not count:
        raise DataError(f"{path!r}: expected paragraphs, got an empty file; fetch it again")


def _rows(stream: _Stream, position: _Position) -> Iterator[bytes]:
    line = _next_line(stream, position)
    while line and not line.strip():
        line = _next_line(stream, position)
    if line.lstrip().startswith(b"["):
        position.unit = "record"
        position.number = 0
        yield from _ListReader(line, stream, position)
        return
    while line:
        if len(line) > _MAX_ROW:
            raise position.too_long()
        if line.strip():
            yield line
        line = _next_line(stream, position)


def _next_line(stream: _Stream, position: _Position) -> bytes:
    line = stream.readline(_MAX_ROW + 1)
    position.number += bool(line)
    return line.removeprefix(codecs.BOM_UTF8) if position.number == 1 else line


class _ListReader:
    """Iterates over the JSON texts of a list's objects while it reads a stream."""

    def __init__(self, head: bytes, stream: _Stream, position: _Position) -> None:
        self._data = head
        self._stream = stream
        self._position = position
        self._at = head.index(b"[") + 1

    def __iter__(self) -> Iterator[bytes]:
        mark = self._next_mark()
        if mark == b"]":
            return
        while True:
            if mark != b"{":
                raise self._problem("an object", mark)
            yield self._object()
            self._position.number += 1
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
        return self._position.error(f"expected {expected}, got {got}; {_TRUNCATED_HINT}")

    def _read_on(self) -> bool:
        # The buffer at least doubles, so that a long row is not scanned quadratically often.
        rest = self._data[self._at :]
        more = self._stream.read(max(_CHUNK, len(rest)))
        self._data = rest + more
        self._at = 0
        return bool(more)

    def _next_mark(self) -> bytes:
        """Move to the next byte that is not white space and return it; empty at the end."""
        while not (match := _NOT_SPACE.search(self._data, self._at)):
            self._at = len(self._data)
            if not self._read_on():
                return b""
        self._at = match.start()
        return match[0]

    def _object(self) -> bytes:
        while True:
            depth = 0
            for mark in _STRING_OR_BRACKET.finditer(self._data, self._at):
                depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(mark[0], 0)
                if not depth:
                    row = self._data[self._at : mark.end()]
                    self._at = mark.end()
                    if len(row) > _MAX_ROW:
                        raise self._position.too_long()
                    return row
            if len(self._data) - self._at > _MAX_ROW:
                raise self._position.too_long()
            if not self._read_on():
                raise self._problem("a whole record", b"")


def _page(document_id: str, data: bytes, position: _Position) -> Document:
    if b"\0" in data:
        raise position.error(f"expected UTF-8 text, got a NUL byte; {_ENCODING_HINT}")
    try:
        if not data.isascii():
            data.decode()
        row = _ROWS.decode(data)
    except UnicodeDecodeError as error:
        raise position.error(
            f"expected UTF-8 text, got {error.reason} at byte {error.start} of it; {_ENCODING_HINT}"
        ) from error
    except (msgspec.MsgspecError, RecursionError) as error:
        raise position.error(f"{error}; {_LAYOUT_HINT}") from error
    has_fields = (row.title, row.text, row.sentences) != (None, None, None)
    if row.doc is not None and not has_fields:
        title, text = cut_title(row.doc.strip())
        sentences = split_sentences(text)
    else:
        title, sentences = _title_and_sentences(row, data, position)
    if not title and not sentences:
        raise position.error("expected a title or a text, got a row with neither; leave it out")
    return Document(document_id, title, sentences)


def _title_and_sentences(
    row: _Paragraph, data: bytes, position: _Position
) -> tuple[str, tuple[str, ...]]:
    if row.title is None or (row.text is None and row.sentences is None):
        fields = _KEYS.decode(data)
        hints = (did_you_mean(name, _FIELDS) for name in fields if name not in _FIELDS)
        hint = next((hint for hint in hints if hint), "")
        missing = "'title'" if row.title is None else "'text'"
        got = ", ".join(map(repr, fields)) or "none"
        raise position.error(
            f"expected the field {missing}, got the fields {got}{hint}; {_LAYOUT_HINT}"
        )
    if row.text is not None and row.sentences is not None:
        raise position.error("expected 'text' or 'sentences', got both; give one")
    title = row.title.strip()
    if row.sentences is None:
        return title, split_sentences(row.text or "")
    for index, sentence in enumerate(row.sentences):
        if not sentence.strip():
            raise position.error(
                f"expected text in sentence {index}, got an empty one; leave it out"
            )
    return title, tuple(row.sentences)
