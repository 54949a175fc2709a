"""The gold proof against the path taken: which step found which fact.

In: a task and the steps of an episode. Out: the facts of the proof that the agent came closest to.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hopgym.report.wording import shortened
from hopgym.tasks import Task
from hopgym.trajectory import Step
from hopgym.verdicts import Knowledge, Verdict

_WORTH = {"read": 1.0, "found": 0.5, "missed": 0.0}


@dataclass(frozen=True, slots=True)
class FactView:
    """One fact of the proof, and how the agent came by it."""

    text: str
    status: str
    """``read``, ``found`` (a title of its pages was shown, not the fact) or ``missed``."""
    step: int
    """The step from 1 that showed the fact; 0 where none did."""
    led: int
    """The step from 1 that first showed a title of its pages; 0 where none did before it was
    read, or the question names it."""


def facts_of(task: Task, steps: Sequence[Step]) -> tuple[FactView, ...]:
    """Return the facts of the proof of which most is known at the end, in proof order."""
    knowledge = Knowledge(task)
    held_at: dict[int, int] = {}
    led_at = dict.fromkeys(_led(knowledge), 0)
    for number, step in enumerate(steps, start=1):
        if step.action is None or step.verdict is Verdict.FAILED:
            continue
        knowledge.observe(step.shown, (step.action.tool, step.action.argument))
        for i in range(len(knowledge.evidence)):
            if knowledge.held(i):
                held_at.setdefault(i, number)
        for i in _led(knowledge):
            led_at.setdefault(i, number)

    def view(i: int) -> FactView:
        status = "read" if i in held_at else "found" if i in led_at else "missed"
        step, led = held_at.get(i, 0), led_at.get(i, 0)
        return FactView(
            shortened(knowledge.evidence[i].fact), status, step, 0 if led == step else led
        )

    def known(proof: Sequence[FactView]) -> float:
        return sum(_WORTH[fact.status] for fact in proof) / len(proof)

    proofs = [tuple(map(view, proof)) for proof in knowledge.proofs if proof]
    return max(proofs, key=known, default=())


def _led(knowledge: Knowledge) -> list[int]:
    """Return the places of the evidence of which a page's title was shown."""
    seen, titles = knowledge.seen_titles, knowledge.titles
    return [
        i
        for i, fact in enumerate(knowledge.evidence)
        if any(titles[document] in seen for document, _ in fact.shown_by)
    ]
