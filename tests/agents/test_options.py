"""The options of the policy ``llm``: what they make, and how wrong ones are told."""

from pathlib import Path
from typing import Any

import pytest

from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError
from hopgym.trajectory import Completion
from hopgym_agents import options
from hopgym_agents.generate import Sampling
from hopgym_agents.policy import LLMPolicy, llm
from hopgym_agents.prompts import SWIRL


class StubGenerator:
    """A generator that shows the options it was created from."""

    concurrency = 1
    fingerprint = "made"

    def __init__(self, chosen: options.LLMOptions, sampling: Sampling) -> None:
        self.chosen, self.sampling = chosen, sampling

    @classmethod
    def from_options(cls, chosen: options.LLMOptions, sampling: Sampling) -> "StubGenerator":
        return cls(chosen, sampling)

    def __call__(self, requests: Any) -> list[Completion]:
        return [Completion("<answer>x</answer>") for _ in requests]


@pytest.fixture(autouse=True)
def generators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "load_generator_class", lambda name: StubGenerator)


def policy_of(env: HopEnv, **options: Any) -> LLMPolicy:
    policy = llm(env, {"model": "tiny", **options})
    assert isinstance(policy, LLMPolicy)
    return policy


def test_options_reach_sampling_style_and_context(env: HopEnv) -> None:
    policy = policy_of(
        env, temperature=0, top_p=0.9, top_k=5, max_tokens=64, seed=3, style="swirl",
        max_context=4096, drop_middle=True, base_url="http://127.0.0.1:1/v1", concurrency=4,
    )  # fmt: skip
    generate: Any = policy.generate
    stops = ("</search>", "</lookup>", "</answer>")
    assert generate.sampling == Sampling(0.0, 0.9, 5, 64, stops, 3)
    assert (policy.style, policy.max_context, policy.drop_middle) == (SWIRL, 4096, True)
    assert generate.chosen.base_url == "http://127.0.0.1:1/v1"


def test_stop_texts_go_with_dialect_and_generator(env: HopEnv) -> None:
    def stops(**options: Any) -> tuple[str, ...]:
        generate: Any = policy_of(asked, **options).generate
        return generate.sampling.stop  # type: ignore[no-any-return]

    asked = HopEnv(env.source, EnvSettings(dialect="json"))
    assert stops() == stops(style="native", generator="local") == ("</tool_call>",)
    assert stops(style="native") == stops(stop=False) == ()
    asked = HopEnv(env.source, EnvSettings(mode="closed_book"))
    assert stops() == ("</answer>",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modle": "x"}, r"llm takes model, .*, got 'modle' \(did you mean 'model'\?\)"),
        ({"max_token": 5}, r"got 'max_token' \(did you mean 'max_tokens'\?\)"),
        ({"model": ""}, r"llm needs a model, got none; give its name \(--llm.model NAME\)"),
        ({"temperature": -1}, r"llm cannot take temperature = -1: expected `float` >= 0"),
        ({"temperature": "hot"}, "temperature = 'hot': expected `float`, got `str`"),
        ({"top_p": 0}, "top_p = 0: "),
        ({"max_tokens": 0}, "max_tokens = 0: "),
        ({"drop_middle": "maybe"}, "drop_middle = 'maybe': expected `bool`"),
        ({"generator": "opnai"}, r"must be one of openai, .* got 'opnai' \(did you mean 'openai'"),
        ({"style": "swril"}, r"style must be one of .* \(did you mean 'swirl'"),
        ({"style": "native"}, r"needs the dialect 'json', got 'tags'"),
        ({"device": "cpu"}, r"llm.device is for the generator local, got it with openai"),
        ({"generator": "local", "timeout": 5}, "llm.timeout is for the generator openai"),
        ({"drop_middle": True}, "max_context must be given with drop_middle"),
        ({"max_context": 512}, "max_context must be above the 512 tokens"),
    ],
)
def test_wrong_options_are_told(env: HopEnv, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        policy_of(env, **options)


@pytest.mark.parametrize(
    "extra",
    [
        {"api_key": "hush"}, {"APIKey": "hush"}, {"X-Api-Key": "hush"}, {"auth_token": "hush"},
        {"Authorization": "Bearer hush"}, {"extra_headers": {"x": "hush"}}, {"headers": "hush"},
        {"a": [{"b": {"client_secret": "hush"}}]}, {"Password": "hush"},
    ],
)  # fmt: skip
def test_secrets_among_the_fields_are_refused_and_not_shown(
    env: HopEnv, extra: dict[str, Any]
) -> None:
    with pytest.raises(ArgumentError, match=r"no secret, .* --llm.api_key_env VARIABLE") as caught:
        policy_of(env, extra=extra)
    assert "hush" not in str(caught.value)
    with pytest.raises(ArgumentError, match="llm cannot take extra: expected `object") as caught:
        policy_of(env, extra=f"{extra}"[:-1])  # no JSON, so a text
    assert "hush" not in str(caught.value)


def test_fields_that_only_look_like_secrets_are_taken(env: HopEnv) -> None:
    extra = {
        "max_tokens": None, "max_completion_tokens": 4, "return_token_ids": True,
        "skip_special_tokens": False, "stop_token_ids": [3], "author": "me",
        "prompt_cache_key": "x",
    }  # fmt: skip
    generate: Any = policy_of(env, extra=extra).generate
    assert generate.chosen.extra == extra


def test_a_template_that_cannot_be_filled_in_is_told_before_a_run(
    env: HopEnv, tmp_path: Path
) -> None:
    path = tmp_path / "mine.jinja"
    path.write_text("{% block observation %}{{ observation }}{{ reward }}{% endblock %}")
    env.reset(options={"index": 2})
    env.step("<lookup>Elmstead</lookup>")
    with pytest.raises(ArgumentError, match=r"'reward'"):
        policy_of(env, template=str(path))
    path.write_text("{{ question }}")
    messages = policy_of(env, template=str(path)).preview(env.trajectory()).messages
    assert messages[0]["content"] == env.task.question.text
    # The environment is where it was: trying a template out is done on a copy.
    assert len(env.trajectory().steps) == 1 and env.trajectory().index == 2
