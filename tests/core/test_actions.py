"""Texts read as actions: both dialects, thinking, the first call, and hostile ones."""

import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hopgym.actions import DIALECTS, Action, Malformed, Parsed, dialect_named, replace_surrogates
from hopgym.errors import ArgumentError

TOOLS = {
    "search": "query",
    "lookup": "title",
    "calculate": "expression",
    "answer": "answer",
}
TAGS, JSON = DIALECTS["tags"], DIALECTS["json"]
many = settings(derandomize=True, deadline=None, max_examples=150)


def tags(text: str) -> Parsed:
    return TAGS.parse(text, TOOLS)


def call(name: object = "search", arguments: object = None, **others: object) -> str:
    """A call in the json dialect; the keywords are arguments."""
    given = others if arguments is None else arguments
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': given})}\n</tool_call>"


def parse_json(text: str) -> Parsed:
    return JSON.parse(text, TOOLS)


@pytest.mark.parametrize(
    ("text", "action", "kept"),
    [
        ("<search>bees</search>", Action("search", "bees"), None),
        ("<lookup>\n Ada Brook \n</lookup>", Action("lookup", "Ada Brook"), None),
        ("<calculate>1 < 2</calculate>", Action("calculate", "1 < 2"), None),
        ("<answer></answer>", Action("answer", ""), None),
        ("<answer> </answer>", Action("answer", ""), None),
        ("I look. <search>bees</search>", Action("search", "bees", "I look."), None),
        (
            "<search>a</search> and <answer>b</answer>",
            Action("search", "a"),
            "<search>a</search>",
        ),
        ("<answer>b</answer><search>a</search>", Action("answer", "b"), "<answer>b</answer>"),
        ("<search>a <answer>b</answer> c</search>", Action("answer", "b", "<search>a"), 28),
        ("<search>a<search>b</search></search>", Action("search", "b", "<search>a"), 27),
        ("<search>a</lookup></search>", Action("search", "a</lookup>"), None),
        ("</search><search>a</search>", Action("search", "a", "</search>"), None),
        ("<search>open <lookup>a</lookup>", Action("lookup", "a", "<search>open"), None),
        ("<search>a #2</search>", Action("search", "a #2"), None),
        ("<search>日本 🐝</search>\n", Action("search", "日本 🐝"), "<search>日本 🐝</search>"),
        ("<search>a<b>c</search>", Action("search", "a<b>c"), None),
    ],
)
def test_tags(text: str, action: Action, kept: str | int | None) -> None:
    kept = text[:kept] if isinstance(kept, int) else kept or text
    assert tags(text) == Parsed(action, kept)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no call"),
        ("bees", "no call"),
        ("<search>bees", "<search> is never closed"),
        ("bees</search>", "no call"),
        ("</search>bees<search>", "<search> is never closed"),
        ("<search></search>", "argument of search is empty"),
        ("<lookup> \n </lookup>", "argument of lookup is empty"),
        ("<fetch>bees</fetch>", "no call"),
        ("<Search>bees</Search>", "no call"),
        ("< search>bees</ search>", "no call"),
        ("<search>bees</lookup>", "<search> is never closed"),
        (call(query="bees"), "no call"),
    ],
)
def test_malformed_tags_say_why_and_keep_the_whole_text(text: str, reason: str) -> None:
    parsed = tags(text)
    assert isinstance(parsed.action, Malformed) and reason in parsed.action.reason
    assert parsed.text == text


def test_only_the_tools_at_hand_are_known() -> None:
    text = "<search>a</search><answer>b</answer>"
    assert TAGS.parse(text, {"answer": "answer"}).action == Action("answer", "b", text[:18])
    known = JSON.parse(call(query="a"), {"answer": "answer"}).action
    assert isinstance(known, Malformed) and "not a known tool" in known.reason


THINKING = [
    ("<think>Hm.</think><CALL>", "Hm."),
    ("<think>Hm.</think>\nSo: <CALL>", "Hm.\nSo:"),
    ("<think>I might write <WRONG> here.</think><CALL>", "I might write <WRONG> here."),
    ("I might write <WRONG> here.</think><CALL>", "I might write <WRONG> here."),
    ("<think></think><CALL>", ""),
    ("<think>a</think>b<think>c</think><CALL>", "abc"),
    ("<think>a</think><think><WRONG></think><CALL>", "a<WRONG>"),
    ("<think>a<think>b</think><CALL>", "ab"),
    ("Sure. <think>a</think><CALL>", "Sure. a"),
    ("</think><CALL>", ""),
]


