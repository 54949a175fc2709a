"""Indexes of external corpora: built once, whole or not at all, mended where they are damaged."""

import copy
import hashlib
import os
import pickle
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hopgym.documents import Corpus, Document
from hopgym.errors import ArgumentError, DataError
from hopgym.storage import StoredCorpus, build, index_folder, open_corpus, paragraph_file
from tests.support.documents import read_back

ROWS = [{"title": f"Page {i}", "text": f"Word{i} and oak."} for i in range(7)]
PAGES = [(f"Page {i}", (f"Word{i} and oak.",)) for i in range(7)]


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for every index built."""
    done: list[int] = []
    write_index = build.write_index

    def counted(*arguments: Any) -> int:
        done.append(write_index(*arguments))
        return done[-1]

    monkeypatch.setattr(build, "write_index", counted)
    return done


def index_of(cache: Path) -> Path:
    (index,) = (cache / "corpora").iterdir()
    return index


def test_copies_and_pickles(write: Any, own_cache: Path, builds: list[int]) -> None:
    path = write(ROWS)
    corpus = open_corpus(path)
    assert copy.deepcopy(corpus) is corpus
    data = pickle.dumps(corpus)
    assert len(data) < 1_000
    again = pickle.loads(data)
    assert isinstance(again, StoredCorpus) and again.digest == corpus.digest
    assert read_back(again) == PAGES and len(builds) == 1
    (index_of(own_cache) / "pages.bin").unlink()
    with pytest.warns(UserWarning, match=r"pages\.bin cannot be read"):
        assert read_back(pickle.loads(data)) == PAGES and len(builds) == 2
    (index_of(own_cache) / "pages.bin").unlink()
    write(ROWS[1:])
    with (
        pytest.raises(DataError, match=r"pages\.jsonl.*expected the file whose SHA-256 is"),
        pytest.warns(UserWarning, match=r"pages\.bin cannot be read"),
    ):
        pickle.loads(data)


def test_an_index_is_built_once_for_a_content(
    write: Any, own_cache: Path, builds: list[int], tmp_path: Path
) -> None:
    path = write(ROWS)
    digest = open_corpus(path).digest
    assert index_of(own_cache).name == f"{digest}-v2"
    assert open_corpus(str(path)).digest == digest
    os.utime(path)
    copied = tmp_path / "copy.jsonl"
    copied.write_bytes(path.read_bytes())
    assert open_corpus(path).digest == open_corpus(copied).digest == digest
    assert builds == [len(ROWS)]
    write(ROWS[1:])
    assert open_corpus(path).digest != digest and open_corpus(copied).digest == digest
    assert builds == [len(ROWS), len(ROWS) - 1]


def test_an_unchanged_file_is_not_read_again(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = hashlib.file_digest
    monkeypatch.setattr(
        "hashlib.file_digest", lambda file, name: read.append(name) or original(file, name)
    )
    path = write(ROWS)
    open_corpus(path), open_corpus(path)
    assert len(read) == 1
    os.utime(path, ns=(0, 1))
    open_corpus(path), open_corpus(path)
    assert len(read) == 2
    # A file just written may be written again without a new time stamp.
    path = write(ROWS, settled=False)
    open_corpus(path), open_corpus(path)
    assert len(read) == 4


DAMAGES = {
    "missing": r"scores\.npy cannot be read",
    "short": r"scores\.npy has \d+ bytes, expected \d+",
    "empty": r"pages\.bin has 0 bytes, expected \d+",
    "folder": r"contents\.json cannot be read",
    "contents": r"contents\.json cannot be decoded",
    "borders": r"pages\.npy fails its checksum at byte 0",
    "zeros": r"borders\.npy fails its checksum at byte 0",
    "flipped": r"scores\.npy fails its checksum at byte 0",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_built_again(
    write: Any, own_cache: Path, builds: list[int], damage: str
) -> None:
    path = write(ROWS)
    open_corpus(path)
    index = index_of(own_cache)
    file = index / "scores.npy"
    match damage:
        case "missing":
            file.unlink()
        case "short":
            file.write_bytes(file.read_bytes()[:-1])
        case "empty":
            (index / "pages.bin").write_bytes(b"")
        case "folder":
            for name in list(index.iterdir()):
                name.unlink()
        case "contents":
            (index / "contents.json").write_text("[1")
        case "borders":
            borders = index / "pages.npy"
            borders.write_bytes(bytes(borders.stat().st_size))
        case "zeros":
            borders = index / "borders.npy"
            borders.write_bytes(borders.read_bytes()[:-8] + bytes(8))
        case "flipped":
            file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.warns(UserWarning, match=f"is damaged and built again: .*{DAMAGES[damage]}"):
        corpus = open_corpus(path)
    assert read_back(corpus) == PAGES
    assert corpus.search("oak word5", 1) == [5]
    open_corpus(path)
    assert len(builds) == 2 and index_of(own_cache) == index


def test_large_files_are_verified_in_part_and_once(
    write: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_folder, "_BLOCK", 8)
    monkeypatch.setattr(index_folder, "_VERIFIED_BLOCKS", 3)
    checked: list[bytes] = []
    crc32 = zlib.crc32
    monkeypatch.setattr("zlib.crc32", lambda data: checked.append(data) or crc32(data))
    path = write(ROWS)
    open_corpus(path)
    del checked[:]
    open_corpus(path)
    assert checked == []
    scores = index_of(own_cache) / "scores.npy"
    data = scores.read_bytes()
    for at, damaged in ((0, True), (8, False), (len(data) - 1, True)):
        scores.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
        assert ("fails its checksum" in index_folder.find_damage(index_of(own_cache))) == damaged
    assert 3 <= len(checked) < len(data) / 8 * 3


@pytest.mark.parametrize("failure", [KeyboardInterrupt, DataError])
def test_an_interrupt_leaves_nothing(
    write: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException]
) -> None:
    path = write(ROWS)
    read_pages = paragraph_file.read_pages

    def stopped(name: str) -> Iterator[Document]:
        yield next(read_pages(name))
        raise failure

    with monkeypatch.context() as patched:
        patched.setattr(paragraph_file, "read_pages", stopped)
        with pytest.raises(failure):
            open_corpus(path)
    assert list((own_cache / "corpora").iterdir()) == []
    assert read_back(open_corpus(path)) == PAGES


def test_leftovers_of_killed_processes_are_removed(write: Any, own_cache: Path) -> None:
    old, new = own_cache / "corpora" / "a-v2.1.part", own_cache / "corpora" / "b-v2.2.part"
    for part in (old, new):
        part.mkdir(parents=True)
        (part / "pages.bin").write_bytes(b"x")
    os.utime(old, (0, 0))
    open_corpus(write(ROWS))
    assert not old.exists() and new.exists()


def test_two_may_build_at_once(
    write: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(ROWS)
    both, write_index = threading.Barrier(2, timeout=60), build.write_index

    def together(*arguments: Any) -> int:
        both.wait()
        return write_index(*arguments)

    monkeypatch.setattr(build, "write_index", together)
    found: list[Corpus] = []
    threads = [threading.Thread(target=lambda: found.append(open_corpus(path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [read_back(corpus) for corpus in found] == [PAGES, PAGES]
    assert index_of(own_cache).is_dir()


def test_a_file_that_changes_while_it_is_read_is_told(
    write: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(ROWS)
    write_index = build.write_index

    def slow(*arguments: Any) -> int:
        count = write_index(*arguments)
        os.utime(path)
        return count

    monkeypatch.setattr(build, "write_index", slow)
    with pytest.raises(DataError, match="changed while it was read"):
        open_corpus(path)
    assert list((own_cache / "corpora").iterdir()) == []


def test_progress_counts_paragraphs(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_REPORT_EVERY", 4)
    path, counts = write(ROWS), []
    open_corpus(path, advance=counts.append), open_corpus(path, advance=counts.append)
    assert counts == [4, 3]


def test_where_indexes_stand(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(ROWS)

    def lands_in(folder: Path, **arguments: Any) -> bool:
        open_corpus(path, **arguments)
        return index_of(folder).is_dir()

    assert lands_in(tmp_path / "given", cache=tmp_path / "given")
    assert lands_in(tmp_path / "cache")
    monkeypatch.setenv("HOPGYM_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert lands_in(tmp_path / "xdg" / "hopgym")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert lands_in(tmp_path / "home" / ".cache" / "hopgym")


def test_a_cache_that_cannot_be_written(write: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file.corpora'.*Not a directory.*HOPGYM_CACHE"):
        open_corpus(write(ROWS), cache=tmp_path / "file")


def test_a_row_that_cannot_be_used_leaves_no_index(write: Any, own_cache: Path) -> None:
    with pytest.raises(DataError, match=r"pages\.jsonl, line 8: expected the field 'text'"):
        open_corpus(write([*ROWS, {"title": "Elm"}]))
    assert list((own_cache / "corpora").iterdir()) == []


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.*No such file"):
        open_corpus(tmp_path / "nowhere")
    with pytest.raises(DataError, match="got a directory"):
        open_corpus(tmp_path)
    with pytest.raises(DataError, match="null byte"):
        open_corpus("a\0b")
    for arguments in ({"path": 7}, {"path": b"x"}, {"path": "x", "cache": 7}):
        with pytest.raises(ArgumentError, match=f"{list(arguments)[-1]} must be"):
            open_corpus(**arguments)  # type: ignore[arg-type]
