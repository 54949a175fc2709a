"""What `OpenAIGenerator` sends, where it sends it, and what it says about itself."""

import copy
import json
import logging
import runpy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.paths import SUPPORT

pytest.importorskip("httpx")

from hopgym.errors import ArgumentError
from hopgym.trajectory import Completion
from hopgym_agents.generate import Request, Sampling
from hopgym_agents.generate.openai import OpenAIGenerator

FAULTY = runpy.run_path(str(SUPPORT / "faulty_server.py"))
status = FAULTY["status"]
ANSWER = "<answer>blue</answer>"


@pytest.fixture
def server() -> Iterator[Any]:
    with FAULTY["serve"]() as running:
        yield running


def generator(server: Any, sampling: Sampling | None = None, **options: Any) -> OpenAIGenerator:
    return OpenAIGenerator("tiny", server.url, sampling or Sampling(), **options)


def asked(text: str = "What colour is the sky?", **more: Any) -> Request:
    return Request(({"role": "user", "content": text},), **more)


def only(generate: OpenAIGenerator, request: Request | None = None) -> Completion:
    (completion,) = generate([request or asked()])
    return completion


def test_what_is_sent(server: Any) -> None:
    tools = ({"type": "function", "function": {"name": "search"}},)
    sampling = Sampling(0.5, 0.9, 20, 64, ("</search>",), seed=3)
    extra = {"user": "me", "max_tokens": None, "max_completion_tokens": 8}
    only(generator(server, sampling, extra=extra), asked("hm", tools=tools, key=(4, 1, 2)))
    (body,) = server.bodies
    assert 0 <= body.pop("seed") < 2**31
    assert body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "hm"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 20,
        "stop": ["</search>"],
        "tools": list(tools),
        "user": "me",
        "max_completion_tokens": 8,
    }


def test_seeds_depend_on_seed_and_key_alone(server: Any) -> None:
    keys = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)]
    requests = [asked(key=key) for key in keys]
    generate = generator(server, Sampling(seed=5), concurrency=1)
    other = copy.copy(generate)
    other.sampling = replace(generate.sampling, seed=6)
    for each in (generate, generate, other, generator(server, Sampling(seed=0), concurrency=1)):
        each(requests)
    seeds = [body["seed"] for body in server.bodies]
    assert seeds[:4] == seeds[4:8]
    assert len({*seeds[:4], *seeds[8:]}) == 12
    only(generator(server, extra={"seed": None}))
    assert "seed" not in server.bodies[-1]


def test_a_key_is_sent_and_shown_nowhere(
    server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-very-secret-1234"
    server.otherwise = status(401, {"error": {"message": f"Incorrect API key: {key}"}})
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", f"{key}\n")
    for options in ({"api_key": key}, {"api_key_env": "MY_KEY"}):
        generate = generator(server, **options)
        assert only(generate).error == "HTTP 401: Incorrect API key: ***"
        for before in (480, 490):
            server.script = [status(401, {"error": {"message": "x" * before + key}})]
            assert "sk-" not in only(generate).error
            server.script = [FAULTY["good"](b"<" * (before - 410) + key.encode())]
            assert "sk-" not in only(generator(server, retries=0, **options)).error
        assert key not in generate.fingerprint + repr(vars(generate)) + caplog.text
    assert [each["Authorization"] for each in server.headers] == [f"Bearer {key}"] * 10


def test_proxies_are_not_asked_for_this_machine(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert only(generator(server)).text == ANSWER
    assert server.paths == ["/v1/chat/completions"]


def test_proxies_are_asked_for_others_and_bound_by_the_deadline(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    server.script = [FAULTY["drip_headers"]]
    url = "http://model.invalid/v1"
    assert only(OpenAIGenerator("tiny", url, timeout=1.0, backoff=0.0)).text == ANSWER
    assert server.paths == [f"{url}/chat/completions"] * 2


def test_fingerprint_names_what_decides_the_answers(server: Any) -> None:
    generate = generator(server, Sampling(seed=3), extra={"min_p": 0.1}, retries=1)
    told = generate.fingerprint
    assert all(word in told for word in ("tiny", "seed=3", json.dumps({"min_p": 0.1})))
    assert generator(server, Sampling(seed=3), extra={"min_p": 0.1}, retries=9).fingerprint == told
    far = OpenAIGenerator("tiny", "https://api.example.com/v1")
    assert "api.example.com" in far.fingerprint
    # A server that takes any name for its only model is told by its address alone.
    other = OpenAIGenerator("tiny", "https://api.example.com:81/v1")
    assert other.fingerprint != far.fingerprint


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"base_url": "localhost:8000"}, "base_url needs http:// or https:// in front"),
        ({"base_url": "me:secret@host/v1"}, "needs http:// or https:// in front"),
        ({"base_url": "http://me:secret@host/v1"}, "give the key as --llm.api_key_env VARIABLE"),
        ({"base_url": "http://host/v1?key=secret"}, "without a query"),
        ({"base_url": "http://"}, "must look like http://localhost:8000/v1"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout": 0}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"model": ""}, "model"),
        ({"api_key": "two words"}, "api_key"),
        ({"api_key_env": "NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE"),
    ],
)
def test_wrong_arguments_are_told(options: dict[str, Any], told: str) -> None:
    arguments = {"model": "tiny", "base_url": "http://127.0.0.1:9/v1"} | options
    with pytest.raises(ArgumentError, match=told) as caught:
        OpenAIGenerator(**arguments)
    assert "secret" not in str(caught.value)
