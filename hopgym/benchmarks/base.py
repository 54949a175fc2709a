"""The sources of real benchmarks: their arguments, and what these open.

In: a path or the Hub, and how the file is read. Out: a source. What a benchmark's own arguments
are called, and which corpora it can be asked over, is data of its class.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from hopgym.benchmarks.catalogue import Dataset
from hopgym.benchmarks.files import Content, inside, read_content
from hopgym.benchmarks.hub import hub_content, hub_form
from hopgym.benchmarks.official import OfficialSource, R
from hopgym.benchmarks.passages import Reading
from hopgym.benchmarks.source import checked_limit, checked_path, shared_records
from hopgym.errors import ArgumentError, DataError, did_you_mean, require

COMMON = ("path", "hub", "split", "limit", "corpus")


class BenchmarkSource(OfficialSource[R]):
    """A source over the official file of a benchmark, or its form on the Hub.

    Args:
        path: The official file (.json, .jsonl, .gz), the Hub's rows in such a file, or a folder
            in which an official file lies.
        hub: Whether to read the pinned revision on the Hub, through ``datasets``, instead.
        split: The split that is read from a folder or the Hub; None takes the benchmark's own.
        limit: The most questions to take, from the first, at least 1; None takes all.
        corpus: ``record`` (the question's own paragraphs), ``split`` (all paragraphs of the file),
            or the path of a corpus from elsewhere (`hopgym.storage`); None takes the default.
        own: The benchmark's own arguments, by the names that its class declares.

    Raises:
        ArgumentError: When an argument is of the wrong type or out of range.
        DataError: When a file cannot be used as it is.
    """

    dataset: ClassVar[Dataset]
    corpora: ClassVar[tuple[str, ...]] = ("record", "split")
    """The corpora that have a name, the default first."""
    variant_argument: ClassVar[str] = ""
    """Name of the argument that chooses the form of the benchmark; empty where it has one."""
    variants: ClassVar[tuple[str, ...]] = ("",)
    """The forms, the default first."""
    variant_notes: ClassVar[Mapping[str, str]] = {}
    """Notes of forms whose prompts tell something else, by form."""
    further_argument: ClassVar[str] = ""
    """Name of the argument that gives a second file; empty where none belongs to it."""
    further_config: ClassVar[str] = ""
    """The config on the Hub that is this file, ``{}`` standing for the variant; empty where it is
    not there. ``hub=True`` reads it where no path is given."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        limit: int | None = None,
        *,
        hub: bool = False,
        split: str | None = None,
        corpus: str | os.PathLike[str] | None = None,
        **own: Any,
    ) -> None:
        self._check_names(own)
        self.variant = own.get(self.variant_argument, self.variants[0])
        known = isinstance(self.variant, str) and self.variant in self.variants
        expected = f"one of {', '.join(self.variants)}"
        require(known, self.variant_argument, expected, self.variant)
        require(isinstance(hub, bool), "hub", "True or False", hub)
        self.notes = self.variant_notes.get(self.variant, self.notes)
        self.limit = checked_limit(limit)
        origin = self._origin(path, hub, split)
        self.path = origin.path if isinstance(origin, Content) else origin
        further = own.get(self.further_argument)
        second = self._second(further, split or self.dataset.split if hub else "")
        self.reading = self._reading(corpus, second)
        self._records = shared_records(self.records_type, origin, limit, self.reading)  # type: ignore[assignment]
        given = {"path": path, "corpus": corpus, self.further_argument: further}
        plain = {"hub": hub, "split": split, "limit": limit, self.variant_argument: self.variant}
        files = {name: self._from_anywhere(value) for name, value in given.items()}
        self._arguments = {name: value for name, value in (files | plain).items() if name}

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """Return the names of all arguments."""
        own = (cls.variant_argument, cls.further_argument)
        return (*COMMON, *filter(None, own))

    @property
    def fingerprint(self) -> str:
        """Hex digest of the content, of how much of it is taken, and of how it is read."""
        decisive = f"{super().fingerprint}:{self.reading.fingerprint}"
        return hashlib.sha256(decisive.encode()).hexdigest()

    def _check_names(self, own: dict[str, Any]) -> None:
        names = self.argument_names()
        for name in own:
            if name not in names:
                raise ArgumentError(
                    f"arguments of {self.name} must be among {', '.join(names)}, got {name!r}"
                    f"{did_you_mean(name, names)}"
                )

    def _origin(
        self, path: str | os.PathLike[str] | None, hub: bool, split: str | None
    ) -> str | Content:
        """Return the path of the file to read, or the rows of the Hub."""
        title = self.dataset.title
        if hub:
            require(path is None, "path", "None where hub is True", path)
            return hub_content(hub_form(self.dataset, self.variant), split or self.dataset.split)
        if path is None:
            how = "pass path=..., on the command line --path"
            if self.dataset.hub:
                how += "; or hub=True to read it from the Hub"
            which = f"the official {title} file for {self.dataset.env_id}"
            raise ArgumentError(f"path must name {which}, got None; {how}")
        text = checked_path("path", path)
        if os.path.isdir(text) and self.dataset.files:
            return self._official_file(text, split or self.dataset.split)
        require(split is None, "split", "None where path names a file, which is one split", split)
        return text

    def _official_file(self, folder: str, split: str) -> str:
        files = self.dataset.files
        require(split in files, "split", f"one of {', '.join(files)}", split)
        # Where a split has a file for each variant, they stand in the order of the variants.
        name = files[split][min(self.variants.index(self.variant), len(files[split]) - 1)]
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            raise DataError(
                f"{folder!r}: expected {name} in it, got a directory{inside(folder)} without it; "
                "name the file itself"
            )
        return path

    def _second(self, further: object, hub_split: str) -> Content | None:
        """Return the second file: that of a path, or else that of a split of the Hub, or none."""
        if further is not None:
            return read_content(checked_path(self.further_argument, further))
        if not hub_split or not self.further_config:
            return None
        form = hub_form(self.dataset, self.variant)
        config = self.further_config.format(self.variant)
        return hub_content(replace(form, config=config), hub_split)

    def _reading(self, corpus: object, second: Content | None) -> Reading:
        name = self.corpora[0] if corpus is None else corpus
        if name in self.corpora:
            return Reading(self.variant, str(name), further=second)
        text = checked_path("corpus", name) if "search" in self.tools else ""
        also = ", or the path of a file of paragraphs" if "search" in self.tools else ""
        expected = f"one of {', '.join(self.corpora)}{also}"
        require(bool(text) and os.path.exists(text), "corpus", expected, corpus)
        from hopgym.storage import open_corpus

        self.comparable = False
        return Reading(self.variant, "external", open_corpus(text), second)

    def _from_anywhere(self, value: Any) -> Any:
        """Return a path made absolute; anything else as it is."""
        if value is None or value in self.corpora:
            return value
        return os.path.abspath(os.path.expanduser(os.fspath(value)))
