"""The pages of docs/ that come from the code are up to date, and all links lead somewhere."""

import re
import runpy
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import pytest

from hopgym.registry import FACTORIES
from hopgym.worlds.people.settings import KINDS
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
LINK = re.compile(r"\]\(([^)\s]+)\)")
VERDICTS = (
    *("good", "lead", "irrelevant", "repeat", "malformed"),
    *("supported", "lucky", "wrong", "unsupported"),
)


@pytest.fixture(scope="module")
def builder() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "build_docs.py"))


def test_the_pages_are_what_the_builder_writes(builder: dict[str, Any], tmp_path: Path) -> None:
    written = builder["build"](tmp_path)
    assert {f"environments/{i.partition('/')[2]}.md" for i in FACTORIES} < set(written)
    for name in written:
        committed = (DOCS / name).read_bytes() if (DOCS / name).exists() else b""
        same = (tmp_path / name).read_bytes() == committed
        assert same, f"docs/{name} is out of date: run make docs"
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.glob("environments/*")}
    assert pages <= set(written), "a page of an id that is no more"


def test_pages_of_ids_have_all_headings_in_order(builder: dict[str, Any]) -> None:
    for path in DOCS.glob("environments/*.md"):
        text = path.read_text(encoding="utf-8")
        assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == builder["HEADINGS"], path
        assert not re.search(r"^ {4}", text.split("## Description")[1], re.MULTILINE), path


def test_the_gallery_shows_every_kind_and_verdict() -> None:
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    assert all(f"\n### {kind.capitalize()}, hops: " in text for kind in KINDS)
    assert set(VERDICTS) == set(re.findall(r"^Step \d+: `(\w+)`", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"\w+:", link):
            continue
        target, _, heading = link.partition("#")
        to = (page.parent / target).resolve() if target else page
        assert to.exists(), f"{page.name} links to {link}"
        assert not heading or heading in _anchors(to), f"{page.name} links to {link}"


def test_the_index_links_to_every_page() -> None:
    links = LINK.findall((DOCS / "README.md").read_text(encoding="utf-8"))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert pages - {"README.md"} <= set(links)


def test_the_drawing_has_the_verdicts_of_the_worked_example() -> None:
    example = (DOCS / "semantics.md").read_text(encoding="utf-8").split("## A worked example")[1]
    steps = re.findall(r"^\| `<.*\| `(\w+)` \|$", example.split("\n## ")[0], re.MULTILINE)
    assert "](drawings/potential.svg)" in example
    drawing = xml.etree.ElementTree.parse(DOCS / "drawings" / "potential.svg")
    drawn = [e.text for e in drawing.iter() if e.get("class") == "verdict"]
    assert drawn == steps
    assert {"title", "desc"} <= {element.tag.rpartition("}")[2] for element in drawing.iter()}


def _anchors(page: Path) -> set[str]:
    """Return the headings of a page as links name them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
