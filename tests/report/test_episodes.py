"""The episodes of a report: which, in what order, and how each is told step by step."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hopgym.env.settings import EnvSettings
from hopgym.policies import ConstantPolicy, ScriptedPolicy
from hopgym.report import render_report
from hopgym.trajectory import Completion, StopReason, Trajectory
from tests.support.report_page import Page, play


def test_failures_come_first_and_runs_share_the_room(source: Any, scripted: Any) -> None:
    data = Page(render_report({"mine": scripted}, source)).data
    reasons = [each["head"]["labels"]["reason"] for each in data["episodes"]]
    assert reasons == ["unsupported", "lucky", "supported", "right"]
    floor = {"a": scripted, "guess": scripted, "b": scripted}
    data = Page(render_report(floor, source, episodes=3)).data
    shown = [each["head"]["key"] for each in data["episodes"]]
    assert shown == ["a/q1/0", "b/q1/0", "a/q0/0"]
    assert data["total"] == 12
    data = Page(render_report(floor, source, episodes=9)).data
    assert [each["head"]["labels"]["run"] for each in data["episodes"]][-1] == "guess"


def test_what_can_be_filtered_by_is_in_order(source: Any, runs: Any) -> None:
    filters = {
        each["name"]: each["options"] for each in Page(render_report(runs, source)).data["filters"]
    }
    assert filters == {
        "run": ["oracle", "mine", "guess"],
        "hops": ["1 hop", "2 hops", "hops unknown"],
        "kind": ["attribute", "chain"],
        "reason": ["supported", "lucky", "right", "unsupported", "wrong"],
        "verdicts": ["good", "irrelevant", "supported", "lucky", "unsupported", "unjudged"],
    }


def test_an_episode_is_told_step_by_step(source: Any, scripted: list[Trajectory]) -> None:
    (lucky,) = (t for t in scripted if t.task_id == "q0")
    (episode,) = Page(render_report({"mine": [lucky]}, source)).data["episodes"]
    # Ada Brook's page is in the question, so led: 1/4; her mother's sentence: held, and Cleo Dunn
    # led: (1 + 1/2) / 2. The search shows nothing new. Then right without the job's page.
    told = [(s["verdict"], s["reward"], s["potential"], s["raised"]) for s in episode["steps"]]
    assert told == [
        ("good", "process 0.67", 0.75, True),
        ("irrelevant", "process 0.00", 0.75, False),
        ("lucky", "outcome 1.00", 0.75, False),
    ]
    assert [(s["tool"], s["argument"]) for s in episode["steps"]] == [
        ("lookup", "Ada Brook"),
        ("search", "Ada"),
        ("answer", "baker"),
    ]
    pieces = [piece for s in episode["steps"] for piece in s["observation"]]
    marked = [text for text, kind in pieces if kind == "evidence"]
    assert marked == ["Her mother is Cleo Dunn."] * 2
    assert [tuple(fact.values()) for fact in episode["facts"]] == [
        ("the mother of Ada Brook is Cleo Dunn", "read", 1, 0),
        ("Cleo Dunn works as a baker", "found", 0, 1),
    ]
    assert episode["head"]["length"] == "3 steps, oracle 3, regret 0"
    assert [hop["text"] for hop in episode["hops"]] == ["mother of Ada Brook", "job of Cleo Dunn"]


def test_titles_of_evidence_pages_are_marked(source: Any) -> None:
    def pieces(action: str) -> list[list[str]]:
        played = play(source, ScriptedPolicy([action]), indices=[1])
        (episode,) = Page(render_report({"mine": played}, source)).data["episodes"]
        return [piece for piece in episode["steps"][0]["observation"] if piece[1]]

    # The friends' page itself is evidence: its heading leads, its sentences are whole-page facts.
    assert ["Gil Hart", "lead"] in pieces("<search>keeps bees</search>")
    read = pieces("<lookup>Gil Hart</lookup>")
    whole = "Gil Hart keeps bees. His friends are Ada Brook and Ivo Jay."
    assert [whole, "evidence"] in read


def test_thoughts_and_tokens_are_told(source: Any) -> None:
    def policy(prefixes: Sequence[Trajectory]) -> list[Completion]:
        text = "I wonder.\n<answer>baker</answer>"
        return [Completion(text, generated_tokens=7, prompt_tokens=1_200) for _ in prefixes]

    page = Page(render_report({"mine": play(source, policy, indices=[0, 1])}, source))
    (first, _) = page.data["episodes"]
    assert first["tokens"] == "7 tokens after 1,200 of prompt"
    assert first["steps"][0]["thought"] == "I wonder."
    table = page.html[page.html.index("<h2>Tokens</h2>") :]
    assert re.findall(r"<td>([\d.,]+)</td>", table)[:4] == ["14", "7.0", "2,400", "1,200.0"]


def test_odd_endings_and_lengths(source: Any, scripted: list[Trajectory]) -> None:
    cut = play(source, ScriptedPolicy(["<search>bees</search>"]), EnvSettings(max_steps=1), [1])
    silent = replace(
        cut[0], sample=1, steps=(), stop_reason=StopReason.AGENT_ERROR, error="boom " * 999
    )
    page = Page(render_report({"mine": [*cut, silent]}, source))
    assert [(each["answer"], each["meaning"]) for each in page.data["episodes"]] == [
        (None, "no answer: the steps ran out"),
        (None, "the policy raised; left out of the results"),
    ]
    assert page.data["episodes"][1]["error"].startswith("boom boom")
    assert "more characters]" in page.data["episodes"][1]["error"]
    assert Page(render_report({"mine": [silent]}, source)).html.count("–") > 5
    closed = play(source, ConstantPolicy(), EnvSettings(mode="closed_book"))
    page = Page(render_report({"mine": closed}, source))
    assert {each["head"]["labels"]["reason"] for each in page.data["episodes"]} == {"wrong"}
    assert {s["potential"] for each in page.data["episodes"] for s in each["steps"]} == {None}
    assert "Process accuracy by step" not in page.all("h2")
