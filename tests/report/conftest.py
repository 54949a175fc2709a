"""Runs to report on, and a browser to read the pages in."""

from collections.abc import Iterator
from typing import Any

import pytest

from hopgym.policies import GuessPolicy, OraclePolicy, ScriptedPolicy
from hopgym.trajectory import Trajectory
from tests.support.chromium import chromium
from tests.support.report_page import SCRIPT, play


@pytest.fixture
def scripted(source: Any) -> list[Trajectory]:
    return play(source, ScriptedPolicy(SCRIPT))


@pytest.fixture
def runs(source: Any, scripted: list[Trajectory]) -> dict[str, list[Trajectory]]:
    return {
        "oracle": play(source, OraclePolicy(source)),
        "mine": scripted,
        "guess": play(source, GuessPolicy(source)),
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running
