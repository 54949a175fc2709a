"""Rows of generated data: documents, questions, and training rows of oracle episodes.

In: tasks and trajectories. Out: plain values whose types are the same in every row, so that
tables of any kind can hold them.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hopgym.documents import Document
    from hopgym.tasks import Evidence, Question
    from hopgym.trajectory import Trajectory

Row = dict[str, Any]


def document_row(document: "Document", corpus: int) -> Row:
    """Return a page as a row.

    Args:
        document: The page.
        corpus: Number of the corpus that it stands in; ids are unique within one.
    """
    sentences = list(document.sentences)
    return {"corpus": corpus, "id": document.id, "title": document.title, "sentences": sentences}


def question_row(question: "Question", corpus: int) -> Row:
    """Return a question as a row, with its answers, hops and proofs.

    Args:
        question: The question.
        corpus: Number of the corpus that it is asked over.
    """
    return {
        "corpus": corpus,
        "id": question.id,
        "question": question.text,
        "answers": list(question.answers),
        "answer_kind": question.answer_kind,
        "kind": question.kind,
        "hops": [{"text": hop.text, "answers": list(hop.answers)} for hop in question.hops],
        "proofs": [[_evidence_row(fact) for fact in proof] for proof in question.proofs],
        "query": str(question.metadata.get("query", "")),
    }


def prompt_rows(episode: "Trajectory") -> Iterator[Row]:
    """Yield a row for each step: the transcript before it as prompt, its text as completion.

    Steps that used a title not shown are left out, as no reader could have taken them.
    """
    from hopgym.trajectory import transcript

    for number, step in enumerate(episode.steps):
        if step.completion is None or step.completion.finish_reason != "privileged":
            prompt = transcript(episode.prompt, episode.steps[:number])
            row = {"prompt": prompt, "completion": step.text}
            yield {**row, "task_id": episode.task_id, "step": number + 1}


def message_rows(episode: "Trajectory") -> Iterator[Row]:
    """Yield one row for an episode: its turns as chat messages of ``user`` and ``assistant``.

    An episode with a step that used a title not shown gives none.
    """
    completions = [step.completion for step in episode.steps]
    if any(each and each.finish_reason == "privileged" for each in completions):
        return
    messages = [{"role": "user", "content": episode.prompt}]
    for step in episode.steps:
        messages.append({"role": "assistant", "content": step.text})
        messages.append({"role": "user", "content": step.observation})
    # What comes back after the last action is of no use to a learner.
    yield {"messages": messages[:-1], "task_id": episode.task_id}


def _evidence_row(evidence: "Evidence") -> Row:
    call = evidence.call
    return {
        "fact": evidence.fact,
        "shown_by": [{"document": name, "sentence": index} for name, index in evidence.shown_by],
        "call": {"tool": call[0], "argument": call[1]} if call else None,
    }
