"""The files of an index: arrays and byte strings that are written once, then memory-mapped.

A `Table` maps texts to numbers through sorted 64-bit hashes. Callers compare the texts themselves,
so that two texts with the same hash cause no error.
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
    """Return a 64-bit hash that is the same in every process."""
    # An agent may look up a lone surrogate, which no file can contain.
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def open_array(path: Path, dtype: str, size: int) -> BinaryIO:
    """Open a new one-dimensional ``.npy`` file, into which the caller writes the items.

    Args:
        path: The file.
        dtype: Type of the items, for example ``"<i4"``.
        size: Number of items that will be written.
    """
    file = open(path, "wb")  # noqa: SIM115
    header = {"descr": dtype, "fortran_order": False, "shape": (size,)}
    np.lib.format.write_array_header_1_0(file, header)
    return file


def save_array(path: Path, items: Array, dtype: str) -> None:
    """Write a one-dimensional array to a new ``.npy`` file, converted to ``dtype``."""
    with open_array(path, dtype, len(items)) as file:
        items.astype(dtype, copy=False).tofile(file)


def load_array(path: Path) -> Array:
    """Return a stored array, mapped into memory.

    Raises:
        OSError: When the file cannot be read.
        ValueError: When it is not a ``.npy`` file.
    """
    # A plain view of the mapped array, because slices of `np.memmap` are slower.
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


class Strings:
    """Byte strings in one memory-mapped file, with their offsets in another.

    Args:
        folder: Folder of the two files.
        name: Their name without the endings ``.bin`` and ``.npy``.

    Raises:
        OSError: When a file cannot be read.
        ValueError: When the two files do not belong together.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._offsets = load_array(folder / f"{name}.npy")
        with open(folder / f"{name}.bin", "rb") as file:
            size = file.seek(0, 2)
            # An empty file cannot be mapped.
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        if self._offsets[-1] != size:
            raise ValueError(f"expected {self._offsets[-1]} bytes of {name}, got {size}")

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, number: int) -> bytes:
        return self._data[self._offsets[number] : self._offsets[number + 1]]


class StringsWriter:
    """Writes the files of `Strings` in a ``with`` block, which writes the offsets at its end.

    Args:
        folder: Folder of the two files.
        name: Their name without ending.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._file = open(folder / f"{name}.bin", "wb")  # noqa: SIM115
        self._offsets_path = folder / f"{name}.npy"
        self._offsets = array("q", [0])

    def __enter__(self) -> "StringsWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.close()
        if kind is None:
            save_array(self._offsets_path, np.frombuffer(self._offsets, dtype=np.int64), "<i8")

    def add(self, data: bytes) -> None:
        """Append a string."""
        self._file.write(data)
        self._offsets.append(self._offsets[-1] + len(data))


class Table:
    """Maps a text to candidates for the numbers that were stored under it.

    Args:
        folder: Folder of its two files.
        name: Their name without ending.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._hashes = load_array(folder / f"{name}.hashes.npy")
        self._numbers = load_array(folder / f"{name}.numbers.npy")

    def candidates(self, text: str) -> Iterator[int]:
        """Yield, in ascending order, the numbers of all texts with the hash of this text."""
        key = np.uint64(text_hash(text))
        start = int(np.searchsorted(self._hashes, key, "left"))
        end = int(np.searchsorted(self._hashes, key, "right"))
        return (int(number) for number in self._numbers[start:end])


class TableWriter:
    """Collects the entries of a `Table` and writes its files."""

    def __init__(self) -> None:
        self._hashes = array("Q")
        self._numbers = array("q")

    def add(self, text: str, number: int) -> None:
        """Store a number under a text; call it with ascending numbers."""
        self._hashes.append(text_hash(text))
        self._numbers.append(number)

    def save(self, folder: Path, name: str) -> None:
        """Write the two files."""
        hashes = np.frombuffer(self._hashes, dtype=np.uint64)
        numbers = np.frombuffer(self._numbers, dtype=np.int64)
        order = np.argsort(hashes, kind="stable")
        save_array(folder / f"{name}.hashes.npy", hashes[order], "<u8")
        save_array(folder / f"{name}.numbers.npy", numbers[order], "<i4")
