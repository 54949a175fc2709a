"""What a report shows of one episode: question, answers, proof, and every step.

The views hold plain texts that are not escaped; `hopgym.report.text.safe_json` and the page's
script handle all texts alike.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from hopgym.evaluation.endings import ending_of
from hopgym.evaluation.tokens import tokens_in
from hopgym.report.table import ABSENT
from hopgym.report.text import counted, hops_text, shortened
from hopgym.tasks import Task, TaskSource
from hopgym.trajectory import Completion, Step, StopReason, Trajectory
from hopgym.verdicts import Knowledge, Verdict

_MAX_ANSWERS = 50
_KIND_UNKNOWN = "kind unknown"
_STATUS_VALUES = {"read": 1.0, "found": 0.5, "missed": 0.0}
"""How much of a fact the agent knows by its status, to find the closest proof."""

Piece = tuple[str, str]
"""A part of an observation, and its kind: ``evidence``, ``lead`` (the title of an evidence page),
``cut`` (a note of ours), or empty for other text."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The values that episodes are filtered by."""

    run: str
    hops: str
    """Number of hops as text; empty while it is unknown to the server."""
    kind: str
    """Kind of question; empty while it is unknown to the server."""
    reason: str
    """Name of the ending."""
    verdicts: tuple[str, ...]
    """The distinct verdicts of its steps."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the list shows of an episode."""

    key: str
    """Identifies it in a link: run, task and sample, percent-encoded."""
    labels: Labels
    tone: str
    """The color of its ending."""
    question: str
    length: str
    """Steps, the oracle's steps and regret as text."""
    attempt: str
    """Number of the attempt as text; empty for the first."""


@dataclass(frozen=True, slots=True)
class AnswersView:
    """A list of answers."""

    items: tuple[str, ...]
    separator: str
    """The text between two answers."""
    more: int
    """How many answers were left out."""

    @classmethod
    def of(cls, answers: Sequence[str], separator: str) -> "AnswersView":
        """Return the view of answers, shortened to a bounded size."""
        items = tuple(shortened(answer) for answer in answers[:_MAX_ANSWERS])
        return cls(items, separator, len(answers) - len(items))


@dataclass(frozen=True, slots=True)
class HopView:
    """One hop of the gold path."""

    text: str
    answers: AnswersView


@dataclass(frozen=True, slots=True)
class FactView:
    """One fact of the proof, and how the agent learned of it."""

    text: str
    status: str
    """``read``, ``found`` (a title of its pages was shown, not the fact) or ``missed``."""
    read_step: int
    """The step, from 1, that showed the fact; 0 if none did."""
    title_step: int
    """The step, from 1, that first showed a title of its pages; 0 if none did before the fact was
    read, or if the question names the title."""


@dataclass(frozen=True, slots=True)
class StepView:
    """One step."""

    verdict: str
    notes: tuple[str, ...]
    """Remarks such as ``given``, ``privileged``, and the number of tokens."""
    thought: str
    tool: str
    """Name of the tool; empty for a text without a call."""
    argument: str
    """Argument of the call; the full text if there is no call."""
    observation: tuple[Piece, ...]
    """Empty for an answer, whose observation is not worth reading."""
    reward: str
    """The process reward of a tool step or the outcome reward of an answer, as text."""
    potential: float | None
    """In [0, 1], with two decimals; None if the evidence is unknown."""
    raised: bool
    """Whether the step raised the potential."""


@dataclass(frozen=True, slots=True)
class EpisodeView:
    """One episode."""

    head: Head
    task: str
    """Id of its task, and the number of the sample unless it is the first."""
    meaning: str
    """Explanation of its ending."""
    tokens: str
    """Number of tokens as text; empty if unknown."""
    expected: AnswersView
    """The gold answers."""
    answer: str | None
    """The agent's answer."""
    f1: str
    hops: tuple[HopView, ...]
    facts: tuple[FactView, ...]
    """The facts of the proof that the agent came closest to."""
    proofs: int
    """Number of alternative proofs."""
    steps: tuple[StepView, ...]
    error: str


def key_of(run: str, trajectory: Trajectory) -> str:
    """Return the key that identifies an episode in a link."""
    parts = (run, trajectory.task_id, str(trajectory.sample))
    return "/".join(quote(part, safe="", errors="replace") for part in parts)


def task_labels(task: Task) -> tuple[str, str]:
    """Return the number of hops and the kind of a task as text."""
    return hops_text(task.question.hop_count), task.question.kind or _KIND_UNKNOWN


