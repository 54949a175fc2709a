"""What a report shows of one episode: question, answers, proof, and every step.

In: a finished trajectory and its task. Out: frozen views of plain texts. Nothing here is escaped;
the template does that to every text alike.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hopgym.report.endings import Ending, ending_of
from hopgym.report.table import ABSENT
from hopgym.tasks import Task, TaskSource
from hopgym.trajectory import Step, Trajectory
from hopgym.verdicts import Knowledge, Verdict

_MOST_CHARS = 2_000
_MOST_ANSWERS = 50

Piece = tuple[str, str]
"""A text and what it is: ``evidence``, ``lead``, ``cut`` (a note of ours), or nothing."""


@dataclass(frozen=True, slots=True)
class AnswersView:
    """Answers to be written one after the other."""

    shown: tuple[str, ...]
    joint: str
    """What stands between them."""
    more: int
    """How many were left out."""

    @classmethod
    def of(cls, answers: Sequence[str], joint: str) -> "AnswersView":
        """Return the view of answers that may be long or many."""
        shown = tuple(shortened(each) for each in answers[:_MOST_ANSWERS])
        return cls(shown, joint, len(answers) - len(shown))


@dataclass(frozen=True, slots=True)
class HopView:
    """One hop of the gold path."""

    text: str
    answers: AnswersView


@dataclass(frozen=True, slots=True)
class FactView:
    """One fact of the proof, and how the agent came by it."""

    text: str
    status: str
    """``read``, ``found`` (a title of its pages was shown, not the fact) or ``missed``."""
    step: int
    """The step from 1 that showed the fact; 0 where none did."""


@dataclass(frozen=True, slots=True)
class StepView:
    """One step."""

    number: int
    verdict: str
    notes: tuple[str, ...]
    """Such as ``given`` or ``privileged``."""
    text: tuple[Piece, ...]
    observation: tuple[Piece, ...]
    """Empty for an answer, which gets none worth reading."""
    reward: str
    """The process reward of a tool step, the outcome reward of an answer, in words."""
    potential: str
    """In [0, 1], two decimals; empty where the evidence is unknown."""
    rose: bool
    """Whether the step raised it."""


@dataclass(frozen=True, slots=True)
class EpisodeView:
    """One episode."""

    ending: Ending
    task_id: str
    sample: int
    question: str
    kind: str
    wanted: AnswersView
    given: str | None
    f1: str
    hops: tuple[HopView, ...]
    facts: tuple[FactView, ...]
    """Of the proof that the agent came closest to."""
    proofs: int
    """How many alternative proofs there are."""
    steps: tuple[StepView, ...]
    length: str
    """Steps, the oracle's steps and regret, in words."""
    error: str


def episode_view(trajectory: Trajectory, source: TaskSource, room: int) -> EpisodeView:
    """Return what is shown of a finished trajectory.

    Args:
        trajectory: A record of the source.
        source: Where its task comes from.
        room: Characters of each action and each observation to keep; evidence is kept beyond.
    """
    task = source[trajectory.index]
    question, answer = task.question, trajectory.answer
    judged = bool(question.proofs) and trajectory.tools != ("answer",)
    evidence = _EvidenceSentences(task)
    return EpisodeView(
        ending=ending_of(trajectory),
        task_id=trajectory.task_id,
        sample=trajectory.sample,
        question=shortened(question.text),
        kind=_kind(task),
        wanted=AnswersView.of(question.answers, "; " if question.answer_kind == "set" else " or "),
        given=None if answer is None else shortened(answer),
        f1="0.00" if answer is None else f"{source.score(task, answer).f1:.2f}",
        hops=tuple(
            HopView(shortened(hop.text), AnswersView.of(hop.answers, ", ")) for hop in question.hops
        ),
        facts=_facts(task, trajectory.steps) if judged else (),
        proofs=len(question.proofs),
        steps=tuple(
            _step_view(number, step, judged, evidence.pieces(step), room)
            for number, step in enumerate(trajectory.steps, start=1)
        ),
        length=_length(trajectory),
        error=shortened(trajectory.error),
    )


