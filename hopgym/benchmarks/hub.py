"""Load the rows of a dataset on the Hub, at a pinned revision, as the content of a JSONL file.

Every reader accepts the layout of the Hub's rows, so benchmarks read them like official files.
This needs the extra ``data``, and the network unless ``datasets`` has cached the rows.
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
    """Return the form of a variant on the Hub.

    Raises:
        ArgumentError: If the Hub does not have it.
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
        ArgumentError: If there is no such split.
        DataError: If ``datasets`` is missing, or if the Hub cannot be reached or refuses.
    """
    if split not in form.splits:
        raise ArgumentError(f"split must be one of {', '.join(form.splits)}, got {split!r}")
    return rows_content(load_rows(form, split), f"{form.url} ({split})")


def load_rows(form: HubForm, split: str) -> Iterable[Mapping[str, Any]]:
    """Load the rows of a split with ``datasets``.

    Raises:
        DataError: If ``datasets`` is missing, or if the Hub cannot be reached or refuses.
    """
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
    except Exception as error:  # datasets raises errors of many libraries.
        message = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(
            f"{form.url}: expected to read it at revision {form.revision}, got {message[:300]}; "
            "without a network, place the official file by hand"
        ) from error
    return rows  # type: ignore[no-any-return]


def rows_content(rows: Iterable[Mapping[str, Any]], label: str) -> Content:
    """Return rows as the content of a JSONL file; error messages call it ``label``."""
    data = b"".join(msgspec.json.encode(row, enc_hook=str) + b"\n" for row in rows)
    if not data:
        raise DataError(f"{label}: expected rows, got none; take another split")
    return Content(label, data, hashlib.sha256(data).hexdigest())
