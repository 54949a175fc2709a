"""Token usage of a run, as reported by the policy's completions."""

from dataclasses import dataclass

from hopgym.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class TokenTotal:
    """A number of tokens."""

    sum: int
    """Over all episodes."""
    mean: float
    """Per episode, including episodes without tokens."""


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of the evaluated episodes; None for what no completion reports."""

    generated: TokenTotal | None
    """Tokens written by the policy."""
    prompt: TokenTotal | None
    """Prompt tokens over all steps: a history that is sent again is counted again."""


def tokens_in(trajectory: Trajectory) -> tuple[int, int]:
    """Return the numbers of generated tokens and of prompt tokens in an episode."""
    completions = [step.completion for step in trajectory.steps if step.completion is not None]
    return (
        sum(completion.generated_tokens for completion in completions),
        sum(completion.prompt_tokens for completion in completions),
    )


def token_usage(episodes: int, generated: int, prompt: int) -> TokenUsage | None:
    """Return the token usage of some episodes from their sums; None if no tokens were reported."""
    if not generated and not prompt:
        return None
    totals = (TokenTotal(n, n / episodes) if n else None for n in (generated, prompt))
    return TokenUsage(*totals)
