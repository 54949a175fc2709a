"""Gold facts in the record, in the whole file and in a corpus from elsewhere; threads; limits."""

import json
import threading
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from hopgym.benchmarks.hotpotqa import HotpotQASource
from hopgym.benchmarks.passages import GoldFact, external_evidence, sentence_facts, split_evidence
from hopgym.documents import Corpus, Document, PageList
from hopgym.errors import DataError

CALL = ("search", "x")


def corpus(*pages: tuple[str, tuple[str, ...]]) -> Corpus:
    documents = tuple(Document(str(i), title, text) for i, (title, text) in enumerate(pages))
    return Corpus(PageList(documents), "split")


def row(number: int, facts: list[Any], context: list[Any]) -> dict[str, Any]:
    return {
        "_id": f"id{number}", "question": f"Which one is number {number}?", "answer": "Vale",
        "supporting_facts": facts, "context": context, "type": "bridge", "level": "hard",
    }  # fmt: skip


def test_a_sentence_out_of_range_is_shown_nowhere(tmp_path: Path) -> None:
    long = ["Vale", [f"Unrelated {i}." for i in range(9)]]
    rows = [row(0, [["Vale", 7]], [["Vale", ["A town.", " It lies low."]]]), row(1, [], [long])]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    for name in ("record", "split"):
        source = HotpotQASource(tmp_path / "rows.json", corpus=name)
        assert (source[0].question.proofs, source.unjudged) == ((), 2)
    (fact,) = sentence_facts([("Vale", 7)], (Document("0", "Vale", ("A town.",)),))
    assert external_evidence(fact, corpus(("Vale", ("A town.",))), CALL) == []


def test_a_page_that_the_record_lacks_may_be_another_record_s() -> None:
    facts = sentence_facts([("Vale", 1), ("", 0)], (Document("0", "Elm", ("A tree.",)),))
    assert [fact.title_missing for fact in facts] == [True, False]
    pages = corpus(
        ("Elm", ("A tree.",)), ("Vale", ("A town.", "It lies low.")), ("vale", ("x", "y"))
    )
    (evidence,) = split_evidence(facts[0], ("0",), pages, CALL)
    assert evidence.shown_by == (("1", 1),)


def test_a_sentence_cut_in_two_elsewhere_is_two_facts() -> None:
    text = "It lies in St. Ives, near the sea."
    pages = corpus(
        ("Vale & Ives", ("A town.", "It lies in St.", "Ives, near  the sea.", "It is old.")),
    )
    found = external_evidence(GoldFact("Vale &amp; Ives", 1, text, ((0, 1),)), pages, CALL)
    assert [each.shown_by for each in found] == [(("0", 1),), (("0", 2),)]
    whole = external_evidence(GoldFact("Vale &amp; Ives", None, text, ((0, None),)), pages, CALL)
    assert [each.shown_by for each in whole] == [(("0", None),)]
    assert (
        external_evidence(
            GoldFact("Vale &amp; Ives", 1, "It lies in St. Mary.", ((0, 1),)), pages, CALL
        )
        == []
    )


def test_threads_find_every_title_at_their_first_lookup() -> None:
    pages = corpus(*((f"Page {i}", ("x",)) for i in range(20_000)))
    found: list[int] = []

    def look() -> None:
        found.extend(len(pages.lookup(f"page {i}")) for i in range(0, 20_000, 999))

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * len(found) and len(found) == 6 * 21


def test_records_behind_the_limit_are_checked_where_all_paragraphs_are_searched(
    tmp_path: Path,
) -> None:
    rows = [row(0, [], [["Vale", ["A town."]]]), row(1, [], [["Elm", "no list"]])]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert len(HotpotQASource(tmp_path / "rows.json", 1)) == 1
    with pytest.raises(DataError, match="record 1"):
        HotpotQASource(tmp_path / "rows.json", 1, corpus="split")


@pytest.mark.parametrize(
    ("field", "told"), [("evidences", "hopgym/TwoWiki-v0"), ("sub_questions", "hopgym/CofCA-v0")]
)
def test_files_of_its_kin_are_refused(tmp_path: Path, field: str, told: str) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([row(0, [], []) | {field: [["a", "b", "c"]]}]))
    with pytest.raises(DataError, match=rf"record 0: expected a record of HotpotQA.*take {told}"):
        HotpotQASource(tmp_path / "rows.json")


def test_equal_corpora_from_elsewhere_share_their_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOPGYM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "rows.json").write_text(json.dumps([row(0, [], [])]))
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text('{"title": "Vale", "text": "A town."}')
    made = [
        HotpotQASource(tmp_path / "rows.json", corpus=tmp_path / f"{name}.jsonl")
        for name in ("one", "two", "one")
    ]
    assert made[0]._records is made[1]._records is made[2]._records


# What a prompt asks and shows where an answer is to name its support


def test_sentences_are_numbered_where_a_support_is_asked_for(tmp_path: Path) -> None:
    context = [["Vale", ["A town.", " It lies low."]]]
    (tmp_path / "rows.json").write_text(json.dumps([row(0, [["Vale", 1]], context)]))
    arguments = {"path": str(tmp_path / "rows.json"), "ask_support": True}
    env = gymnasium.make("hopgym/HotpotQA-v0", **arguments)
    env.reset()
    shown, *_, info = env.step("<lookup>Vale</lookup>")
    assert shown.startswith("Vale\n[0] A town. [1] It lies low.")
    assert info["verdict"] == "good"
    page = gymnasium.make("hopgym/HotpotQA-v0", mode="one_turn", **arguments).reset()[0]
    assert "Vale\n[0] A town. [1] It lies low." in page
    blind = gymnasium.make("hopgym/HotpotQA-v0", mode="closed_book", **arguments).reset()[0]
    assert "page" not in blind and "support" not in blind
