"""Defines the metrics: the numerator and denominator that a finished episode adds to each."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from hopgym.documents import stands_whole
from hopgym.evaluation.bootstrap import ABSENT, Ratio
from hopgym.scoring import Score
from hopgym.tasks import Task
from hopgym.trajectory import Step, Trajectory, knowledge_after
from hopgym.verdicts import GOOD_VERDICTS, Verdict

_T = TypeVar("_T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class ScoredEpisode:
    """A finished trajectory with its task and score."""

    trajectory: Trajectory
    task: Task
    score: Score
    """The score of the answer; 0.0 without an answer."""

    @property
    def judged(self) -> bool:
        """Whether its steps have verdicts: the evidence is known and there were tools."""
        return bool(self.task.question.proofs) and self.trajectory.tools != ("answer",)

    @property
    def agent_steps(self) -> list[Step]:
        """The agent's steps, without those of the prefix passed to ``reset``."""
        return [step for step in self.trajectory.steps if not step.from_prefix]

    @property
    def steps_saved(self) -> int:
        """The number of steps fewer than the oracle's; negative if there were more."""
        return self.trajectory.oracle_steps - len(self.trajectory.steps)


def _verdict_rate(verdict: Verdict) -> Callable[[ScoredEpisode], Ratio]:
    def rate(episode: ScoredEpisode) -> Ratio:
        if not episode.judged:
            return ABSENT
        steps = episode.trajectory.steps
        return float(bool(steps) and steps[-1].verdict == verdict), 1.0

    return rate


def _step_share(verdicts: frozenset[Verdict]) -> Callable[[ScoredEpisode], Ratio]:
    def share(episode: ScoredEpisode) -> Ratio:
        steps = episode.agent_steps
        return float(sum(step.verdict in verdicts for step in steps)), float(len(steps))

    return share


def _process_accuracy(episode: ScoredEpisode) -> Ratio:
    return _step_share(GOOD_VERDICTS)(episode) if episode.judged else ABSENT


def _evidence_recall(episode: ScoredEpisode) -> Ratio:
    if not episode.judged:
        return ABSENT
    knowledge = knowledge_after(episode.task, episode.trajectory.steps)
    held_facts = ([knowledge.held(i) for i in proof] for proof in knowledge.proofs)
    return max(sum(held) / len(held) if held else 1.0 for held in held_facts), 1.0


def _privileged(step: Step) -> bool:
    return step.completion is not None and step.completion.privileged


def _regret(episode: ScoredEpisode) -> Ratio:
    known = episode.judged and episode.trajectory.oracle_steps > 0
    return (float(max(0, -episode.steps_saved)), 1.0) if known else ABSENT


def _shortcut(episode: ScoredEpisode) -> Ratio:
    supported, judged = _verdict_rate(Verdict.SUPPORTED)(episode)
    return supported * (episode.steps_saved > 0), judged


METRICS: Mapping[str, Callable[[ScoredEpisode], Ratio]] = {
    "success": lambda episode: (episode.score.em, 1.0),
    "f1": lambda episode: (episode.score.f1, 1.0),
    "supported": _verdict_rate(Verdict.SUPPORTED),
    "lucky": _verdict_rate(Verdict.LUCKY),
    "wrong": _verdict_rate(Verdict.WRONG),
    "unsupported": _verdict_rate(Verdict.UNSUPPORTED),
    "unjudged": lambda episode: (float(not episode.judged), 1.0),
    "evidence_recall": _evidence_recall,
    "process_accuracy": _process_accuracy,
    "regret": _regret,
    "shortcut": _shortcut,
    "malformed": _step_share(frozenset({Verdict.MALFORMED})),
    "repeat": _step_share(frozenset({Verdict.REPEAT})),
    "privileged": lambda episode: (float(sum(map(_privileged, episode.agent_steps))), 1.0),
    "steps": lambda episode: (float(len(episode.trajectory.steps)), 1.0),
}
"""Computes what an episode adds to each metric.

The four answer verdicts are shares of judged episodes (the others gave no answer); ``shortcut`` is
the share of judged episodes that were supported in fewer steps than the oracle's.
``process_accuracy``, ``malformed`` and ``repeat`` are shares of the agent's steps. ``privileged``
counts the steps per episode that used information not shown to the agent, as the oracle does when
no search finds a gold page."""

