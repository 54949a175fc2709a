"""What `OpenAIGenerator` sends, where it sends it, and what it says about itself."""

import copy
import json
import logging
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("httpx")

from hopgym.errors import ArgumentError
from hopgym_agents.generate import Sampling
from hopgym_agents.generate.openai import OpenAIGenerator
from tests.support import faulty_server as faulty
from tests.support.faulty_server import client_of, complete, status, user_request

ANSWER = "<answer>blue</answer>"


def test_what_is_sent(server: Any) -> None:
    tools = ({"type": "function", "function": {"name": "search"}},)
    sampling = Sampling(0.5, 0.9, 20, 64, ("</search>",), seed=3)
    extra = {"user": "me", "max_tokens": None, "max_completion_tokens": 8}
    request = user_request("hm", tools=tools, key=(4, 1, 2))
    complete(client_of(server, sampling, extra=extra), request)
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
    requests = [user_request(key=key) for key in keys]
    generate = client_of(server, Sampling(seed=5), concurrency=1)
    other = copy.copy(generate)
    other.sampling = replace(generate.sampling, seed=6)
    for each in (generate, generate, other, client_of(server, Sampling(seed=0), concurrency=1)):
        each(requests)
    seeds = [body["seed"] for body in server.bodies]
    assert seeds[:4] == seeds[4:8]
    assert len({*seeds[:4], *seeds[8:]}) == 12
    complete(client_of(server, extra={"seed": None}))
    assert "seed" not in server.bodies[-1]


def test_a_key_is_sent_and_shown_nowhere(
    server: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-very-secret-1234"
    server.otherwise = status(401, {"error": {"message": f"Incorrect API key: {key}"}})
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", f"{key}\n")
    for options in ({"api_key": key}, {"api_key_env": "MY_KEY"}):
        generate = client_of(server, **options)
        assert complete(generate).error == "HTTP 401: Incorrect API key: ***"
        for before in (480, 490):
            server.script = [status(401, {"error": {"message": "x" * before + key}})]
            assert "sk-" not in complete(generate).error
            server.script = [faulty.good(b"<" * (before - 410) + key.encode())]
            assert "sk-" not in complete(client_of(server, retries=0, **options)).error
        assert key not in generate.fingerprint + repr(vars(generate)) + caplog.text
    assert [each["Authorization"] for each in server.headers] == [f"Bearer {key}"] * 10


def test_proxies_are_not_asked_for_this_machine(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert complete(client_of(server)).text == ANSWER
    assert server.paths == ["/v1/chat/completions"]


def test_proxies_are_asked_for_others_and_bound_by_the_deadline(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    server.script = [faulty.drip_headers]
    url = "http://model.invalid/v1"
    assert complete(OpenAIGenerator("tiny", url, timeout=1.0, backoff=0.0)).text == ANSWER
    assert server.paths == [f"{url}/chat/completions"] * 2


def test_fingerprint_names_what_decides_the_answers(server: Any) -> None:
    generate = client_of(server, Sampling(seed=3), extra={"min_p": 0.1}, retries=1)
    told = generate.fingerprint
    assert all(word in told for word in ("tiny", "seed=3", json.dumps({"min_p": 0.1})))
    assert client_of(server, Sampling(seed=3), extra={"min_p": 0.1}, retries=9).fingerprint == told
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
