"""The oracle's plan: the calls that earn a task's cheapest proof, one at a time.

It knows which pages matter, never more: each call is a lookup of a title already shown, or the
search that an evidence declares. Only where an annotation names a page that no declared search
finds does it look up a title not yet shown; such a step is privileged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hopgym.actions import Action
from hopgym.tasks import Evidence, Question, Task
from hopgym.tools import Toolbox, ToolSettings
from hopgym.verdicts import Knowledge, Shown

_MOST_PARTS = 100
_SEARCHES_UNDER_NOISE = 5


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the oracle, and whether it used a title that was not shown before."""

    action: Action
    privileged: bool = False


def gold_answer(question: Question) -> str:
    """Return the gold answer as an agent would write it: all of a set, else the first alias."""
    if question.answer_kind == "set":
        return "; ".join(question.answers)
    return question.answers[0] if question.answers else ""


def next_call(toolbox: Toolbox, task: Task, knowledge: Knowledge, made: Sequence[Action]) -> Call:
    """Return the oracle's next call.

    Args:
        toolbox: The tools, read for which part of a long page shows what.
        task: The question and its corpus.
        knowledge: What the steps so far showed.
        made: The earlier calls that did not fail.
    """
    plans = plans_by_cost(knowledge)
    for fact in (fact for plan in plans for fact in plan):
        if action := _declared_search(toolbox, knowledge, fact, made):
            return Call(action)
        if action := _lookup(toolbox, knowledge, fact, shown_only=True):
            return Call(action)
    for fact in plans[0] if plans else ():
        if action := _lookup(toolbox, knowledge, fact, shown_only=False):
            return Call(action, privileged=True)
    return Call(Action("answer", gold_answer(task.question)))


def count_steps(task: Task, settings: ToolSettings) -> int:
    """Return the number of steps, the answer among them, that the oracle takes on clean tools."""
    toolbox = Toolbox(task.corpus, settings)
    knowledge = Knowledge(task)
    made: list[Action] = []
    while (action := next_call(toolbox, task, knowledge, made).action).tool != "answer":
        result = toolbox.call(action)
        titles = knowledge.find_titles(result.seen)
        knowledge.observe(Shown(result.sentences, titles), (action.tool, action.argument))
        made.append(action)
    return len(made) + 1


def plans_by_cost(knowledge: Knowledge) -> list[list[Evidence]]:
    """Return for each proof the evidence to go for, in order; the fewest calls first.

    One entry is one call: evidence that an earlier entry's page shows is left out. Equally cheap
    proofs keep their order. A held proof gives the empty plan alone, as there is nothing to do.
    """
    plans = sorted((_calls_for(knowledge, proof) for proof in knowledge.proofs), key=len)
    return plans if plans and plans[0] else []


def _calls_for(knowledge: Knowledge, proof: Sequence[int]) -> list[Evidence]:
    calls: list[Evidence] = []
    pages: set[str] = set()
    for i in proof:
        fact = knowledge.evidence[i]
        documents = [document for document, _ in fact.shown_by]
        if knowledge.held(i) or not pages.isdisjoint(documents):
            continue
        calls.append(fact)
        searched = fact.call is not None and not _seen(knowledge, documents)
        if documents and not searched:
            pages.add(_first_seen(knowledge, documents))
    return calls


def _seen(knowledge: Knowledge, documents: Sequence[str]) -> bool:
    return any(knowledge.titles[document] in knowledge.seen_titles for document in documents)


def _first_seen(knowledge: Knowledge, documents: Sequence[str]) -> str:
    seen = (d for d in documents if knowledge.titles[d] in knowledge.seen_titles)
    return next(seen, documents[0])


def _declared_search(
    toolbox: Toolbox, knowledge: Knowledge, fact: Evidence, made: Sequence[Action]
) -> Action | None:
    if fact.call is None or _seen(knowledge, [document for document, _ in fact.shown_by]):
        return None
    tries = sum((action.tool, action.argument) == fact.call for action in made)
    allowed = _SEARCHES_UNDER_NOISE if toolbox.settings.search_noise else 1
    return Action(*fact.call) if tries < allowed else None


def _lookup(
    toolbox: Toolbox, knowledge: Knowledge, fact: Evidence, *, shown_only: bool
) -> Action | None:
    """Return the lookup of the first page part that shows something of the fact not yet known."""
    for document, index in fact.shown_by:
        title = knowledge.titles[document]
        if shown_only and title not in knowledge.seen_titles:
            continue
        for part in range(1, _MOST_PARTS + 1):
            sentences = toolbox.lookup_part(title, part).sentences
            if any(
                d == document and index in (None, i) and not knowledge.knows((d, i))
                for d, i in sentences
            ):
                return Action("lookup", title, page=part)
            if not sentences:
                break
    return None
