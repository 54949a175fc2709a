"""What the sources that read one file have in common: arguments, cache, ids, pickling.

A `Records` is the checked content of a file; all sources over the same content share one.
"""

import hashlib
import os
import re
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable
from functools import cached_property
from threading import Lock
from typing import Any, ClassVar, Generic, TypeVar
from weakref import WeakValueDictionary

from hopgym.benchmarks.records import Content, Record, file_state, read_content
from hopgym.errors import ArgumentError, DataError, did_you_mean, require
from hopgym.tasks import MAX_QUESTION_CHARS, Task, TaskSource

_RECENT_TASKS = 32
_LATEST_FILES = 2
_SETTLED_NS = 2_000_000_000
_NO_SEARCH_TERMS = re.compile(r"[\s<>#\0]+")


class Records(ABC):
    """The checked records of one file, shared by every source over that content.

    Args:
        content: The file.
        limit: The most questions to read; None reads all.
        options: How the file is read; a benchmark declares its own.
    """

    def __init__(self, content: Content, limit: int | None, options: Any = None) -> None:
        self.digest = content.digest
        self.options = options
        self.index: dict[str, int] = {}
        """From task id to 0-based index."""
        self.unjudged = 0
        self._recent: dict[int, Task] = {}
        self._lock = Lock()
        self.load(content, limit)

    @abstractmethod
    def load(self, content: Content, limit: int | None) -> None:
        """Check every record and note its id; `DataError` for what cannot be used."""

    @abstractmethod
    def build(self, index: int) -> Task:
        """Return a new task of a 0-based index."""

    def task(self, index: int) -> Task:
        """Return the task of an index: while among the latest, the same object again."""
        with self._lock:
            task = self._recent.pop(index, None) or self.build(index)
            self._recent[index] = task
            if len(self._recent) > _RECENT_TASKS:
                del self._recent[next(iter(self._recent))]
        return task

    def add(self, record: Record, task_id: str, text: str) -> None:
        """Note the next question after checking its id and its text.

        Raises:
            DataError: When the id is empty or taken, or the text empty or too long.
        """
        if not task_id.strip():
            raise record.error("expected an id for the question, got an empty one; give it one")
        if task_id in self.index:
            first = self.index[task_id]
            raise record.error(
                f"expected every question to have its own id, got {task_id!r}, which question "
                f"{first} (from 0) has too; rename or remove one of them"
            )
        if not text.strip():
            raise record.error(f"expected the text of question {task_id!r}, got an empty one")
        if len(text) > MAX_QUESTION_CHARS:
            raise record.error(
                f"expected a question of at most {MAX_QUESTION_CHARS} characters, "
                f"got {len(text)}; shorten it, or move its context into documents"
            )
        self.index[task_id] = len(self.index)

    def count_unjudged(self) -> int:
        """Return the number of questions whose evidence is not known."""
        return self.unjudged

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The task ids in order."""
        return tuple(self.index)


R = TypeVar("R", bound=Records)


class FileSource(TaskSource, Generic[R]):
    """A source over one file. Copies share its records; a pickle reads the file again.

    Args:
        path: The file; ``~`` is expanded.
        limit: The most questions to take, from the first, at least 1; None takes all.

    Raises:
        ArgumentError: When an argument is of the wrong type or out of range.
        DataError: When the file cannot be used as it is.
    """

    records_type: ClassVar[type[Records]]

    def __init__(self, path: str | os.PathLike[str], limit: int | None = None) -> None:
        self.path = checked_path("path", path)
        self.limit = checked_limit(limit)
        self._arguments: dict[str, Any] = {"path": os.path.abspath(self.path), "limit": limit}
        self._records: R = shared_records(self.records_type, self.path, limit)  # type: ignore[assignment]

    @property
    def unjudged(self) -> int:
        """Number of tasks whose steps cannot be judged, as their evidence is not known."""
        return self._records.count_unjudged()

    def __len__(self) -> int:
        return len(self._records.index)

    def __getitem__(self, index: int, /) -> Task:
        return self._records.task(self.check_index(index))

    def id_at(self, index: int) -> str:
        """Return the task id of an index in [0, len)."""
        return self._records.ids[index]

    def index_of(self, task_id: str) -> int:
        """Return the index of a task id; `ArgumentError` for an unknown one."""
        known = self._records.index
        if not isinstance(task_id, str) or task_id not in known:
            hint = did_you_mean(str(task_id), known)
            raise ArgumentError(
                f"task_id must be one of the {len(known)} ids in {self.path}, got {task_id!r}{hint}"
            )
        return known[task_id]

    @property
    def fingerprint(self) -> str:
        """Hex digest of the content and of how much of it is taken, wherever the file lies."""
        decisive = f"{self.name}:{len(self)}:{self._records.digest}"
        return hashlib.sha256(decisive.encode()).hexdigest()

    def __deepcopy__(self, memo: dict[int, Any]) -> "FileSource[R]":
        """Return the source itself: it never changes."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the arguments to make it again with, in whatever working directory."""
        return _reloaded, (type(self), self._arguments, self.fingerprint)


def checked_path(name: str, path: object) -> str:
    """Return a path as text, ``~`` expanded; `ArgumentError` for what is none."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    require(isinstance(text, str) and text != "", name, "the path of a file", path)
    return os.path.expanduser(str(text))


def checked_limit(limit: object) -> int | None:
    """Return a limit; `ArgumentError` for what is none."""
    whole = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1
    require(limit is None or whole, "limit", "a whole number from 1, or None", limit)
    return limit  # type: ignore[return-value]


def _reloaded(
    kind: type[FileSource[Any]], arguments: dict[str, Any], fingerprint: str
) -> FileSource[Any]:
    source = kind(**arguments)
    if source.fingerprint != fingerprint:
        raise DataError(
            f"{source.path}: expected the content that the pickled source had read, "
            "got another one; put the file back, or make the environment anew"
        )
    return source


# Sources in use share their records; the latest stay for the next one even when none is in use.
_digests: dict[tuple[str, int, int, int], str] = {}
_in_use: WeakValueDictionary[tuple[Any, ...], Records] = WeakValueDictionary()
_latest: deque[Records] = deque(maxlen=_LATEST_FILES)


def shared_records(
    kind: type[Records], file: str | Content, limit: int | None, options: Hashable = None
) -> Records:
    """Return the records of a file, or of content read already; the same ones are read once."""
    content = None if isinstance(file, str) else file
    digest = content.digest if content else _known_digest(str(file))
    records = _in_use.get((kind, digest, limit, options)) if digest else None
    if records is None:
        content = content or _read(str(file))
        key = (kind, content.digest, limit, options)
        records = _in_use.get(key) or kind(content, limit, options)
        _in_use[key] = records
    if records not in _latest:
        _latest.append(records)
    return records


def _known_digest(path: str) -> str | None:
    return _digests.get(_file_key(path))


def _read(path: str) -> Content:
    key = _file_key(path)
    content = read_content(path)
    # Time stamps are coarse: a file just written may change without a new one.
    if time.time_ns() - key[-1] > _SETTLED_NS:
        _digests[key] = content.digest
    return content


def _file_key(path: str) -> tuple[str, int, int, int]:
    state = file_state(path)
    return (os.path.realpath(path), state.st_ino, state.st_size, state.st_mtime_ns)


def question_search(text: str) -> tuple[str, str] | None:
    """Return the call that searches for a question's own words; None where it has none.

    It is built from what is shown at reset, so that no knowledge of the gold pages is in it.
    What no search term holds and calls are written with is left out.
    """
    words = _NO_SEARCH_TERMS.sub(" ", text).strip()
    return ("search", words) if words else None
