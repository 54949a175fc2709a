"""UnicodeText: membership, samples, equality, pickling, and Gymnasium's own tools on it."""

import copy
import pickle

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.error import CustomSpaceError
from gymnasium.spaces.utils import flatdim, flatten, flatten_space, unflatten
from gymnasium.vector.utils import (
    batch_space,
    concatenate,
    create_empty_array,
    create_shared_memory,
    iterate,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from hopgym.errors import ArgumentError
from hopgym.spaces import UnicodeText

repeatable = settings(derandomize=True, deadline=None, max_examples=60)

WORDS = ("", "a b", "Ada’s café", "日本語", "🐝 <search>", "e\u0301", "\0\n\t", "0" * 64)


@pytest.mark.parametrize("text", WORDS)
def test_every_short_string_is_a_member(text: str) -> None:
    assert text in UnicodeText(64)


def test_membership_is_type_and_length() -> None:
    space = UnicodeText(4)
    assert "abcd" in space and "🐝🐝🐝🐝" in space and np.str_("ab") in space
    assert "abcde" not in space
    for other in (None, 3, b"ab", ["a"], ("a",), float("nan")):
        assert other not in space


@pytest.mark.parametrize("length", [0, -1])
def test_a_space_holds_at_least_one_character(length: int) -> None:
    with pytest.raises(ArgumentError, match="max_length must be at least 1, got"):
        UnicodeText(length)


@pytest.mark.parametrize("length", [1, 5, 64, 8192])
def test_samples_are_members_and_vary(length: int) -> None:
    space = UnicodeText(length, seed=3)
    drawn = [space.sample() for _ in range(200)]
    assert all(text in space and text.isascii() for text in drawn)
    assert {len(text) for text in drawn} >= {0, 1}
    assert max(map(len, drawn)) <= min(length, 64)


def test_samples_follow_the_seed() -> None:
    one, two, three = UnicodeText(64, seed=1), UnicodeText(64, seed=1), UnicodeText(64, seed=2)
    first = [one.sample() for _ in range(20)]
    assert first == [two.sample() for _ in range(20)] != [three.sample() for _ in range(20)]
    one.seed(1)
    assert [one.sample() for _ in range(20)] == first


def test_masks_are_refused() -> None:
    with pytest.raises(ArgumentError, match="mask"):
        UnicodeText(4).sample(mask=(1, np.ones(3, dtype=np.int8)))


def test_equality_is_length() -> None:
    assert UnicodeText(4) == UnicodeText(4, seed=7) and hash(UnicodeText(4)) == hash(UnicodeText(4))
    assert UnicodeText(4) != UnicodeText(5)
    assert UnicodeText(4) != spaces.Text(4)
    assert UnicodeText(4) != "UnicodeText(4)"
    assert repr(UnicodeText(4)) == "UnicodeText(4)"


def test_copies_are_small_and_go_on_with_the_same_samples() -> None:
    space = UnicodeText(100_000, seed=5)
    space.sample()
    pickled = pickle.dumps(space)
    assert len(pickled) < 10_000
    twins = [pickle.loads(pickled), copy.deepcopy(space)]
    assert all(twin == space for twin in twins)
    after = [space.sample() for _ in range(5)]
    assert all([twin.sample() for _ in range(5)] == after for twin in twins)


@pytest.mark.parametrize("text", WORDS)
def test_flattened_text_comes_back(text: str) -> None:
    space = UnicodeText(64)
    flat = flatten(space, text)
    assert flat.shape == (flatdim(space),) and flat in flatten_space(space)
    assert unflatten(space, flat) == text


@repeatable
@given(st.text(max_size=32))
def test_flattening_loses_nothing(text: str) -> None:
    space = spaces.Dict({"said": UnicodeText(32), "step": spaces.Discrete(3)})
    back = unflatten(space, flatten(space, {"said": text, "step": 2}))
    assert back["said"] == text and back["step"] == 2


def test_batches_are_tuples() -> None:
    space = UnicodeText(16, seed=0)
    batched = batch_space(space, 3)
    texts = ("a b", "🐝", "")
    assert texts in batched and batched.sample() in batched
    assert tuple(iterate(batched, texts)) == texts
    assert concatenate(space, texts, create_empty_array(space, 3)) == texts


def test_lists_for_json_come_back() -> None:
    space = UnicodeText(16)
    assert space.from_jsonable(space.to_jsonable(["a", "日本"])) == ["a", "日本"]


@pytest.mark.parametrize(
    "space", [UnicodeText(8), spaces.Dict({"said": UnicodeText(8)}), spaces.Tuple([UnicodeText(8)])]
)
def test_shared_memory_is_refused(space: spaces.Space) -> None:
    with pytest.raises(CustomSpaceError, match="shared_memory"):
        create_shared_memory(space, 2)
