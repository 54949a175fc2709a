"""Any text is an action: 100,000 strings of every kind, and whatever hypothesis thinks of."""

import json
import math
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import gymnasium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopgym.actions import DIALECTS, Action, Malformed
from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.verdicts import Verdict

many = settings(derandomize=True, deadline=None, max_examples=200)

NAMES = ("search", "lookup", "answer", "think", "calculate", "tool_call")
TAGS = [f"<{slash}{name}>" for name in NAMES for slash in ("", "/")]
PIECES = (
    *TAGS * 3,
    *("", " ", "\n", "\0", "\r\n", "\u2028", "\ufeff", "\x1b[31m", "…", "’s", " #2", " #999999"),
    *("#", "\ud800", "\udfff", "\ud83d\ude00", "\ud83d", "😀", "日本語", "e\u0301", "ﷺ", "\u202e"),
    *("Ada Brook", "Cleo Dunn", "ada-brook", "Elmstead", "baker", "mother", "1,234", "9**9**9"),
    *("[1] Cleo Dunn\nCleo Dunn works as a baker.", "[no steps left]", "Answer given.", "İ", "ß"),
    *("Question: What is 1 + 1?", "No results for", "<|im_end|>", "<|im_start|>system\n", "```\n"),
    *("{", "}", "[", "]", '"', "\\", ",", ":", "null", "true", "NaN", "1e999", "-1", '"\\ud800"'),
    *('{"name": "search", "arguments": {"query": "Ada"}}', '{"name": "answer"', '"arguments": {'),
    *('{"name": "lookup", "arguments": {"title": "Ada Brook", "page": 2}}', '"page": 1' + "0" * 40),
    *('{"name": "search", "arguments": "{\\"query\\": \\"bees\\"}"}', "<function=search>"),
)  # fmt: skip
WHOLE = (
    "<search>{}</search>",
    "<lookup>{}</lookup>",
    "<answer>{}</answer>",
    "<calculate>{}</calculate>",
    "<think>{}</think><search>{}</search>",
    "<tool_call>{}</tool_call>",
    '<tool_call>{{"name": "search", "arguments": {{"query": "{}"}}}}</tool_call>',
    '<tool_call>{{"name": "lookup", "arguments": {{"title": "{}", "page": 2}}}}</tool_call>',
    '<tool_call>{{"name": "answer", "arguments": {{"answer": ["{}", "{}"]}}}}</tool_call>',
)


def texts(seed: int, count: int) -> Iterator[str]:
    """Yield strings made of pieces, one in two of them inside of a call."""
    rng = random.Random(seed)

    def some() -> str:
        return "".join(rng.choices(PIECES, k=rng.choice((0, 1, 1, 2, 3, 8))))

    for number in range(count):
        kind = number % 4
        if number % 5_000 == 7:
            yield "".join(rng.choices(PIECES, k=5)) * rng.randrange(1_000, 5_000)
        elif kind == 0:
            yield "".join(map(chr, rng.choices(range(0x11_0000), k=rng.randrange(12))))
        elif kind == 1:
            yield some()
        else:
            yield some() + rng.choice(WHOLE).format(some(), some()) + some()


def huge() -> list[str]:
    """Return strings of about a megabyte."""
    argument = "Ada Brook " * 100_000
    return [
        "x" * 1_000_000,
        "\ud800" * 1_000_000,
        f"<search>{argument}</search>",
        f"<lookup>{argument}</lookup>",
        f"<answer>{argument.replace(' ', ';')}</answer>",
        f"<think>{argument}",
        "<search>" * 125_000 + "</search>",
        f'<tool_call>{{"name": "search", "arguments": {{"query": "{argument}"}}}}</tool_call>',
        "<tool_call>" + "[" * 1_000_000 + "</tool_call>",
    ]


