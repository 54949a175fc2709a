"""``hopgym eval --dry-run``: what a policy would be asked, and about how many tokens a run takes.

In: an environment, a policy and the size of a run. Out: the exact first prompt, the tools as JSON
schemas, and two bounds of the tokens. Nothing is played and nothing written.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hopgym.cli.display import console, print_json
from hopgym.tools import tool_schema

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.rollout import Policy

CHARS_PER_TOKEN = 4
"""Taken where a policy does not count its own tokens."""
ACTION_TOKENS = 64
"""Taken for what a model writes at a step: a short thought and a call."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a whole run."""

    steps: int
    """Of each episode."""
    prompt: int
    """Summed over all calls; at each step the whole episode so far is sent."""
    generated: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """About how many tokens a run takes."""

    prompt_tokens: int
    """Of the first prompt, with the schemas of tools where they are sent."""
    counted: str
    """How they were counted."""
    observation_tokens: int
    """Taken for what one call shows."""
    lower: Tokens
    """When every episode ends at its first step."""
    upper: Tokens
    """When every episode takes its whole budget."""


def show_dry_run(env: "HopEnv", policy: "Policy", episodes: int, *, as_json: bool) -> None:
    """Print what a run would ask first, its tools, and its tokens.

    Args:
        env: What would be played.
        policy: What would play.
        episodes: How many there would be.
        as_json: Whether as one JSON object.
    """
    messages, tools, told = _preview(env, policy)
    found = estimate(env, messages, tools, told, episodes)
    if as_json:
        print_json({
            "task": env.task.question.id, "messages": messages, "tools": tools,
            "episodes": episodes, "tokens": asdict(found),
        })  # fmt: skip
        return
    out = console(markup=False)
    out.print(f"first prompt (task {env.task.question.id})", style="bold", soft_wrap=True)
    for message in messages:
        out.print(f"--- {message['role']}", style="dim")
        rest = {key: each for key, each in message.items() if key not in ("role", "content")}
        # As it stands: it is what a model reads, to the letter.
        out.out(message.get("content") or "", highlight=False)
        if rest:
            out.out(json.dumps(rest, ensure_ascii=False), highlight=False)
    out.print("\ntools", style="bold")
    for tool in tools:
        out.out(json.dumps(tool, ensure_ascii=False), highlight=False)
    out.print("\ntokens, estimated", style="bold")
    for line in _lines(found, episodes):
        out.print(line, soft_wrap=True)


def estimate(
    env: "HopEnv",
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    told: tuple[int, bool] | None,
    episodes: int,
) -> Estimate:
    """Return about how many tokens a run takes.

    Step t's prompt is the first one with t - 1 actions and observations behind it, so that the
    prompts of an episode of n steps come to n P + (A + O) n (n - 1) / 2 tokens.

    Args:
        env: What is played; its first task stands for all.
        messages: The first prompt.
        tools: Schemas of the tools.
        told: Tokens of the first prompt by the policy, and whether they are exact; None where it
            does not tell.
        episodes: How many there are.
    """
    chars = sum(len(json.dumps(each, ensure_ascii=False)) for each in messages)
    per_token = float(CHARS_PER_TOKEN)
    counted = f"{CHARS_PER_TOKEN} characters for a token"
    prompt = round(chars / per_token)
    if told is not None:
        prompt, exact = told
        counted = "counted by the model's tokenizer" if exact else "estimated by the policy"
        sent = chars + len(json.dumps(list(tools), ensure_ascii=False)) if tools else chars
        per_token = max(1.0, sent / max(1, prompt))
    seen = round(len(_observation(env)) / per_token)

    def over(steps: int) -> Tokens:
        growing = (ACTION_TOKENS + seen) * steps * (steps - 1) // 2
        prompts = episodes * (steps * prompt + growing)
        return Tokens(steps, prompts, episodes * steps * ACTION_TOKENS)

    return Estimate(prompt, counted, seen, over(1), over(env.settings.budget))


def _preview(
    env: "HopEnv", policy: "Policy"
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], tuple[int, bool] | None]:
    """Return messages and tools of the first call, and its tokens where the policy tells them."""
    env.reset(options={"index": 0})
    prefix = env.trajectory()
    schemas = [tool_schema(tool, env.settings.dialect) for tool in env.tools]
    preview = getattr(policy, "preview", None)
    if preview is None:
        return [{"role": "transcript", "content": prefix.prompt}], schemas, None
    found = preview(prefix)
    tools = list(found.tools) or schemas
    return list(found.messages), tools, (int(found.tokens), bool(getattr(found, "exact", True)))


def _observation(env: "HopEnv") -> str:
    """Return what a call shows, as far as one can tell: the results of searching the question."""
    from hopgym.actions import Action, dialect_named
    from hopgym.tools import argument_names

    names = [tool.name for tool in env.tools]
    if "search" not in names or env.settings.budget == 1:
        return ""
    query = Action("search", env.task.question.text)
    return env.step(dialect_named(env.settings.dialect).write(query, argument_names(names)))[0]


def _lines(found: Estimate, episodes: int) -> list[str]:
    rows = [
        f"  {name}: {episodes:,} episodes of {each.steps} step{'s' if each.steps > 1 else ''}: "
        f"{each.prompt:,} in prompts, {each.generated:,} generated"
        for name, each in (("at least", found.lower), ("at most", found.upper))
    ]
    first = f"The first prompt has {found.prompt_tokens:,} tokens ({found.counted})."
    each = f"An action is taken for {ACTION_TOKENS}, an observation for {found.observation_tokens}"
    if found.observation_tokens:
        each += " (the results of searching the question)"
    return [
        *rows,
        f"  {first} {each}.",
        "  Each step sends the episode so far again; a server that keeps its cache reads only what "
        "is new.",
    ]
