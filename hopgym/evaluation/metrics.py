"""The metrics: what one finished episode adds to each.

In: a trajectory, its task, and the score of its answer. Out: ratios by metric, and by hop.
"""

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
    """A finished trajectory with what its metrics need."""

    trajectory: Trajectory
    task: Task
    score: Score
    """Of its answer; 0.0 without one."""

    @property
    def judged(self) -> bool:
        """Whether its steps were judged: its evidence is known and there were tools."""
        return bool(self.task.question.proofs) and self.trajectory.tools != ("answer",)

    @property
    def own_steps(self) -> list[Step]:
        """The steps that did not come with the reset's prefix."""
        return [step for step in self.trajectory.steps if not step.given]

    @property
    def shorter(self) -> int:
        """How many steps fewer it took than the oracle; negative for more."""
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
        steps = episode.own_steps
        return float(sum(step.verdict in verdicts for step in steps)), float(len(steps))

    return share


def _process_accuracy(episode: ScoredEpisode) -> Ratio:
    return _step_share(GOOD_VERDICTS)(episode) if episode.judged else ABSENT


def _evidence_recall(episode: ScoredEpisode) -> Ratio:
    if not episode.judged:
        return ABSENT
    knowledge = knowledge_after(episode.task, episode.trajectory.steps)
    held = ([knowledge.held(i) for i in proof] for proof in knowledge.proofs)
    return max(sum(proof) / len(proof) if proof else 1.0 for proof in held), 1.0


def _privileged(step: Step) -> bool:
    return step.completion is not None and step.completion.finish_reason == "privileged"


def _regret(episode: ScoredEpisode) -> Ratio:
    known = episode.judged and episode.trajectory.oracle_steps > 0
    return (float(max(0, -episode.shorter)), 1.0) if known else ABSENT


def _shortcut(episode: ScoredEpisode) -> Ratio:
    supported, judged = _verdict_rate(Verdict.SUPPORTED)(episode)
    return supported * (episode.shorter > 0), judged


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
    "privileged": lambda episode: (float(sum(map(_privileged, episode.own_steps))), 1.0),
    "steps": lambda episode: (float(len(episode.trajectory.steps)), 1.0),
}
"""What each metric adds up over episodes. The four answer verdicts are shares of judged episodes
(the rest gave no answer), ``shortcut`` the share of them that were supported in fewer steps than
the oracle's; ``process_accuracy``, ``malformed`` and ``repeat`` are shares of the steps that did
not come with the reset's prefix; ``privileged`` counts the steps of an episode that used what was
not shown, as the oracle's do where no search finds a gold page."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one episode adds to every figure; episodes that come to the same have equal rows."""

    hops: str
    kind: str
    metrics: tuple[Ratio, ...]
    """In the order of `METRICS`."""
    shown: tuple[tuple[str, Ratio], ...]
    """Of `hops_shown`."""
    named: tuple[tuple[str, Ratio], ...]
    """Of `hops_named`."""

    @classmethod
    def of(cls, episode: ScoredEpisode) -> "Row":
        """Return the row of an episode."""
        question = episode.task.question
        return cls(
            str(question.hop_count),
            question.kind,
            tuple(_shared(measure(episode)) for measure in METRICS.values()),
            _shared(tuple(hops_shown(episode).items())),
            _shared(tuple(hops_named(episode).items())),
        )

    def metric(self, name: str) -> Ratio:
        """Return what it adds to a metric."""
        return self.metrics[_PLACES[name]]

    def by_name(self) -> dict[str, Ratio]:
        """Return what it adds, by metric."""
        return dict(zip(METRICS, self.metrics, strict=True))


@lru_cache(maxsize=10_000)
def _shared(part: _T) -> _T:
    """Return the equal of a part of a row that was seen first, so that rows share their parts."""
    return part


_PLACES = {name: place for place, name in enumerate(METRICS)}


COUNTS = frozenset({"regret", "privileged", "steps"})
"""Those that are means of counts, not shares in [0, 1]."""


def hops_shown(episode: ScoredEpisode) -> dict[str, Ratio]:
    """Return by hop the share of its answers in the corpus text that the steps showed.

    Empty without tools: the pages, if any, stood in the prompt, which records do not itemise.
    """
    if episode.trajectory.tools == ("answer",):
        return {}
    return _hops_in(_shown_text(episode), episode.task)


def hops_named(episode: ScoredEpisode) -> dict[str, Ratio]:
    """Return by hop the share of its answers in the agent's own thoughts and arguments."""
    return _hops_in(_written_text(episode), episode.task)


def _shown_text(episode: ScoredEpisode) -> str:
    """Return titles and sentences of the corpus that the steps showed in full, a line each."""
    corpus, steps = episode.task.corpus, episode.trajectory.steps
    by_document: dict[str, dict[int, None]] = {}
    for document_id, index in (pair for step in steps for pair in step.shown.sentences):
        by_document.setdefault(document_id, {})[index] = None
    lines = [title for step in steps for title in step.shown.titles]
    for document_id, indices in by_document.items():
        document = corpus.document(document_id)
        lines += [document.title, *(document.sentences[i] for i in indices)]
    return "\n".join(lines)


def _written_text(episode: ScoredEpisode) -> str:
    """Return the thoughts and arguments of the agent's own steps; malformed texts as they are."""
    return "\n".join(
        f"{step.action.thought}\n{step.action.argument}" if step.action else step.text
        for step in episode.own_steps
    )


def _hops_in(text: str, task: Task) -> dict[str, Ratio]:
    """Return for each hop the share of its answers that stand whole in a text.

    The analysis of Kabra et al. 2026 (arXiv 2603.02091) of how often the answers of hops occur in
    what a model writes, with whole words and case where they have lower-cased substrings.
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
