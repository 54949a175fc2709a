"""The report in a real browser: clicks, filters, search, keys, links, colours, a phone's width."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hopgym.env import HopEnv
from hopgym.policies import ConstantPolicy, ScriptedPolicy
from hopgym.report import write_report
from hopgym.rollout import run_episodes
from tests.conftest import HandSource
from tests.support.chromium import Watched, needs_chromium, opened
from tests.support.report_page import SCRIPT

pytestmark = needs_chromium

LUCKY = "#mine/q0/0"
_LOOKS = (("wide", 1200, "light"), ("dark", 1200, "dark"), ("phone", 360, "light"))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report on 140 episodes: 35 attempts at each of four tasks, and a floor."""
    source = HandSource()
    env = HopEnv(source)
    runs = {
        "mine": list(run_episodes(env, ScriptedPolicy(SCRIPT), range(4), samples=30)),
        "unknown": list(run_episodes(env, ConstantPolicy(), range(4), samples=5)),
    }
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(runs, source, path)
    return path.as_uri()


@pytest.fixture
def report(browser: Any, url: str) -> Iterator[Watched]:
    with opened(browser, url) as watched:
        watched.status("140 episodes")
        yield watched
        assert set(watched.requests) == {url}


def test_a_click_opens_an_episode(report: Watched) -> None:
    page = report.page
    assert report.text("#detail") == "Choose an episode."
    page.locator(f'#list a[href="{LUCKY}"]').click()
    page.wait_for_selector("#detail h3")
    assert report.text("#detail h3") == "What is the job of the mother of Ada Brook?"
    assert page.url.endswith(LUCKY)
    assert page.locator("#list a[aria-current=true]").get_attribute("href") == LUCKY
    steps = [line.split() for line in page.locator("#detail .steps li > p").all_inner_texts()]
    assert [words[:2] for words in steps] == [["1", "good"], ["2", "irrelevant"], ["3", "lucky"]]
    assert page.locator("#detail code").all_inner_texts()[0] == "lookup Ada Brook"
    assert (
        page.locator("#detail pre mark:not(.lead)").all_inner_texts()
        == ["Her mother is Cleo Dunn."] * 2
    )
    assert "potential 0.75" in report.text("#detail .steps li p")
    page.go_back()
    report.wait("document.getElementById('detail').textContent === 'Choose an episode.'")


def test_the_graph_joins_steps_and_facts(browser: Any, url: str) -> None:
    with opened(browser, url + LUCKY) as report:
        report.page.wait_for_selector("#detail .graph svg")
        graph = report.page.locator("#detail .graph svg")
        assert graph.get_attribute("role") == "img"
        assert graph.get_attribute("aria-label") == (
            "Fact 1, the mother of Ada Brook is Cleo Dunn: read in step 1. "
            "Fact 2, Cleo Dunn works as a baker: title seen in step 1, fact not read. "
            "Brought nothing: step 2, 3."
        )
        counts = {name: graph.locator(f".{name}").count() for name in ("step", "fact", "branch")}
        assert counts == {"step": 3, "fact": 2, "branch": 2}
        assert graph.locator("path.read").count() == graph.locator("path.led").count() == 1
        on_line, *off = (c.get_attribute("cx") for c in graph.locator(".step circle").all())
        assert all(float(x) < float(on_line) for x in off)


def test_filters_narrow_the_list(report: Watched) -> None:
    page = report.page
    assert page.locator("#filters select").count() == 5
    page.get_by_label("run").select_option("mine")
    report.status("120 of 140 episodes")
    page.get_by_label("ended as").select_option("lucky")
    report.status("30 of 140 episodes")
    assert set(page.locator("#list .v").all_inner_texts()) == {"lucky"}
    page.get_by_label("hops").select_option("1 hop")
    report.status("0 of 140 episodes")
    assert report.text("#list") == "No episode matches."
    page.get_by_role("button", name="Clear").click()
    report.status("140 episodes")
    page.get_by_label("has a step").select_option("good")
    report.status("60 of 140 episodes")


