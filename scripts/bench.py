"""Prints how fast hopgym is beside references measured in the same process: ``make bench``.

A ratio divides what a thing takes by what its reference takes, in rounds that take turns; the
median counts. Run as ``python scripts/bench.py [--only NAME] [--rounds N] [--json]``.
"""

import argparse
import json
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import speed_of_models
import speed_of_play
import speed_of_requests
import speed_of_texts
from paired import Ratios


@dataclass(frozen=True)
class Check:
    """A ratio and the bound that it is to keep."""

    name: str
    reference: str
    at_most: float
    measure: Callable[[int], Ratios]
    """From a number of rounds to the ratio of each."""


@dataclass(frozen=True)
class Finding:
    """A line of the table."""

    name: str
    reference: str
    ratio: float
    lowest: float
    highest: float
    at_most: float
    is_kept: bool


CHECKS = (
    Check("action-text", "harmless text of the same length", 25.0, speed_of_texts.compare_actions),
    Check("arithmetic", "harmless sums of the same length", 5.0, speed_of_texts.compare_sums),
    Check("marks", "harmless text of the same length", 50.0, speed_of_texts.compare_marks),
    Check("lookup-step", "a step of CartPole-v1", 1 / 1.5, speed_of_play.compare_lookups),
    Check("reset", "a reset of CartPole-v1", 5.0, speed_of_play.compare_resets),
    Check("search", "counting the words of each page", 0.5, speed_of_play.compare_searches),
    Check("runner-1000-slots", "the same steps in a plain loop", 3.0, speed_of_play.compare_runner),
    Check("live-table-rows", "playing the episodes", 0.25, speed_of_play.compare_table_rows),
    Check("live-table-frames", "the time by the clock", 0.3, speed_of_play.compare_table_frames),
    Check("requests-64-slots", "bare httpx by the clock", 1.3, speed_of_requests.compare_wall),
    Check("request-cpu", "bare httpx in CPU time", 1.3, speed_of_requests.compare_processor),
    Check("kept-states", "encoding each turn anew", 0.5, speed_of_models.compare_kept_states),
    Check("judging", "replaying each step in the env", 0.5, speed_of_models.compare_judging),
    Check("stepwise-bare", "a bare loop, per token", 2.0, speed_of_models.compare_stepwise_bare),
    Check("stepwise-spare", "a spare loop, per token", 2.0, speed_of_models.compare_stepwise_spare),
)


def cpu_model() -> str:
    """Return the name of this machine's processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def find(check: Check, rounds: int) -> Finding:
    """Measure a check."""
    ratios = check.measure(rounds)
    ratio = statistics.median(ratios)
    spread = (min(ratios), max(ratios))
    return Finding(
        check.name, check.reference, ratio, *spread, check.at_most, ratio <= check.at_most
    )


def table(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines of the table."""
    form = "{:18} {:>8} {:>17} {:>8}  {:4}  {}"
    yield form.format("name", "ratio", "rounds", "bound", "", "reference")
    for each in findings:
        spread = f"{each.lowest:.3g} to {each.highest:.3g}"
        told = "ok" if each.is_kept else "MISS"
        bound = f"<= {each.at_most:.3g}"
        yield form.format(each.name, f"{each.ratio:.3g}", spread, bound, told, each.reference)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=[check.name for check in CHECKS])
    parser.add_argument("--rounds", type=int, default=5, help="the median of which counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(words)
    chosen = [check for check in CHECKS if not given.only or check.name in given.only]
    findings = [find(check, given.rounds) for check in chosen]
    if given.json:
        rows = [asdict(each) for each in findings]
        print(json.dumps({"cpu": cpu_model(), "rounds": given.rounds, "checks": rows}))
        return
    print(f"CPU: {cpu_model()}; medians of {given.rounds} rounds")
    print(*table(findings), sep="\n")


if __name__ == "__main__":
    main()
