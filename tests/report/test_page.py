"""The report as a page: well-formed and self-contained, every text escaped, each step told."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError
from hopgym.evaluation import evaluate
from hopgym.policies import ScriptedPolicy
from hopgym.report import render_report
from hopgym.report.text import safe_json
from hopgym.rollout import run_episodes
from hopgym.trajectory import StopReason, Trajectory
from tests.support.report_page import SCRIPT, Page, hostile_runs, hostile_source

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "footer"),
    *("h1", "h2", "h3", "p", "div", "span", "b", "i", "bdi", "small", "code", "mark", "article"),
    *("dl", "dt", "dd", "ol", "table", "thead", "tbody", "tr", "th", "td", "kbd", "noscript"),
    *("details", "summary", "svg", "g", "text", "rect", "path", "circle", "figure", "figcaption"),
    *("script", "button", "input", "a"),
}
ATTRIBUTES = {
    *("class", "lang", "charset", "name", "content", "http-equiv", "scope", "data-title", "open"),
    *("viewbox", "preserveaspectratio", "width", "height", "x", "y", "d", "dy", "cx", "cy", "r"),
    *("transform", "text-anchor", "stroke-width", "aria-hidden", "aria-label", "aria-pressed"),
    *("id", "href", "role", "type", "placeholder", "autocomplete", "spellcheck"),
}


def test_well_formed_and_nothing_from_elsewhere(source: Any, runs: Any) -> None:
    page = Page(render_report(runs, source))
    assert page.html.startswith("<!DOCTYPE html>\n<html lang=")
    assert set(page.tags) <= TAGS
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    # The script names SVG's namespace, which nothing is ever asked of.
    without = page.html.replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|@import|url\(|javascript:|\bon\w+=|innerHTML", without)
    assert page.all("h2") == [
        "Results",
        "Success by number of hops",
        "Success by kind of question",
        "How the episodes ended",
        "Steps against the oracle's",
        "Process accuracy by step",
        "Episodes",
    ]


def test_the_policy_allows_the_one_script_and_style_alone(source: Any, runs: Any) -> None:
    page = Page(render_report(runs, source))
    policy = next(str(v) for n, v in page.attributes if n == "content" and "default-src" in str(v))
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy and "connect" not in policy
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page.html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_several_attempts_are_told(source: Any, env: HopEnv) -> None:
    played = list(run_episodes(env, ScriptedPolicy(SCRIPT), range(4), samples=2))
    page = Page(render_report({"mine": played}, source))
    assert "Several attempts at each task" in page.all("h2")
    card = page.html[page.html.index("Several attempts") :]
    assert re.findall(r"<dt>([^<]+)</dt><dd>([\d.]+%)", card)[:3] == [
        ("pass@1", "75.0%"),
        ("pass@2", "75.0%"),
        ("majority", "75.0%"),
    ]


HOSTILE = "</style></details><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}&lt;"
PIECES = ("<script>", "<img", "</style></details><", "{{7*7}}&lt;")


def test_every_text_is_escaped(source: Any) -> None:
    hostile = hostile_source(
        type(source),
        HOSTILE,
        question="\ud800 ",
        sentence="javascript:alert(1) \x00 \x1b[31m ",
    )
    replies = [f"{HOSTILE}\x00", "<search>alert</search>", f"<answer>{HOSTILE}</answer>"]
    data = render_report(hostile_runs(hostile, HOSTILE, replies), hostile)
    page = Page(data)
    assert set(page.tags) <= TAGS
    assert page.tags.count("script") == 2
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    body = page.html[page.html.index("</style>") + 8 : page.html.rindex("<script>")]
    assert not any(piece in body for piece in PIECES)
    assert "49" not in page.all("h1")[0]
    embedded = json.dumps(page.data, ensure_ascii=False)
    written = json.dumps(HOSTILE)[1:-1]
    for letter in ("E", "N", "R"):
        assert any(f"{letter} " in text and HOSTILE in text for _, text in page.texts), letter
    for letter in ("R", "Q", "K", "A", "H", "HA", "F", "S", "X"):
        assert re.search(rf"{letter} [^{{}}]*{re.escape(written)}", embedded), letter
    assert "�" in embedded
    assert "\\u0000" not in body and "\x00" not in body
    assert "␀" in embedded and "␛[31m" in embedded


def test_json_may_stand_inside_a_script() -> None:
    texts = ["</script><!--<script>", "&lt;", "\u2028\u2029", "\ud800", "\x00", "é"]
    encoded = safe_json(texts)
    assert not re.search(rb"[<>&]|\xe2\x80[\xa8\xa9]|\\u0000", encoded)
    assert json.loads(encoded) == [*texts[:3], "�", "␀", "é"]


def test_different_tasks_and_arguments_are_told(source: Any, scripted: list[Trajectory]) -> None:
    assert (
        "The runs are over different tasks" not in render_report({"a": scripted}, source).decode()
    )
    fewer = [replace(t, env_kwargs={"max_steps": 9}) for t in scripted[:2]]
    page = Page(render_report({"a": scripted, "b": fewer}, source))
    assert page.all("p.warning")
    assert page.all("p.settings") == ["a: default arguments", "b: max_steps=9"]
    assert "<dt>tasks</dt><dd>4</dd>" in page.html, "those of both, each once"


def test_what_is_known_of_a_run_must_be_of_its_episodes(source: Any, runs: Any) -> None:
    failed = replace(runs["mine"][0], sample=1, stop_reason=StopReason.AGENT_ERROR, error="no")
    mine = {"mine": [*runs["mine"], failed]}
    known = {"mine": evaluate(mine["mine"], source)}
    assert known["mine"].errors == 1
    assert render_report(mine, source, known=known) == render_report(mine, source)
    with pytest.raises(ArgumentError, match="run 'mine': known must be the evaluation of these 4 "):
        render_report({"mine": runs["mine"]}, source, known=known)
