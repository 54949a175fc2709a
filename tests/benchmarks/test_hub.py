"""Rows from the Hub: what is asked of `datasets`, and the tasks that come of it."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks import hub
from hopgym.benchmarks.catalogue import DATASETS, HOTPOTQA
from hopgym.benchmarks.hotpotqa import HotpotQASource
from hopgym.errors import ArgumentError, DataError

ROWS = [
    {
        "_id": f"id{number}", "question": f"Where is the home of {name}?", "answer": town,
        "supporting_facts": [[name, 1]], "type": "bridge", "level": "hard",
        "context": [[name, ["A baker.", f" The home is {town}."]], [town, [f"{town} is a town."]]],
    }
    for number, (name, town) in enumerate((("Ada Brook", "Elmstead"), ("Gil Hart", "Vale")))
]  # fmt: skip


def hub_row(official: dict[str, Any]) -> dict[str, Any]:
    facts, context = official["supporting_facts"], official["context"]
    return {
        "id": official["_id"],
        "supporting_facts": {"title": [t for t, _ in facts], "sent_id": [i for _, i in facts]},
        "context": {"title": [t for t, _ in context], "sentences": [s for _, s in context]},
    } | {key: official[key] for key in ("question", "answer", "type", "level")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(ROWS))
    return path


def test_the_hub_gives_the_same_tasks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([hub_row(each) for each in ROWS])
    asked: list[Any] = []

    def load(*names: Any, **options: Any) -> Any:
        asked.append((names, options))
        return rows

    monkeypatch.setattr(datasets, "load_dataset", load)
    hub.hub_content.cache_clear()
    official = HotpotQASource(path)
    source = HotpotQASource(hub=True, setting="fullwiki", split="train")
    assert [source[i].question for i in range(2)] == [official[i].question for i in range(2)]
    assert list(source[1].corpus) == list(official[1].corpus)
    form = HOTPOTQA.hub["fullwiki"]
    expected = {"split": "train", "revision": form.revision}
    assert asked == [(("hotpotqa/hotpot_qa", "fullwiki"), expected)]
    twin = pickle.loads(pickle.dumps(source))
    assert twin.fingerprint == source.fingerprint
    assert len(asked) == 1
    hub.hub_content.cache_clear()


def test_files_on_the_hub_are_pinned_in_their_address(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    asked: list[Any] = []
    monkeypatch.setattr(
        datasets, "load_dataset", lambda *a, **k: asked.append((a, k)) or [{"a": 1}]
    )
    twowiki = next(dataset for dataset in DATASETS if dataset.name == "twowiki")
    form = twowiki.hub[""]
    content = hub.hub_content.__wrapped__(form, "validation")
    address = f"hf://datasets/{form.repo}@{form.revision}/data/dev.json"
    assert asked == [(("json",), {"data_files": {"validation": address}, "split": "validation"})]
    assert content.data == b'{"a":1}\n'


def test_every_revision_is_a_whole_commit() -> None:
    forms = [form for dataset in DATASETS for form in dataset.hub.values()]
    assert len(forms) == 9
    assert all(len(form.revision) == 40 and int(form.revision, 16) for form in forms)


def test_the_hub_out_of_reach_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def load(*names: Any, **options: Any) -> Any:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(datasets, "load_dataset", load)
    hub.hub_content.cache_clear()
    with pytest.raises(DataError, match=r"no route to host; without a network, place the official"):
        HotpotQASource(hub=True)
    with pytest.raises(ArgumentError, match="split must be one of train, validation, got 'test'"):
        HotpotQASource(hub=True, split="test")