@pytest.mark.parametrize(("text", "thought"), THINKING)
@pytest.mark.parametrize("dialect", ["tags", "json"])
def test_thinking_is_taken_off_first(text: str, thought: str, dialect: str) -> None:
    right = {"tags": "<search>bees</search>", "json": call(query="bees")}[dialect]
    wrong = {"tags": "<answer>owls</answer>", "json": call("answer", answer="owls")}[dialect]
    text = text.replace("<CALL>", right).replace("<WRONG>", wrong)
    parsed = DIALECTS[dialect].parse(f"{text} and more", TOOLS)
    assert parsed == Parsed(Action("search", "bees", thought.replace("<WRONG>", wrong)), text)


@pytest.mark.parametrize("thinking", ["<think>", "a <think> b ", "<think>a</think><think>b "])
@pytest.mark.parametrize("dialect", ["tags", "json"])
def test_thinking_that_never_ends_holds_no_call(thinking: str, dialect: str) -> None:
    text = thinking + {"tags": "<search>bees</search>", "json": call(query="bees")}[dialect]
    parsed = DIALECTS[dialect].parse(text, TOOLS)
    assert isinstance(parsed.action, Malformed) and parsed.text == text


def test_thinking_behind_the_call_changes_nothing() -> None:
    assert tags("<search>a</search><think>b</think>") == tags("<search>a</search>")
    assert tags("<search>a</search><think>b") == tags("<search>a</search>")
    assert tags("<search>a<think>b</think>c</search>").action == Action("search", "ac")


@pytest.mark.parametrize(
    ("text", "action"),
    [
        (call(query="bees"), Action("search", "bees")),
        (call("lookup", title=" Ada "), Action("lookup", "Ada")),
        (call(query="bees", page=3), Action("search", "bees", page=3)),
        (call(query="bees #2"), Action("search", "bees #2")),
        (
            call(arguments=json.dumps({"query": "bees", "page": 2})),
            Action("search", "bees", page=2),
        ),
        (call("answer", answer=["Ada Brook", "Ivo Jay"]), Action("answer", "Ada Brook; Ivo Jay")),
        (call("answer", answer=[]), Action("answer", "")),
        (call("answer", answer=""), Action("answer", "")),
        (call("answer", answer=1410), Action("answer", "1410")),
        (call("answer", answer=2.5), Action("answer", "2.5")),
        (call(query="bees", why="they sting"), Action("search", "bees")),
        (f"I look.\n{call(query='bees')}", Action("search", "bees", "I look.")),
        (
            '<tool_call>{"name":"search","arguments":{"query":"\\u65e5 \\"x\\""}}</tool_call>',
            Action("search", '日 "x"'),
        ),
    ],
)
def test_json(text: str, action: Action) -> None:
    assert parse_json(text) == Parsed(action, text)


def test_the_first_json_call_wins() -> None:
    first, second = call(query="a"), call("answer", answer="b")
    assert parse_json(f"{first} so {second}") == Parsed(Action("search", "a"), first)
    nested = f"<tool_call>{first}"
    assert parse_json(nested) == Parsed(Action("search", "a", "<tool_call>"), nested)
    broken = "<tool_call>{}</tool_call>"
    assert isinstance(parse_json(broken + first).action, Malformed)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is missing"),
        ("<search>a</search>", "is missing"),
        ("</tool_call>", "is missing"),
        ("<tool_call>{}", "is never closed"),
        ("<tool_call></tool_call>", "not a JSON object"),
        ("<tool_call>[1]</tool_call>", "not a JSON object"),
        ("<tool_call>{'name': 'search'}</tool_call>", "not a JSON object"),
        (call(query="a").replace("}}", "}"), "not a JSON object"),
        (call(name="fetch", query="a"), "not a known tool"),
        (call(name=["search"], query="a"), "not a known tool"),
        (call(name=None, query="a"), "not a known tool"),
        (call(title="a"), '"arguments" does not hold "query"'),
        (call(arguments=["a"]), '"arguments" does not hold "query"'),
        (call(arguments="{"), '"arguments" does not hold "query"'),
        (call(arguments=7), '"arguments" does not hold "query"'),
        (call(query=None), '"query" is not a string'),
        (call(query={"a": 1}), '"query" is not a string'),
        (call(query=True), '"query" is not a string'),
        (call("answer", answer=["a", None]), '"answer" is not a string'),
        (call(query=""), "argument of search is empty"),
        (call(query="  "), "argument of search is empty"),
        (call(query="a", page=0), '"page" is not a whole number from 1'),
        (call(query="a", page=-1), '"page" is not a whole number from 1'),
        (call(query="a", page="2"), '"page" is not a whole number from 1'),
        (call(query="a", page=True), '"page" is not a whole number from 1'),
        (call(query="a", page=None), '"page" is not a whole number from 1'),
    ],
)
def test_malformed_json_says_why(text: str, reason: str) -> None:
    parsed = parse_json(text)
    assert isinstance(parsed.action, Malformed) and reason in parsed.action.reason
    assert parsed.text == text


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_examples_are_calls(dialect) -> None:
    for tool, argument in TOOLS.items():
        parsed = dialect.parse(dialect.example(tool, argument), TOOLS)
        assert parsed.action == Action(tool, argument)


