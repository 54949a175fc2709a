"""The info of a step: a dict with the same keys and plain values at every step."""

import json
from typing import Any

from hopgym.env.episode import Episode
from hopgym.tools import argument_names


def info_of(episode: Episode, oracle_steps: int) -> dict[str, Any]:
    """Return the info of the last step, or of the reset before the first step.

    Args:
        episode: The current episode.
        oracle_steps: The oracle's number of steps; -1 before the end, or if it is unknown.
    """
    step = episode.records[-1] if episode.records else None
    action = step.action if step else None
    is_over = bool(episode.stop_reason)
    count = len(episode.records)
    return {
        "task_id": episode.task.question.id,
        "step": count,
        "steps_left": episode.budget - count,
        "tool": action.tool if action else "",
        "argument": action.argument if action else "",
        "verdict": str(step.verdict) if step else "",
        "process_reward": step.process_reward if step else 0.0,
        "outcome_reward": step.outcome_reward if step else 0.0,
        "potential": step.potential if step else episode.potential,
        "oracle_steps": oracle_steps,
        "is_success": is_over and episode.score.em == 1.0,
        "reason": str(episode.stop_reason),
        "evidence_source": episode.evidence_source,
        "corpus": episode.task.corpus.description,
        "gold": _gold(episode) if is_over or episode.settings.reveal else "",
    }


def _gold(episode: Episode) -> str:
    question = episode.task.question
    gold: dict[str, Any] = {
        "answers": question.answers,
        "hops": [{"text": hop.text, "answers": hop.answers} for hop in question.hops],
        "proofs": [[fact.fact for fact in proof] for proof in question.proofs],
    }
    if episode.settings.reveal:
        call = None if episode.stop_reason else episode.oracle_call().action
        names = argument_names(episode.tools)
        gold["oracle"] = episode.dialect.write(call, names) if call else ""
    return json.dumps(gold, ensure_ascii=False)