def test_search_looks_through_all_texts(report: Watched) -> None:
    report.page.get_by_label("Search the episodes").fill("lies on the FARROW")
    report.status("30 of 140 episodes")
    assert "q2" in str(report.page.locator("#list a").first.get_attribute("href"))
    report.page.get_by_label("Search the episodes").fill("cleo elmstead")
    report.status("30 of 140 episodes")
    report.page.get_by_label("Search the episodes").fill("no such words")
    report.status("0 of 140 episodes")


def test_keys_move_open_and_close(report: Watched) -> None:
    page = report.page

    def focused() -> str:
        return str(page.evaluate("document.activeElement.getAttribute('href')"))

    links = [link.get_attribute("href") for link in page.locator("#list a").all()]
    page.keyboard.press("j")
    assert focused() == links[0]
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    assert focused() == links[2]
    page.keyboard.press("ArrowUp")
    page.keyboard.press("k")
    page.keyboard.press("k")
    assert focused() == links[0]
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail h3")
    assert page.evaluate("document.activeElement.tagName") == "H3"
    page.keyboard.press("j")  # With one open, the next one is opened too.
    report.wait(f"location.hash === {links[1]!r}")
    page.keyboard.press("Escape")
    report.wait("!document.querySelector('#detail h3')")
    assert focused() == links[1] and "#" not in page.url
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("jk bees")  # Letters in the field are letters.
    assert page.locator("#search").input_value() == "jk bees"
    page.keyboard.press("Escape")
    report.status("140 episodes")
    assert page.evaluate("document.activeElement.id") != "search"


def test_a_long_list_comes_in_parts(report: Watched) -> None:
    assert report.page.locator("#list a").count() == 100
    report.page.locator("#list a").nth(99).focus()
    report.page.locator("#list a").nth(99).click()
    report.page.keyboard.press("j")
    report.wait("document.querySelectorAll('#list a').length === 140")
    report.page.get_by_role("button", name="Clear").click()
    report.wait("document.querySelectorAll('#list a').length === 100")
    report.page.get_by_role("button", name="Show more").click()
    report.wait("document.querySelectorAll('#list a').length === 140")


def test_links_lead_to_an_episode(browser: Any, url: str) -> None:
    with opened(browser, f"{url}#mine/q3/29") as report:
        report.page.wait_for_selector("#detail h3")
        assert report.text("#detail h3") == "When was Elmstead founded?"
        assert "sample 29" in report.text("#detail")
        report.page.evaluate("location.hash = '#mine/q9/<img src=x onerror=alert(1)>'")
        report.wait("document.getElementById('detail').textContent.includes('no such episode')")


IN_VIEW = """(() => {
    const { top, bottom } = document.querySelector("#detail > :not(.back)").getBoundingClientRect();
    return top >= 0 && bottom <= innerHeight;
})()"""


@pytest.mark.parametrize("width", [1200, 390])
def test_what_a_link_names_is_in_view(browser: Any, url: str, width: int) -> None:
    looks = {"viewport": {"width": width, "height": 700}}
    for key, words in (("mine/q3/29", "Elmstead"), ("mine/q9/0", "holds no such episode")):
        with opened(browser, f"{url}#{key}", **looks) as report:
            report.wait(f"document.getElementById('detail').textContent.includes({words!r})")
            report.wait(IN_VIEW)


def test_the_way_back_leads_through_the_opened_episodes(report: Watched) -> None:
    page = report.page
    links = [str(link.get_attribute("href")) for link in page.locator("#list a").all()[:3]]
    for link in links[:2]:
        page.locator(f'#list a[href="{link}"]').click()
        page.wait_for_selector("#detail h3")
    page.keyboard.press("j")
    report.wait(f"location.hash === {links[2]!r}")
    for link in (links[1], links[0]):
        page.go_back()
        current = "document.querySelector('#list a[aria-current=true]')?.getAttribute('href')"
        report.wait(f"location.hash === {link!r} && {current} === {link!r}")
    page.go_back()
    report.wait("document.getElementById('detail').textContent === 'Choose an episode.'")


