"""Tracks which evidence an agent has seen, and derives verdicts and process rewards from it.

Verdicts are exact if the proofs are exact; no model is involved.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hopgym.documents import Corpus, stands_whole
from hopgym.search import fold
from hopgym.tasks import Evidence, Task


class Verdict(StrEnum):
    """The verdict on a step."""

    MALFORMED = "malformed"
    """The text had no complete call of a known tool."""
    FAILED = "failed"
    """The tool failed, as the settings simulate it."""
    GOOD = "good"
    """The potential rose, and a further evidence is held."""
    LEAD = "lead"
    """The potential rose because the title of an evidence's page was shown."""
    REPEAT = "repeat"
    """The call repeats an earlier one that did not fail."""
    IRRELEVANT = "irrelevant"
    """None of the above."""
    SUPPORTED = "supported"
    """Right answer, and all evidence of a proof is held."""
    LUCKY = "lucky"
    """Right answer without a proof."""
    WRONG = "wrong"
    """Wrong answer although all evidence of a proof is held."""
    UNSUPPORTED = "unsupported"
    """Wrong answer without a proof."""
    UNJUDGED = "unjudged"
    """The evidence of the task is unknown."""


GOOD_VERDICTS = frozenset({Verdict.GOOD, Verdict.LEAD, Verdict.SUPPORTED})
"""Verdicts that correspond to GOOD of SWiRL's judge (Goldie et al. 2025, arXiv 2504.04736,
section 3)."""

_HELD = 1.0
_LED = 0.5


@dataclass(frozen=True, slots=True)
class ShownContent:
    """The part of the corpus that a step showed."""

    sentences: tuple[tuple[str, int], ...] = ()
    """(document id, 0-based sentence index) pairs shown in full."""
    titles: tuple[str, ...] = ()
    """Titles of evidence documents shown in full."""