COUNT_METRICS = frozenset({"regret", "privileged", "steps"})
"""The metrics that are means of counts rather than shares in [0, 1]."""

_COLUMNS = {name: column for column, name in enumerate(METRICS)}


@dataclass(frozen=True, slots=True)
class EpisodeMetrics:
    """What one episode adds to all metrics; a hashable row for the accumulator."""

    hops: str
    """Number of hops; ``"0"`` if unknown."""
    kind: str
    """Kind of question."""
    ratios: tuple[Ratio, ...]
    """In the order of `METRICS`."""
    hops_observed: tuple[tuple[str, Ratio], ...]
    """The items of `observed_hop_answers`."""
    hops_written: tuple[tuple[str, Ratio], ...]
    """The items of `written_hop_answers`."""

    @classmethod
    def from_episode(cls, episode: ScoredEpisode) -> "EpisodeMetrics":
        """Compute all metrics of an episode."""
        question = episode.task.question
        return cls(
            str(question.hop_count),
            question.kind,
            tuple(_interned(metric(episode)) for metric in METRICS.values()),
            _interned(tuple(observed_hop_answers(episode).items())),
            _interned(tuple(written_hop_answers(episode).items())),
        )

    def ratio(self, name: str) -> Ratio:
        """Return what the episode adds to a metric."""
        return self.ratios[_COLUMNS[name]]

    def by_name(self) -> dict[str, Ratio]:
        """Return what the episode adds, by metric."""
        return dict(zip(METRICS, self.ratios, strict=True))


@lru_cache(maxsize=10_000)
def _interned(value: _T) -> _T:
    """Return one object for equal values, which saves memory across rows."""
    return value


def observed_hop_answers(episode: ScoredEpisode) -> dict[str, Ratio]:
    """Return by hop the share of its answers that occur in the corpus text shown to the agent.

    Empty without tools: then pages, if any, were part of the prompt, and records do not list them.
    """
    if episode.trajectory.tools == ("answer",):
        return {}
    return _answers_in(_observed_text(episode), episode.task)


def written_hop_answers(episode: ScoredEpisode) -> dict[str, Ratio]:
    """Return by hop the share of its answers that occur in the agent's thoughts and arguments."""
    return _answers_in(_written_text(episode), episode.task)


def _observed_text(episode: ScoredEpisode) -> str:
    """Return the titles and complete sentences that the steps showed, one per line."""
    corpus = episode.task.corpus
    steps = episode.trajectory.steps
    by_document: dict[str, dict[int, None]] = {}
    for document_id, index in (pair for step in steps for pair in step.shown_content.sentences):
        by_document.setdefault(document_id, {})[index] = None
    lines = [title for step in steps for title in step.shown_content.titles]
    for document_id, indices in by_document.items():
        document = corpus.document(document_id)
        lines += [document.title, *(document.sentences[i] for i in indices)]
    return "\n".join(lines)


def _written_text(episode: ScoredEpisode) -> str:
    """Return the thoughts and arguments of the agent's steps; malformed texts in full."""
    return "\n".join(
        f"{step.action.thought}\n{step.action.argument}" if step.action else step.text
        for step in episode.agent_steps
    )


def _answers_in(text: str, task: Task) -> dict[str, Ratio]:
    """Return by hop, as in ``"1/3"``, the share of its answers that occur in a text.

    Follows the analysis of Kabra et al. 2026 (arXiv 2603.02091), but matches whole words and case
    instead of lower-cased substrings.
    """
    hops = task.question.hops
    return {
        f"{number}/{len(hops)}": (
            sum(stands_whole(answer, text) for answer in hop.answers) / len(hop.answers),
            1.0,
        )
        for number, hop in enumerate(hops, start=1)
        if hop.answers
    }
