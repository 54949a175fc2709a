"""The one rendering of a prefix: what it depends on, that it only grows, and what styles say."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hopgym.actions import dialect_named
from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError
from hopgym.tasks import TaskSource
from hopgym.tools import argument_names
from hopgym.trajectory import Completion, StopReason, Trajectory
from hopgym.verdicts import ShownContent, Verdict
from hopgym_agents.prompts import (
    NATIVE,
    STYLES,
    SWIRL,
    Style,
    build_request,
    drop_turns,
    estimate_tokens,
    get_style,
    render,
    stop_texts,
)
from hopgym_agents.tool_calls import write_tool_calls

TAGS = [
    "<think>who?</think>I search.\n<search>mother of Ada Brook</search>",
    "",
    "no call at all",
    "<lookup>Cleo Dunn</lookup>",
    "<calculate>1950 - 1410</calculate>",
    "<answer>baker</answer>",
]
JSON = [
    '<think>who?</think>I search.\n<tool_call>\n{"name": "search", "arguments": '
    '{"query": "Ada \\"Brook\\" é", "page": 2}}\n</tool_call>',
    "",
    "no call at all",
    '<tool_call>{"name": "lookup", "arguments": {"title": "Cleo Dunn"}}</tool_call>',
    '<tool_call>{"name": "answer", "arguments": {"answer": "baker", "support": "Cleo Dunn#0"}}'
    "</tool_call>",
]
STORY = """
{% block system %}You answer in {{ dialect }}.{% endblock %}
{% block opening %}{{ question }} ({{ tools | map(attribute="name") | join(", ") }}){% endblock %}
{% block observation %}
{{ step }}. {{ actions[-1] | length }}>{{ observations | length }}: {{ observation }}
{% endblock %}
"""


def played(source: TaskSource, texts: list[str], dialect: str, **settings: object) -> Trajectory:
    env = HopEnv(source, EnvSettings(dialect=dialect, max_malformed=9, **settings))  # type: ignore[arg-type]
    env.reset(options={"index": 0})
    for text in texts:
        env.step(text)
    return env.trajectory()


def style_of(name: str, tmp_path: Path) -> Style:
    if name != "own":
        return STYLES[name]
    path = tmp_path / "own.jinja"
    path.write_text(STORY, encoding="utf-8")
    return get_style("plain", str(path))


@pytest.mark.parametrize(("name", "dialect"), [("plain", "tags"), ("plain", "json"),
                                               ("swirl", "tags"), ("native", "json"),
                                               ("own", "tags"), ("own", "json")])  # fmt: skip
def test_a_longer_prefix_only_adds_messages(
    source: TaskSource, tmp_path: Path, name: str, dialect: str
) -> None:
    style = style_of(name, tmp_path)
    whole = played(source, TAGS if dialect == "tags" else JSON, dialect)
    assert len(whole.steps) == len(TAGS if dialect == "tags" else JSON)
    for length in range(len(whole.steps)):
        now, then = render(whole.prefix(length), style), render(whole.prefix(length + 1), style)
        assert then.messages[: len(now.messages)] == now.messages
        assert len(then.messages) == len(now.messages) + 2
        assert (then.tools, then.opening) == (now.tools, now.opening)
        assert now.messages[-1]["role"] in ("user", "tool")


@pytest.mark.parametrize("name", [*STYLES, "own"])
def test_nothing_hidden_from_the_agent_changes_the_rendering(
    source: TaskSource, tmp_path: Path, name: str
) -> None:
    style = style_of(name, tmp_path)
    whole = played(source, JSON, "json")
    rng = np.random.default_rng(0)
    for _ in range(20):
        steps = tuple(
            replace(
                step,
                shown_content=ShownContent(),
                verdict=Verdict(rng.choice([each.value for each in Verdict])),
                process_reward=rng.random(),
                outcome_reward=rng.random(),
                potential=rng.random(),
                from_prefix=bool(rng.integers(2)),
                completion=Completion(
                    str(rng.random()), generated_tokens=3, finish_reason="length"
                ),
            )
            for step in whole.steps
        )
        other = replace(
            whole,
            steps=steps,
            stop_reason=StopReason(rng.choice(["", "answer", "budget"])),
            is_success=bool(rng.integers(2)),
            oracle_steps=int(rng.integers(9)),
            error="secret",
            sample=int(rng.integers(9)),
            task_id="another",
        )
        assert render(other, style) == render(whole, style)


def test_plain_is_the_transcript_as_turns(source: TaskSource) -> None:
    prefix = played(source, TAGS[:2], "tags")
    rendered = render(prefix)
    assert rendered.messages == (
        {"role": "user", "content": prefix.prompt},
        {"role": "assistant", "content": TAGS[0]},
        {"role": "user", "content": prefix.steps[0].observation},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": prefix.steps[1].observation},
    )
    assert (rendered.tools, rendered.opening) == ((), 1)
    roles = [message["role"] for message in render(prefix, Style("x", role="tool")).messages]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]


def test_swirl_puts_its_rules_before_the_prompt(source: TaskSource) -> None:
    (message,) = render(played(source, [], "tags", max_steps=6), SWIRL).messages
    rules, _, prompt = message["content"].partition("Question: ")
    for rule in ("up to 5 before", "few words", "something new", "never both"):
        assert rule in rules
    assert prompt.count("<search>") == 1


def test_swirl_tells_the_tools_where_the_prompt_does_not(source: TaskSource) -> None:
    prefix = replace(played(source, [], "tags"), env_kwargs={"instructions": False})
    bare = replace(prefix, prompt=f"Question: {prefix.question}")
    (message,) = render(bare, SWIRL).messages
    assert "- <lookup>title</lookup> shows the page of a title." in message["content"]
    assert "may make up to" not in message["content"]
    given = replace(bare, env_kwargs={"instructions": False, "max_steps": 4})
    assert "may make up to 3 before" in render(given, SWIRL).messages[0]["content"]
    at_once = played(source, [], "tags", mode="closed_book")
    assert "call" not in render(at_once, SWIRL).messages[0]["content"]


def test_native_calls_say_what_the_text_said(source: TaskSource) -> None:
    whole = played(source, JSON, "json")
    rendered = render(whole, NATIVE)
    names = argument_names(whole.tools)
    calls = 0
    for step, asked, told in zip(
        whole.steps, rendered.messages[1::2], rendered.messages[2::2], strict=True
    ):
        assert told["content"] == step.observation
        if step.action is None:
            assert asked == {"role": "assistant", "content": step.text}
            assert told["role"] == "user"
            continue
        calls += 1
        (call,) = asked["tool_calls"]
        assert told == {"role": "tool", "content": step.observation, "tool_call_id": call["id"]}
        assert len(call["id"]) == 9 and call["id"].isalnum()
        back = dialect_named("json").parse(
            write_tool_calls(asked["content"], asked["tool_calls"]), names
        )
        assert back.action == step.action
    assert calls == 3
    assert rendered.messages[1]["content"] == "<think>who?</think>I search."


def test_native_leaves_the_list_of_calls_to_the_schemas(source: TaskSource) -> None:
    prefix = played(source, [], "json", max_steps=6)
    (message,) = render(prefix, NATIVE).messages
    lines = prefix.prompt.split("\n")
    listed = [line for line in lines if line.startswith("- <tool_call>")]
    assert len(listed) == len(prefix.tools) == len(render(prefix, NATIVE).tools)
    said = [line.replace(" turns:", " turns.") for line in lines if line not in listed]
    assert message["content"].split("\n") == said
    assert prefix.question in said[0] and "in at most 6 turns." in message["content"]
    bare = replace(prefix, prompt=f"Question: {prefix.question}")
    assert render(bare, NATIVE).messages[0]["content"] == bare.prompt
    at_once = played(source, [], "json", mode="closed_book")
    assert render(at_once, NATIVE).messages[0]["content"] == at_once.prompt


def test_native_schemas_name_what_the_parser_reads(source: TaskSource) -> None:
    prefix = played(source, [], "json")
    prefix = replace(prefix, env_kwargs={"ask_support": True})
    schemas = {each["function"]["name"]: each["function"] for each in render(prefix, NATIVE).tools}
    assert tuple(schemas) == prefix.tools
    for name, argument in argument_names(prefix.tools).items():
        parameters = schemas[name]["parameters"]
        assert parameters["required"] == [argument]
        example: dict[str, object] = {argument: "x"}
        example |= {"page": 2} if "page" in parameters["properties"] else {}
        example |= {"support": "y"} if "support" in parameters["properties"] else {}
        text = json.dumps({"name": name, "arguments": example})
        action = dialect_named("json").parse(
            f"<tool_call>{text}</tool_call>", argument_names(prefix.tools)
        )
        assert action.action.page == example.get("page", 1)  # type: ignore[union-attr]
        assert action.action.support == example.get("support", "")  # type: ignore[union-attr]
    with pytest.raises(ArgumentError, match=r"needs the dialect 'json', got 'tags'; make the env"):
        render(played(source, [], "tags"), NATIVE)


@pytest.mark.parametrize(
    "calls",
    [[{}], [{"function": None}], [{"function": {"name": "search", "arguments": "{broken"}}],
     [{"function": {"name": 3, "arguments": None}}]],
)  # fmt: skip
def test_odd_calls_of_a_server_are_text_that_can_be_read(calls: list[dict[str, object]]) -> None:
    text = write_tool_calls(None, calls)
    assert dialect_named("json").parse(text, {"search": "query"}).text == text


def test_the_first_of_several_calls_of_a_server_counts() -> None:
    calls = [
        {"function": {"name": "search", "arguments": '{"query": "a\\n\\"b\\""}'}},
        {"function": {"name": "search", "arguments": {"query": "c"}}},
    ]
    parsed = dialect_named("json").parse(write_tool_calls("hm", calls), {"search": "query"})
    assert parsed.action.argument == 'a\n"b"'  # type: ignore[union-attr]
    assert parsed.action.thought == "hm"  # type: ignore[union-attr]


@pytest.mark.parametrize("dialect", ["tags", "json"])
def test_stop_texts_end_every_call(dialect: str) -> None:
    names = argument_names(("search", "lookup", "calculate", "answer"))
    stops = stop_texts(dialect, names)
    for name, argument in names.items():
        written = dialect_named(dialect).example(name, argument)
        assert written.endswith(stops)
    assert len(stops) <= 4  # servers of OpenAI's API take no more


def test_requests_carry_tokens_only_of_whole_texts(source: TaskSource) -> None:
    whole = played(source, TAGS[:4], "tags")
    texts = (TAGS[0], "x", TAGS[2], f"{TAGS[3]} and more")
    made = [Completion(text, token_ids=(1, 2)) for text in texts]
    steps = [replace(step, completion=each) for step, each in zip(whole.steps, made, strict=True)]
    request = build_request(replace(whole, steps=(*steps[:2], whole.steps[2], steps[3]), sample=7))
    assert [turn.token_ids for turn in request.turns] == [(1, 2), (), (), ()]
    assert [turn.text for turn in request.turns] == TAGS[:4]
    assert [turn.observation for turn in request.turns] == [s.observation for s in whole.steps]
    assert request.key == (0, 7, 4)


def test_the_middle_is_dropped_with_a_marker(source: TaskSource) -> None:
    request = build_request(played(source, JSON[:4], "json"), NATIVE)
    shorter = drop_turns(request, 3)
    assert shorter.messages[0]["content"].endswith("\n\n[3 earlier turns were left out here]")
    assert shorter.messages[0]["content"].startswith(request.messages[0]["content"])
    assert shorter.messages[1:] == request.messages[-2:]
    assert shorter.turns == request.turns[-1:]
    assert estimate_tokens(shorter) < estimate_tokens(request)
    assert "[1 earlier turn was left" in drop_turns(request, 1).messages[0]["content"]
