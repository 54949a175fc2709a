"""Tasks that are learnt from are not those that success is followed on."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from hopgym.errors import ArgumentError
from hopgym_agents.training import environments as play
from hopgym_agents.training.environments import PlaySettings, check_held_out


class Tasks(list[Any]):
    """A source of numbered questions."""

    def __init__(self, numbers: range) -> None:
        asked = (SimpleNamespace(id=str(each), text=f"{each}?") for each in numbers)
        super().__init__(SimpleNamespace(question=each) for each in asked)
        self.fingerprint = str(numbers)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Checks tasks from one number on against held-out ones from another on."""

    def make(name: str, kwargs: Mapping[str, Any]) -> Any:
        return SimpleNamespace(source=Tasks(range(kwargs["first"], kwargs["first"] + 300)))

    monkeypatch.setattr(play, "make", make)
    monkeypatch.setattr(play, "resolve_id", lambda name: name)

    def checked(learnt: int, held_out: int, source: str = "", **options: Any) -> None:
        kwargs: dict[str, Any] = {"first": held_out}
        settings = {"env": "an id", "kwargs": {"first": learnt}, "dev": 10, "dev_kwargs": kwargs}
        check_held_out(PlaySettings(**{**settings, **options}), source)

    return checked


def test_a_single_task_of_both_is_refused(check: Any) -> None:
    check(0, 300)
    with pytest.raises(ArgumentError, match=r"other tasks .* got 1 of the 10 compared"):
        check(0, 199)
    check(0, 199, tasks=199)
    check(0, 199, dev=0)
    with pytest.raises(ArgumentError, match="got 10 of the 10"):
        check(0, 0)


def test_a_file_of_the_held_out_tasks_is_refused(check: Any) -> None:
    check(0, 300, source=str(range(300)))
    with pytest.raises(ArgumentError, match="must name other tasks than those trained on"):
        check(0, 300, source=str(range(300, 600)))
