"""Reads and appends files of judgements: a header line, then one judgement per line, as JSON.

Like a trajectory file, a file of judgements has one writer at a time and survives a kill. It is
resumed only by the same judge on the same run.
"""

import os
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from hopgym.errors import RunFileError
from hopgym.runs.line_file import LineWriter, replace_lines
from hopgym.runs.records import RecordFormat
from hopgym.runs.resume import describe_difference
from hopgym.runs.trajectory_file import Header, read_header
from hopgym_agents.judging.judge import Judgement

Key = tuple[str, int, int]
"""(task id, sample, step), as `Judgement.key`."""
_FORMAT = RecordFormat("judgement", Judgement, "a judgement")


@dataclass(frozen=True, slots=True)
class JudgementsHeader(Header):
    """The first line of a file of judgements.

    ``config`` is a hash of the run and the judge; ``judge`` only serves error messages.
    """

    judge: str = ""
    """Fingerprint of the judge's generator."""


def judgements_header(run: Header, judge: str) -> JudgementsHeader:
    """Return the header of the judgements of a run.

    Args:
        run: Header of the run's trajectory file.
        judge: Fingerprint of the judge's generator.
    """
    base = Header.of({"run": run.config, "judge": judge}, run.environments)
    return JudgementsHeader(base.schema, base.version, base.config, base.environments, judge=judge)


def read_judgements(path: str | os.PathLike[str]) -> Iterator[Judgement]:
    """Yield the judgements of a file; an incomplete last line is skipped.

    Raises:
        DataError: If the file does not exist or is not a file of judgements.
    """
    read_header(path)
    for _, judgement in _records(Path(path)):
        yield judgement


def read_texts(path: str | os.PathLike[str], keys: Collection[Key]) -> list[str]:
    """Return the texts of the judgements with the given keys, in the order of the file."""
    if not keys:
        return []
    return [judgement.text for judgement in read_judgements(path) if judgement.key in keys]


class JudgementWriter(LineWriter[dict[Key, Judgement]]):
    """Appends judgements to a file and holds its lock while it is open; a context manager.

    ``contents`` holds the judgements in the file by their keys, without their texts.

    Args:
        path: The file; it and its folders are created if missing.
        header: The header from `judgements_header`.

    Raises:
        RunFileError: If another writer has the file open, or it belongs to another run or judge.
        DataError: If it is not a file of judgements, or a line is corrupt.
    """

    def __init__(self, path: str | os.PathLike[str], header: JudgementsHeader) -> None:
        super().__init__(path, partial(_resume, header=header))

    def write(self, judgement: Judgement) -> None:
        """Append a judgement; once this returns, killing the process does not lose it.

        Raises:
            RunFileError: If the file holds a judgement of this step, or the disk is full.
        """
        if judgement.key in self.contents:
            raise RunFileError(
                f"{self.path} must hold each step once, got {judgement.key} again; leave out "
                "what is kept"
            )
        self._append(_FORMAT.encode(judgement))
        self.contents[judgement.key] = replace(judgement, text="")


def _resume(path: Path, header: JudgementsHeader) -> dict[Key, Judgement]:
    """Prepare a file for appending, under its lock; return its judgements without their texts."""
    if not path.exists() or not path.stat().st_size:
        replace_lines(path, [msgspec.json.encode(header) + b"\n"])
        return {}
    existing = read_header(path)
    if (existing.config, existing.source) != (header.config, header.source):
        raise RunFileError(
            f"{path} must hold judgements of the same run and judge, {_mismatch(path, header)}; "
            "give the old options again, or another file as --out FILE"
        )
    header_line = _first_line(path)
    judgements = {}
    size = len(header_line)
    for line, judgement in _records(path, _warn_of_damage):
        judgements[judgement.key] = replace(judgement, text="")
        size += len(line)
    # An incomplete or damaged line would otherwise stay in the middle of the file.
    if size != path.stat().st_size:
        intact = (line for line, _ in _records(path, lambda message: None))
        replace_lines(path, [header_line, *intact])
    return judgements


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline().removesuffix(b"\n") + b"\n"


def _mismatch(path: Path, header: JudgementsHeader) -> str:
    """Describe how the judge or run of a file differs from that of a header."""
    existing = msgspec.json.decode(_first_line(path), type=JudgementsHeader)
    if existing.source == header.source and existing.judge and existing.judge != header.judge:
        return f"got another judge: {describe_difference(existing.judge, header.judge)}"
    if existing.judge:
        return "got those of another run"
    return f"got another of the two (hash {existing.config[:8]}, now {header.config[:8]})"


def _warn_of_damage(message: str) -> None:
    warnings.warn(f"a damaged judgement is dropped and made again: {message}", stacklevel=6)


def _records(
    path: Path, dropped: Callable[[str], None] | None = None
) -> Iterator[tuple[bytes, Judgement]]:
    """Yield each complete line, with its newline, and its record; see `RecordFormat.read`."""
    with path.open("rb") as file:
        file.readline()
        for _, line, judgement in _FORMAT.read(path, file, dropped):
            yield line, judgement
