"""Tokens of a run, as policies that count them report.

In: finished trajectories. Out: sums, and means per episode.
"""

from dataclasses import dataclass

from hopgym.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Total:
    """A number of tokens."""

    sum: int
    """Over all episodes."""
    mean: float
    """Per episode, those without any among them."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of the evaluated episodes; of a kind that no completion reports, None."""

    generated: Total | None
    prompt: Total | None
    """What was continued, over all steps: a history that is sent again counts again."""


def tokens_in(trajectory: Trajectory) -> tuple[int, int]:
    """Return the generated tokens of an episode's steps, and those of their prompts."""
    told = [step.completion for step in trajectory.steps if step.completion is not None]
    return sum(each.n_tokens for each in told), sum(each.prompt_tokens for each in told)


def tokens_over(episodes: int, generated: int, prompt: int) -> Tokens | None:
    """Return the tokens of some episodes from their sums; None without any."""
    if not generated and not prompt:
        return None
    return Tokens(*(Total(each, each / episodes) if each else None for each in (generated, prompt)))
