"""What servers answer, read as completions."""

import json
import math
from typing import Any

import pytest

from hopgym.actions import Action, dialect_named
from hopgym.trajectory import Completion
from hopgym_agents.generate.replies import (
    UnusableReply,
    error_details,
    is_context_error,
    parse_completion,
)
from tests.support.faulty_server import chat

STOP = ("</search>", "</lookup>", "</answer>")


def read(*args: Any, stop: tuple[str, ...] = STOP, **more: Any) -> Completion:
    return parse_completion(chat(*args, **more), stop)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("I look. <search>red bees", "I look. <search>red bees</search>"),
        ("<search>red <lookup>Ada", "<search>red <lookup>Ada</lookup>"),
        ("<lookup>Ada <search>red", "<lookup>Ada <search>red</search>"),
        ("<search>red</search>", "<search>red</search>"),
        ("<search>red</search>\nResult: bees <answer>x</answer>", "<search>red</search>"),
        ("<answer>x</answer> or <search>red</search>", "<answer>x</answer>"),
        ("It is blue.", "It is blue."),
        (
            "<think><search> or not</think> It is blue.",
            "<think><search> or not</think> It is blue.",
        ),
        ("<think></search>?</think><answer>x", "<think></search>?</think><answer>x</answer>"),
        ("<bold>", "<bold>"),
    ],
)
def test_a_stop_text_stays_where_the_server_says_nothing_of_it(said: str, kept: str) -> None:
    assert read(said).text == kept


@pytest.mark.parametrize("field", ["stop_reason", "matched_stop"])
@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("</search>", "<lookup>a</search>"),
        ("</answer>", "<lookup>a</answer>"),
        (None, "<lookup>a"),
        (151645, "<lookup>a"),
        ("end_turn", "<lookup>a</lookup>"),
    ],
)
def test_a_server_that_names_the_stop_is_believed(field: str, told: Any, kept: str) -> None:
    assert read("<lookup>a", **{field: told}).text == kept


def test_what_ran_out_of_tokens_is_not_closed() -> None:
    assert read("<search>red", "length").text == "<search>red"
    assert read("<search>red", "length").finish_reason == "length"


def test_a_stop_text_that_closes_nothing_is_put_back_only_if_named() -> None:
    assert read("hm", stop=("\nYou:",), stop_reason="\nYou:").text == "hm\nYou:"
    assert read("hm", stop=("\nYou:",)).text == "hm"
    assert read("hm\nYou: no", stop=("\nYou:",)).text == "hm\nYou:"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thinking_stands_before_the_content(field: str) -> None:
    reply = read("<search>red", **{field: "which </search> one?"})
    assert reply.text == "<think>which </search> one?</think><search>red</search>"
    parsed = dialect_named("tags").parse(reply.text, {"search": "query"})
    assert isinstance(parsed.action, Action)
    assert parsed.action.argument == "red"


@pytest.mark.parametrize("arguments", ['{"query": "red \\"bees\\""}', {"query": 'red "bees"'}])
def test_native_calls_become_text_that_parses(arguments: Any) -> None:
    calls = [
        {"id": "a", "type": "function", "function": {"name": name, "arguments": arguments}}
        for name in ("search", "lookup")
    ]
    reply = read("I look.", "tool_calls", tool_calls=calls, stop=("</tool_call>",))
    parsed = dialect_named("json").parse(reply.text, {"search": "query"})
    assert parsed.action == Action("search", 'red "bees"', "I look.")
    assert parsed.text == reply.text  # nothing behind the first call
    assert reply.finish_reason == "stop"
    both = read(None, "tool_calls", tool_calls=calls, stop=())
    assert both.text.count("<tool_call>") == 2


@pytest.mark.parametrize(
    ("content", "finish", "more", "reason", "text"),
    [
        (None, "stop", {"refusal": "I can't."}, "refused", "I can't."),
        ("", "content_filter", {}, "refused", ""),
        ("", "stop", {}, "empty", ""),
        (None, "stop", {}, "empty", ""),
        (" \n", "stop", {}, "empty", " \n"),
        (None, "stop", {"reasoning": "hm"}, "empty", "<think>hm</think>"),
        (None, "length", {"reasoning": "hm"}, "length", "<think>hm</think>"),
        ("a", None, {}, "stop", "a"),
        ("a", "abort", {}, "abort", "a"),
        (
            [{"type": "text", "text": "a"}, {"type": "image"}, {"text": "b"}],
            "stop",
            {},
            "stop",
            "ab",
        ),
    ],
)
def test_finish_reasons(
    content: Any, finish: str | None, more: dict[str, Any], reason: str, text: str
) -> None:
    reply = read(content, finish, **more)
    assert (reply.finish_reason, reply.text) == (reason, text)


