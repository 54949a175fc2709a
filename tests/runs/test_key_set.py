"""Sets of episodes against Python's own sets."""

import random
import sys

from hopgym.runs.key_set import KeySet


def test_it_is_a_set() -> None:
    rng = random.Random(0)
    keys = [(rng.randrange(5_000), rng.randrange(3)) for _ in range(2_000)]
    keys += [(10**12, 0), (10**12 + 1, 7), (1_023, 0), (1_024, 0)]
    found, known = KeySet(keys), set(keys)
    assert found == known and len(found) == len(known) and sorted(found) == sorted(known)
    assert all(key in found for key in keys)
    assert (10**12, 1) not in found and "q0" not in found
    strangers = [(1, 2, 3), ("a", 0), (keys[0][0], "0"), (keys[0][0],), (0.5, 0), [*keys[0]], None]
    assert not any(each in found for each in strangers)
    assert found & {("a", 0), (1, 2, 3), keys[0]} == {keys[0]}
    other = KeySet([(1, 0), (5_001, 2)])
    assert found | other == known | {(1, 0), (5_001, 2)}
    assert found != other and other <= found | other


def test_what_is_taken_out_is_gone() -> None:
    found = KeySet([(1, 0), (2, 0), (1, 1)])
    for _ in range(2):
        found.discard((1, 0))
        assert found == {(2, 0), (1, 1)}
    found.clear()
    assert not found and found == KeySet()


def test_a_run_takes_about_a_bit_an_episode() -> None:
    found = KeySet((index, sample) for sample in range(2) for index in range(50_000))
    blocks = found._blocks
    parts = [sys.getsizeof(blocks), *(sys.getsizeof(each) for each in blocks.values())]
    assert len(found) == 100_000
    assert sum(parts) + 100 * len(blocks) < 100_000  # A byte an episode, keys among it.
