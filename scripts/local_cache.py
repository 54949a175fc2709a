"""Print how much time the local generator saves by caching states between turns.

Run it from the checkout as ``python scripts/local_cache.py [FOLDER]``, where FOLDER holds a model
(by default a tiny one). Scripted episodes of eight turns are played in pairs, with and without the
cache.
"""

import statistics
import sys
import tempfile
import time

from tests.support.example_model import make_tiny_model
from tests.support.scripted_turns import play

TURNS = 8
PAIRS = 5
TOKENS = 24


def main() -> None:
    """Play the pairs and print their ratios."""
    import torch

    from hopgym_agents.generate import Sampling
    from hopgym_agents.generate.local import LocalGenerator

    folder = sys.argv[1] if len(sys.argv) > 1 else make_tiny_model(tempfile.mkdtemp())
    threads = 1 if not torch.cuda.is_available() else None

    def timed(episodes: int, temperature: float, cached_tokens: int):  # type: ignore[no-untyped-def]
        sampling = Sampling(temperature=temperature, max_tokens=TOKENS)
        generator = LocalGenerator(folder, sampling, cached_tokens=cached_tokens, threads=threads)
        start = time.perf_counter()
        completions = play(generator, episodes, TURNS, least=60, most=110)
        return time.perf_counter() - start, completions, generator.encoded_tokens

    for episodes in (1, 4, 16, 32):
        for temperature in (0.0, 1.0):
            timed(episodes, temperature, 1_000_000)
            pairs = [
                (timed(episodes, temperature, 1_000_000), timed(episodes, temperature, 0))
                for _ in range(PAIRS)
            ]
            (_, cached, fewer), (_, uncached, more) = pairs[0]
            same = all(cached[turn].token_ids == uncached[turn].token_ids for turn in cached)
            prompts = [reply.prompt_tokens for reply in cached.values()]
            ratios = sorted(without[0] / with_cache[0] for with_cache, without in pairs)
            print(
                f"{episodes:2} episodes, temperature {temperature}: "
                f"{statistics.median(pair[0][0] for pair in pairs):.2f} s with the cache, "
                f"{statistics.median(pair[1][0] for pair in pairs):.2f} s without, "
                f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}); "
                f"tokens encoded {fewer} and {more} ({more / fewer:.1f}x), prompts of "
                f"{min(prompts)} to {max(prompts)} tokens; same tokens: {same}"
            )


if __name__ == "__main__":
    main()
