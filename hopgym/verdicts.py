"""What an agent knows of a task's evidence, and the verdict and rewards of each step.

In: the question, its corpus, and what each step showed. Out: potentials, verdicts, process
rewards. Exact where the proofs are; nothing here asks a model.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hopgym.documents import Corpus, fold, stands_whole
from hopgym.tasks import Evidence, Task


class Verdict(StrEnum):
    """The judgement of one step."""

    MALFORMED = "malformed"
    """The text held no complete call of a known tool."""
    FAILED = "failed"
    """The tool was made to fail."""
    GOOD = "good"
    """The potential rose and an evidence came to be held."""
    LEAD = "lead"
    """The potential rose because the title of an evidence's page was shown."""
    REPEAT = "repeat"
    """The same call as an earlier one that did not fail."""
    IRRELEVANT = "irrelevant"
    """None of the above."""
    SUPPORTED = "supported"
    """Right answer with a proof all held."""
    LUCKY = "lucky"
    """Right answer without a proof."""
    WRONG = "wrong"
    """Wrong answer although a proof was all held."""
    UNSUPPORTED = "unsupported"
    """Wrong answer without a proof."""
    UNJUDGED = "unjudged"
    """The evidence of the task is unknown."""


GOOD_VERDICTS = frozenset({Verdict.GOOD, Verdict.LEAD, Verdict.SUPPORTED})
"""What SWiRL's judge calls GOOD (Goldie et al. 2025, arXiv 2504.04736, section 3)."""

_HELD, _LED = 1.0, 0.5


@dataclass(frozen=True, slots=True)
class ShownContent:
    """What one step showed of the corpus."""

    sentences: tuple[tuple[str, int], ...] = ()
    """(document id, 0-based sentence index) pairs shown in full."""
    titles: tuple[str, ...] = ()
    """Titles of evidence documents shown whole."""


class Knowledge:
    """What is known of one task's evidence; it grows with `observe` and never shrinks.

    An evidence is held when shown (one of its sentences, or a whole page, printed in full) and
    led when a title of one of its documents was shown. The question's own text counts as shown.
    What no page shows is held by its call, or by whatever calls the task's rule says.

    Args:
        task: The question and its corpus.
    """

    def __init__(self, task: Task) -> None:
        question, corpus = task.question, task.corpus
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
        self._all_written = all(fact.shown_by for fact in self.evidence)
        self._rule = task.rule
        self.seen_titles: set[str] = set()
        self._note_titles(self.find_titles(question.text))
        self.potential = self._best_potential()
        self.initial_potential = self.potential

    def copy(self) -> "Knowledge":
        """Return an independent copy, at a cost that does not depend on the corpus."""
        twin = object.__new__(Knowledge)
        twin.__dict__.update(self.__dict__)
        twin._status = self._status.copy()
        twin._unseen_titles = self._unseen_titles.copy()
        twin._known = self._known.copy()
        twin.seen_titles = self.seen_titles.copy()
        return twin

    def held(self, evidence: int) -> bool:
        """Return whether the evidence of a position in ``evidence`` is held."""
        return self._status[evidence] == _HELD

    def knows(self, sentence: tuple[str, int]) -> bool:
        """Return whether a (document id, 0-based sentence index) pair was shown in full."""
        return sentence in self._known

    @property
    def proven(self) -> bool:
        """Whether some proof is held as a whole."""
        return any(all(map(self.held, proof)) for proof in self.proofs)

    def find_titles(self, text: str) -> tuple[str, ...]:
        """Return the evidence titles not seen so far that stand whole in a text, sorted."""
        found = [t for t in self._unseen_titles if t in text and stands_whole(t, text)]
        return tuple(sorted(found)) if found else ()

    def observe(self, shown: ShownContent, call: tuple[str, str] | None = None) -> Verdict:
        """Take in what a step showed; return GOOD, LEAD or IRRELEVANT by what that changed.

        Args:
            shown: Sentences and evidence titles shown.
            call: (tool, argument) of the step, for evidence that calls hold and no page shows.
        """
        if not self.evidence:
            return Verdict.IRRELEVANT
        known_before = len(self._known)
        self._known.update(shown.sentences)
        if len(self._known) == known_before and not shown.titles and self._all_written:
            return Verdict.IRRELEVANT
        before = self._status.copy()
        self._note_titles(shown.titles)
        by_call = self._held_by_call(call)
        for i, fact in enumerate(self.evidence):
            if self._status[i] != _HELD and (fact in by_call or self._shows(fact)):
                self._status[i] = _HELD
        if self._status == before:
            return Verdict.IRRELEVANT
        potential = self._best_potential()
        rose, self.potential = potential > self.potential, max(potential, self.potential)
        newly_held = any(n == _HELD != b for n, b in zip(self._status, before, strict=True))
        if not rose:
            return Verdict.IRRELEVANT
        return Verdict.GOOD if newly_held else Verdict.LEAD

    def process_reward(self, before: float) -> float:
        """Return the share in [0, 1] of the missing potential gained since ``before``."""
        missing = 1.0 - self.initial_potential
        return (self.potential - before) / missing if missing > 0 else 0.0

    def _held_by_call(self, call: tuple[str, str] | None) -> Collection[Evidence]:
        """Return the evidence that a call, with those before it, holds without any page."""
        if call is None or self._all_written:
            return ()
        if self._rule is not None:
            self._rule = self._rule.after(call)
            return self._rule.held
        unwritten = (fact for fact in self.evidence if not fact.shown_by)
        return [fact for fact in unwritten if fact.call and _same_call(call, fact.call)]

    def _shows(self, fact: Evidence) -> bool:
        return any(
            self._whole_page_known(document) if index is None else (document, index) in self._known
            for document, index in fact.shown_by
        )

    def _whole_page_known(self, document: str) -> bool:
        # The first sentence is asked for before the page is rendered to count its sentences.
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
    """Return the verdict of an answer by whether it is right and whether a proof is held."""
    if right:
        return Verdict.SUPPORTED if proven else Verdict.LUCKY
    return Verdict.WRONG if proven else Verdict.UNSUPPORTED


def _titles_of(evidence: Sequence[Evidence], corpus: Corpus) -> dict[str, str]:
    documents = dict.fromkeys(document for fact in evidence for document, _ in fact.shown_by)
    return {document: corpus.title_of(document) for document in documents}


def _same_call(call: tuple[str, str], wanted: tuple[str, str]) -> bool:
    return call[0] == wanted[0] and fold(call[1]) == fold(wanted[1])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 1.0
