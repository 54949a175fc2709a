"""The oracle: the calls that collect a task's cheapest proof, one at a time.

It only knows which pages matter: each call is a lookup of a title that was already shown, or the
search that an evidence declares. If no declared search finds an annotated page, the oracle looks up
a title that was not shown; such a step is privileged.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hopgym.actions import Action
from hopgym.search import fold
from hopgym.tasks import Evidence, Question, Task
from hopgym.tools import Toolbox
from hopgym.verdicts import Knowledge, ShownContent

_MAX_PARTS = 100
_MAX_TRIES = 5


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the oracle."""

    action: Action
    privileged: bool = False
    """Whether it uses a title that was not shown before."""


@dataclass(frozen=True, slots=True)
class Goal:
    """An evidence to collect."""

    fact: Evidence
    document: str | None = None
    """Id of the document to look up; None for the search that the evidence declares."""


def gold_answer(question: Question) -> str:
    """Return the gold answer as an agent writes it: all of a set, else the first alias."""
    if question.answer_kind == "set":
        return "; ".join(question.answers)
    return question.answers[0] if question.answers else ""


def gold_action(question: Question) -> Action:
    """Return the call with the gold answer and its annotated support, if there is one."""
    return Action("answer", gold_answer(question), support=question.support)


def next_call(toolbox: Toolbox, task: Task, knowledge: Knowledge, calls: Sequence[Action]) -> Call:
    """Return the oracle's next call.

    Args:
        toolbox: The tools, read for which part of a long page shows what.
        task: The question and its corpus.
        knowledge: What the steps so far showed.
        calls: The earlier calls that did not fail.
    """
    plans = plans_by_cost(knowledge)
    for goal in (goal for plan in plans for goal in plan):
        if action := _declared_search(toolbox, goal, calls):
            return Call(action)
        if action := _lookup(toolbox, knowledge, goal, shown_only=True):
            return Call(action)
    for goal in plans[0] if plans else ():
        if action := _lookup(toolbox, knowledge, goal, shown_only=False):
            return Call(action, privileged=True)
    return Call(gold_action(task.question))


def count_steps(task: Task, toolbox: Toolbox) -> int:
    """Return the oracle's number of steps, including the answer, without noise and failures."""
    knowledge = Knowledge(task)
    calls: list[Action] = []
    while (action := next_call(toolbox, task, knowledge, calls).action).tool != "answer":
        result = toolbox.call(action)
        titles = knowledge.find_titles(result.seen)
        knowledge.observe(ShownContent(result.sentences, titles), (action.tool, action.argument))
        calls.append(action)
    return len(calls) + 1


def plans_by_cost(knowledge: Knowledge) -> list[list[Goal]]:
    """Return a plan for each proof, with one goal per call; the plan with the fewest calls first.

    Evidence on the page of an earlier goal is left out. Proofs of equal cost keep their order. If a
    proof is held already, there is no plan.
    """
    plans = sorted((_plan(knowledge, proof) for proof in knowledge.proofs), key=len)
    return plans if plans and plans[0] else []


def _plan(knowledge: Knowledge, proof: Sequence[int]) -> list[Goal]:
    missing = [knowledge.evidence[i] for i in proof if not knowledge.held(i)]
    pages = Counter(document for fact in missing for document in _documents(fact))
    goals: list[Goal] = []
    chosen: set[str] = set()
    for fact in missing:
        documents = _documents(fact)
        if not chosen.isdisjoint(documents):
            continue
        seen = [d for d in documents if knowledge.titles[d] in knowledge.seen_titles]
        if fact.call is not None and not seen:
            goals.append(Goal(fact))
        elif documents:
            # A page that shows more of the missing evidence saves a call.
            best = max(seen, key=lambda d: pages[d]) if seen else documents[0]
            goals.append(Goal(fact, best))
            chosen.add(best)
    return goals


def _documents(fact: Evidence) -> tuple[str, ...]:
    return tuple(dict.fromkeys(document for document, _ in fact.shown_by))


def _declared_search(toolbox: Toolbox, goal: Goal, calls: Sequence[Action]) -> Action | None:
    if goal.document is not None or goal.fact.call is None:
        return None
    tool, argument = goal.fact.call
    tries = sum(a.tool == tool and fold(a.argument) == fold(argument) for a in calls)
    # Noise can hide pages, and a calculation that came too early may count later.
    varies = toolbox.settings.search_noise or not goal.fact.shown_by
    return Action(tool, argument) if tries < (_MAX_TRIES if varies else 1) else None


def _lookup(
    toolbox: Toolbox, knowledge: Knowledge, goal: Goal, *, shown_only: bool
) -> Action | None:
    """Return the lookup of the first page part with an unknown sentence of the fact."""
    preferred = sorted(goal.fact.shown_by, key=lambda pair: pair[0] != goal.document)
    for document, index in preferred:
        title = knowledge.titles[document]
        if shown_only and title not in knowledge.seen_titles:
            continue
        for part in range(1, _MAX_PARTS + 1):
            sentences = toolbox.lookup_part(title, part).sentences
            if any(
                d == document and index in (None, i) and not knowledge.knows((d, i))
                for d, i in sentences
            ):
                return Action("lookup", title, page=part)
            if not sentences:
                break
    return None
