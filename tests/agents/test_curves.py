"""Learning curves: what a page of them holds, from logs made up here."""

import json
import re
from pathlib import Path
from typing import Any

from hopgym_agents.curves import read_points, sections_of, write_curves
from tests.support.chromium import chromium, needs_chromium


def log(path: Path, gain: float, **more: Any) -> Path:
    points: list[dict[str, Any]] = []
    for step in range(5):
        spent = {"step": step, "generated_tokens": 1_000 * step, "cpu_seconds": 2.0 * step}
        hops = {"1": {"n": 5, "success": 0.9}, "2": {"n": 5, "success": gain * step}}
        dev = {"n": 10, "success": gain * step, "f1": 0.5, "by_hops": hops}
        points.append(spent | {"dev": dev})
        told = {"loss": 1 / (step + 1), "entropy": 0.5, "zero_variance": 0.25, "malformed": 0.01}
        points.append(spent | told | {"good_by_step": {"1": [step, 10], "2": [0, 0]}} | more)
    path.write_text("".join(f"{json.dumps(point)}\n" for point in points), encoding="utf-8")
    return path


def test_the_charts_of_two_runs(tmp_path: Path) -> None:
    seeds = [log(tmp_path / "a0", 0.1), log(tmp_path / "a1", 0.2)]
    sections = sections_of({"a": seeds, "b": [log(tmp_path / "b", 0.15, kl=0.1)]})
    titles = {section.title: [each.title for each in section.charts] for section in sections}
    assert titles == {
        "Success on held-out tasks": ["success by generated tokens", "success by CPU seconds"],
        "Success by hops": ["1 hop", "2 hops"],
        "GOOD actions by step": ["step 1"],
        "While training": [
            *("F1 on held-out tasks", "groups of equal rewards", "entropy", "KL"),
            *("malformed actions", "loss"),
        ],
    }
    a, b = sections[0].charts[0].lines
    assert (len(a.seeds), len(b.seeds)) == (2, 0), "seeds are thin, unless there is one"
    assert a.text == "a: 0% to 60%", "the mean of 40 and 80"
    assert a.color != b.color


def test_a_run_that_generates_nothing_is_drawn_by_time(tmp_path: Path) -> None:
    sft = log(tmp_path / "sft", 0.1, loss=1)
    still = [json.loads(line) | {"generated_tokens": 0} for line in sft.read_text().splitlines()]
    sft.write_text("".join(f"{json.dumps(point)}\n" for point in still))
    found = sections_of({"sft": [sft], "rl": [log(tmp_path / "rl", 0.2)]})[0]
    assert [[line.run for line in each.lines] for each in found.charts] == [["rl"], ["sft", "rl"]]
    assert found.note.endswith("Without generated tokens: sft.")
    alone = sections_of({"sft": [sft]})
    assert [each.title for each in alone[0].charts] == ["success by CPU seconds"]


def test_logs_that_are_missing_or_cut(tmp_path: Path) -> None:
    assert sections_of({"a": [tmp_path / "none"]}) == []
    cut = log(tmp_path / "a", 0.1)
    whole = len(read_points(cut))
    cut.write_bytes(cut.read_bytes() + b'{"step": 9')
    assert len(read_points(cut)) == whole
    bare = tmp_path / "bare"
    bare.write_text('{"step": 1, "loss": 2.0, "cpu_seconds": 1.0}\n')
    (section,) = sections_of({"bare": [bare]})
    assert [each.title for each in section.charts] == ["loss"]


def test_the_page_stands_alone(tmp_path: Path) -> None:
    runs = {"<b>a": [log(tmp_path / "a", 0.1)]}
    write_curves(runs, tmp_path / "deep" / "page.html", "T & U")
    page = (tmp_path / "deep" / "page.html").read_text()
    assert "<h1>T &amp; U</h1>" in page
    assert "&lt;b&gt;a: 0% to 40%" in page and "<b>a" not in page
    assert page.count("<svg viewBox") == page.count("</svg>")
    assert "default-src &#39;none&#39;; style-src &#39;sha256-" in page
    assert "light-dark(" in page
    assert not re.search(r"<script|src=|href=|url\(|@import|nan|inf\b", page)
    write_curves(runs, tmp_path / "again.html", "T & U")
    assert (tmp_path / "again.html").read_text() == page


@needs_chromium
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    write_curves({"a": [log(tmp_path / "a", 0.1)]}, tmp_path / "page.html", "T")
    with chromium() as browser:
        page = browser.new_page()
        troubles: list[str] = []
        page.on("console", lambda message: troubles.append(message.text))
        page.goto((tmp_path / "page.html").as_uri())
        line = page.locator("path.thick").first.bounding_box()
        assert line["width"] > 100 and line["height"] > 10
    assert troubles == []
