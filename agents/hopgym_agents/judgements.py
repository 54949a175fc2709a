"""Files of judgements: one header line, then one judged step a line, as JSON.

In: judgements, as they come. Out: a file that the same judge on the same run goes on with, as
`hopgym.runfile` does for episodes: one writer at a time, each line whole or not there.
"""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

# The lock and the rewriting of a file are those of trajectory files; only the records are others.
from hopgym.errors import DataError, RunFileError
from hopgym.linefile import lock, replace_lines, unlock
from hopgym.runfile import Header, read_header
from hopgym_agents.judge import Judgement

Key = tuple[str, int, int]

_NOT_JSON = (msgspec.MsgspecError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class JudgementsHeader(Header):
    """The first line of a file of judgements; its words are for messages alone."""

    judge: str = ""
    """Fingerprint of the generator that judges; empty in files of older versions."""


def judgements_header(run: Header, judge: str) -> JudgementsHeader:
    """Return the header of the judgements of a run.

    Args:
        run: Header of the run's trajectory file.
        judge: Fingerprint of the generator that judges.
    """
    made = Header.of({"run": run.config, "judge": judge}, run.source)
    return JudgementsHeader(made.schema, made.config, made.source, made.code, judge)


def read_judgements(path: str | os.PathLike[str]) -> Iterator[Judgement]:
    """Yield the judgements of a file; a half-written last line is passed over.

    Raises:
        DataError: When the file does not exist or is no file of judgements.
    """
    read_header(path)
    for _, judgement in _records(Path(path)):
        yield judgement


def texts_of(path: str | os.PathLike[str], keys: Collection[Key]) -> list[str]:
    """Return the texts of some judgements of a file, in its order."""
    if not keys:
        return []
    return [each.text for each in read_judgements(path) if each.key in keys]


class JudgementWriter:
    """Appends judgements to a file, as its only writer while it is open; a context manager.

    ``kept`` holds the judgements in the file by their keys, without their texts.

    Args:
        path: The file, made with its folders where it does not exist.
        header: Of `judgements_header`.

    Raises:
        RunFileError: When another writer has the file open, or it belongs to another run or judge.
        DataError: When it is no file of judgements, or a line is corrupt.
    """

    def __init__(self, path: str | os.PathLike[str], header: JudgementsHeader) -> None:
        self.path = Path(path).resolve()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.path)
        try:
            self.kept: dict[Key, Judgement] = _take_up(self.path, header)
            self._file = self.path.open("ab", buffering=0)
        except BaseException:
            unlock(self.path, self._lock)
            raise

    def write(self, judgement: Judgement) -> None:
        """Append a judgement; when this returns, no kill of the process can lose it.

        Raises:
            RunFileError: When the file holds one of this step, or the disk is full.
        """
        if judgement.key in self.kept:
            raise RunFileError(
                f"{self.path} must hold each step once, got {judgement.key} again; leave out "
                "what is kept"
            )
        line = msgspec.json.encode(judgement) + b"\n"
        written = self._file.write(line)
        if written != len(line):
            self._file.truncate(self._file.tell() - written)
            raise RunFileError(
                f"{self.path} must take {len(line)} bytes, took {written}; make room on its disk"
            )
        self.kept[judgement.key] = replace(judgement, text="")

    def close(self) -> None:
        """Close the file and let other writers have it; closing twice is harmless."""
        if not self._file.closed:
            self._file.close()
            unlock(self.path, self._lock)

    def __enter__(self) -> "JudgementWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _take_up(path: Path, header: JudgementsHeader) -> dict[Key, Judgement]:
    """Make a file ready to be appended to, under its lock; return what it holds."""
    if not path.exists() or not path.stat().st_size:
        replace_lines(path, [msgspec.json.encode(header) + b"\n"])
        return {}
    found = read_header(path)
    if (found.config, found.source) != (header.config, header.source):
        raise RunFileError(
            f"{path} must hold judgements of the same run and judge, {_differing(path, header)}; "
            "give the old options again, or another file as --out FILE"
        )
    first = _first_line(path)
    kept, size = {}, len(first)
    for line, judgement in _records(path):
        kept[judgement.key] = replace(judgement, text="")
        size += len(line)
    if size != path.stat().st_size:
        replace_lines(path, [first, *(line for line, _ in _records(path))])
    return kept


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline().removesuffix(b"\n") + b"\n"


def _differing(path: Path, header: JudgementsHeader) -> str:
    """Return in words what tells the judgements of a file from those of a header."""
    found = msgspec.json.decode(_first_line(path), type=JudgementsHeader)
    if found.source == header.source and found.judge and found.judge != header.judge:
        old, new = found.judge.split(), header.judge.split()
        alone = (
            " ".join(w for w in a if w not in b).strip(",") for a, b in ((old, new), (new, old))
        )
        was, now = (part or "nothing more" for part in alone)
        return f"got another judge: then {was}, now {now}"
    if found.judge:
        return "got those of another run"
    return f"got another of the two (hash {found.config[:8]}, now {header.config[:8]})"


def _records(path: Path) -> Iterator[tuple[bytes, Judgement]]:
    """Yield each whole line, with its newline, and its record."""
    with path.open("rb") as file:
        file.readline()
        for number, line in enumerate(file, start=2):
            try:
                judgement = msgspec.json.decode(line, type=Judgement)
            except _NOT_JSON as error:
                if not line.endswith(b"\n"):
                    return
                raise DataError(
                    f"{path}, line {number}: expected a judgement, got {line[:80]!r} ({error}); "
                    "remove the line"
                ) from error
            yield line.removesuffix(b"\n") + b"\n", judgement
