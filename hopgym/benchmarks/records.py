"""Read data files: JSON and JSONL, plain or gzipped, in UTF-8.

Every problem with a file is a `DataError` that names the file and the place: the line of a JSONL
file (from 1) or the record of a JSON list (from 0).
"""

import codecs
import gzip
import hashlib
import os
import re
import stat
import zlib
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import IO, TypeVar

import msgspec

from hopgym.errors import DataError, did_you_mean

T = TypeVar("T")

_GZIP_MARK = b"\x1f\x8b"
_CHUNK = 1 << 20
MAX_LINE = 512 << 20
"""Longest line of a JSONL file, in bytes; a JSON list may be one line of any length."""
MAX_RECORD = 64 << 20
"""Longest record, in bytes."""
_BLANKS = b" \t\r\n" + codecs.BOM_UTF8
_UNKNOWN_FIELD = re.compile(r"unknown field `(.*?)`", re.DOTALL)
_FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file: UTF-8 without NUL bytes."""

    path: str
    data: bytes
    """Decompressed, without a byte order mark."""
    digest: str
    """SHA-256 of ``data``, hex."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file, still encoded."""

    place: str
    """File and line or record number; error messages start with it."""
    data: bytes | msgspec.Raw

    def error(self, problem: str) -> DataError:
        """Return the error that reports a problem with this record."""
        return DataError(f"{self.place}: {problem}")


def file_state(path: str) -> os.stat_result:
    """Return the `os.stat` result of a regular file.

    Raises:
        DataError: If the file does not exist, or is a directory or a device.
    """
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path!r}: expected a .json or .jsonl file, got {why}; check the path"
        ) from error
    if stat.S_ISDIR(state.st_mode):
        raise DataError(
            f"{path!r}: expected a file, got a directory{describe_folder(path)}; name a file in it"
        )
    if not stat.S_ISREG(state.st_mode):
        raise DataError(f"{path!r}: expected a regular file, which can be read twice; copy it")
    return state


def describe_folder(folder: str) -> str:
    """Return a note for error messages on the JSON files in a folder; empty if it has none."""
    names = sorted(name for name in os.listdir(folder) if ".json" in name)[:3]
    return f" (it holds {', '.join(names)})" if names else ""


def read_content(path: str) -> Content:
    """Read a file, decompress it if it is gzipped, and check that it is text.

    Raises:
        DataError: If the file cannot be read, is empty, truncated, binary, or not UTF-8.
    """
    file_state(path)
    try:
        with open(path, "rb") as file:
            is_gzip = file.peek(2)[:2] == _GZIP_MARK
            with gzip.GzipFile(fileobj=file) if is_gzip else nullcontext(file) as stream:
                data = _read_lines(path, stream)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path!r}: expected a whole gzip file, got {error}; fetch it again"
        ) from error
    except OSError as error:
        raise DataError(f"{path!r}: expected a readable file, got {error.strerror}") from error
    data = data.removeprefix(codecs.BOM_UTF8)
    if not data.strip():
        raise DataError(f"{path!r}: expected records, got an empty file; fetch it again")
    _check_text(path, data)
    return Content(path, data, hashlib.sha256(data).hexdigest())


def _read_lines(path: str, stream: IO[bytes] | gzip.GzipFile) -> bytes:
    """Return all bytes of a stream; refuse a line that is too long to be one record."""
    chunks: list[bytes] = []
    line = 1
    length = 0
    is_list = False
    while chunk := stream.read(_CHUNK):
        is_list = is_list or (not chunks and chunk.lstrip(_BLANKS).startswith(b"["))
        chunks.append(chunk)
        end = chunk.rfind(b"\n")
        length = length + len(chunk) if end < 0 else len(chunk) - end - 1
        line += chunk.count(b"\n")
        if length > MAX_LINE and not is_list:
            raise DataError(
                f"{path!r}, line {line}: expected a line of at most {MAX_LINE:,} bytes, got a "
                "longer one; fetch the file again, or write one record a line"
            )
    return b"".join(chunks)


def _check_text(path: str, data: bytes) -> None:
    fix = "save it as UTF-8, or fetch it again"
    # NUL is valid UTF-8, but only UTF-16, binary files and broken downloads contain it.
    if (nul := data.find(b"\0")) >= 0:
        raise DataError(f"{path!r}: expected UTF-8 text, got a NUL byte at byte {nul}; {fix}")
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _CHUNK):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + _CHUNK], final=start + _CHUNK >= len(data))
        except UnicodeDecodeError as error:
            place = start - pending + error.start
            raise DataError(
                f"{path!r}: expected UTF-8 text, got {error.reason} at byte {place}; {fix}"
            ) from error


def split_lines(content: Content) -> list[Record]:
    """Return the records of a JSONL file, one per line, without blank lines."""
    return [
        check_size(Record(f"{content.path}, line {number}", line), len(line))
        for number, line in enumerate(content.data.split(b"\n"), start=1)
        if line.strip()
    ]


def check_size(record: Record, size: int) -> Record:
    """Return the record; `DataError` if it has more than `MAX_RECORD` bytes."""
    if size > MAX_RECORD:
        raise record.error(
            f"expected a record of at most {MAX_RECORD:,} bytes, got {size:,}; split it, or fetch "
            "the file again"
        )
    return record


def split_records(content: Content, limit: int | None = None) -> list[Record]:
    """Return the records of a JSON list or a JSONL file; the first character tells which.

    Args:
        content: The file.
        limit: Maximum number of records; None returns all.

    Raises:
        DataError: If the list is not valid JSON, for example because the file is truncated.
    """
    if not content.data.lstrip().startswith(b"["):
        return split_lines(content)[:limit]
    try:
        raws = msgspec.json.decode(content.data, type=list[msgspec.Raw])
    except _FAULTS as error:
        raise DataError(
            f"{content.path}: expected a JSON list of records, got: {error}; "
            "the file may be cut off: fetch it again"
        ) from error
    if limit is not None and limit < len(raws):
        # Raw values are views of the file's bytes; copies let go of them.
        raws = [raw.copy() for raw in raws[:limit]]
    return [
        check_size(Record(f"{content.path}, record {i}", raw), len(memoryview(raw)))
        for i, raw in enumerate(raws)
    ]


def decode(
    record: Record, decoder: msgspec.json.Decoder[T], fix: str, fields: Iterable[str] = ()
) -> T:
    """Decode a record and check its type.

    Args:
        record: The record.
        decoder: Decoder of the expected type.
        fix: How to fix the file; the end of the error message.
        fields: Known field names, from which a hint on an unknown one is chosen.

    Returns:
        The record as the decoder's type.

    Raises:
        DataError: If the record is not valid JSON of that type.
    """
    try:
        return decoder.decode(record.data)
    except _FAULTS as error:
        problem = str(error)
        unknown = _UNKNOWN_FIELD.search(problem)
        # A field that is known in another struct may be unknown here: never suggest itself.
        hint = (
            did_you_mean(unknown[1], [name for name in fields if name != unknown[1]])
            if unknown
            else ""
        )
        raise record.error(f"{problem}{hint}; {fix}") from error