def head_of(run: str, trajectory: Trajectory, labels_of_task: tuple[str, str]) -> Head:
    """Return what the list shows of a finished trajectory.

    Args:
        run: Name of its run.
        trajectory: The record.
        labels_of_task: The `task_labels`, or two empty strings if they are not known yet.
    """
    ending = ending_of(trajectory)
    verdicts = tuple(dict.fromkeys(step.verdict.value for step in trajectory.steps))
    return Head(
        key=key_of(run, trajectory),
        labels=Labels(run, *labels_of_task, ending.name, verdicts),
        tone=ending.tone,
        question=shortened(trajectory.question),
        length=_length(trajectory),
        attempt=f"attempt {trajectory.sample + 1}" if trajectory.sample else "",
    )


def episode_view(
    run: str, trajectory: Trajectory, source: TaskSource, max_chars: int
) -> EpisodeView:
    """Return what is shown of a finished trajectory.

    Args:
        run: Name of its run.
        trajectory: The record.
        source: The source of its task.
        max_chars: Maximum length of each text of a step; evidence is shown beyond it.
    """
    task = source[trajectory.index]
    question = task.question
    answer = trajectory.answer
    judged = bool(question.proofs) and trajectory.tools != ("answer",)
    evidence = EvidenceMarker(task)
    sample = f", sample {trajectory.sample}" if trajectory.sample else ""
    separator = "; " if question.answer_kind == "set" else " or "
    return EpisodeView(
        head=head_of(run, trajectory, task_labels(task)),
        task=trajectory.task_id + sample,
        meaning=ending_of(trajectory).meaning + _cut_off_note(trajectory),
        tokens=_tokens_text(*tokens_in(trajectory)),
        expected=AnswersView.of(question.answers, separator),
        answer=None if answer is None else shortened(answer),
        f1="0.00" if answer is None else f"{source.score(task, answer).f1:.2f}",
        hops=tuple(
            HopView(shortened(hop.text), AnswersView.of(hop.answers, ", ")) for hop in question.hops
        ),
        facts=closest_proof(task, trajectory.steps) if judged else (),
        proofs=len(question.proofs),
        steps=tuple(
            _step_view(step, judged, evidence.pieces(step), max_chars) for step in trajectory.steps
        ),
        error=shortened(trajectory.error),
    )


def closest_proof(task: Task, steps: Sequence[Step]) -> tuple[FactView, ...]:
    """Return the facts of the proof of which most is known at the end, in proof order.

    Args:
        task: A task with known evidence.
        steps: The steps of an episode.
    """
    knowledge = Knowledge(task)
    read_steps: dict[int, int] = {}
    title_steps = dict.fromkeys(_with_seen_title(knowledge), 0)
    for number, step in enumerate(steps, start=1):
        if step.action is None or step.verdict is Verdict.FAILED:
            continue
        knowledge.observe(step.shown_content, (step.action.tool, step.action.argument))
        for i in range(len(knowledge.evidence)):
            if knowledge.held(i):
                read_steps.setdefault(i, number)
        for i in _with_seen_title(knowledge):
            title_steps.setdefault(i, number)

    def view(i: int) -> FactView:
        status = "read" if i in read_steps else "found" if i in title_steps else "missed"
        read_step = read_steps.get(i, 0)
        title_step = title_steps.get(i, 0)
        if title_step == read_step:
            title_step = 0
        return FactView(shortened(knowledge.evidence[i].fact), status, read_step, title_step)

    def share_known(proof: Sequence[FactView]) -> float:
        return sum(_STATUS_VALUES[fact.status] for fact in proof) / len(proof)

    proofs = [tuple(map(view, proof)) for proof in knowledge.proofs if proof]
    return max(proofs, key=share_known, default=())


class EvidenceMarker:
    """Finds the evidence of a task in the observations of its steps.

    Args:
        task: A task with its proofs and corpus.
    """

    def __init__(self, task: Task) -> None:
        proofs = task.question.proofs
        pairs = {pair for proof in proofs for fact in proof for pair in fact.shown_by}
        self._full_pages = {document for document, index in pairs if index is None}
        self._pairs = pairs
        self._corpus = task.corpus
        self._sentences: dict[str, tuple[str, ...]] = {}

    def pieces(self, step: Step) -> list[Piece]:
        """Split an observation into pieces: evidence sentences, titles of evidence pages, rest."""
        text = step.observation
        titles = step.shown_content.titles
        pieces: list[Piece] = []
        start = end = 0
        # An observation shows its sentences in this order, which tells equal sentences apart.
        for document, index in step.shown_content.sentences:
            sentence = self._sentence(document, index)
            position = text.find(sentence, end) if sentence else -1
            if position < 0:
                continue
            end = position + len(sentence)
            if document not in self._full_pages and (document, index) not in self._pairs:
                continue
            if pieces and not text[start:position].strip(" "):
                pieces[-1] = (pieces[-1][0] + text[start:end], "evidence")
            else:
                pieces += [*_split_titles(text[start:position], titles), (sentence, "evidence")]
            start = end
        return [*pieces, *_split_titles(text[start:], titles)]

    def _sentence(self, document: str, index: int) -> str:
        if document not in self._sentences:
            try:
                self._sentences[document] = self._corpus.document(document).sentences
            except KeyError:  # The corpus may have changed since the run.
                self._sentences[document] = ()
        sentences = self._sentences[document]
        return sentences[index].strip() if 0 <= index < len(sentences) else ""