def test_tokens_and_logprobs_where_the_server_gives_them() -> None:
    listed = [{"token": "a", "logprob": -0.5, "bytes": [97]}, {"token": "b", "logprob": -1}]
    more = {"logprobs": {"content": listed}, "token_ids": [5, 6]}
    reply = read("ab", **more)
    assert (reply.token_ids, reply.logprobs) == ((5, 6), (-0.5, -1.0))
    assert (reply.generated_tokens, reply.prompt_tokens) == (3, 7)
    beyond = read("<answer>x</answer>b", **more)
    assert (beyond.token_ids, beyond.logprobs, beyond.generated_tokens) == ((), (), 3)
    infinite = [{"logprob": -1.0}, {"logprob": float("-inf")}]
    assert read("ab", logprobs={"content": infinite}).logprobs == ()
    bare = json.loads(chat("ab", **more))
    del bare["usage"]
    assert parse_completion(json.dumps(bare).encode(), ()).generated_tokens == 2


@pytest.mark.parametrize("told", [math.inf, math.nan, -5, 1e300, "7", True, None, [3], {}])
def test_odd_figures_do_not_spoil_a_reply(told: Any) -> None:
    more = {"logprobs": {"content": [{"logprob": told}]}, "token_ids": [5, told]}
    odd = json.loads(chat("ab", **more))
    odd["usage"] = {"completion_tokens": told, "prompt_tokens": told}
    reply = parse_completion(json.dumps(odd).encode(), ())
    n_logprobs = len(reply.logprobs)
    assert (reply.text, reply.token_ids, reply.prompt_tokens) == ("ab", (), 0)
    assert (reply.generated_tokens, n_logprobs) == ((1, 1) if told in (-5, 1e300) else (0, 0))
    for key in ("usage", "logprobs", "token_ids"):
        odd = json.loads(chat("ab"))
        (odd if key == "usage" else odd["choices"][0])[key] = told
        assert parse_completion(json.dumps(odd).encode(), ()).text == "ab"


def test_arguments_may_hold_tags() -> None:
    arguments = json.dumps({"query": "<tool_call> a </think> b </tool_call>"})
    call = {"function": {"name": "search", "arguments": arguments}}
    said = read(None, "tool_calls", tool_calls=[call]).text
    action = dialect_named("json").parse(said, {"search": "query"}).action
    assert isinstance(action, Action)
    assert (action.tool, action.argument) == ("search", "<tool_call> a </think> b </tool_call>")


def test_odd_characters_do_not_spoil_a_reply() -> None:
    half = rb'{"choices": [{"message": {"content": "a\ud83d b"}, "finish_reason": "stop"}]}'
    assert parse_completion(half, ()).text == "a\ufffd b"
    broken = b'{"choices": [{"message": {"content": "a\xff b"}, "finish_reason": "stop"}]}'
    assert parse_completion(broken, ()).text == "a\ufffd b"


@pytest.mark.parametrize(
    "body", [b"", b"null", b"nonsense", b"[" * 100_000, b"{}", b'{"error": {"message": "down"}}']
)
def test_what_is_no_reply(body: bytes) -> None:
    with pytest.raises(UnusableReply) as caught:
        parse_completion(body, ())
    assert len(str(caught.value)) < 400
    assert b"down" not in body or "down" in str(caught.value)


def test_what_errors_say() -> None:
    assert error_details(b'{"error": "no"}') == ("no", frozenset())
    assert error_details(b"<h1>Bad Gateway</h1>") == ("<h1>Bad Gateway</h1>", frozenset())
    assert error_details(b'{"error": {"message": "m", "code": "c", "type": "t"}}') == (
        "m",
        {"c", "t"},
    )
    assert len(error_details(b"x" * 10**6)[0]) == 500
    assert is_context_error("The decoder prompt (length 9) is longer than the maximum model length")
    assert not is_context_error("HTTP 400: 'role' must be one of system, user, assistant")