class Knowledge:
    """The known evidence of a task; it grows with `observe` and never shrinks.

    An evidence is held if one of its sentences, or its full page, was shown in full. It is led if
    the title of one of its documents was shown. The text of the question counts as shown. Evidence
    that no page shows is held after its call, or after the calls that the task's rule requires.

    Args:
        task: The question and its corpus.
    """

    def __init__(self, task: Task) -> None:
        question = task.question
        corpus = task.corpus
        self.evidence: tuple[Evidence, ...] = tuple(
            dict.fromkeys(fact for proof in question.proofs for fact in proof)
        )
        positions = {fact: i for i, fact in enumerate(self.evidence)}
        self.proofs = tuple(tuple(positions[f] for f in proof) for proof in question.proofs)
        self.titles = _titles_of(self.evidence, corpus)
        self._corpus = corpus
        self._status = [0.0] * len(self.evidence)
        self._unseen_titles = set(self.titles.values())
        self._known: set[tuple[str, int]] = set()
        self._all_on_pages = all(fact.shown_by for fact in self.evidence)
        self._rule = task.rule
        self.seen_titles: set[str] = set()
        self._note_titles(self.find_titles(question.text))
        self.potential = self._best_potential()
        self.initial_potential = self.potential

    def copy(self) -> "Knowledge":
        """Return an independent copy; its cost does not depend on the corpus."""
        twin = object.__new__(Knowledge)
        twin.__dict__.update(self.__dict__)
        twin._status = self._status.copy()
        twin._unseen_titles = self._unseen_titles.copy()
        twin._known = self._known.copy()
        twin.seen_titles = self.seen_titles.copy()
        return twin

    def held(self, evidence: int) -> bool:
        """Return whether the evidence at a position in ``evidence`` is held."""
        return self._status[evidence] == _HELD

    def knows(self, sentence: tuple[str, int]) -> bool:
        """Return whether a (document id, 0-based sentence index) pair was shown in full."""
        return sentence in self._known

    @property
    def proven(self) -> bool:
        """Whether all evidence of some proof is held."""
        return any(all(map(self.held, proof)) for proof in self.proofs)

    def find_titles(self, text: str) -> tuple[str, ...]:
        """Return the unseen evidence titles that a text contains as full words, sorted."""
        titles = [t for t in self._unseen_titles if t in text and stands_whole(t, text)]
        return tuple(sorted(titles)) if titles else ()

    def observe(self, content: ShownContent, call: tuple[str, str] | None = None) -> Verdict:
        """Add the content that a step showed and return GOOD, LEAD or IRRELEVANT.

        Args:
            content: The sentences and evidence titles that were shown.
            call: (tool, argument) of the step, for evidence that no page shows.
        """
        if not self.evidence:
            return Verdict.IRRELEVANT
        known_before = len(self._known)
        self._known.update(content.sentences)
        if len(self._known) == known_before and not content.titles and self._all_on_pages:
            return Verdict.IRRELEVANT
        before = self._status.copy()
        self._note_titles(content.titles)
        by_call = self._held_by_call(call)
        for i, fact in enumerate(self.evidence):
            if self._status[i] != _HELD and (fact in by_call or self._shows(fact)):
                self._status[i] = _HELD
        if self._status == before:
            return Verdict.IRRELEVANT
        potential = self._best_potential()
        if potential <= self.potential:
            return Verdict.IRRELEVANT
        self.potential = potential
        newly_held = any(n == _HELD != b for n, b in zip(self._status, before, strict=True))
        return Verdict.GOOD if newly_held else Verdict.LEAD

    def process_reward(self, before: float) -> float:
        """Return the share in [0, 1] of the initially missing potential gained since ``before``."""
        missing = 1.0 - self.initial_potential
        return (self.potential - before) / missing if missing > 0 else 0.0

    def _held_by_call(self, call: tuple[str, str] | None) -> Collection[Evidence]:
        """Return the evidence that this and earlier calls show without a page."""
        if call is None or self._all_on_pages:
            return ()
        if self._rule is not None:
            self._rule = self._rule.after(call)
            return self._rule.held
        off_pages = (fact for fact in self.evidence if not fact.shown_by)
        return [fact for fact in off_pages if fact.call and _same_call(call, fact.call)]

    def _shows(self, fact: Evidence) -> bool:
        return any(
            self._page_known(document) if index is None else (document, index) in self._known
            for document, index in fact.shown_by
        )

    def _page_known(self, document: str) -> bool:
        # The first sentence is checked before the page is rendered to count its sentences.
        if (document, 0) not in self._known:
            return False
        count = len(self._corpus.document(document).sentences)
        return all((document, i) in self._known for i in range(count))

    def _note_titles(self, titles: Sequence[str]) -> None:
        if not titles:
            return
        for title in titles:
            self._unseen_titles.discard(title)
            self.seen_titles.add(title)
        for i, fact in enumerate(self.evidence):
            if not self._status[i] and any(
                self.titles[document] in self.seen_titles for document, _ in fact.shown_by
            ):
                self._status[i] = _LED

    def _best_potential(self) -> float:
        return max((_mean([self._status[i] for i in proof]) for proof in self.proofs), default=0.0)


def answer_verdict(right: bool, proven: bool) -> Verdict:
    """Return the verdict on an answer, given whether it is right and whether a proof is held."""
    if right:
        return Verdict.SUPPORTED if proven else Verdict.LUCKY
    return Verdict.WRONG if proven else Verdict.UNSUPPORTED


def _titles_of(evidence: Sequence[Evidence], corpus: Corpus) -> dict[str, str]:
    documents = dict.fromkeys(document for fact in evidence for document, _ in fact.shown_by)
    return {document: corpus.title_of(document) for document in documents}


def _same_call(call: tuple[str, str], other: tuple[str, str]) -> bool:
    return call[0] == other[0] and fold(call[1]) == fold(other[1])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 1.0
