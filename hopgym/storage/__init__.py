r"""External corpora: a file of paragraphs, indexed once, kept on disk, mapped into memory.

The file is JSONL or one JSON list, plain or gzipped, in UTF-8, one paragraph a row. The layout is
told apart row by row, and fields that are not named here are ignored:

* its own: ``{"title": "Ada Brook", "text": "Ada Brook was born in 1950."}``, or ``sentences``, a
  list, in place of ``text``. The ``corpus.jsonl`` of BEIR and the rows of the Hub's Wikipedia
  dumps are of this layout;
* SynthWorlds: ``{"doc": "Ada Brook\nAda Brook was born in 1950."}``. The title is the first line
  where it has at most 200 characters and more lines follow, else the first 20 characters, which
  then stand in the text too.

A text is cut by `hopgym.documents.split_sentences`. A title may be empty, and so may a text, but
not both. The ids of the documents are the numbers of their rows, ``"0"``, ``"1"`` and so on, since
those of a file may repeat.

The index stands in ``corpora/`` of the cache folder under the SHA-256 of the file, so that a file
that was moved or copied is not indexed again. It takes about twice the room of the file.
"""

import os
from collections.abc import Callable
from pathlib import Path

from hopgym.errors import DataError, require
from hopgym.storage import cache as indexes
from hopgym.storage.corpus import StoredCorpus

__all__ = ["StoredCorpus", "open_corpus"]


def open_corpus(
    path: str | os.PathLike[str],
    *,
    cache: str | os.PathLike[str] | None = None,
    advance: Callable[[int], None] | None = None,
) -> StoredCorpus:
    """Return the corpus of a paragraph file, indexing the file where that was not done yet.

    An index that lacks a file or has one of another size is built again. Whether the file is still
    the one that was indexed is told by its size, modification time and inode; where those differ,
    by its content.

    Args:
        path: The file, in a layout of this module's docstring.
        cache: The folder for indexes; by default the environment variable ``HOPGYM_CACHE``, else
            ``hopgym`` under ``XDG_CACHE_HOME``, which is ``~/.cache`` where it is not set.
        advance: Called while an index is built, with the number of paragraphs done since the last
            call.

    Raises:
        ArgumentError: When an argument is of the wrong type.
        DataError: When the file cannot be used as it is (the message names the line or record), or
            the index cannot be written.
    """
    require(isinstance(path, str | os.PathLike), "path", "a path", path)
    require(cache is None or isinstance(cache, str | os.PathLike), "cache", "a folder", cache)
    name = os.fspath(path)
    corpora = indexes.corpora_folder(cache)
    state = indexes.file_state(name)
    digest = indexes.digest_of(corpora, name, state)
    index = corpora / f"{digest}-v{indexes.VERSION}"
    corpus = _opened(index, state.path)
    if corpus is None:
        with indexes.new_index(index, lambda folder: _opened(folder, name) is not None) as part:
            _build(name, part, advance)
            indexes.check_unchanged(name, state)
        corpus = _opened(index, state.path)
    if corpus is None:
        raise DataError(f"{str(index)!r}: expected the index just built, got none; try again")
    indexes.note_source(index, state)
    return corpus


def _build(path: str, folder: Path, advance: Callable[[int], None] | None) -> None:
    from hopgym.storage.build import write_index
    from hopgym.storage.rows import read_pages

    write_index(read_pages(path), folder, advance)


def _opened(index: Path, path: str) -> StoredCorpus | None:
    """Return the corpus of an index, or None where that is missing or damaged."""
    if not indexes.has_all_files(index):
        return None
    digest = index.name.removesuffix(f"-v{indexes.VERSION}")
    try:
        return StoredCorpus(index, digest, (_reopened, (path, str(index), digest)))
    except (OSError, ValueError):
        return None


def _reopened(path: str, index: str, digest: str) -> StoredCorpus:
    """Return a pickled corpus, from its index where that is still there."""
    folder = Path(index)
    corpus = _opened(folder, path)
    if corpus is None:
        corpus = open_corpus(path, cache=folder.parent.parent)
    if corpus.digest != digest:
        raise DataError(
            f"{path!r}: expected the file whose SHA-256 is {digest}, got one of "
            f"{corpus.digest}; fetch that file again"
        )
    return corpus
