"""Sources over one file: what can be wrong with it, what is shared, copied and pickled."""

import copy
import gzip
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopgym.benchmarks import records
from hopgym.benchmarks.hotpotqa import HotpotQASource
from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError

RECORD: dict[str, Any] = {
    "_id": "5a",
    "question": "On which river lies the town where Ada Brook was born?",
    "answer": "the Farrow",
    "supporting_facts": [["Ada Brook", 1], ["Elmstead", 0]],
    "context": [
        ["Ada Brook", ["Ada Brook is a baker.", " She was born in Elmstead."]],
        ["Elmstead", ["It lies on the Farrow.", " It was founded in 1410."]],
    ],
    "type": "bridge",
    "level": "hard",
}


def record(**changes: Any) -> dict[str, Any]:
    return RECORD | changes


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(*rows: dict[str, Any], limit: int | None = None) -> HotpotQASource:
        path = tmp_path / "records.json"
        path.write_text(json.dumps(rows))
        return HotpotQASource(path, limit)

    return load


def test_unknown_ids_and_arguments_say_what_was_expected(load: Any, tmp_path: Path) -> None:
    source = load(RECORD | {"_id": "5a8b57f2"})
    for unknown, message in (("5a8b57f3", "did you mean '5a8b57f2'"), (7, "got 7"), ([], "got")):
        with pytest.raises(ArgumentError, match=message):
            source.index_of(unknown)
    for index in (-1, 1):
        with pytest.raises(IndexError):
            source[index]
    for limit in (0, -1, True, 1.0, "1"):
        with pytest.raises(ArgumentError, match="limit must be a whole number from 1, or None"):
            load(RECORD, limit=limit)
    for path in (3, b"x", ""):
        with pytest.raises(ArgumentError, match="path must be the path of a file"):
            HotpotQASource(path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b" \n", "empty file"),
        (b"[]", "empty list"),
        (b"{}", "missing required field `question`"),
        (b"[7]", "record 0: Expected `object`, got `int`"),
        (b"null", "line 1: Expected `object`"),
        (b"<html>", "line 1: JSON is malformed"),
        (b"[" * 100_000, "recursion"),
        (b'[{"a":' * 100_000, "recursion"),
        (b"[1,2]]", "trailing characters"),
        ('[{"question": "é"}]'.encode("latin-1"), "expected UTF-8 text, got .* at byte 15"),
        (json.dumps([RECORD]).encode("utf-16"), "expected UTF-8 text"),
        (b'[{"question": "\0"}]', "NUL byte at byte 15"),
        (b"\x1f\x8b\x08 no gzip", "expected a whole gzip file"),
    ],
)
def test_unusable_files_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message) as caught:
        HotpotQASource(path)
    assert "broken.json" in str(caught.value)


def test_lines_and_records_of_absurd_length_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, line = tmp_path / "long.jsonl", json.dumps(RECORD)
    monkeypatch.setattr(records, "MAX_LINE", 1 << 20)
    monkeypatch.setattr(records, "_CHUNK", 1 << 16)
    path.write_text(f'{line}\n{line[:-1]}, "more": "{"x" * (2 << 20)}"}}')
    for name, data in (("a.jsonl", path.read_bytes()), ("b.gz", gzip.compress(path.read_bytes()))):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=r"line 2: expected a line of at most 1,048,576 bytes"):
            HotpotQASource(tmp_path / name)
    monkeypatch.setattr(records, "MAX_RECORD", 1 << 20)
    path.write_text(f'[{line},\n{line[:-1]}, "more": "{"x" * (2 << 20)}"}}]')
    with pytest.raises(DataError, match=r"record 1: expected a record of at most 1,048,576 bytes"):
        HotpotQASource(path)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "dev.json").write_text("[]")
    cases: list[tuple[str | Path, str]] = [
        (tmp_path / "none.json", "No such file"),
        (tmp_path, "got a directory .it holds dev.json"),
        ("a\0b", "null"),
    ]
    if os.name == "posix":
        cases += [("x" * 5000, "too long"), (os.devnull, "expected a regular file")]
    for path, message in cases:
        with pytest.raises(DataError, match=message):
            HotpotQASource(path)


def test_a_file_cut_anywhere_is_a_data_error(tmp_path: Path) -> None:
    whole = json.dumps([RECORD, record(_id="5b", answer="Zürich")], ensure_ascii=False).encode()
    path = tmp_path / "cut.json"
    for data in (whole, gzip.compress(whole, mtime=0)):
        for end in range(len(data)):
            path.write_bytes(data[:end])
            with pytest.raises(DataError):
                HotpotQASource(path)
        path.write_bytes(data)
        assert len(HotpotQASource(path)) == 2


@given(place=st.integers(0, 10_000), value=st.binary(max_size=3))
def test_damaged_bytes_load_or_raise_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, value: bytes
) -> None:
    data = bytearray(json.dumps([RECORD, record(_id="5b")]).encode())
    place %= len(data)
    data[place : place + 1] = value
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(data)
    try:
        source = HotpotQASource(path)
    except DataError:
        return
    for index in range(len(source)):
        env = HopEnv(source)
        env.reset(options={"index": index})
        assert env.step("<answer>the Farrow</answer>")[2]


def test_gzip_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    data = json.dumps([RECORD]).encode()
    contents = {"a.json": data, "b.json": b"\xef\xbb\xbf" + data, "c.json.gz": gzip.compress(data)}
    fingerprints = set()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        fingerprints.add(HotpotQASource(tmp_path / name).fingerprint)
    assert len(fingerprints) == 1


def test_the_fingerprint_follows_content_and_limit(load: Any) -> None:
    rows = (RECORD, record(_id="5b"))
    whole = load(*rows).fingerprint
    assert load(*rows, limit=2).fingerprint == whole
    assert load(*rows, limit=1).fingerprint != whole
    assert load(RECORD, record(_id="5c")).fingerprint != whole


def test_sources_of_one_file_share_their_tasks_and_see_it_change(load: Any, tmp_path: Path) -> None:
    first, second = load(RECORD), load(RECORD)
    assert first[0] is first[0]
    assert second[0].corpus is first[0].corpus
    # Long unchanged, so that its time stamp is enough.
    os.utime(tmp_path / "records.json", (1e9, 1e9))
    third, fourth = (HotpotQASource(tmp_path / "records.json") for _ in range(2))
    assert fourth[0] is third[0] is first[0]
    changed = load(record(answer="the Harrow"))
    assert (changed[0].question.answers, first[0].question.answers) == (
        ("the Harrow",),
        ("the Farrow",),
    )


def test_copies_and_pickles_are_small_and_give_the_same_tasks(load: Any, tmp_path: Path) -> None:
    source = load(*(record(_id=str(i)) for i in range(50)), limit=40)
    assert copy.deepcopy(source)[3] is source[3]
    data = pickle.dumps(source)
    assert len(data) < 1000
    assert pickle.loads(data)[3] is source[3]
    env = HopEnv(source)
    env.reset(options={"index": 3})
    twin = pickle.loads(pickle.dumps(env))
    assert twin.step("<lookup>Ada Brook</lookup>") == env.step("<lookup>Ada Brook</lookup>")
    (tmp_path / "records.json").write_text(json.dumps([RECORD]))
    with pytest.raises(DataError, match="expected the content that the pickled source had read"):
        pickle.loads(data)


def test_many_tasks_are_not_all_kept(load: Any) -> None:
    source = load(*(record(_id=str(i)) for i in range(50)))
    first = source[0]
    assert all(source[i].question.id == str(i) for i in range(50))
    assert source[0] is not first
    assert source[0].question == first.question