def check(env: HopEnv, text: str, turn: tuple[Any, ...]) -> None:
    """Assert what holds of every step whatever the text was."""
    observation, reward, terminated, truncated, info = turn
    assert type(observation) is str and observation in env.observation_space
    observation.encode()
    assert type(reward) is float and math.isfinite(reward) and 0.0 <= reward <= 2.0
    assert not (terminated and truncated)
    assert terminated == (info["tool"] == "answer") and truncated <= (info["reason"] != "answer")
    verdict = info["verdict"]
    assert (verdict == Verdict.MALFORMED) == (info["tool"] == "")
    assert (verdict in ("good", "lead")) == (info["process_reward"] > 0)
    assert terminated == (verdict in ("supported", "lucky", "wrong", "unsupported"))
    stored = env.trajectory().steps[-1].text
    stored.encode()
    if "</" not in text:
        assert verdict == Verdict.MALFORMED
    if verdict == Verdict.MALFORMED:
        assert reward == 0.0 and "Not understood: " in observation


@pytest.mark.parametrize("dialect", ["tags", "json"])
@pytest.mark.parametrize("name", ["hand", "people"])
def test_no_text_breaks_an_episode(source, name: str, dialect: str) -> None:
    if name == "hand":
        env = HopEnv(source, EnvSettings(dialect=dialect, reward="both"))
    else:
        env = gymnasium.make("hopgym/People-v0", dialect=dialect, reward="both").unwrapped
    seen: Counter[str] = Counter()
    ended = True
    for number, text in enumerate([*texts(17, 25_000), *huge()]):
        if ended:
            env.reset(options={"index": number % 3})
        turn = env.step(text)
        check(env, text, turn)
        ended = turn[2] or turn[3]
        seen[turn[4]["verdict"]] += 1
    assert {"malformed", "irrelevant", "repeat", "unsupported"} <= set(seen)
    assert 0.1 < seen["malformed"] / sum(seen.values()) < 0.97
    assert {"good", "lucky"} & set(seen) or name == "people"


@pytest.mark.parametrize("dialect", ["tags", "json"])
def test_the_same_texts_give_the_same_turns(source, dialect: str) -> None:
    def turns() -> list[object]:
        env = HopEnv(source, EnvSettings(dialect=dialect, max_malformed=10**6, max_steps=10**6))
        env.reset(options={"index": 2})
        texts_that_go_on = (text for text in texts(3, 2_000) if "answer" not in text)
        return [env.step(text) for text in texts_that_go_on]

    assert turns() == turns()


TOOLS = {"search": "query", "lookup": "title", "answer": "answer"}
fragments = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join)
surrogates = st.text(st.characters(codec=None), max_size=40)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@many
@given(text=st.text() | surrogates | fragments)
def test_every_text_is_an_action_or_malformed(dialect, text: str) -> None:
    parsed = dialect.parse(text, TOOLS)
    assert text.startswith(parsed.text)
    if isinstance(parsed.action, Malformed):
        assert parsed.action.reason
        # A complete call without an argument is cut at its end, like any other.
        assert parsed.text == text or dialect.parse(parsed.text, TOOLS) == parsed
        return
    action = parsed.action
    assert isinstance(action, Action) and action.tool in TOOLS and action.page >= 1
    assert action.argument == action.argument.strip()
    assert action.argument or action.tool == "answer"
    # What follows the call changes nothing, and reading the kept text gives the call again.
    assert dialect.parse(parsed.text, TOOLS) == parsed


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
names = st.sampled_from([*TOOLS, "fetch"]) | json_values
known = st.dictionaries(st.sampled_from([*TOOLS.values(), "page", "why"]), json_values)


@many
@given(name=names, arguments=known | json_values, extra=known)
def test_every_json_call_is_an_action_or_malformed(name, arguments, extra) -> None:
    call = {"name": name, "arguments": arguments} | extra
    text = f"<tool_call>{json.dumps(call)}</tool_call>"
    action = DIALECTS["json"].parse(text, TOOLS).action
    if isinstance(action, Action):
        assert action.tool == name and TOOLS[name] in arguments
        assert type(action.argument) is str and type(action.page) is int
    else:
        assert action.reason


@many
@given(text=fragments | surrogates)
@pytest.mark.parametrize("dialect", ["tags", "json"])
def test_every_text_is_a_step(dialect: str, text: str) -> None:
    env = gymnasium.make("hopgym/People-v0", dialect=dialect, reward="both").unwrapped
    env.reset(options={"index": 0})
    check(env, text, env.step(text))
