"""The command that writes the baselines page, on a small file."""

import re
import runpy
from pathlib import Path

from tests.support.contract_files import FILES
from tests.support.paths import ROOT

BASELINES = runpy.run_path(str(ROOT / "scripts" / "baselines.py"))


def test_every_mode_and_policy_has_its_row(tmp_path: Path) -> None:
    FILES["hopgym/HotpotQA-v0"](tmp_path)
    FILES["hopgym/GSM8K-v0"](tmp_path)
    (tmp_path / "notes.json").write_text('{"nothing": "of a benchmark"}')
    (tmp_path / "DERIVED_x.json").write_bytes((tmp_path / "hotpot.json").read_bytes())
    sections = [BASELINES["section"](*each) for each in BASELINES["files_in"](tmp_path)]
    assert [text.splitlines()[0] for text in sections] == [
        "## GSM8K-v0: gsm8k.jsonl", "## HotpotQA-v0: hotpot.json",
    ]  # fmt: skip
    sums, hotpot = sections
    for mode, policies in BASELINES["POLICIES"].items():
        for policy in policies:
            assert hotpot.count(f"| {mode} | ") and f" | {policy} | " in hotpot
    assert "3 records, 1 of them not judged." in hotpot
    full = r"100.0% [\d.]+–100"
    assert re.search(rf"\| tools \| split \| oracle \| {full} \| {full} \|", hotpot)
    # No search for the words of these two questions finds all of their gold pages.
    assert "| record | 2 | 0.0% | 0.0% | 0.0% | 0.0% |" in hotpot
    assert re.search(rf"\| tools \| none \| oracle \| {full} \|", sums)
    assert "recall@2" not in sums
