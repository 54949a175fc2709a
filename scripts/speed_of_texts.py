"""Hostile texts beside harmless ones of the same length: reading must stay linear."""

import runpy
from pathlib import Path
from typing import Any

from paired import Ratios, alternate

TESTS = Path(__file__).parents[1] / "tests"
MARKS = (
    "good ." * 100_000,
    "bad" + "." * 500_000 + "x",
    "<think>" * 100_000,
    "GOOD " * 100_000,
    ". " * 300_000 + "!" * 300_000,
)


def compare_actions(rounds: int) -> Ratios:
    """Read all hostile actions of the tests in both dialects."""
    found: dict[str, Any] = runpy.run_path(str(TESTS / "core" / "test_actions.py"))
    hostile: list[str] = found["ADVERSARIES"]
    harmless = [_words(len(text)) for text in hostile]

    def read(texts: list[str]) -> None:
        for dialect in found["DIALECTS"].values():
            for text in texts:
                dialect.parse(text, found["TOOLS"])

    return alternate(rounds, lambda: read(hostile), lambda: read(harmless))


def compare_sums(rounds: int) -> Ratios:
    """Calculate all hostile expressions of the tests."""
    from hopgym.tools.calculator import calculate

    found: dict[str, Any] = runpy.run_path(str(TESTS / "tools" / "test_calculator.py"))
    hostile: list[str] = found["HOSTILE"]
    harmless = [("1+" * len(text))[: len(text) - 1] + "1" for text in hostile]

    def work(expressions: list[str]) -> None:
        for _ in range(20):
            for expression in expressions:
                calculate(expression)

    return alternate(rounds, lambda: work(hostile), lambda: work(harmless))


def compare_marks(rounds: int) -> Ratios:
    """Read the marks of long verdicts."""
    from hopgym_agents.judging.judge import parse_rating

    harmless = [_words(len(text)) for text in MARKS]

    def read(texts: list[str] | tuple[str, ...]) -> None:
        for text in texts:
            parse_rating(text)

    return alternate(rounds, lambda: read(MARKS), lambda: read(harmless))


def _words(length: int) -> str:
    return ("The mother of Ada Brook is Cleo Dunn. " * (length // 38 + 1))[:length]
