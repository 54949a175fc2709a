"""Figures of files and corpora, on a few records."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hopgym.cli import bench
from hopgym.cli.app import app

ROW = {
    "_id": "5a", "question": "Where was Ada Brook born?", "answer": "Elmstead", "type": "bridge",
    "supporting_facts": [["Ada Brook", 1]], "level": "hard",
    "context": [["Ada Brook", ["A baker she is.", " Born in Elmstead she was."]],
                ["Elmstead", ["Elmstead lies on the Farrow."]]],
}  # fmt: skip


def test_records_are_repeated_with_changes() -> None:
    rows = bench._repeated([ROW], 3)
    assert len({row["_id"] for row in rows}) == 3
    assert [row["context"][1][1][0][-1] for row in rows] == [".", "1", "2"]


def test_paragraphs_are_repeated_with_changes(tmp_path: Path) -> None:
    queries = bench._write_corpus([ROW], tmp_path / "corpus.jsonl", 5)
    lines = [json.loads(line) for line in (tmp_path / "corpus.jsonl").read_text().splitlines()]
    assert len({line["title"] for line in lines}) == 5
    assert len({line["text"] for line in lines}) > 2
    assert queries == [ROW["question"]]


def test_every_figure_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_RECORDS", 4), ("_PARAGRAPHS", 6), ("_SETTLED", 0.0)):
        monkeypatch.setattr(bench, name, value)
    (tmp_path / "rows.json").write_text(json.dumps([ROW]))
    words = ["bench", "--rounds", "1", "--json", "--hotpotqa", str(tmp_path / "rows.json")]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    rows = json.loads(result.stdout)
    assert len(rows) == 10
    assert all(row["value"] > 0 for row in rows)
    words[-1] = str(tmp_path / "nothing.json")
    assert CliRunner().invoke(app, words).exit_code == 2
