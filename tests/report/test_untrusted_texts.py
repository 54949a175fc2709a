"""What models and tools write does nothing in a browser, in a file or from the server."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from hopgym.env import HopEnv
from hopgym.policies import ScriptedPolicy
from hopgym.report import write_report
from hopgym.report.server import LiveReport, PageServer, html_response
from hopgym.rollout import run_episodes
from hopgym.runs.trajectory_file import Header, RunEnvironment, read_trajectories
from hopgym.runs.writer import TrajectoryWriter
from hopgym.trajectory import Trajectory
from tests.conftest import HandSource
from tests.support.chromium import Watched, needs_chromium, opened
from tests.support.report_page import hostile_runs, hostile_source

pytestmark = needs_chromium

MARK = "window.__pwned=1"
HOSTILE = (
    f"<script>{MARK}</script></script><script>{MARK}</script><!--<script>]]></style></title>"
    f'<img src=x onerror="{MARK}"><svg onload="{MARK}"><a href="javascript:{MARK}">a</a>'
    f"\" onmouseover=\"{MARK}\" ' autofocus onfocus='{MARK}' ${{{MARK}}} {{{{7*7}}}} &lt;b&gt; "
    "\u202e\u2066 olleh \u2028\u2029 \x00\x1b[31m \ufffe http://evil.example/x.png"
)

_BREAK_IN = """(url) => {
    const put = (tag, fields) =>
        document.body.append(Object.assign(document.createElement(tag), fields));
    put("script", { textContent: "window.__pwned = 1" });
    put("div", { innerHTML: `<svg onload="window.__pwned = 1"><img src="${url}">` });
    put("iframe", { src: url });
    return fetch(url).catch(() => 0);
}"""


REPLIES = (
    f"{HOSTILE}\ud800\x00",
    f"I think {HOSTILE}\n<search>S {HOSTILE}</search>",
    f"<lookup>T {HOSTILE}</lookup>",
    f"<answer>{HOSTILE}</answer>",
)


def provoke(report: Watched) -> None:
    """Open, filter, search and point at everything."""
    page = report.page
    report.wait("document.querySelectorAll('#list a').length === 3")
    for place in range(3):
        page.locator("#list a").nth(place).click()
        page.wait_for_selector("#detail .steps li")
        page.locator("#detail .steps li").first.hover()
    assert HOSTILE.split("\u202e")[0] in page.locator("#detail").inner_text().replace("\n", "")
    page.locator("#detail mark").first.hover()
    for select in page.locator("#filters select").all():
        select.select_option(index=1)
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Search the episodes").fill(f"<script>{MARK}</script>")
    report.status("3 episodes")
    page.evaluate(f"location.hash = '#javascript:{MARK}'")
    report.wait("document.getElementById('detail').textContent.includes('no such episode')")
    assert page.evaluate("window.__pwned") is None
    made = page.evaluate("[...document.querySelectorAll('body *')].map((e) => e.tagName)")
    assert not {"IMG", "IFRAME", "OBJECT", "EMBED", "FORM", "LINK"} & set(made)
    assert made.count("SCRIPT") == 2
    handlers = """[...document.querySelectorAll('*')].flatMap((e) => [...e.attributes])
        .filter((a) => a.name.startsWith('on') || /^\\s*javascript:/i.test(a.value)).length"""
    assert page.evaluate(handlers) == 0
    hrefs = page.evaluate("[...document.links].map((link) => link.getAttribute('href')[0])")
    assert set(hrefs) == {"#"}


def test_nothing_runs_in_a_file(browser: Any, tmp_path: Path) -> None:
    source = hostile_source(HandSource, HOSTILE)
    path = tmp_path / "report.html"
    write_report(hostile_runs(source, HOSTILE, REPLIES), source, path)
    with opened(browser, path.as_uri()) as report:
        provoke(report)
        assert set(report.requests) == {path.as_uri()}


@contextmanager
def served(live: LiveReport) -> Iterator[str]:
    with PageServer(live.routes, 0) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.url
        server.shutdown()


def written(runs: dict[str, list[Trajectory]], folder: Path) -> dict[str, Path]:
    paths = {}
    for number, (name, trajectories) in enumerate(runs.items()):
        paths[name] = folder / f"{number}.jsonl"
        with TrajectoryWriter(paths[name], Header.of({}, [RunEnvironment("hand")])) as writer:
            for trajectory in trajectories:
                writer.write(trajectory)
    return paths


def test_nothing_runs_from_the_server(browser: Any, tmp_path: Path) -> None:
    source = hostile_source(HandSource, HOSTILE)
    paths = written(hostile_runs(source, HOSTILE, REPLIES), tmp_path)

    @contextmanager
    def runs() -> Iterator[Any]:
        yield source, {name: read_trajectories(path) for name, path in paths.items()}

    with closing(LiveReport(paths, source)) as live, served(live) as url:
        live.start_evaluation(runs).join()
        with opened(browser, url) as report:
            provoke(report)
            assert {each.split("?")[0].split("#")[0] for each in report.requests} == {
                *(url, f"{url}episodes", f"{url}episode"),
            }


def test_the_served_page_shows_all_episodes_lazily(browser: Any, tmp_path: Path) -> None:
    source = HandSource()
    path = tmp_path / "mine.jsonl"
    script = ScriptedPolicy(["<lookup>Ada Brook</lookup>", "<answer>baker</answer>"])
    list(run_episodes(HopEnv(source), script, range(4), samples=75, out=path))

    @contextmanager
    def runs() -> Iterator[Any]:
        yield source, {"mine": read_trajectories(path)}

    with closing(LiveReport({"mine": path}, source)) as live, served(live) as url:
        with opened(browser, url) as report:
            report.status("300 episodes")
            assert "being worked out" in report.text("#notice")
            assert report.page.locator("#list a").count() == 100
            assert report.page.locator("table.results").count() == 0
            live.start_evaluation(runs).join()
            report.page.wait_for_selector("table.results")
            report.status("300 episodes")
            assert "Her mother" not in report.page.content()
            report.page.get_by_role("button", name="Show more").click()
            report.wait("document.querySelectorAll('#list a').length === 200")
            report.page.get_by_label("kind").select_option("chain")
            report.status("150 of 300 episodes")
            report.page.get_by_label("Search the episodes").fill("the friends of the person")
            report.status("75 of 300 episodes")
            report.page.locator("#list a").first.click()
            report.page.wait_for_selector("#detail .steps li")
            assert "Her mother is Cleo Dunn." in report.text("#detail")
        with opened(browser, f"{url}#mine/q2/74") as report:
            report.page.wait_for_selector("#detail .steps li")
            assert "sample 74" in report.text("#detail")


def test_the_policy_stops_what_would_get_through(browser: Any, tmp_path: Path) -> None:
    source, path = HandSource(), tmp_path / "report.html"
    runs = {"mine": list(run_episodes(HopEnv(source), ScriptedPolicy([""]), range(4)))}
    write_report(runs, source, path)
    arrived: list[object] = []
    with PageServer({"/": lambda query: arrived.append(query) or html_response(b"")}, 0) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with opened(browser, path.as_uri()) as report:
            report.status("4 episodes")
            report.page.evaluate(_BREAK_IN, server.url)
            report.page.wait_for_timeout(100)
            assert report.page.evaluate("window.__pwned") is None
            assert len(report.troubles) >= 4
            assert all("Content Security Policy" in trouble for trouble in report.troubles)
            report.troubles.clear()
        server.shutdown()
    assert arrived == []
