"""Playing beside references: environment, search, runner, and the live table."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from paired import Ratios, alternate

RESETS, SLOTS, STEPS = 2_000, 1_000, 4
EPISODES = 1_000
FRAME_SECONDS = 1.0
SEARCH = "<search>river</search>"


def compare_lookups(rounds: int) -> Ratios:
    """Compare the time of a lookup step with that of a step of CartPole-v1."""
    from hopgym.cli.bench import _steps

    rows = (row for _ in range(rounds) for row in _steps(1))
    return [1 / row.ratio for row in rows if row.ratio]


def compare_resets(rounds: int) -> Ratios:
    """Compare resets in a built world with those of CartPole-v1."""
    import gymnasium

    import hopgym  # noqa: F401  # It registers its ids.

    people = gymnasium.make("hopgym/People-v0", questions_per_world=500, worlds=1).unwrapped
    people.reset(options={"index": 499})
    cart = gymnasium.make("CartPole-v1").unwrapped

    def reset(env: Any) -> None:
        for _ in range(RESETS):
            env.reset()

    return alternate(rounds, partial(reset, people), partial(reset, cart))


def compare_searches(rounds: int) -> Ratios:
    """Compare searches over 1,000 pages with counting a question's words on each."""
    from hopgym.cli.bench import _source

    source = _source(450, "direct", 500)
    corpus, queries = source[0].corpus, [source[index].question.text for index in range(50)]
    pages = [str(corpus.pages[at]).lower().split() for at in range(len(corpus))]

    def search() -> None:
        for query in queries:
            corpus.search(query, 5)

    def count() -> None:
        for query in queries:
            words = set(query.lower().split())
            scores = [sum(word in words for word in page) for page in pages]
            sorted(range(len(pages)), key=scores.__getitem__)[-5:]

    return alternate(rounds, search, count)


def compare_runner(rounds: int) -> Ratios:
    """Compare a policy's episodes at 1,000 slots with the same steps in a plain loop."""
    from hopgym.rollout import run_episodes
    from hopgym.trajectory import Completion
    from hopgym_agents.generate import Request
    from hopgym_agents.policy import LLMPolicy

    env = _env()
    reply = Completion(SEARCH, generated_tokens=5, finish_reason="stop")

    class Constant:
        concurrency, fingerprint = 1, "constant"

        def __call__(self, requests: Sequence[Request]) -> list[Completion]:
            return [reply] * len(requests)

    def run() -> None:
        for _ in run_episodes(env, LLMPolicy(Constant()), range(SLOTS), slots=SLOTS):
            pass

    def step() -> None:
        for index in range(SLOTS):
            env.reset(options={"index": index})
            for _ in range(STEPS):
                env.step(SEARCH)

    return alternate(rounds, run, step)


def compare_table_rows(rounds: int) -> Ratios:
    """Compare telling the live table of episodes with playing them."""
    from hopgym.cli.live import LiveTable
    from hopgym.policy import as_policy
    from hopgym.rollout import run_episodes

    env, policy = _env(), as_policy(lambda transcript: SEARCH)
    (some,) = run_episodes(env, policy, [0])

    def play() -> None:
        for _ in run_episodes(env, policy, range(EPISODES), slots=16):
            pass

    with _terminal(), LiveTable() as board:
        row = board.add_row("played", EPISODES * (rounds + 1))

        def tell() -> None:
            for _ in range(EPISODES):
                row.add(some)

        return alternate(rounds, tell, play)


def compare_table_frames(rounds: int) -> Ratios:
    """Compare the processor time of drawing the live table with the time that it stands."""
    from hopgym.cli.live import LiveTable
    from hopgym.policy import as_policy
    from hopgym.rollout import run_episodes

    (some,) = run_episodes(_env(), as_policy(lambda transcript: SEARCH), [0])
    found = []
    with _terminal(), LiveTable() as board:
        row = board.add_row("played", EPISODES)
        for _ in range(rounds + 1):
            row.add(some)
            begun = time.process_time(), time.perf_counter()
            time.sleep(FRAME_SECONDS)
            found.append((time.process_time() - begun[0]) / (time.perf_counter() - begun[1]))
    return found[1:]


def _env() -> Any:
    """Return an environment of one world, its tasks made."""
    import gymnasium

    import hopgym  # noqa: F401  # It registers its ids.
    from hopgym.wrappers import hop_env

    env = hop_env(
        gymnasium.make("hopgym/People-v0", questions_per_world=SLOTS, worlds=1, max_steps=STEPS)
    )
    env.reset(options={"index": SLOTS - 1})
    return env


@contextmanager
def _terminal() -> Iterator[None]:
    """Make stderr a terminal that nobody looks at."""
    import pty
    from threading import Thread

    reads, writes = pty.openpty()
    shown, sys.stderr = sys.stderr, os.fdopen(writes, "w")
    Thread(target=_drain, args=(partial(os.read, reads, 65_536),), daemon=True).start()
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = shown


def _drain(read: Callable[[], bytes]) -> None:
    try:
        while read():
            pass
    except OSError:  # The other end is closed.
        pass
