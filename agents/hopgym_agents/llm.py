"""What hopgym finds by entry point: the policy ``llm``.

In: an environment and options, as ``--llm.model NAME`` gives them on the command line. Out: a
policy.
"""

import copy
from collections.abc import Mapping
from typing import Any

from hopgym.env import HopEnv
from hopgym.policy import Policy
from hopgym_agents.options import LLMOptions, generator_from, read_options
from hopgym_agents.policy import LLMPolicy
from hopgym_agents.prompts import Style, render, stop_texts, style_named


def llm(env: HopEnv, options: Mapping[str, Any]) -> Policy:
    """Return the policy of a language model for an environment.

    Args:
        env: What it is to play; its dialect and tools tell where an action ends.
        options: Those of `hopgym_agents.options.LLMOptions`, by name.

    Raises:
        ArgumentError: On an option that is unknown, missing, out of range or another generator's,
            and on a style that does not go with the environment.
    """
    chosen = read_options(options)
    style = style_named(chosen.style, chosen.template)
    _try(style, env)
    # A server that takes tools by their schemas finds the end of a call by itself.
    told = chosen.stop and not (style.native and chosen.generator == "openai")
    tools = (tool.name for tool in env.tools)
    generate = generator_from(chosen, stop_texts(env.settings.dialect, tools) if told else ())
    return LLMPolicy(
        generate, style, max_context=chosen.max_context, drop_middle=chosen.drop_middle
    )


llm.options = LLMOptions  # type: ignore[attr-defined]  # `hopgym list --policy llm` prints them.


def _try(style: Style, env: HopEnv) -> None:
    """Render an episode's begin, so that what cannot work is told of before a run."""
    trial = copy.copy(env)
    trial.render_mode = None
    trial.reset(options={"index": 0})
    trial.step("")
    render(trial.trajectory(), style)
