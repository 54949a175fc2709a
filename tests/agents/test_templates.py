"""Templates of one's own: what they may use where, and how mistakes in them are told."""

from pathlib import Path

import pytest

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError
from hopgym.trajectory import Trajectory
from hopgym_agents.prompts import STYLES, Style, get_style, render


@pytest.fixture
def prefix(env: HopEnv) -> Trajectory:
    env.reset(options={"index": 0})
    env.step("<lookup>Ada Brook</lookup>")
    env.step("<lookup>Cleo Dunn</lookup>")
    return env.trajectory()


def contents(prefix: Trajectory, template: str) -> list[str]:
    messages = render(prefix, Style("mine", template)).messages
    return [message["content"] for message in messages if message["role"] != "assistant"]


def test_a_template_without_blocks_is_the_opening(prefix: Trajectory) -> None:
    opening, *replies = contents(prefix, "{# mine #}\nQ: {{ question }} <{{ max_steps }}>\n")
    assert opening == f"Q: {prefix.question} <16>"
    assert replies == [step.observation for step in prefix.steps]


def test_blocks_are_messages(prefix: Trajectory) -> None:
    template = (
        "{% block observation %}{{ step }}/{{ actions | join('+') }}: {{ observation }}"
        "{{ observations | length }}{% endblock %}\n\n{% block system %}Be brief.{% endblock %}"
    )
    system, opening, first, second = contents(prefix, template)
    assert (system, opening) == ("Be brief.", prefix.prompt)
    one, two = prefix.steps
    assert first == f"1/{one.text}: {one.observation}1"
    assert second == f"2/{one.text}+{two.text}: {two.observation}2"


def test_markup_and_braces_of_an_episode_stay_as_they_are(env: HopEnv) -> None:
    env.reset(options={"index": 0})
    env.step("<lookup>{{ 7 * 7 }} <b>&amp;{% raw %}</lookup>")
    told = contents(env.trajectory(), "{% block observation %}{{ observation }}{% endblock %}")
    assert "{{ 7 * 7 }} <b>&amp;{% raw %}" in told[-1]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ question", r"must be a Jinja2 template, got .* in line 1"),
        ("\n{% block answer %}x{% endblock %}", r"blocks among system, opening, .* got 'answer'"),
        ("{% block obervation %}{% endblock %}", r"did you mean 'observation'\?"),
        (
            "Hello\n{% block system %}x{% endblock %}",
            r"got something outside of them in line 1; move it into 'system'",
        ),
        ("{% set a = 1 %}{% block opening %}{{ a }}{% endblock %}", "something outside of them"),
        (
            "{% block opening %}{% block system %}x{% endblock %}{% endblock %}",
            "side by side, got 'system'",
        ),
        ("{{ tools | random }}", "must be a Jinja2 template, got No filter named 'random'"),
    ],
)
def test_templates_that_cannot_be_used_are_refused_at_once(template: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=rf"template 'mine' .*{message}"):
        Style("mine", template)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ questoin }}", r"may use question, prompt, .* in its opening, .*'questoin'"),
        (
            "{{ question }}{% for o in observations %}{{ o }}{% endfor %}",
            "what comes later stands in the block observation alone, no message is redone",
        ),
        ("{% block observation %}{{ reward }}{% endblock %}", "observation, got .*'reward'"),
        ("{{ question / 2 }}", "must fill in its opening for every episode, got TypeError"),
        ("{{ question.__class__.__mro__ }}", "unsafe|SecurityError"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
    ],
)
def test_templates_that_ask_for_what_is_not_known(
    prefix: Trajectory, template: str, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        contents(prefix, template)


def test_names_and_files_of_styles(tmp_path: Path, prefix: Trajectory) -> None:
    with pytest.raises(
        ArgumentError, match=r"plain, system, swirl, native, got 'swril' \(did you mean"
    ):
        get_style("swril")
    with pytest.raises(ArgumentError, match="template must be a text file, got"):
        get_style("plain", str(tmp_path / "missing.jinja"))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArgumentError, match="template must be a text file, got"):
        get_style("plain", str(tmp_path / "bytes"))
    (tmp_path / "empty").write_text(" \n")
    with pytest.raises(ArgumentError, match="template must be a file that is not empty"):
        get_style("plain", str(tmp_path / "empty"))
    assert get_style("swirl") is STYLES["swirl"]
    (tmp_path / "own").write_text("{{ question }}!", encoding="utf-8")
    own = get_style("native", str(tmp_path / "own"))
    assert own.native and own.name != "native"
    with pytest.raises(ArgumentError, match="role must be 'user' or 'tool', got 'system'"):
        Style("odd", role="system")
