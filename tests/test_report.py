"""The report as a page: well-formed and self-contained, every text escaped, each step told."""

import re
from collections.abc import Iterable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from hopgym.documents import Corpus, Document, PageList
from hopgym.env import HopEnv
from hopgym.policies import ConstantPolicy, GuessPolicy, OraclePolicy, ScriptedPolicy
from hopgym.report import render_report
from hopgym.rollout import run_episodes
from hopgym.settings import EnvSettings
from hopgym.tasks import Evidence, Hop, Question, Task
from hopgym.trajectory import StopReason, Trajectory

VOID = {"meta", "rect", "path"}
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "footer"),
    *("h1", "h2", "h3", "p", "div", "span", "b", "i", "bdi", "small", "code", "pre", "mark"),
    *("dl", "dt", "dd", "ol", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"),
    *("details", "summary", "svg", "rect", "path", "progress"),
}
ATTRIBUTES = {
    *("class", "lang", "charset", "name", "content", "http-equiv", "scope", "data-title", "open"),
    *("viewbox", "preserveaspectratio", "aria-hidden", "width", "height", "x", "d", "value"),
}
SCRIPT = {
    "q0": ["<lookup>Ada Brook</lookup>", "<search>Ada</search>", "<answer>baker</answer>"],  # lucky
    "q1": ["<answer>Ada Brook</answer>"],  # one of two, F1 2/3, nothing read
    "q2": ["<lookup>Cleo Dunn</lookup>", "<lookup>Elmstead</lookup>", "<answer>Farrow</answer>"],
    "q3": ["<answer>1410</answer>"],  # right, no evidence
}


