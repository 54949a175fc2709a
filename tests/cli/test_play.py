"""`hopgym play`: a session from a pipe, its hints, the oracle's steps, and completion."""

import sys

import pytest
from typer.testing import CliRunner, Result

from hopgym.cli.app import app
from hopgym.cli.play import action_text, completions, hint, matching, seen_titles
from hopgym.env import HopEnv

QUESTION = ("People-v0", "--split", "test", "--kinds", "chain", "--hops", "2", "--index", "0")


def play(typed: str, *words: str) -> Result:
    return CliRunner().invoke(app, ["play", *(words or QUESTION)], input=typed)


def test_the_oracle_can_be_asked_to_the_end() -> None:
    result = play("!\n" * 12)
    assert result.exit_code == 0
    assert (
        "supported: right, and proven by the pages you read (outcome reward 1.00)" in result.stdout
    )
    assert "process rewards add up to 1.00" in result.stdout
    assert "hop 2:" in result.stdout
    assert "hopgym play hopgym/People-v0" in result.stderr
    assert "--index 1" in result.stderr


def test_typed_calls_are_judged() -> None:
    result = play("search nothing-like-this\nsearch nothing-like-this\nanswer nobody\n")
    assert "irrelevant" in result.stdout
    assert "repeat" in result.stdout
    assert "unsupported: not right" in result.stdout
    assert "You took 3 steps, the oracle" in result.stdout


def test_typing_errors_cost_no_step() -> None:
    result = play("serch river\nlookup\n\nquit\n")
    assert "(did you mean 'search'?)" in result.stdout
    assert "Type: lookup title" in result.stdout
    assert "2/16>" not in result.stdout
    assert "Stopped after 0 steps" in result.stderr
    assert result.exit_code == 0


def test_calls_in_the_dialect_are_taken_as_they_stand() -> None:
    assert "unsupported" in play("<answer>nobody</answer>\n").stdout
    assert "malformed" in play("<answer>nobody\nquit\n").stdout


def test_the_end_of_input_stops() -> None:
    result = play("")
    assert result.exit_code == 0
    assert "Stopped after 0 steps" in result.stderr


def test_hints_name_the_kind_of_step_alone(env: HopEnv) -> None:
    env.reset(options={"index": 1})
    assert hint(env) == "a search would help: for words that are likely to stand on the page"
    env.reset(options={"index": 0})
    assert hint(env) == "a lookup would help: of a page whose title you have seen"
    env.step(action_text(env, "lookup Ada Brook"))
    env.step(action_text(env, "Lookup cleo dunn"))
    assert hint(env) == "you have seen enough: an answer would help"


def test_a_hint_can_be_asked_for() -> None:
    result = play("?\nquit\n")
    assert "would help" in result.stdout
    assert "Stopped after 0 steps" in result.stderr


def test_json_dialect_is_typed_the_same_way() -> None:
    result = play("search river\n!\nquit\n", *QUESTION, "--dialect", "json")
    assert "[1] " in result.stdout
    assert "lookup " in result.stdout
    assert "tool_call" not in result.stdout


def test_unjudged_questions_say_so() -> None:
    result = play("answer nobody\n", *QUESTION, "--mode", "closed_book")
    assert "unjudged" in result.stdout


def test_titles_complete_once_they_were_seen(env: HopEnv) -> None:
    env.reset(options={"index": 0})
    assert seen_titles(env) == ["Ada Brook"]
    env.step(action_text(env, "lookup Ada Brook"))
    assert seen_titles(env) == ["Ada Brook", "Cleo Dunn"]
    lines = completions(env)
    assert matching(lines, "LOOK") == ["lookup ", "lookup Ada Brook", "lookup Cleo Dunn"]
    assert "answer Cleo Dunn" in lines


def test_ctrl_c_stops_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("hopgym.cli.play.read_line", interrupted)
    result = play("")
    assert result.exit_code == 130
    assert "Stopped after 0 steps" in result.stderr


def test_completion_is_set_up_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    readline = pytest.importorskip("readline")
    from hopgym.cli.play import read_line

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: f" {prompt}typed ")
    before = readline.get_completer()
    try:
        assert read_line("> ", lambda: ["lookup Ada", "lookup Bo"]) == "> typed"
        complete = readline.get_completer()
        assert [complete("look", n) for n in range(3)] == ["lookup Ada", "lookup Bo", None]
    finally:
        readline.set_completer(before)