arguments = st.text(max_size=60).map(replace_surrogates).map(str.strip).filter(bool)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@many
@given(tool=st.sampled_from(sorted(TOOLS)), argument=arguments, thought=arguments | st.just(""))
def test_written_actions_are_read_back(dialect, tool: str, argument: str, thought: str) -> None:
    # No one writes tags into an argument or NULs anywhere.
    assume(not {"<", "\0"} & set(argument + thought))
    action = Action(tool, argument, thought)
    text = dialect.write(action, TOOLS)
    assert dialect.parse(text, TOOLS) == Parsed(action, text)
    assert dialect.parse(f"{text}\nwhat follows", TOOLS) == Parsed(action, text)


@many
@given(argument=arguments, page=st.integers(2, 10**6))
def test_json_pages_are_read_back(argument: str, page: int) -> None:
    assume(not {"<", "\0"} & set(argument))
    action = Action("lookup", argument, page=page)
    assert parse_json(JSON.write(action, TOOLS)).action == action
    assert tags(TAGS.write(action, TOOLS)).action == Action("lookup", f"{argument} #{page}")


MEGABYTE = 1_000_000
ADVERSARIES = [
    "<search>" * 125_000,
    "</search>" * 111_000,
    "<think>" * 140_000,
    "</think>" * 125_000,
    "<think></think>" * 66_000,
    "<think></think>" * 60_000 + "<search>a</search>",
    "<search>" * 125_000 + "</search>",
    "<search></search>" * 58_000,
    "<search><lookup><answer><calculate>" * 28_000 + "</answer>",
    "<tool_call>" * 90_000,
    "<tool_call>" * 90_000 + "</tool_call>",
    "</tool_call>" * 83_000,
    "<tool_call></tool_call>" * 43_000,
    "<" * MEGABYTE,
    "a" * MEGABYTE,
    "\0" * MEGABYTE,
    " " * MEGABYTE,
    "<search>" + " " * MEGABYTE + "</search>",
    "<tool_call>" + "[" * MEGABYTE + "</tool_call>",
    "<tool_call>" + '{"a":' * 200_000 + "</tool_call>",
    "<tool_call>" + '{"name":"search","arguments":' + '{"query":' * 110_000 + "</tool_call>",
    call(arguments="[" * MEGABYTE),
    call(query="1" * MEGABYTE),
    '<tool_call>{"name":"search","arguments":{"query":' + "9" * MEGABYTE + "}}</tool_call>",
    call("answer", answer=["a"] * 200_000),
]


@pytest.mark.parametrize("text", ADVERSARIES, ids=lambda text: text[:24])
@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_megabyte_of_anything_is_read(dialect, text: str) -> None:
    parsed = dialect.parse(text, TOOLS)
    assert text.startswith(parsed.text) and isinstance(parsed.action, Action | Malformed)


@pytest.mark.parametrize("depth", [10, 500, 5_000, 100_000])
def test_deep_nesting_is_malformed(depth: int) -> None:
    body = '{"name":"search","arguments":{"query":' + "[" * depth + "]" * depth + "}}"
    parsed = parse_json(f"<tool_call>{body}</tool_call>")
    assert isinstance(parsed.action, Malformed)


def test_lone_surrogates_become_replacement_characters() -> None:
    assert replace_surrogates("a\ud800b\udfffc") == "a\ufffdb\ufffdc"
    assert replace_surrogates("\ud83d\ude00") == "😀"
    assert replace_surrogates("plain 😀") == "plain 😀"
    assert replace_surrogates("\udc80" * 3) == "\ufffd" * 3


@pytest.mark.parametrize("name", ["tag", "JSON", "", None])
def test_unknown_dialects_are_named(name: str) -> None:
    with pytest.raises(ArgumentError, match="dialect must be one of tags, json, got"):
        dialect_named(name)
    assert dialect_named("json") is JSON