class Page(HTMLParser):
    """A page read by the standard parser, which keeps what its tags hold."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.html = page.decode()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[tuple[str, list[str]]] = []
        self.texts: list[tuple[str, str]] = []
        """Tag with its class, and all text inside, in the order the tags close."""
        self.feed(self.html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append((".".join([tag, *(dict(attrs).get("class") or "").split()]), []))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        name, parts = self.open.pop()
        assert name.split(".")[0] == tag
        self.texts.append((name, "".join(parts)))

    def handle_data(self, data: str) -> None:
        for _, parts in self.open:
            parts.append(data)

    def all(self, name: str) -> list[str]:
        """The texts of the tags of a name, as in ``i.v.good``, white space folded."""
        return [" ".join(text.split()) for found, text in self.texts if found == name]


def play(
    source: Any, policy: Any, settings: EnvSettings | None = None, indices: Iterable[int] = range(4)
) -> list[Trajectory]:
    return list(run_episodes(HopEnv(source, settings), policy, indices))


@pytest.fixture
def scripted(source: Any) -> list[Trajectory]:
    return play(source, ScriptedPolicy(SCRIPT))


@pytest.fixture
def runs(source: Any, scripted: list[Trajectory]) -> dict[str, list[Trajectory]]:
    return {
        "oracle": play(source, OraclePolicy(source)),
        "mine": scripted,
        "guess": play(source, GuessPolicy(source)),
    }


def test_well_formed_and_nothing_from_elsewhere(source: Any, runs: Any) -> None:
    page = Page(render_report(runs, source))
    assert page.html.startswith("<!DOCTYPE html>\n<html lang=")
    assert set(page.tags) <= TAGS
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    assert not re.search(r"https?:|//|@import|url\(|javascript:|\bon\w+=", page.html)
    assert ("http-equiv", "Content-Security-Policy") in page.attributes
    assert any(str(value).startswith("default-src 'none'") for _, value in page.attributes)
    assert page.all("h2") == [
        "Results",
        "Success by number of hops",
        "Success by kind of question",
        "How the episodes ended",
        "Episodes",
    ]


def test_failures_come_first_and_runs_share_the_room(source: Any, scripted: Any) -> None:
    page = Page(render_report({"mine": scripted}, source))
    endings = [text for name, text in page.texts if name.startswith("summary")]
    heads = [ending.split()[0] for ending in endings[3:]]
    assert heads == ["unsupported", "lucky", "supported", "right"]
    assert page.all("small").count("1 of 4 failed") == 1
    page = Page(render_report({"a": scripted, "b": scripted}, source, episodes=3))
    shown = [text for text in page.all("small") if "failed" in text]
    assert shown == ["1 of 4 failed; 2 shown", "1 of 4 failed; 1 shown"]


def test_an_episode_is_told_step_by_step(source: Any, scripted: list[Trajectory]) -> None:
    (lucky,) = (t for t in scripted if t.task_id == "q0")
    page = Page(render_report({"mine": [lucky]}, source))
    # Ada Brook's page is in the question, so led: 1/4; her mother's sentence: held, and Cleo Dunn
    # led: (1 + 1/2) / 2. The search shows nothing new. Then right without the job's page.
    assert page.all("p")[-3:] == [
        "1 good process 0.67 · potential 0.75",
        "2 irrelevant process 0.00 · potential 0.75",
        "3 lucky outcome 1.00 · potential 0.75",
    ]
    assert "<lookup>Ada Brook</lookup>" in page.all("code")
    assert page.all("mark")[1:] == ["Her mother is Cleo Dunn."] * 2
    assert page.all("li.read") == ["the mother of Ada Brook is Cleo Dunn read in step 1"]
    assert page.all("li.found") == ["Cleo Dunn works as a baker title seen, fact not read"]
    assert "attribute · 2 hops · 3 steps, oracle 3, regret 0" in page.all("small")
    assert any("mother of Ada Brook → Cleo Dunn" in item for item in page.all("li"))


def test_titles_of_evidence_pages_are_marked(source: Any) -> None:
    # The friends' page itself is evidence: its heading leads, its sentences are whole-page facts.
    search = play(source, ScriptedPolicy(["<search>keeps bees</search>"]), indices=[1])
    assert Page(render_report({"mine": search}, source)).all("mark.lead")[1:] == ["Gil Hart"]
    read = play(source, ScriptedPolicy(["<lookup>Gil Hart</lookup>"]), indices=[1])
    page = Page(render_report({"mine": read}, source))
    assert "Gil Hart keeps bees. His friends are Ada Brook and Ivo Jay." in page.all("mark")


HOSTILE = "</style></details><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}&lt;"
PIECES = ("<script>", "<img", "</style></details><", "{{7*7}}&lt;")


def hostile_source(kind: type) -> Any:
    """A source whose every text tries to break out of the page."""
    title, sentence = f"T {HOSTILE}", f"S javascript:alert(1) \x00 \x1b[31m {HOSTILE}"
    hop = Hop(f"H {HOSTILE}", (f"HA {HOSTILE}",))
    fact = Evidence(f"F {HOSTILE}", (("d", 0),))
    question = Question(
        "q", f"Q \ud800 {HOSTILE}", (f"A {HOSTILE}",), "text", (hop,), f"K {HOSTILE}", ((fact,),)
    )

    class Hostile(kind):  # type: ignore[misc]
        name = f"N {HOSTILE}"

        def __init__(self) -> None:
            self.corpus = Corpus(PageList((Document("d", title, (sentence,)),)), "hostile")

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int, /) -> Task:
            return Task(question, self.corpus)

        def index_of(self, task_id: str) -> int:
            return 0

    return Hostile()


def test_every_text_is_escaped(source: Any) -> None:
    hostile = hostile_source(type(source))
    texts = [f"{HOSTILE}\x00", "<search>alert</search>", f"<answer>{HOSTILE}</answer>"]
    (played,) = play(hostile, ScriptedPolicy(texts), indices=[0])
    played = replace(played, env_id=f"E {HOSTILE}", env_kwargs={HOSTILE: [HOSTILE, {"a": HOSTILE}]})
    error = replace(played, sample=1, reason=StopReason.AGENT_ERROR, error=f"X {HOSTILE}")
    data = render_report({f"R {HOSTILE}": [played, error], "other": [played]}, hostile)
    page = Page(data)
    assert set(page.tags) <= TAGS
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    body = page.html[page.html.index("</style>") + 8 :]
    assert not any(piece in body for piece in PIECES)
    assert "49" not in page.all("h1")[0]
    for letter in ("E", "N", "R", "Q", "K", "A", "H", "HA", "F", "S", "X"):
        assert any(f"{letter} " in text and HOSTILE in text for _, text in page.texts), letter
    assert "�" in body
    assert "\x00" not in body and "␀" in body and "␛[31m" in body


def test_odd_endings_and_lengths(source: Any, scripted: list[Trajectory]) -> None:
    cut = play(source, ScriptedPolicy(["<search>bees</search>"]), EnvSettings(max_steps=1), [1])
    silent = replace(cut[0], sample=1, steps=(), reason=StopReason.AGENT_ERROR, error="boom " * 999)
    page = Page(render_report({"mine": [*cut, silent]}, source))
    assert page.all("span.none")[1:] == [
        "no answer: the steps ran out",
        "the policy raised; left out of the results",
    ]
    assert any(
        text.startswith("boom") and "more characters]" in text for text in page.all("dd.mono")
    )
    assert Page(render_report({"mine": [silent]}, source)).html.count("–") > 5
    closed = play(source, ConstantPolicy(), EnvSettings(mode="closed_book"))
    page = Page(render_report({"mine": closed}, source))
    assert page.all("i.v.wrong") == ["not right"] * 4
    assert "potential 0" not in page.html


def test_different_tasks_and_arguments_are_told(source: Any, scripted: list[Trajectory]) -> None:
    assert (
        "The runs are over different tasks" not in render_report({"a": scripted}, source).decode()
    )
    fewer = [replace(t, env_kwargs={"max_steps": 9}) for t in scripted[:2]]
    page = Page(render_report({"a": scripted, "b": fewer}, source))
    assert page.all("p.warning")
    assert page.all("p.settings") == ["a: default arguments", "b: max_steps=9"]
