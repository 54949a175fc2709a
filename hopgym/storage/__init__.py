r"""External corpora: a file of paragraphs, indexed once, stored on disk, mapped into memory.

The file is JSONL or one JSON list, plain or gzipped, in UTF-8, one paragraph per row. Each row has
one of these layouts; other fields are ignored:

* ``{"title": "Ada Brook", "text": "Ada Brook was born in 1950."}``, or a list ``sentences`` instead
  of ``text``. The ``corpus.jsonl`` of BEIR and the rows of the Hub's Wikipedia dumps have this
  layout;
* SynthWorlds: ``{"doc": "Ada Brook\nAda Brook was born in 1950."}``. The title is the first line
  if it has at most 200 characters and more lines follow, else the first 20 characters, which then
  stay in the text too.

`hopgym.documents.split_sentences` splits a text. A title or a text may be empty, but not both. The
ids of the documents are the numbers of their rows, ``"0"``, ``"1"`` and so on, because ids in a
file may repeat.

The index is a folder in ``corpora/`` of the cache folder, named after the SHA-256 of the file, so
that a moved or copied file is not indexed again. It needs about twice the disk space of the file.
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

from hopgym.errors import DataError, require
from hopgym.storage import build, index_folder, paragraph_file
from hopgym.storage.corpus import StoredCorpus

__all__ = ["StoredCorpus", "open_corpus"]


def open_corpus(
    path: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str] | None = None,
    advance: Callable[[int], None] | None = None,
) -> StoredCorpus:
    """Return the corpus of a paragraph file, indexing the file the first time.

    A damaged index, in which a file is missing, has another size or fails its checksum, is built
    again with a warning that names the file. A source file counts as unchanged while its size,
    modification time and inode stay the same; otherwise its content is compared.

    Args:
        path: The file, in a layout of this module's docstring.
        cache: The folder for indexes; by default the environment variable ``HOPGYM_CACHE``, else
            ``hopgym`` under ``XDG_CACHE_HOME``, by default ``~/.cache``.
        advance: Called while an index is built, with the number of paragraphs indexed since the
            last call.

    Raises:
        ArgumentError: When an argument has the wrong type.
        DataError: When the file is invalid (the message names the line or record), or the index
            cannot be written.
    """
    require(isinstance(path, str | os.PathLike), "path", "a path", path)
    require(cache is None or isinstance(cache, str | os.PathLike), "cache", "a folder", cache)
    name = os.fspath(path)
    corpora = index_folder.corpora_folder(cache)
    state = index_folder.file_state(name)
    digest = index_folder.digest_of(corpora, name, state)
    index = corpora / f"{digest}{index_folder.SUFFIX}"
    corpus = _open_index(index, state.path)
    if corpus is None:
        with index_folder.new_index(index) as part:
            build.write_index(paragraph_file.read_pages(name), part, advance)
            index_folder.check_unchanged(name, state)
        corpus = _open_index(index, state.path)
    if corpus is None:
        raise DataError(f"{str(index)!r}: expected the index just built, got none; try again")
    index_folder.note_source(index, state)
    return corpus


def _open_index(index: Path, path: str) -> StoredCorpus | None:
    """Return the corpus of an index; None if there is no index, or with a warning a damaged one."""
    if not index.exists():
        return None
    problem = index_folder.find_damage(index)
    if not problem:
        digest = index.name.removesuffix(index_folder.SUFFIX)
        try:
            return StoredCorpus(index, digest, (_reopen, (path, str(index), digest)))
        except (OSError, ValueError) as error:
            problem = str(error)
    warnings.warn(f"{str(index)!r} is damaged and built again: {problem}", stacklevel=3)
    return None


def _reopen(path: str, index: str, digest: str) -> StoredCorpus:
    """Return a pickled corpus, from its index if that is still there."""
    folder = Path(index)
    corpus = _open_index(folder, path)
    if corpus is None:
        corpus = open_corpus(path, cache=folder.parent.parent)
    if corpus.digest != digest:
        raise DataError(
            f"{path!r}: expected the file whose SHA-256 is {digest}, got one of "
            f"{corpus.digest}; fetch that file again"
        )
    return corpus
