"""Prints what keeping states between turns saves the local generator; not a test.

Run from the checkout as ``python scripts/local_cache.py [FOLDER]``, where FOLDER holds a
model (by default the tiny one). Scripted episodes of eight turns are played in pairs: with states
kept, and with every turn encoded anew.
"""

import runpy
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TURNS, PAIRS, TOKENS = 8, 5, 24


def main() -> None:
    """Play the pairs and print their ratios."""
    import torch

    from hopgym_agents.generate import Sampling
    from hopgym_agents.generate.local import LocalGenerator

    play = runpy.run_path(str(ROOT / "tests" / "test_generate_local.py"))["play"]
    make = runpy.run_path(str(ROOT / "examples" / "tiny_model.py"))["make_tiny_model"]
    folder = sys.argv[1] if len(sys.argv) > 1 else make(tempfile.mkdtemp())
    threads = 1 if not torch.cuda.is_available() else None

    def timed(episodes: int, temperature: float, kept: int):  # type: ignore[no-untyped-def]
        sampling = Sampling(temperature=temperature, max_tokens=TOKENS)
        generator = LocalGenerator(folder, sampling, cached_tokens=kept, threads=threads)
        start = time.perf_counter()
        made = play(generator, episodes, TURNS, least=60, most=110)
        return time.perf_counter() - start, made, generator.encoded_tokens

    for episodes in (1, 4, 16, 32):
        for temperature in (0.0, 1.0):
            timed(episodes, temperature, 1_000_000)
            pairs = [
                (timed(episodes, temperature, 1_000_000), timed(episodes, temperature, 0))
                for _ in range(PAIRS)
            ]
            (_, kept, few), (_, anew, many) = pairs[0]
            same = all(kept[place].token_ids == anew[place].token_ids for place in kept)
            prompts = [reply.prompt_tokens for reply in kept.values()]
            ratios = sorted(anew[0] / kept[0] for kept, anew in pairs)
            print(
                f"{episodes:2} episodes, temperature {temperature}: "
                f"{statistics.median(pair[0][0] for pair in pairs):.2f} s kept, "
                f"{statistics.median(pair[1][0] for pair in pairs):.2f} s anew, "
                f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}); "
                f"tokens encoded {few} and {many} ({many / few:.1f}x), prompts of {min(prompts)} "
                f"to {max(prompts)} tokens; same tokens: {same}"
            )


if __name__ == "__main__":
    main()
