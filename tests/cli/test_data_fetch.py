"""`hopgym data fetch`: rows of the Hub at a pinned revision, without the network."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from hopgym.benchmarks import hub
from hopgym.benchmarks.catalogue import BAMBOOGLE, COFCA, DATASETS, HOTPOTQA, SYNTHWORLDS
from hopgym.benchmarks.lookup import source_class
from hopgym.errors import DataError
from tests.support.command_line import hopgym as run

HOTPOT: dict[str, Any] = {
    "_id": "ada",
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


def told(result: Result) -> str:
    """The one line of an error."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr


def hub_row(row_id: str) -> dict[str, Any]:
    """A row of hotpotqa/hotpot_qa."""
    facts, context = HOTPOT["supporting_facts"], HOTPOT["context"]
    return {
        "id": row_id,
        "supporting_facts": {"title": [t for t, _ in facts], "sent_id": [i for _, i in facts]},
        "context": {"title": [t for t, _ in context], "sentences": [s for _, s in context]},
    } | {key: HOTPOT[key] for key in ("question", "answer", "type", "level")}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What ``datasets.load_dataset`` is called with; it gives two rows and reads no network."""
    datasets = pytest.importorskip("datasets")
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def load_dataset(*args: Any, **named: Any) -> Any:
        calls.append((args, named))
        return datasets.Dataset.from_list([hub_row("a"), hub_row("b")])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


def test_fetch_writes_the_pinned_revision(asked: list[Any], tmp_path: Path) -> None:
    out = tmp_path / "new" / "rows.jsonl"
    words = ("--split", "train", "--variant", "fullwiki", "--out", out)
    result = run("data", "fetch", "HotpotQA", *words)
    assert result.exit_code == 0, result.output
    ((args, named),) = asked
    assert args == ("hotpotqa/hotpot_qa", "fullwiki")
    assert named == {"split": "train", "revision": HOTPOTQA.hub["fullwiki"].revision}
    assert re.fullmatch("[0-9a-f]{40}", named["revision"])
    assert [json.loads(line) for line in out.read_text().splitlines()] == [
        hub_row("a"),
        hub_row("b"),
    ]
    assert [each.name for each in out.parent.iterdir()] == ["rows.jsonl"]
    assert re.search(r"steps judged +2 ", run("data", "check", out).stdout)
    assert "Wrote 2 records of HotpotQA (train), CC BY-SA 4.0." in result.stderr
    told_check = f"hopgym data check {out} --benchmark hotpotqa --setting fullwiki"
    assert told_check in result.stderr
    assert run(*told_check.split()[1:]).exit_code == 0


def test_fetch_takes_the_split_that_is_scored(asked: list[Any], tmp_path: Path) -> None:
    assert run("data", "fetch", "gsm8k", "--out", tmp_path / "rows").exit_code == 0
    ((args, named),) = asked
    assert args == ("openai/gsm8k", "main") and named["split"] == "test"
    assert run("data", "fetch", "twowiki", "--out", tmp_path / "rows").exit_code == 0
    (kind,), named = asked[1]
    form = next(iter(next(d for d in DATASETS if d.name == "twowiki").hub.values()))
    place = f"hf://datasets/{form.repo}@{form.revision}/data/dev.json"
    assert kind == "json" and named["data_files"] == {"validation": place}


def test_fetch_of_synthworlds_brings_its_documents(asked: list[Any], tmp_path: Path) -> None:
    result = run("data", "fetch", "synthworlds", "--variant", "sm", "--out", tmp_path / "q.jsonl")
    assert result.exit_code == 0, result.output
    assert [args[1] for args, _ in asked] == ["qa-sm", "qa-sm-docs"]
    assert {named["revision"] for _, named in asked} == {SYNTHWORLDS.hub["sm"].revision}
    assert {each.name for each in tmp_path.iterdir()} == {"q.jsonl", "q.documents.jsonl"}
    assert f"--documents {tmp_path / 'q.documents.jsonl'}" in result.stderr


def test_fetch_of_what_is_not_on_the_hub(tmp_path: Path) -> None:
    for dataset in DATASETS:
        if not dataset.hub:
            out = tmp_path / "rows.jsonl"
            message = told(run("data", "fetch", dataset.name, "--out", out))
            assert dataset.by_hand in message and dataset.origin in message
            assert not out.exists()
    assert not COFCA.hub and not BAMBOOGLE.hub


@pytest.mark.parametrize("existing", [None, "before"])
def test_fetch_without_a_network_leaves_what_was_there(
    existing: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "rows.jsonl"
    if existing:
        out.write_text(existing)

    def offline(form: Any, split: str) -> Any:
        raise DataError(f"{form.url}: expected to read it, got ConnectionError")

    monkeypatch.setattr(hub, "load_rows", offline)
    message = told(run("data", "fetch", "hotpotqa", "--out", out))
    assert "got ConnectionError" in message and HOTPOTQA.by_hand in message
    assert [each.read_text() for each in tmp_path.iterdir()] == ([existing] if existing else [])


def test_fetch_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(form: Any, split: str) -> Any:
        yield hub_row("a")
        raise KeyboardInterrupt

    monkeypatch.setattr(hub, "load_rows", rows)
    assert run("data", "fetch", "hotpotqa", "--out", tmp_path / "rows.jsonl").exit_code == 130
    monkeypatch.setattr(hub, "load_rows", lambda form, split: [])
    message = told(run("data", "fetch", "hotpotqa", "--out", tmp_path / "rows.jsonl"))
    assert "expected rows, got none" in message
    assert list(tmp_path.iterdir()) == []


def test_fetch_without_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    message = told(run("data", "fetch", "musique", "--out", tmp_path / "rows.jsonl"))
    assert "pip install 'hopgym[data]'" in message


def test_fetch_of_wrong_words(tmp_path: Path) -> None:
    out = ("--out", tmp_path / "rows.jsonl")
    fetch = ("data", "fetch")
    assert "did you mean 'validation'?" in told(
        run(*fetch, "hotpotqa", "--split", "validaton", *out)
    )
    message = told(run(*fetch, "hotpotqa", "--variant", "fullwik", *out))
    assert "one of distractor, fullwiki" in message and "did you mean 'fullwiki'?" in message
    assert "--variant must be left out" in told(run(*fetch, "twowiki", "--variant", "x", *out))
    assert "one of hotpotqa" in told(run(*fetch, "nothing", *out))
    assert run(*fetch, "hotpotqa").exit_code == 2


def test_every_benchmark_with_an_environment_can_be_loaded() -> None:
    for dataset in DATASETS:
        if dataset.env_id:
            assert source_class(dataset).name == dataset.name
            assert set(dataset.hub) <= set(source_class(dataset).variants)
