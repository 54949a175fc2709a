"""Paragraph files: every layout and form of file, and what is told of those that cannot be used."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from hopgym.errors import DataError
from hopgym.storage import paragraph_file

ROWS: list[dict[str, Any]] = [
    {"title": "Elm", "text": "The elm is a tree. It grows in Elmstead."},
    {"title": "Oak", "text": "The oak is a tree.", "id": "Elm"},
    {"_id": "7", "title": "Zoë O’Hara", "text": "She planted an oak.", "metadata": {"a": ["}"]}},
    {"id": "9", "url": "http://x", "title": "ELM ", "text": 'A town called "Elm\\".\nOld.'},
    {
        "title": "Bee",
        "sentences": ["Bees live in an oak. Or two.", "Bees make 1,234 g of honey’s."],
    },
    {"qid": "Q1", "doc": "Ada Brook\nAda Brook was born in 1950.\nShe bakes."},
    {"qid": "Q2", "doc": "Cleo Dunn works as a baker. She lives in Elmstead."},
    {"title": "", "text": "Nothing is known of 日本 and naïve ＡＢＣ."},  # noqa: RUF001
    {"title": "Pool", "text": ""},
]
PAGES = [
    ("Elm", ("The elm is a tree.", "It grows in Elmstead.")),
    ("Oak", ("The oak is a tree.",)),
    ("Zoë O’Hara", ("She planted an oak.",)),
    ("ELM", ('A town called "Elm\\".', "Old.")),
    ("Bee", ("Bees live in an oak. Or two.", "Bees make 1,234 g of honey’s.")),
    ("Ada Brook", ("Ada Brook was born in 1950.", "She bakes.")),
    ("Cleo Dunn works as a", ("Cleo Dunn works as a baker.", "She lives in Elmstead.")),
    ("", ("Nothing is known of 日本 and naïve ＡＢＣ.",)),  # noqa: RUF001
    ("Pool", ()),
]


def read(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    return [(page.title, page.sentences) for page in paragraph_file.read_pages(str(path))]


def test_every_layout_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pages.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert read(path) == PAGES
    assert [page.id for page in paragraph_file.read_pages(str(path))] == [
        str(i) for i in range(len(PAGES))
    ]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda lines: b"\xef\xbb\xbf\n \r\n" + b"\r\n\n".join(lines),
        lambda lines: b"[" + b",".join(lines) + b"]",
        lambda lines: b"\xef\xbb\xbf \n[\n" + b" ,\n ".join(lines) + b"\n]\n\n",
        lambda lines: json.dumps([json.loads(line) for line in lines], indent=2).encode(),
        lambda lines: gzip.compress(b"\n".join(lines)),
        lambda lines: gzip.compress(b"[" + b",".join(lines) + b"]"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_every_file_form_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrap: Any, chunk: int
) -> None:
    monkeypatch.setattr(paragraph_file, "_CHUNK", chunk)
    lines = [json.dumps(row, ensure_ascii=False).encode() for row in ROWS]
    path = tmp_path / "pages"
    path.write_bytes(wrap(lines))
    assert read(path) == PAGES


@pytest.mark.parametrize(
    ("doc", "title", "sentences"),
    [
        ("x" * 200 + "\nrest", "x" * 200, ("rest",)),
        ("x" * 201 + "\nrest", "x" * 20, ("x" * 201, "rest")),
        ("Ada Brook\n", "Ada Brook", ("Ada Brook",)),
        ("\n\nAda Brook\n\nA baker.", "Ada Brook", ("A baker.",)),
    ],
)
def test_titles_of_untitled_pages(
    tmp_path: Path, doc: str, title: str, sentences: tuple[str, ...]
) -> None:
    path = tmp_path / "pages.jsonl"
    path.write_text(json.dumps({"qid": "Q", "doc": doc}))
    assert read(path) == [(title, sentences)]


GOOD = json.dumps(ROWS[0]).encode()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "expected paragraphs, got an empty file"),
        (b" \n\n", "expected paragraphs, got an empty file"),
        (b"[]", "expected paragraphs, got an empty file"),
        (GOOD + b"\n\n" + GOOD[:-9], r"pages\.jsonl, line 3: Input data was truncated; a row is"),
        (GOOD + b"\n{]}", "line 2: .*malformed"),
        (GOOD + b"\n[1]", "line 2: Expected `object`, got `array`"),
        (GOOD + b"\n7", "line 2: Expected `object`, got `int`"),
        (GOOD + b"\nnull", "line 2: Expected `object`, got `null`"),
        (b'{"text": "x"}', r"line 1: expected the field 'title', got the fields 'text'; a row"),
        (b'{"Title": "x", "text": "x"}', r"got the fields 'Title', 'text' \(did you mean 'title'"),
        (b'{"title": "x"}', "line 1: expected the field 'text', got the fields 'title'"),
        (b'{"title": "x", "text": null}', "expected the field 'text'"),
        (b"{}", "got the fields none"),
        (b'{"title": "x", "doc": "y"}', "expected the field 'text'"),
        (b'{"title": 7, "text": "x"}', r"Expected `str \| null`, got `int` - at `\$.title`"),
        (b'{"title": "x", "text": ["x"]}', r"got `array` - at `\$.text`"),
        (b'{"title": "x", "sentences": [1]}', r"at `\$.sentences\[0\]`"),
        (b'{"doc": {}}', r"at `\$.doc`"),
        (
            b'{"title": "x", "text": "x", "sentences": []}',
            "expected 'text' or 'sentences', got both",
        ),
        (b'{"title": "x", "sentences": ["a", " "]}', "expected text in sentence 1"),
        (b'{"title": " ", "text": "\\n"}', "line 1: expected a title or a text"),
        (b'{"doc": " "}', "line 1: expected a title or a text"),
        (
            GOOD + b'\n{"title": "\xff", "text": ""}',
            "line 2: expected UTF-8 text, got invalid start",
        ),
        (GOOD + b'\n{"x": "\xff", "title": "", "text": "x"}', "line 2: expected UTF-8 text"),
        (GOOD.decode().encode("utf-16"), "line 1: expected UTF-8 text"),
        (GOOD + b"\n" + GOOD.replace(b"elm", b"e\0m"), "line 2: expected UTF-8 text, got a NUL"),
        (b'{"title": "\\ud800", "text": "x"}', "line 1: .*surrogate"),
        (b'{"x": ' + b"[" * 9_999 + b"]" * 9_999 + b"}", "line 1: "),
        pytest.param(
            gzip.compress(GOOD + b"\n" + GOOD)[:-12],
            "expected a whole gzip file, got .* after line",
            id="cut",
        ),
        pytest.param(
            gzip.compress(GOOD)[:-8] + b"12345678", "expected a whole gzip file, got CRC", id="crc"
        ),
        (b"[" + GOOD + b"," + GOOD[:-9], "record 1: expected a whole record, got the end of the"),
        (b"[" + GOOD + b",", "record 1: expected an object, got the end of the file.*cut off"),
        (b"[" + GOOD, "record 1: expected a comma or the end of the list .*, got the end of the"),
        (b"[" + GOOD + b" " + GOOD, "record 1: expected a comma .*, got '{'"),
        (b"[" + GOOD + b",]", r"record 1: expected an object, got '\]'"),
        (b"[" + GOOD + b", 7]", "record 1: expected an object, got '7'"),
        (b"[" + GOOD + b"]\n" + GOOD, "record 1: expected the end of the file after the list"),
        (b"[" + GOOD + b', {"title": "x]}"}]', "record 1: expected the field 'text'"),
        (b"[" + GOOD + b', {"title": "\xff", "text": "x"}]', "record 1: expected UTF-8 text"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "pages.jsonl"
    path.write_bytes(data)
    with pytest.raises(DataError, match=message) as raised:
        read(path)
    assert "pages.jsonl" in str(raised.value)


@pytest.mark.parametrize("wrap", [b"%s\n%s", b"[%s,%s]"])
def test_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrap: bytes) -> None:
    monkeypatch.setattr(paragraph_file, "_MAX_ROW", 100)
    monkeypatch.setattr(paragraph_file, "_CHUNK", 30)
    fits, long = (json.dumps({"title": "x", "text": "y" * size}).encode() for size in (60, 90))
    assert len(fits) < 100 < len(long)
    path = tmp_path / "pages.jsonl"
    path.write_bytes(wrap % (fits, fits))
    assert len(read(path)) == 2
    path.write_bytes(wrap % (fits, long))
    with pytest.raises(DataError, match=r"(line 2|record 1): expected a row of at most 100 bytes"):
        read(path)