def test_a_run_chosen_closes_an_episode_of_another(report: Watched) -> None:
    page = report.page
    page.locator(f'#list a[href="{LUCKY}"]').click()
    page.wait_for_selector("#detail h3")
    page.get_by_label("run").select_option("mine")
    report.status("120 of 140 episodes")
    assert page.locator("#detail h3").count() == 1
    page.get_by_label("run").select_option("unknown")
    report.status("20 of 140 episodes")
    assert report.text("#detail") == "Choose an episode." and "#" not in page.url


def test_colours_follow_the_system_and_the_switch(browser: Any, url: str) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(251, 251, 250)", "rgb(20, 22, 24)"
    with opened(browser, url, color_scheme="light") as report:
        switch = report.page.get_by_role("button", name="Dark colours")
        assert report.page.evaluate(paper) == light
        report.page.emulate_media(color_scheme="dark")
        assert report.page.evaluate(paper) == dark
        for expected, pressed in ((light, "false"), (dark, "true")):
            switch.click()
            assert report.page.evaluate(paper) == expected
            assert switch.get_attribute("aria-pressed") == pressed
        report.page.emulate_media(color_scheme="light")
        report.page.reload()
        assert report.page.evaluate(paper) == dark


def test_on_a_phone_list_and_episode_take_turns(browser: Any, url: str) -> None:
    with opened(browser, url, viewport={"width": 360, "height": 740}) as report:
        page = report.page
        width = "document.documentElement.scrollWidth"
        assert page.evaluate(width) == 360
        broken = """[...document.querySelectorAll(".meanings dt")].filter((each) =>
            each.offsetHeight > 1.9 * parseFloat(getComputedStyle(each).fontSize)).length"""
        assert page.evaluate(broken) == 0
        page.get_by_role("link", name="Episodes", exact=True).click()
        assert page.locator("#search").bounding_box()["y"] < 740
        page.locator(f'#list a[href="{LUCKY}"]').click()
        page.wait_for_selector("#detail .graph svg")
        edge = page.locator(".graph svg").bounding_box()["x"]
        boxes = [text.bounding_box() for text in page.locator(".graph text").all()]
        assert min(box["x"] for box in boxes) >= edge
        assert not page.locator("#list").is_visible()
        assert page.evaluate(width) == 360
        assert page.locator("#detail h3").bounding_box()["y"] >= 0
        page.get_by_role("button", name="Back to the list").click()
        assert page.locator("#list").is_visible() and not page.locator("#detail").is_visible()


def test_tables_and_charts_need_no_script(browser: Any, url: str) -> None:
    with opened(browser, url, java_script_enabled=False) as report:
        assert report.page.locator("table.results tbody tr").count() == 2
        assert report.page.locator(".plot svg").first.is_visible()
        assert "need JavaScript" in report.text("noscript")
        assert not report.page.locator("#browser").is_visible()
        assert not report.page.locator("#theme").is_visible()


def test_all_controls_have_names(browser: Any, url: str) -> None:
    with opened(browser, url + LUCKY) as report:
        report.page.wait_for_selector("#detail .graph svg")
        nameless = report.page.evaluate("""
            [...document.querySelectorAll(
                "button, a, input, select, article, ol.list, [role=img], [role=region]")]
            .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim()))
            .map((each) => each.outerHTML)""")
        assert nameless == []
        charts = [c.get_attribute("aria-label") for c in report.page.locator(".plot svg").all()]
        assert len(charts) == 4 and all(str(words).endswith(".") for words in charts)


def test_screenshots_can_be_looked_at(browser: Any, url: str, tmp_path: Path) -> None:
    shots = []
    with opened(browser, url + LUCKY) as report:
        report.page.wait_for_selector("#detail .graph svg")
        for name, width, scheme in _LOOKS:
            report.page.set_viewport_size({"width": width, "height": 800})
            report.page.emulate_media(color_scheme=scheme)
            report.page.locator(".tools").scroll_into_view_if_needed()
            shots.append(report.page.screenshot(path=tmp_path / f"{name}.png"))
    assert all(len(shot) > 10_000 for shot in shots)
    assert len(set(shots)) == len(_LOOKS)
