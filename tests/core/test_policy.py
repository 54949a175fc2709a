"""Which functions are policies as they are, and what the others get."""

import functools
import json
import typing
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import pytest

from hopgym.env import HopEnv
from hopgym.errors import DataError
from hopgym.rollout import as_policy, run_episodes
from hopgym.runs.trajectory_file import read_header, read_trajectories
from hopgym.trajectory import StopReason, Trajectory, transcript

LOOKUP, ANSWER = "<lookup>Ada Brook</lookup>", "<answer>baker</answer>"


def real(prefixes: Sequence[Trajectory]) -> list[str]:
    return [ANSWER] * len(prefixes)


def quoted(prefixes: "Sequence[Trajectory]") -> "list[str]":
    return [ANSWER] * len(prefixes)


def unknown_names(prefixes: "Sequence[Trajectory]", more: "Missing" = None) -> "Missing":  # noqa: F821
    return [ANSWER] * len(prefixes)


def inner_quotes(prefixes: Sequence["Trajectory"]) -> list[str]:
    return [ANSWER] * len(prefixes)


def older(prefixes: typing.Sequence["Trajectory"]) -> list[str]:
    return [ANSWER] * len(prefixes)


def dotted(prefixes: "abc.Sequence[trajectory.Trajectory]") -> list[str]:  # noqa: F821
    return [ANSWER] * len(prefixes)


Prefixes = Sequence[Trajectory]


def listed(prefixes: list[Trajectory]) -> list[str]:
    return [ANSWER] * len(prefixes)


def listed_before(prefixes: "typing.List['Trajectory']") -> list[str]:  # noqa: UP006
    return [ANSWER] * len(prefixes)


def iterable(prefixes: "abc.Iterable[Trajectory]") -> list[str]:  # noqa: F821
    return [ANSWER for _ in prefixes]


def collection(prefixes: Collection["Trajectory"]) -> list[str]:
    return [ANSWER] * len(prefixes)


def marked(prefixes) -> list[str]:
    return [ANSWER] * len(prefixes)


marked.batched = True  # type: ignore[attr-defined]


def aliased(prefixes: "Prefixes") -> list[str]:
    return [ANSWER] * len(prefixes)


def with_model(model: object, prefixes: Sequence[Trajectory]) -> list[str]:
    return [ANSWER] * len(prefixes)


@functools.wraps(real)
def wrapped(*args: object) -> list[str]:
    return real(*args)  # type: ignore[arg-type]


class Many:
    def __call__(self, prefixes: Sequence[Trajectory]) -> list[str]:
        return [ANSWER] * len(prefixes)


BATCHED = (
    *(real, quoted, unknown_names, inner_quotes, older, dotted, aliased, wrapped),
    *(listed, listed_before, iterable, collection, marked),
)


@pytest.mark.parametrize(
    "function",
    [*BATCHED, functools.partial(with_model, None), Many(), Many().__call__],
    ids=lambda function: getattr(function, "__name__", type(function).__name__),
)
def test_functions_of_many_episodes_are_policies(env: HopEnv, function: Callable) -> None:
    assert as_policy(function) is function
    assert len(list(run_episodes(env, function, range(4)))) == 4


class Writer:
    concurrency = 2

    def __call__(self, text: str) -> str:
        return ANSWER


def words(text: list[str]) -> str:
    return ANSWER


def other(text: "Sequence[str]") -> str:
    return ANSWER


def bare(text) -> str:
    return ANSWER


@pytest.mark.parametrize("function", [Writer(), words, other, bare, lambda text: ANSWER])
def test_all_other_functions_take_one_transcript(env: HopEnv, function: Callable) -> None:
    policy = as_policy(function)
    assert policy is not function and as_policy(policy) is policy
    assert policy.concurrency == getattr(function, "concurrency", 1)  # type: ignore[attr-defined]
    played = list(run_episodes(env, policy, range(4)))
    assert [each.answer for each in played] == ["baker"] * 4


def test_a_function_of_text_gets_the_transcript_once(env: HopEnv) -> None:
    texts: list[str] = []

    def function(text: str) -> str:
        texts.append(text)
        if "Elmstead founded" in text:
            raise ValueError("no")
        return ANSWER if "Her mother is Cleo Dunn." in text else LOOKUP

    played = {each.key: each for each in run_episodes(env, as_policy(function), range(4))}
    for key in (("q0", 0), ("q1", 0), ("q2", 0)):
        trajectory = played[key]
        asked = [transcript(trajectory.prompt, trajectory.steps[:t]) for t in range(2)]
        assert [texts.count(text) for text in asked] == [1, 1]
    # Only the call that raises is made twice.
    assert played["q3", 0].stop_reason is StopReason.AGENT_ERROR
    assert len(texts) == 3 * 2 + 2


def returns_a_list(prefixes) -> list[str]:
    return [ANSWER]


async def returns_later(text: str) -> str:
    return ANSWER


async def returns_many_later(prefixes: Sequence[Trajectory]) -> list[str]:
    return [ANSWER] * len(prefixes)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (returns_a_list, "annotate the first parameter Sequence[Trajectory]"),
        (returns_later, "async functions are not supported: give a plain function"),
        (lambda text: returns_later(text), "async functions are not supported"),
        (returns_many_later, "async functions are not supported"),
    ],
)
def test_what_is_returned_instead_of_a_reply_is_told(
    env: HopEnv, function: Callable, told: str
) -> None:
    played = list(run_episodes(env, as_policy(function), range(2)))
    assert [each.stop_reason for each in played] == [StopReason.AGENT_ERROR] * 2
    assert all(told in each.error for each in played)


def test_a_function_of_text_may_be_seeded(env: HopEnv) -> None:
    class Coin:
        def __init__(self, side: str) -> None:
            self.side = self.fingerprint = side

        def seeded(self, seed: int) -> "Coin":
            return Coin(f"side {seed}")

        def __call__(self, text: str) -> str:
            return f"<answer>{self.side}</answer>"

    policy = as_policy(Coin(""))
    assert next(run_episodes(env, policy, [0], seed=5)).answer == "side 5"


@pytest.mark.parametrize("fingerprint", [{"model": "m", "n": 2}, None, 7, ["a"], "text"])
def test_any_fingerprint_leaves_a_file_that_goes_on(
    env: HopEnv, tmp_path: Path, fingerprint: object
) -> None:
    def function(prefixes: Sequence[Trajectory]) -> list[str]:
        return [ANSWER] * len(prefixes)

    function.batched, function.fingerprint = True, fingerprint  # type: ignore[attr-defined]
    path = tmp_path / "a.jsonl"
    assert len(list(run_episodes(env, function, [0], out=path))) == 1
    assert len(list(run_episodes(env, function, [0, 1], out=path))) == 1
    assert [each.task_id for each in read_trajectories(path)] == ["q0", "q1"]
    told = read_header(path).policy
    if isinstance(fingerprint, str | None):
        assert told == (fingerprint or "")
        return
    assert json.loads(told) == fingerprint
    # A header holds it as a text.
    header, *records = path.read_bytes().splitlines(keepends=True)
    plain = json.loads(header) | {"policy": fingerprint}
    path.write_bytes(json.dumps(plain).encode() + b"\n" + b"".join(records))
    with pytest.raises(DataError, match="line 1: expected the header"):
        read_header(path)
    with pytest.raises(DataError, match="line 1: expected the header"):
        list(run_episodes(env, function, [0, 1, 2], out=path))
