"""Judges the steps of a run with a model and audits the judgements.

Judgements are stored in a file, from which a stopped run of the judge is resumed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym.errors import DataError, HopgymError, RunFileError
from hopgym.progress import Advance, Progress, no_progress
from hopgym.registry.lookup import source_of
from hopgym.runs.trajectory_file import read_header, read_trajectories
from hopgym.trajectory import ERROR_REASONS, Trajectory
from hopgym_agents.generate import Generator
from hopgym_agents.judging.audit import Audit, audit_steps, rated_step
from hopgym_agents.judging.judge import (
    Rating,
    digest_request,
    judge_request,
    judge_steps,
    step_prefixes,
)
from hopgym_agents.judging.store import JudgementWriter, judgements_header, read_texts
from hopgym_agents.prompts import PLAIN, Style

_UNPARSED_TEXTS = 3


@dataclass(frozen=True, slots=True)
class JudgeResult:
    """The audit of a judge on one run."""

    run: str
    """Path of the trajectory file."""
    judge: str
    """Fingerprint of the judge's generator."""
    evidence_source: str
    """How far the verdicts of the steps can be trusted: ``exact``, ``annotated``, ``heuristic`` or
    ``none``; ``unknown`` if the tasks cannot be rebuilt."""
    tasks: int
    errors: int
    """Steps on which the judge's server or model failed; the same command judges them again."""
    first_error: str
    """Message of the first error; empty if there is none."""
    tokens: Mapping[str, int]
    """Sums over all judged steps, ``generated`` and ``prompt``; 0 if the server reports none."""
    unparsed_texts: Sequence[str]
    """The judge's texts that could not be parsed, of the first few such steps."""
    audits: Mapping[str, Audit]
    """Audits of all steps and of each tool; each counts unparsed texts as ``unparsed``."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"audits": {tool: audit.to_dict() for tool, audit in self.audits.items()}}


def judge_run(
    generate: Generator,
    file: Path,
    out: Path,
    *,
    tasks: int | None = None,
    style: Style = PLAIN,
    progress: Progress = no_progress,
) -> JudgeResult:
    """Judge the steps of a run that have no judgement yet, and audit all judgements.

    Args:
        generate: The model that judges.
        file: The run's trajectory file.
        out: The file of judgements; an existing one is resumed.
        tasks: Judge only the first ``tasks`` tasks of the run; None judges all.
        style: How the conversations are rendered for the judge.
        progress: Shows how many steps are judged.

    Raises:
        ArgumentError: If the style does not fit the run's dialect.
        DataError: If the trajectory file has no steps to judge.
        RunFileError: If the file of judgements is in use, or belongs to another run or judge.
    """
    errors: list[str] = []
    header = judgements_header(read_header(file), generate.fingerprint)
    episodes = _JudgedEpisodes(file, tasks)
    with JudgementWriter(out, header) as writer:
        with progress("steps judged", episodes.steps) as advance:
            missing = _missing_steps(episodes, writer, advance, style)
            for judgement in judge_steps(generate, missing, style=style):
                if judgement.error:
                    errors.append(judgement.error)
                else:
                    writer.write(judgement)
                advance(1)
        return _audit(episodes, writer, generate.fingerprint, errors)


class _JudgedEpisodes:
    """The episodes to judge, read again from the run's file on each iteration.

    Args:
        path: The trajectory file.
        tasks: Take only the first ``tasks`` tasks; None takes all.
    """

    def __init__(self, path: Path, tasks: int | None) -> None:
        self.path = path
        steps: dict[int, int] = {}
        for episode in read_trajectories(path):
            if episode.stop_reason not in ERROR_REASONS:
                count = sum(not step.from_prefix for step in episode.steps)
                steps[episode.index] = steps.get(episode.index, 0) + count
                self.record = episode
        self.indices = frozenset(sorted(steps)[:tasks])
        self.steps = sum(steps[index] for index in self.indices)
        if not self.steps:
            raise DataError(f"{path}: expected steps to judge, got none; finish an episode first")

    def __iter__(self) -> Iterator[Trajectory]:
        return (record for record in read_trajectories(self.path) if record.index in self.indices)


def _missing_steps(
    episodes: _JudgedEpisodes, writer: JudgementWriter, advance: Advance, style: Style
) -> Iterator[Trajectory]:
    """Yield the steps without a judgement; check that the other steps have not changed."""
    for episode in episodes:
        for prefix in step_prefixes(episode):
            stored = writer.contents.get((*prefix.key, len(prefix.steps) - 1))
            if stored is None:
                yield prefix
                continue
            advance(1)
            if stored.request_digest != digest_request(judge_request(prefix, style)):
                raise RunFileError(
                    f"{writer.path} must hold judgements of the steps of {episodes.path}, that of "
                    f"{stored.key} is of another text: the run was played again, or the prompt "
                    "has changed; give another file (--out)"
                )


def _audit(
    episodes: _JudgedEpisodes, writer: JudgementWriter, judge: str, errors: Sequence[str]
) -> JudgeResult:
    steps = []
    generated = 0
    prompt = 0
    unparsed: set[tuple[str, int, int]] = set()
    for episode in episodes:
        for position in range(len(episode.steps)):
            if stored := writer.contents.get((*episode.key, position)):
                steps.append(rated_step(episode, position, stored.rating))
                if stored.rating is Rating.UNPARSED and len(unparsed) < _UNPARSED_TEXTS:
                    unparsed.add(stored.key)
                generated += stored.generated_tokens
                prompt += stored.prompt_tokens
    return JudgeResult(
        run=str(episodes.path),
        judge=judge,
        evidence_source=_evidence_source(episodes),
        tasks=len(episodes.indices),
        errors=len(errors),
        first_error=errors[0] if errors else "",
        tokens={"generated": generated, "prompt": prompt},
        unparsed_texts=read_texts(writer.path, unparsed),
        audits=audit_steps(steps),
    )


def _evidence_source(episodes: _JudgedEpisodes) -> str:
    try:
        return source_of(episodes.path, episodes.record).evidence_source
    except HopgymError:
        # The benchmark's file may be missing; the verdicts in the run are still valid.
        return "unknown"
