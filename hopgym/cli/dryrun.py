"""``hopgym eval --dry-run``: prints the first prompt, the tools, and bounds of a run's tokens.

Nothing is played and nothing is written.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hopgym.actions import Action, dialect_named
from hopgym.cli.display import console, print_json
from hopgym.tools import argument_names, tool_schema

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.rollout import Policy

CHARS_PER_TOKEN = 4
"""Assumed if a policy does not count its own tokens."""
ACTION_TOKENS = 64
"""Assumed tokens that a model generates at a step: a short thought and a call."""


@dataclass(frozen=True, slots=True)
class RunTokens:
    """Tokens of a complete run."""

    steps: int
    """Steps of each episode."""
    prompt: int
    """Prompt tokens of all calls; at each step, the complete episode so far is sent."""
    generated: int


@dataclass(frozen=True, slots=True)
class TokenEstimate:
    """Estimated tokens of a run."""

    prompt_tokens: int
    """Tokens of the first prompt, with the schemas of tools if they are sent."""
    counted: str
    """How they were counted, as text."""
    observation_tokens: int
    """Assumed tokens of an observation."""
    lower: RunTokens
    """If every episode ends at its first step."""
    upper: RunTokens
    """If every episode uses its full budget."""


def show_dry_run(env: "HopEnv", policy: "Policy", episodes: int, *, as_json: bool) -> None:
    """Print the first prompt of a run, its tools, and its estimated tokens.

    Args:
        env: The environment.
        policy: The policy.
        episodes: Number of episodes of the run.
        as_json: Whether to print one JSON object.
    """
    messages, tools, counted = _preview(env, policy)
    tokens = estimate_tokens(env, messages, tools, counted, episodes)
    if as_json:
        print_json({
            "task": env.task.question.id, "messages": messages, "tools": tools,
            "episodes": episodes, "tokens": asdict(tokens),
        })  # fmt: skip
        return
    out = console(markup=False)
    out.print(f"first prompt (task {env.task.question.id})", style="bold", soft_wrap=True)
    for message in messages:
        out.print(f"--- {message['role']}", style="dim")
        rest = {key: item for key, item in message.items() if key not in ("role", "content")}
        # Printed without markup or wrapping: this is exactly what a model reads.
        out.out(message.get("content") or "", highlight=False)
        if rest:
            out.out(json.dumps(rest, ensure_ascii=False), highlight=False)
    out.print("\ntools", style="bold")
    for tool in tools:
        out.out(json.dumps(tool, ensure_ascii=False), highlight=False)
    out.print("\ntokens, estimated", style="bold")
    for line in _lines(tokens, episodes):
        out.print(line, soft_wrap=True)


def estimate_tokens(
    env: "HopEnv",
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    counted: tuple[int, bool] | None,
    episodes: int,
) -> TokenEstimate:
    """Return the estimated tokens of a run.

    The prompt of step t is the first prompt plus t - 1 actions and observations. With P prompt
    tokens, A tokens per action and O per observation, an episode of n steps has prompts of
    n P + (A + O) n (n - 1) / 2 tokens.

    Args:
        env: The environment; its first task represents all of them.
        messages: The first prompt.
        tools: Schemas of the tools.
        counted: Tokens of the first prompt as counted by the policy, and whether they are exact;
            None if the policy does not count them.
        episodes: Number of episodes.
    """
    chars = sum(len(json.dumps(message, ensure_ascii=False)) for message in messages)
    per_token = float(CHARS_PER_TOKEN)
    method = f"{CHARS_PER_TOKEN} characters for a token"
    prompt = round(chars / per_token)
    if counted is not None:
        prompt, exact = counted
        method = "counted by the model's tokenizer" if exact else "estimated by the policy"
        sent = chars + len(json.dumps(list(tools), ensure_ascii=False)) if tools else chars
        per_token = max(1.0, sent / max(1, prompt))
    observation = round(len(_observation(env)) / per_token)

    def total(steps: int) -> RunTokens:
        history = (ACTION_TOKENS + observation) * steps * (steps - 1) // 2
        prompts = episodes * (steps * prompt + history)
        return RunTokens(steps, prompts, episodes * steps * ACTION_TOKENS)

    return TokenEstimate(prompt, method, observation, total(1), total(env.settings.budget))


def _preview(
    env: "HopEnv", policy: "Policy"
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], tuple[int, bool] | None]:
    """Return messages and tools of the first call, and its tokens if the policy counts them."""
    env.reset(options={"index": 0})
    prefix = env.trajectory()
    schemas = [tool_schema(tool, env.settings.dialect) for tool in env.tools]
    preview = getattr(policy, "preview", None)
    if preview is None:
        return [{"role": "transcript", "content": prefix.prompt}], schemas, None
    call = preview(prefix)
    tools = list(call.tools) or schemas
    return list(call.messages), tools, (int(call.tokens), bool(getattr(call, "exact", True)))


def _observation(env: "HopEnv") -> str:
    """Return a typical observation: the results of a search for the question."""
    names = [tool.name for tool in env.tools]
    if "search" not in names or env.settings.budget == 1:
        return ""
    query = Action("search", env.task.question.text)
    return env.step(dialect_named(env.settings.dialect).write(query, argument_names(names)))[0]


def _lines(tokens: TokenEstimate, episodes: int) -> list[str]:
    rows = [
        f"  {name}: {episodes:,} episodes of {bound.steps} step{'s' if bound.steps > 1 else ''}: "
        f"{bound.prompt:,} in prompts, {bound.generated:,} generated"
        for name, bound in (("at least", tokens.lower), ("at most", tokens.upper))
    ]
    prompt = f"The first prompt has {tokens.prompt_tokens:,} tokens ({tokens.counted})."
    step = f"An action is taken for {ACTION_TOKENS}, an observation for {tokens.observation_tokens}"
    if tokens.observation_tokens:
        step += " (the results of searching the question)"
    return [
        *rows,
        f"  {prompt} {step}.",
        "  Each step sends the episode so far again; a server that keeps its cache reads only what "
        "is new.",
    ]
