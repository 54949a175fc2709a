"""Lines that hold one record each, with a checksum.

A line is ``{"checksum": "<8 hex digits>", "<name>": {...}}`` without spaces; the checksum is
``zlib.crc32`` of the bytes of the record.
"""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Generic, TypeVar

import msgspec

from hopgym.errors import DataError

_HEAD = b'{"checksum":"'
_DIGITS = 8
_REMEDY = "; remove the line, or run the command that wrote the file again, which replaces it"

_T = TypeVar("_T")
_NOT_JSON = (msgspec.MsgspecError, ValueError, RecursionError)


class RecordFormat(Generic[_T]):
    """Reads and writes the lines of one kind of record.

    Args:
        name: Key of the record in its line.
        record: Type of the record.
        label: The kind in words, with its article, for messages.
    """

    def __init__(self, name: str, record: type[_T], label: str) -> None:
        self.label = label
        self._key = f'","{name}":'.encode()
        self._start = len(_HEAD) + _DIGITS + len(self._key)
        self._decoder = msgspec.json.Decoder(record)
        self._encoder = msgspec.json.Encoder()

    def encode(self, record: _T) -> bytes:
        """Return the line of a record, with its newline.

        Raises:
            TypeError: When the record holds what JSON cannot.
        """
        data = self._encoder.encode(record)
        return b"%s%08x%s%s}\n" % (_HEAD, zlib.crc32(data), self._key, data)

    def decode(self, line: bytes, path: Path, number: int) -> _T:
        """Return the record of a line.

        Args:
            line: The line, with or without its newline.
            path: Its file, for messages.
            number: Its number in the file, from 1, for messages.

        Raises:
            DataError: When the line is damaged or holds something else.
        """
        try:
            return self._decoder.decode(self.verify(line))
        except _NOT_JSON as error:
            raise self._damaged(line, path, number, str(error)) from error

    def verify(self, line: bytes) -> memoryview:
        """Return the JSON of the record in a line.

        Raises:
            ValueError: When the line has no checksum or another one.
        """
        key = line[len(_HEAD) + _DIGITS : self._start]
        end = len(line) - line.endswith(b"\n") - 1
        if not line.startswith(_HEAD) or key != self._key or line[end : end + 1] != b"}":
            raise ValueError("no checksum")
        # A view, as a copy of every record would cost time.
        data = memoryview(line)[self._start : end]
        if line[len(_HEAD) : len(_HEAD) + _DIGITS] != b"%08x" % zlib.crc32(data):
            raise ValueError("its checksum does not match, so the line has been changed")
        return data

    def read(
        self, path: Path, file: IO[bytes], dropped: Callable[[str], None] | None = None
    ) -> Iterator[tuple[int, bytes, _T]]:
        """Yield number, line with its newline, and record of each line after the header.

        A half-written last line, as a killed run leaves it, is skipped.

        Args:
            path: The file, for messages.
            file: The open file, positioned after its header.
            dropped: Called with a message for each damaged line, which is then skipped; without
                it, damaged lines raise.

        Raises:
            DataError: When a line is damaged or holds something else.
        """
        for number, line in enumerate(file, start=2):
            try:
                record = self.decode(line, path, number)
            except DataError as error:
                if not line.endswith(b"\n"):
                    return
                if dropped is None:
                    raise
                dropped(str(error).removesuffix(_REMEDY))
                continue
            yield number, line if line.endswith(b"\n") else line + b"\n", record

    def _damaged(self, line: bytes, path: Path, number: int, problem: str) -> DataError:
        return DataError(
            f"{path}, line {number}: expected {self.label}, got {line[:80]!r} ({problem}){_REMEDY}"
        )