def shortened(text: str, room: int = _MOST_CHARS) -> str:
    """Return a text of at most so many characters, with a visible mark where it was cut."""
    return text if len(text) <= room else f"{text[:room]}… [{len(text) - room:,} more characters]"


def _kind(task: Task) -> str:
    hops = task.question.hop_count
    named = f"{hops} hop{'s' if hops > 1 else ''}" if hops else ""
    return " · ".join(part for part in (task.question.kind, named) if part)


def _length(trajectory: Trajectory) -> str:
    steps, oracle = len(trajectory.steps), trajectory.oracle_steps
    taken = f"{steps} step{'' if steps == 1 else 's'}"
    if oracle <= 0:
        return f"{taken}, oracle {ABSENT}"
    return f"{taken}, oracle {oracle}, regret {max(0, steps - oracle)}"


def _facts(task: Task, steps: Sequence[Step]) -> tuple[FactView, ...]:
    """Return the facts of the proof of which most is known at the end, in proof order."""
    knowledge = Knowledge(task)
    held_at: dict[int, int] = {}
    for number, step in enumerate(steps, start=1):
        if step.action is None or step.verdict is Verdict.FAILED:
            continue
        knowledge.observe(step.shown, (step.action.tool, step.action.argument))
        for i in range(len(knowledge.evidence)):
            if knowledge.held(i):
                held_at.setdefault(i, number)

    def status(i: int) -> str:
        if i in held_at:
            return "read"
        documents = {document for document, _ in knowledge.evidence[i].shown_by}
        titles = {knowledge.titles[document] for document in documents}
        return "found" if titles & knowledge.seen_titles else "missed"

    worth = {"read": 1.0, "found": 0.5, "missed": 0.0}

    def known(proof: Sequence[int]) -> float:
        return sum(worth[status(i)] for i in proof) / len(proof)

    best = max((proof for proof in knowledge.proofs if proof), key=known, default=())
    return tuple(
        FactView(shortened(knowledge.evidence[i].fact), status(i), held_at.get(i, 0)) for i in best
    )


def _step_view(
    number: int, step: Step, judged: bool, observation: Sequence[Piece], room: int
) -> StepView:
    notes = ["given"] if step.given else []
    finish = step.completion.finish_reason if step.completion else ""
    if finish not in ("", "stop"):
        notes.append(shortened(finish, 100))
    answers = step.action is not None and step.action.tool == "answer"
    named = ("outcome", step.outcome_reward) if answers else ("process", step.process_reward)
    return StepView(
        number=number,
        verdict=step.verdict.value,
        notes=tuple(notes),
        text=_cut([(step.text, "")], room),
        observation=() if answers else _cut(observation, room),
        reward=f"{named[0]} {named[1]:.2f}" if judged or answers else "",
        potential=f"{step.potential:.2f}" if judged else "",
        rose=step.verdict in (Verdict.GOOD, Verdict.LEAD),
    )


class _EvidenceSentences:
    """Finds the sentences of a task's evidence in what its steps showed."""

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


def _with_leads(text: str, titles: Sequence[str]) -> list[Piece]:
    """Return a text in pieces, the titles of evidence pages apart from the rest."""
    wanted = [re.escape(title) for title in sorted(titles, key=len, reverse=True) if title]
    if not wanted or not text:
        return [(text, "")] if text else []
    parts = re.split(rf"(?<!\w)({'|'.join(wanted)})(?!\w)", text)
    return [(part, "lead" if i % 2 else "") for i, part in enumerate(parts) if part]


def _cut(pieces: Sequence[Piece], room: int) -> tuple[Piece, ...]:
    """Return pieces with at most so many characters besides those of evidence and leads."""
    kept: list[Piece] = []
    for text, kind in pieces:
        if kind or len(text) <= room:
            kept.append((text, kind))
        else:
            kept += [(text[:room], ""), (f"… [{len(text) - room:,} more]", "cut")]
        room -= 0 if kind else min(room, len(text))
    return tuple(piece for piece in kept if piece[0])
