"""Requests to a real server on loopback that fails in every way servers do."""

import copy
import gzip
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import pytest

pytest.importorskip("httpx")

from hopgym.rollout import run_episodes
from hopgym.trajectory import Completion, StopReason
from hopgym_agents.generate import Sampling
from hopgym_agents.generate.http import LONGEST_PAUSE, pause_after, retry_after_seconds
from hopgym_agents.generate.openai import OpenAIGenerator
from hopgym_agents.policy import LLMPolicy
from tests.support import faulty_server as faulty
from tests.support.faulty_server import chat, complete, good, status, user_request

CONTEXT = {"error": {"message": "too many tokens", "code": "context_length_exceeded"}}
ANSWER = "<answer>blue</answer>"


def generator(server: Any, sampling: Sampling | None = None, **options: Any) -> OpenAIGenerator:
    options = {"backoff": 0.01, "timeout": 60.0} | options
    return faulty.client_of(server, sampling, **options)


class Pauses(threading.Event):
    """Tells a client to stop, and remembers how long each of its pauses was to be."""

    def __init__(self, generate: OpenAIGenerator, waited: bool = False) -> None:
        super().__init__()
        self.asked: list[float | None] = []
        self.ended: list[bool] = []
        self.waited = waited
        generate._client._closed = self

    def wait(self, timeout: float | None = None) -> bool:
        self.asked.append(timeout)
        self.ended.append(super().wait(timeout if self.waited else 0.0))
        return self.ended[-1]


def test_a_completion_has_text_tokens_and_reason(server: Any) -> None:
    expected = Completion(ANSWER, generated_tokens=3, prompt_tokens=7, finish_reason="stop")
    assert complete(generator(server)) == expected
    assert server.paths == ["/v1/chat/completions"]
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    "fault",
    [
        *(status(code) for code in (408, 409, 429, 500, 502, 503, 529)),
        faulty.hang_up,
        faulty.cut_body,
        *(good(body) for body in (b"", b"<html>", b'{"choices"', b"[]", b"{}", b'{"choices":[]}')),
        good(chat(None, "error", error={"message": "upstream died"})),
        good(b'{"choices": [{"message": {"content": 3}}]}'),
    ],
)
def test_a_passing_fault_is_tried_again(server: Any, fault: Any) -> None:
    server.script = [fault, fault]
    assert complete(generator(server)).text == ANSWER
    assert len(server.bodies) == 3
    assert server.bodies[0] == server.bodies[2]


@pytest.mark.parametrize("fault", ["stall", "drip_body", "drip_headers"])
def test_a_slow_server_is_cut_in_time(server: Any, fault: str) -> None:
    server.script = [getattr(faulty, fault)] * 2
    # More tries than faults: a busy machine may be too slow for the good answer, too.
    assert complete(generator(server, timeout=0.5, retries=20)).text == ANSWER
    assert len(server.bodies) >= 3
    assert not server.outlasted


def test_after_the_last_try_there_is_an_error(server: Any) -> None:
    server.otherwise = status(503, {"error": {"message": "no more room"}})
    reply = complete(generator(server, retries=2))
    assert reply == Completion(
        "", error="HTTP 503: no more room, after 3 tries", error_reason=StopReason.API_ERROR
    )
    assert len(server.bodies) == 3
    server.otherwise = faulty.stall
    assert "ReadTimeout" in complete(generator(server, retries=0, timeout=0.5)).error


def test_a_reply_without_end_is_not_read_to_its_end(server: Any) -> None:
    sent = []

    def flood(handler: Any) -> None:
        handler.close_connection = True
        handler.send(200, b"", length=1 << 40)
        with suppress(OSError):
            while len(sent) < 1_000:
                sent.append(handler.wfile.write(b"x" * (1 << 20)))

    bomb = gzip.compress(bytes(64 << 20))
    packed = lambda handler: handler.send(200, bomb, Content_Encoding="gzip")  # noqa: E731
    for fault in (flood, packed):
        server.script = [fault]
        assert "more than 16 MiB" in complete(generator(server, retries=0)).error
        server.script = [fault]
        assert complete(generator(server)).text == ANSWER
    assert len(sent) < 100


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        reply = complete(OpenAIGenerator("tiny", url, retries=1, backoff=0.01))
    told = "connection refused, after 2 tries (--llm.base_url)"
    assert (reply.error, reply.error_reason) == (f"{url}: {told}", StopReason.API_ERROR)


@pytest.mark.parametrize(
    ("code", "error", "told"),
    [
        (401, {"error": {"message": "no such key", "code": "invalid_api_key"}}, "no such key ["),
        (404, {"error": "no such model"}, "HTTP 404: no such model"),
        (422, {"detail": "Unexpected fields"}, "HTTP 422: Unexpected fields"),
        (400, {"object": "error", "message": "bad role", "code": 400}, "HTTP 400: bad role"),
        (403, None, "HTTP 403: Forbidden"),
        (429, {"error": {"message": "no money", "code": "insufficient_quota"}}, "no money"),
    ],
)
def test_other_refusals_fail_at_once(server: Any, code: int, error: Any, told: str) -> None:
    server.otherwise = status(code, error)
    reply = complete(generator(server))
    assert reply.error.startswith("HTTP") and reply.error_reason is StopReason.API_ERROR
    assert told in reply.error
    assert len(server.bodies) == 1


