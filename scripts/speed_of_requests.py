"""What ``OpenAIGenerator`` costs beside the requests themselves, made by bare httpx.

With a server that answers at once, 64 threads fight over the interpreter's lock and their wall time
says little on a busy machine. So the wall time at 64 slots is taken with a server that needs a
moment, as models do, and the work that a request causes by the processor time of one thread.
"""

import runpy
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paired import Ratios, alternate

SERVER = Path(__file__).parents[1] / "tests" / "support" / "faulty_server.py"
MESSAGES = ({"role": "system", "content": "x" * 3000}, {"role": "user", "content": "y" * 1000})
SLOTS, REQUESTS, DELAY = 64, 100, 0.2

Ask = Callable[[int], str]
"""Make a request of some number and return the text of its reply."""


def compare_wall(rounds: int) -> Ratios:
    """Compare the wall time of requests at 64 slots."""
    with _asking(DELAY) as (ours, bare), ThreadPoolExecutor(SLOTS) as pool:

        def ask_all(ask: Ask) -> None:
            texts = set(pool.map(ask, range(3 * SLOTS)))
            assert texts == {"<answer>blue</answer>"}, texts

        return alternate(rounds, lambda: ask_all(ours), lambda: ask_all(bare), time.perf_counter)


def compare_processor(rounds: int) -> Ratios:
    """Compare the processor time of requests, one after the other."""
    with _asking(0.0) as (ours, bare):

        def ask_all(ask: Ask) -> None:
            for number in range(REQUESTS):
                ask(number)

        return alternate(rounds, lambda: ask_all(ours), lambda: ask_all(bare), time.thread_time)


@contextmanager
def _asking(delay: float) -> Iterator[tuple[Ask, Ask]]:
    """Give what makes the same requests by a generator, and by httpx alone."""
    import httpx

    from hopgym_agents.generate import Request, Sampling
    from hopgym_agents.generate.openai import OpenAIGenerator

    faulty: dict[str, Any] = runpy.run_path(str(SERVER))
    limits = httpx.Limits(max_connections=SLOTS, max_keepalive_connections=SLOTS)
    with (
        faulty["serve"]() as server,
        httpx.Client(limits=limits, timeout=60, trust_env=False) as client,
    ):
        server.otherwise = faulty["good"](after=delay)
        sampling = Sampling(stop=("</search>", "</answer>"), seed=1)
        generate = OpenAIGenerator("tiny", server.url, sampling, concurrency=SLOTS)
        body = generate.body(Request(MESSAGES))

        def ask(number: int) -> str:
            return generate([Request(MESSAGES, key=(number, 0, 0))])[0].text

        def ask_bare(number: int) -> str:
            reply = client.post(f"{server.url}/chat/completions", json=body)
            return str(reply.json()["choices"][0]["message"]["content"])

        yield ask, ask_bare
