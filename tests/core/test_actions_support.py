"""What answers name as their support, in both dialects."""

import json

import pytest

from hopgym.actions import DIALECTS, Action

TOOLS = {"search": "query", "answer": "answer"}
TAGS, JSON = DIALECTS["tags"], DIALECTS["json"]


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("<answer>a <support>b#0 | c#1</support> d</answer>", ("a", "b#0 | c#1")),
        ("<answer><support>b#0</support></answer>", ("", "b#0")),
        ("<answer>a <support>b#0</answer>", ("a", "b#0")),
        ("<answer>a <support>b#0</support> <support>c#0</support></answer>", ("a", "b#0")),
        ("<answer>a <support></support></answer>", ("a", "")),
        ("<answer>a </support> b</answer>", ("a </support> b", "")),
    ],
)
def test_tags(text: str, action: tuple[str, str]) -> None:
    assert TAGS.parse(text, TOOLS).action == Action("answer", action[0], support=action[1])


def test_only_answers_name_support() -> None:
    text = "<search>a <support>b</support></search>"
    assert TAGS.parse(text, TOOLS).action == Action("search", "a <support>b</support>")


@pytest.mark.parametrize(
    ("given", "support"),
    [
        ("b#0 | c#1", "b#0 | c#1"),
        (["b#0", ["c", 1]], "b#0 | c#1"),
        ([["Ada", "mother", "Eve"]], "Ada > mother > Eve"),
        ([{"title": "b", "index": 2}], "b#2"),
        ([], ""),
        (None, ""),
        (7, ""),
    ],
)
def test_json(given: object, support: str) -> None:
    call = {"name": "answer", "arguments": {"answer": "a", "support": given}}
    text = f"<tool_call>{json.dumps(call)}</tool_call>"
    assert JSON.parse(text, TOOLS).action == Action("answer", "a", support=support)


@pytest.mark.parametrize("dialect", [TAGS, JSON], ids=["tags", "json"])
def test_what_is_written_is_read_back(dialect) -> None:
    for action in (
        Action("answer", "a", "I know.", support="b#0 | c > d > e"),
        Action("answer", ""),
    ):
        assert dialect.parse(dialect.write(action, TOOLS), TOOLS).action == action
