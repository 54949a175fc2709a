"""What of a tool's text is gold: sentences of the evidence, titles of its pages.

In: a step and the task that it belongs to. Out: its observation in pieces, each with what it is.
"""

import re
from collections.abc import Sequence

from hopgym.tasks import Task
from hopgym.trajectory import Step

Piece = tuple[str, str]
"""A text and what it is: ``evidence``, ``lead``, ``cut`` (a note of ours), or nothing."""


class EvidenceSentences:
    """Finds the sentences of a task's evidence in what its steps showed.

    Args:
        task: With its proofs and the pages that they name.
    """

    def __init__(self, task: Task) -> None:
        proofs = task.question.proofs
        pairs = {pair for proof in proofs for fact in proof for pair in fact.shown_by}
        self._whole_pages = {document for document, index in pairs if index is None}
        self._pairs = pairs
        self._corpus = task.corpus
        self._sentences: dict[str, tuple[str, ...]] = {}

    def pieces(self, step: Step) -> list[Piece]:
        """Return an observation in pieces, evidence apart from the rest."""
        text, titles = step.observation, step.shown.titles
        pieces: list[Piece] = []
        start = end = 0
        # An observation shows its sentences in this order, so equal ones are told apart.
        for document, index in step.shown.sentences:
            sentence = self._sentence(document, index)
            found = text.find(sentence, end) if sentence else -1
            if found < 0:
                continue
            end = found + len(sentence)
            if document not in self._whole_pages and (document, index) not in self._pairs:
                continue
            if pieces and not text[start:found].strip(" "):
                pieces[-1] = (pieces[-1][0] + text[start:end], "evidence")
            else:
                pieces += [*_with_leads(text[start:found], titles), (sentence, "evidence")]
            start = end
        return [*pieces, *_with_leads(text[start:], titles)]

    def _sentence(self, document: str, index: int) -> str:
        if document not in self._sentences:
            try:
                self._sentences[document] = self._corpus.document(document).sentences
            except KeyError:  # the pages may have changed since the run
                self._sentences[document] = ()
        sentences = self._sentences[document]
        return sentences[index].strip() if 0 <= index < len(sentences) else ""


def cut(pieces: Sequence[Piece], room: int) -> tuple[Piece, ...]:
    """Return pieces with at most so many characters besides those of evidence and leads."""
    kept: list[Piece] = []
    for text, kind in pieces:
        if kind or len(text) <= room:
            kept.append((text, kind))
        else:
            kept += [(text[:room], ""), (f"… [{len(text) - room:,} more]", "cut")]
        room -= 0 if kind else min(room, len(text))
    return tuple(piece for piece in kept if piece[0])


def _with_leads(text: str, titles: Sequence[str]) -> list[Piece]:
    """Return a text in pieces, the titles of evidence pages apart from the rest."""
    wanted = [re.escape(title) for title in sorted(titles, key=len, reverse=True) if title]
    if not wanted or not text:
        return [(text, "")] if text else []
    parts = re.split(rf"(?<!\w)({'|'.join(wanted)})(?!\w)", text)
    return [(part, "lead" if i % 2 else "") for i, part in enumerate(parts) if part]