def test_a_redirect_is_told_not_followed(server: Any) -> None:
    server.otherwise = status(308, None, Location="https://elsewhere.invalid/v1")
    assert complete(generator(server)).error == "HTTP 308: https://elsewhere.invalid/v1"


@pytest.mark.parametrize(
    "error",
    [
        CONTEXT,
        {"message": "This model's maximum context length is 4096 tokens. However, you asked 5000"},
        {"error": {"message": "request too large", "type": "exceed_context_size_error"}},
        {"message": "The input (9 tokens) is longer than the model's context length (8 tokens)."},
    ],
)
def test_a_prompt_too_long_ends_with_context(server: Any, error: Any) -> None:
    server.otherwise = status(400, error)
    reply = complete(generator(server))
    assert reply == Completion("", finish_reason="context", error=reply.error)
    assert reply.error.startswith("HTTP 400: ")
    assert len(server.bodies) == 1


def test_retry_after_is_waited_for(server: Any) -> None:
    server.script = [status(429, Retry_After="7.5"), status(429)]
    generate = generator(server, timeout=60.0)
    pauses = Pauses(generate)
    assert complete(generate).text == ANSWER
    (asked, random) = pauses.asked
    assert asked is not None and random is not None
    assert 7.5 <= asked <= 7.51 and 0 <= random <= 0.02


def test_what_retry_after_says() -> None:
    now = 1_700_000_000.0
    assert retry_after_seconds("7", now) == 7
    assert retry_after_seconds(formatdate(now + 90, usegmt=True), now) == 90
    for text in ("", "-3", "soon", "nan", "inf", formatdate(now - 90, usegmt=True)):
        assert retry_after_seconds(text, now) == 0


def test_pauses_double_and_are_capped() -> None:
    bounds = [pause_after(tries, 0.0, 1.0, 1.0) for tries in (1, 2, 3, 4, 9, 5000)]
    assert bounds == [1, 2, 4, 8, LONGEST_PAUSE, LONGEST_PAUSE]
    assert pause_after(3, 0.0, 1.0, 0.0) == 0
    assert pause_after(1, 10_000.0, 1.0, 0.5) == LONGEST_PAUSE + 0.5


def test_the_cap_holds_over_threads_and_calls(server: Any) -> None:
    server.otherwise = good(after=0.02)
    generate = generator(server, concurrency=4)
    twin = copy.copy(generate)
    with ThreadPoolExecutor(12) as pool:
        one_by_one = [pool.submit(complete, generate) for _ in range(24)]
        batches = [pool.submit(each, [user_request()] * 8) for each in (generate, twin)]
        assert all(future.result().text == ANSWER for future in one_by_one)
        assert all(len(future.result()) == 8 for future in batches)
    assert len(server.bodies) == 40
    assert server.most_in_flight == 4
    assert len(server.peers) <= 4  # connections are kept and shared


def test_replies_stand_in_the_order_of_their_requests(server: Any) -> None:
    def echo(handler: Any) -> None:
        said = handler.body["messages"][0]["content"]
        time.sleep(0.02 * ("abcdef".index(said) % 3))
        handler.send(200, chat(said))

    server.otherwise = echo
    replies = generator(server)([user_request(letter) for letter in "fabcde"])
    assert [reply.text for reply in replies] == list("fabcde")
    assert generator(server)([]) == []


def test_close_ends_pauses_and_requests_under_way(server: Any) -> None:
    server.script = [faulty.stall, status(429, Retry_After="60")]
    generate = generator(server, concurrency=2, timeout=60.0)
    pauses = Pauses(generate, waited=True)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(complete, generate) for _ in range(2)]
        while not (len(server.bodies) == 2 and pauses.asked):
            time.sleep(0.01)
        time.sleep(0.1)
        generate.close()
        results = [future.result() for future in waiting]
        assert all(each.error and each.error_reason is StopReason.API_ERROR for each in results)
    # The pause was to last a minute, and so was the answer.
    assert pauses.asked[0] is not None and pauses.asked[0] >= 60
    assert all(pauses.ended) and not server.outlasted
    assert complete(generate).error == "the generator is closed"


def test_a_run_over_a_faulty_server_loses_no_episode(server: Any, env: Any) -> None:
    faults = [status(500), faulty.cut_body, status(429, Retry_After="0.05"), good(b"garbage")]
    server.script = [*faults, *[good(chat("<search>bees</search>"))] * 3, *faults]
    policy = LLMPolicy(generator(server, concurrency=4))
    played = list(run_episodes(env, policy, range(4), samples=3, slots=12))
    assert len({trajectory.key for trajectory in played}) == 12
    assert {trajectory.stop_reason for trajectory in played} == {StopReason.ANSWER}
    server.otherwise = status(400, CONTEXT)
    assert [each.stop_reason for each in run_episodes(env, policy, [0])] == [StopReason.CONTEXT]
    server.otherwise = status(401, {"error": {"message": "no such key"}})
    (failed,) = run_episodes(env, policy, [0])
    assert (failed.stop_reason, failed.error) == (StopReason.API_ERROR, "HTTP 401: no such key")


def test_no_thread_stays_behind(server: Any) -> None:
    generate = generator(server, concurrency=8)
    generate([user_request()] * 16)
    assert not [each for each in threading.enumerate() if each.name.startswith("hopgym-openai")]
