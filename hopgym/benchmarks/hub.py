"""Rows from the Hub: a dataset at a pinned revision in, the content of a JSONL file out.

So that a benchmark reads one kind of thing: the Hub's rows differ from official files in their
layout alone, which every reader knows. Needs the extra ``data``, and the network unless the rows
are in the cache of ``datasets`` already.
"""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from hopgym.benchmarks.catalogue import Dataset, HubForm
from hopgym.benchmarks.records import Content
from hopgym.errors import ArgumentError, DataError

_INSTALL = "expected the package datasets, got none; install it with: pip install 'hopgym[data]'"


def hub_form(dataset: Dataset, variant: str) -> HubForm:
    """Return where a variant of a dataset lies on the Hub.

    Raises:
        ArgumentError: When it is not there.
    """
    form = dataset.hub.get(variant)
    if form is None:
        raise ArgumentError(
            f"hub must be False for {dataset.name}, which is not on the Hub; {dataset.by_hand}"
        )
    return form


@lru_cache(maxsize=2)
def hub_content(form: HubForm, split: str) -> Content:
    """Return the rows of a split as the content of a JSONL file.

    Raises:
        ArgumentError: When there is no such split.
        DataError: When ``datasets`` is missing, the Hub cannot be reached, or refuses.
    """
    if split not in form.splits:
        raise ArgumentError(f"split must be one of {', '.join(form.splits)}, got {split!r}")
    return rows_content(load_rows(form, split), f"{form.url} ({split})")


def load_rows(form: HubForm, split: str) -> Iterable[Mapping[str, Any]]:
    """Return the rows of a split through ``datasets``; errors as in `hub_content`."""
    try:
        import datasets
    except ImportError as error:
        raise DataError(f"{form.url}: {_INSTALL}") from error
    try:
        if form.files:
            files = {split: f"hf://datasets/{form.repo}@{form.revision}/{form.splits[split]}"}
            kind = form.splits[split].rpartition(".")[2].removesuffix("l")
            rows = datasets.load_dataset(kind, data_files=files, split=split)
        else:
            rows = datasets.load_dataset(
                form.repo, form.config, split=form.splits[split], revision=form.revision
            )
    except Exception as error:  # Its errors are of many libraries: HTTP, files, its own.
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(
            f"{form.url}: expected to read it at revision {form.revision}, got {told[:300]}; "
            "without a network, place the official file by hand"
        ) from error
    return rows  # type: ignore[no-any-return]


def rows_content(rows: Iterable[Mapping[str, Any]], label: str) -> Content:
    """Return rows as the content of a JSONL file; ``label`` stands for its path in messages."""
    data = b"".join(msgspec.json.encode(row, enc_hook=str) + b"\n" for row in rows)
    if not data:
        raise DataError(f"{label}: expected rows, got none; take another split")
    return Content(label, data, hashlib.sha256(data).hexdigest())
