"""Sources over one file: arguments, the records that sources share, ids and pickling."""

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


class FileRecords(ABC):
    """The checked records of one file, shared by every source over the same content.

    Args:
        content: The file.
        limit: Maximum number of questions to read; None reads all.
        options: How to read the file; benchmarks use `hopgym.benchmarks.base.ReadOptions`.

    Raises:
        DataError: If the file cannot be used.
    """

    def __init__(self, content: Content, limit: int | None, options: Any = None) -> None:
        self.digest = content.digest
        self.options = options
        self.index: dict[str, int] = {}
        """0-based index by task id."""
        self.unjudged = 0
        self._recent: dict[int, Task] = {}
        self._lock = Lock()
        self.load(content, limit)

    @abstractmethod
    def load(self, content: Content, limit: int | None) -> None:
        """Check every record and register its id with `add`.

        Raises:
            DataError: If a record cannot be used.
        """

    @abstractmethod
    def build(self, index: int) -> Task:
        """Return a new task for a 0-based index."""

    def task(self, index: int) -> Task:
        """Return the task of a 0-based index; recently used tasks are cached."""
        with self._lock:
            task = self._recent.pop(index, None) or self.build(index)
            self._recent[index] = task
            if len(self._recent) > _RECENT_TASKS:
                del self._recent[next(iter(self._recent))]
        return task

    def add(self, record: Record, task_id: str, text: str) -> None:
        """Register the next question under its id.

        Raises:
            DataError: If the id is empty or in use, or if the text is empty or too long.
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
        """Return the number of questions whose evidence is unknown."""
        return self.unjudged

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The task ids, in order."""
        return tuple(self.index)


RecordsT = TypeVar("RecordsT", bound=FileRecords)


class FileSource(TaskSource, Generic[RecordsT]):
    """A source over one file. Copies share its records; unpickling reads the file again.

    Args:
        path: The file; ``~`` is expanded.
        limit: Maximum number of questions, from the first, at least 1; None takes all.

    Raises:
        ArgumentError: If an argument has the wrong type or is out of range.
        DataError: If the file cannot be used.
    """

    records_type: ClassVar[type[FileRecords]]

    def __init__(self, path: str | os.PathLike[str], limit: int | None = None) -> None:
        self.path = check_path("path", path)
        self.limit = check_limit(limit)
        self._arguments: dict[str, Any] = {"path": os.path.abspath(self.path), "limit": limit}
        self._records: RecordsT = shared_records(self.records_type, self.path, limit)  # type: ignore[assignment]

    @property
    def unjudged(self) -> int:
        """Number of tasks whose steps cannot be judged because their evidence is unknown."""
        return self._records.count_unjudged()

    def __len__(self) -> int:
        return len(self._records.index)

    def __getitem__(self, index: int, /) -> Task:
        return self._records.task(self.check_index(index))

    def id_at(self, index: int) -> str:
        """Return the task id of an index in [0, len)."""
        return self._records.ids[index]

    def index_of(self, task_id: str) -> int:
        """Return the index of a task id; `ArgumentError` if it is unknown."""
        known = self._records.index
        if not isinstance(task_id, str) or task_id not in known:
            hint = did_you_mean(str(task_id), known)
            raise ArgumentError(
                f"task_id must be one of the {len(known)} ids in {self.path}, got {task_id!r}{hint}"
            )
        return known[task_id]

    @property
    def fingerprint(self) -> str:
        """Hex digest of the content and the number of questions; independent of the path."""
        decisive = f"{self.name}:{len(self)}:{self._records.digest}"
        return hashlib.sha256(decisive.encode()).hexdigest()

    def __deepcopy__(self, memo: dict[int, Any]) -> "FileSource[RecordsT]":
        """Return the source itself, which is immutable."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments, which do not depend on the working directory."""
        return _reload, (type(self), self._arguments, self.fingerprint)


def _reload(
    kind: type[FileSource[Any]], arguments: dict[str, Any], fingerprint: str
) -> FileSource[Any]:
    source = kind(**arguments)
    if source.fingerprint != fingerprint:
        raise DataError(
            f"{source.path}: expected the content that the pickled source had read, "
            "got another one; put the file back, or make the environment anew"
        )
    return source


def check_path(name: str, path: object) -> str:
    """Return a path as text with ``~`` expanded; `ArgumentError` if it is not a path."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    require(isinstance(text, str) and text != "", name, "the path of a file", path)
    return os.path.expanduser(str(text))


def check_limit(limit: object) -> int | None:
    """Return the limit; `ArgumentError` unless it is None or an integer of at least 1."""
    valid = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 1
    require(limit is None or valid, "limit", "a whole number from 1, or None", limit)
    return limit  # type: ignore[return-value]


# Records live as long as a source uses them. The latest stay longer, so that a source that is
# made again right after another was dropped does not read the file a second time.
_digests: dict[tuple[str, int, int, int], str] = {}
_in_use: WeakValueDictionary[tuple[Any, ...], FileRecords] = WeakValueDictionary()
_latest: deque[FileRecords] = deque(maxlen=_LATEST_FILES)


def shared_records(
    kind: type[FileRecords], file: str | Content, limit: int | None, options: Hashable = None
) -> FileRecords:
    """Return the records of a path or of loaded content; the same content is read only once."""
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
    # Time stamps are coarse: a file that was just written may change again under the same one.
    if time.time_ns() - key[-1] > _SETTLED_NS:
        _digests[key] = content.digest
    return content


def _file_key(path: str) -> tuple[str, int, int, int]:
    state = file_state(path)
    return (os.path.realpath(path), state.st_ino, state.st_size, state.st_mtime_ns)


def question_search(text: str) -> tuple[str, str] | None:
    """Return the call that searches for the words of a question; None if it has no words.

    The call is built from the text that is visible at reset, so it reveals nothing about the
    gold pages. White space, markup characters and NUL bytes, which a search term cannot contain,
    become single spaces.
    """
    terms = _NO_SEARCH_TERMS.sub(" ", text).strip()
    return ("search", terms) if terms else None