def _with_seen_title(knowledge: Knowledge) -> list[int]:
    """Return the indices of the evidence with a page whose title was shown."""
    titles = knowledge.titles
    return [
        i
        for i, fact in enumerate(knowledge.evidence)
        if any(titles[document] in knowledge.seen_titles for document, _ in fact.shown_by)
    ]


def _split_titles(text: str, titles: Sequence[str]) -> list[Piece]:
    """Split a text into pieces, titles of evidence pages apart from the rest."""
    # The longest first: one title may contain another.
    patterns = [re.escape(title) for title in sorted(titles, key=len, reverse=True) if title]
    if not patterns or not text:
        return [(text, "")] if text else []
    parts = re.split(rf"(?<!\w)({'|'.join(patterns)})(?!\w)", text)
    return [(part, "lead" if i % 2 else "") for i, part in enumerate(parts) if part]


def _cut(pieces: Sequence[Piece], max_chars: int) -> tuple[Piece, ...]:
    """Cut pieces to ``max_chars`` characters in all, not counting evidence and titles."""
    result: list[Piece] = []
    left = max_chars
    for text, kind in pieces:
        if kind:
            result.append((text, kind))
            continue
        result.append((text[:left], ""))
        if len(text) > left:
            result.append((f"… [{len(text) - left:,} more]", "cut"))
        left -= min(left, len(text))
    return tuple(piece for piece in result if piece[0])


def _cut_off_note(trajectory: Trajectory) -> str:
    """Return a note if texts were malformed because the model ran out of tokens."""
    if trajectory.stop_reason is not StopReason.MALFORMED:
        return ""
    completions = (step.completion for step in trajectory.steps if step.action is None)
    cut_off = any(c is not None and c.finish_reason == "length" for c in completions)
    return "; cut off at max_tokens" if cut_off else ""


def _length(trajectory: Trajectory) -> str:
    steps = len(trajectory.steps)
    oracle = trajectory.oracle_steps
    if oracle <= 0:
        return f"{counted(steps, 'step')}, oracle {ABSENT}"
    return f"{counted(steps, 'step')}, oracle {oracle}, regret {max(0, steps - oracle)}"


def _step_view(step: Step, judged: bool, observation: Sequence[Piece], max_chars: int) -> StepView:
    action = step.action
    is_answer = action is not None and action.tool == "answer"
    reward = f"process {step.process_reward:.2f}" if judged else ""
    if is_answer:
        reward = f"outcome {step.outcome_reward:.2f}"
    return StepView(
        verdict=step.verdict.value,
        notes=(*(["given"] if step.from_prefix else []), *_completion_notes(step.completion)),
        thought=shortened(action.thought, max_chars) if action else "",
        tool=action.tool if action else "",
        argument=shortened(_argument_text(step), max_chars),
        observation=() if is_answer else _cut(observation, max_chars),
        reward=reward,
        potential=round(step.potential, 2) if judged else None,
        raised=step.verdict in (Verdict.GOOD, Verdict.LEAD),
    )


def _argument_text(step: Step) -> str:
    """Return a call's argument with its page and support; the full text if there is no call."""
    action = step.action
    if action is None:
        return step.text
    page = f" #{action.page}" if action.page != 1 else ""
    return action.argument + page + (f" [support: {action.support}]" if action.support else "")


def _completion_notes(completion: Completion | None) -> list[str]:
    if completion is None:
        return []
    finish = completion.finish_reason
    finish_note = f"finish: {shortened(finish, 100)}" if finish not in ("", "stop") else ""
    tokens = _tokens_text(completion.generated_tokens, completion.prompt_tokens)
    privileged = "privileged" if completion.privileged else ""
    return [note for note in (finish_note, privileged, tokens) if note]


def _tokens_text(generated: int, prompt: int) -> str:
    """Return numbers of tokens as text; empty if there are none."""
    generated_text = counted(generated, "token") if generated else ""
    prompt_text = f"{prompt:,} of prompt" if prompt else ""
    return " after ".join(text for text in (generated_text, prompt_text) if text)
