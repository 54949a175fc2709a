"""What `OpenAIGenerator` costs beside the requests themselves, against bare httpx.

With a server that answers at once, 64 threads fight over the interpreter's lock and their wall time
says little on a busy machine. So the wall time at 64 slots is held with a server that takes a
moment, as models do, and the work a request causes by the processor time of a single thread.
"""

import runpy
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")

import httpx

from hopgym_agents.generate import Request, Sampling
from hopgym_agents.generate.openai import OpenAIGenerator

FAULTY = runpy.run_path(str(Path(__file__).with_name("faulty_server.py")))
MESSAGES = ({"role": "system", "content": "x" * 3000}, {"role": "user", "content": "y" * 1000})
SLOTS = 64

Ask = Callable[[int], str]


@pytest.fixture
def server() -> Iterator[Any]:
    with FAULTY["serve"]() as running:
        yield running


@pytest.fixture
def bare_and_ours(server: Any) -> Iterator[tuple[Ask, Ask]]:
    """The same requests, by httpx alone and by a generator."""
    sampling = Sampling(stop=("</search>", "</answer>"), seed=1)
    generate = OpenAIGenerator("tiny", server.url, sampling, concurrency=SLOTS)
    body = generate.body(Request(MESSAGES))
    limits = httpx.Limits(max_connections=SLOTS, max_keepalive_connections=SLOTS)
    with httpx.Client(limits=limits, timeout=60, trust_env=False) as client:

        def bare(number: int) -> str:
            reply = client.post(f"{server.url}/chat/completions", json=body)
            return str(reply.json()["choices"][0]["message"]["content"])

        def ours(number: int) -> str:
            return generate([Request(MESSAGES, key=(number, 0, 0))])[0].text

        yield bare, ours


def best_of(rounds: int, measured: Callable[[Ask], float], asks: tuple[Ask, Ask]) -> list[float]:
    """The least of several measures of each, taken in turns, after one that does not count."""
    for ask in asks:
        measured(ask)
    return [
        min(each) for each in zip(*([*map(measured, asks)] for _ in range(rounds)), strict=True)
    ]


@pytest.mark.slow
def test_wall_time_at_64_slots(server: Any, bare_and_ours: tuple[Ask, Ask]) -> None:
    server.otherwise = FAULTY["good"](after=0.2)
    with ThreadPoolExecutor(SLOTS) as pool:

        def seconds(ask: Ask) -> float:
            begun = time.perf_counter()
            assert set(pool.map(ask, range(3 * SLOTS))) == {"<answer>blue</answer>"}
            return time.perf_counter() - begun

        plain, own = best_of(3, seconds, bare_and_ours)
    assert own <= 1.3 * plain


@pytest.mark.slow
def test_processor_time_of_a_request(bare_and_ours: tuple[Ask, Ask]) -> None:
    def seconds(ask: Ask) -> float:
        begun = time.thread_time()
        for number in range(100):
            ask(number)
        return time.thread_time() - begun

    plain, own = best_of(5, seconds, bare_and_ours)
    assert own <= 1.3 * plain
