"""The files of an index: arrays and byte strings written once, memory-mapped afterwards.

A `Table` finds numbers by text: it holds sorted 64-bit hashes, and whoever asks compares the texts
themselves, so that two texts of the same hash do no harm.
"""

import hashlib
import mmap
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def text_hash(text: str) -> int:
    """Return 64 bits that depend on the text alone."""
    # An agent may look up what no file can hold: half a surrogate pair.
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def open_array(path: Path, dtype: str, size: int) -> BinaryIO:
    """Open a new one-dimensional ``.npy`` file to write its items into.

    Args:
        path: The file.
        dtype: The type of its items, for example ``"<i4"``.
        size: How many items will be written.
    """
    file = open(path, "wb")  # noqa: SIM115
    header = {"descr": dtype, "fortran_order": False, "shape": (size,)}
    np.lib.format.write_array_header_1_0(file, header)
    return file


def save_array(path: Path, items: Array, dtype: str) -> None:
    """Write an array into a new ``.npy`` file as items of a type."""
    with open_array(path, dtype, len(items)) as file:
        items.astype(dtype, copy=False).tofile(file)


def load_array(path: Path) -> Array:
    """Return a stored array, mapped into memory rather than read.

    Raises:
        OSError: When the file cannot be read.
        ValueError: When it is no such file.
    """
    # A mapped array as a plain one: slices of `np.memmap` are slower.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


class Strings:
    """Byte strings in one file, mapped into memory, with their borders in another.

    Args:
        folder: Where the two files stand.
        name: What they are called, without the endings ``.bin`` and ``.npy``.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._borders = load_array(folder / f"{name}.npy")
        with open(folder / f"{name}.bin", "rb") as file:
            size = file.seek(0, 2)
            # No empty file can be mapped.
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        if self._borders[-1] != size:
            raise ValueError(f"expected {self._borders[-1]} bytes of {name}, got {size}")

    def __len__(self) -> int:
        return len(self._borders) - 1

    def __getitem__(self, number: int) -> bytes:
        return self._data[self._borders[number] : self._borders[number + 1]]


class StringsWriter:
    """Writes what `Strings` reads, in a ``with`` block; the borders are written at its end.

    Args:
        folder: Where the two files are to stand.
        name: What they are called, without ending.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._file = open(folder / f"{name}.bin", "wb")  # noqa: SIM115
        self._borders_path = folder / f"{name}.npy"
        self._borders = array("q", [0])

    def __enter__(self) -> "StringsWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is None:
            save_array(self._borders_path, np.frombuffer(self._borders, dtype=np.int64), "<i8")

    def add(self, data: bytes) -> None:
        """Append a string."""
        self._file.write(data)
        self._borders.append(self._borders[-1] + len(data))


class Table:
    """From a text to the numbers that were stored under it, and perhaps under others.

    Args:
        folder: Where its two files stand.
        name: What they are called.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._hashes = load_array(folder / f"{name}.hashes.npy")
        self._numbers = load_array(folder / f"{name}.numbers.npy")

    def candidates(self, text: str) -> Iterator[int]:
        """Yield, in ascending order, the numbers of all texts that have this text's hash."""
        wanted = np.uint64(text_hash(text))
        start, end = (
            int(np.searchsorted(self._hashes, wanted, side)) for side in ("left", "right")
        )
        return (int(number) for number in self._numbers[start:end])


class TableWriter:
    """Collects what a `Table` reads."""

    def __init__(self) -> None:
        self._hashes, self._numbers = array("Q"), array("q")

    def add(self, text: str, number: int) -> None:
        """Store a number under a text; numbers come in ascending order."""
        self._hashes.append(text_hash(text))
        self._numbers.append(number)

    def save(self, folder: Path, name: str) -> None:
        """Write the two files."""
        hashes = np.frombuffer(self._hashes, dtype=np.uint64)
        numbers = np.frombuffer(self._numbers, dtype=np.int64)
        order = np.argsort(hashes, kind="stable")
        save_array(folder / f"{name}.hashes.npy", hashes[order], "<u8")
        save_array(folder / f"{name}.numbers.npy", numbers[order], "<i4")
