"""The cost of ``OpenAIGenerator`` compared with the same requests by bare httpx.

With a server that answers at once, 64 threads compete for the interpreter's lock, and their wall
time means little on a busy machine. So the wall time at 64 slots is measured with a server that
takes a moment, as models do, and the work for a request by the processor time of one thread.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from paired import Ratios, alternate
from tests.support import faulty_server

MESSAGES = ({"role": "system", "content": "x" * 3000}, {"role": "user", "content": "y" * 1000})
SLOTS = 64
REQUESTS = 100
DELAY = 0.2

Ask = Callable[[int], str]
"""Makes the request with a number, and returns the text of its reply."""


def compare_wall(rounds: int) -> Ratios:
    """Compare the wall time of requests at 64 slots."""
    with _requesters(DELAY) as (ours, bare), ThreadPoolExecutor(SLOTS) as pool:

        def ask_all(ask: Ask) -> None:
            texts = set(pool.map(ask, range(3 * SLOTS)))
            assert texts == {"<answer>blue</answer>"}, texts

        return alternate(rounds, lambda: ask_all(ours), lambda: ask_all(bare), time.perf_counter)


def compare_processor(rounds: int) -> Ratios:
    """Compare the processor time of requests, one after the other."""
    with _requesters(0.0) as (ours, bare):

        def ask_all(ask: Ask) -> None:
            for number in range(REQUESTS):
                ask(number)

        return alternate(rounds, lambda: ask_all(ours), lambda: ask_all(bare), time.thread_time)


@contextmanager
def _requesters(delay: float) -> Iterator[tuple[Ask, Ask]]:
    """Yield functions that make the same requests by a generator and by bare httpx."""
    import httpx

    from hopgym_agents.generate import Request, Sampling
    from hopgym_agents.generate.openai import OpenAIGenerator

    limits = httpx.Limits(max_connections=SLOTS, max_keepalive_connections=SLOTS)
    with (
        faulty_server.serve() as server,
        httpx.Client(limits=limits, timeout=60, trust_env=False) as client,
    ):
        server.otherwise = faulty_server.good(after=delay)
        sampling = Sampling(stop=("</search>", "</answer>"), seed=1)
        generate = OpenAIGenerator("tiny", server.url, sampling, concurrency=SLOTS)
        body = generate.body(Request(MESSAGES))

        def ask(number: int) -> str:
            return generate([Request(MESSAGES, key=(number, 0, 0))])[0].text

        def ask_bare(number: int) -> str:
            reply = client.post(f"{server.url}/chat/completions", json=body)
            return str(reply.json()["choices"][0]["message"]["content"])

        yield ask, ask_bare
