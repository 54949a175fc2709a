"""``hopgym judge``: a model judges the steps of a run, and is held against their exact verdicts.

In: a run and the options of a generator. Out: a file of judgements that the same command goes on
with, and the audit of the judge.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.arguments import read_arguments
from hopgym.cli.display import print_json, progress, say, say_wrote, this_command
from hopgym.cli.options import takes_arguments
from hopgym.errors import ArgumentError, DataError, HopgymError, RunFileError
from hopgym.progress import Advance
from hopgym.registry.lookup import source_of
from hopgym.runs.reader import EPISODES, trajectory_file

if TYPE_CHECKING:
    from hopgym.trajectory import Trajectory
    from hopgym_agents.generate import Generate
    from hopgym_agents.judging.audit import Audit
    from hopgym_agents.judging.store import JudgementWriter
    from hopgym_agents.prompts import Style

_OPTIONS = "llm."
_TEXTS = 3


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge came to on a run."""

    run: str
    """The trajectory file."""
    judge: str
    """Fingerprint of its generator."""
    evidence_source: str
    """How far the verdicts of the steps can be trusted: exact, annotated, heuristic, none;
    ``unknown`` where the tasks cannot be made again."""
    tasks: int
    errors: int
    """Steps on which the judge's server or model failed; the same command judges them again."""
    first_error: str
    """Message of the first of them; empty for none."""
    tokens: Mapping[str, int]
    """Sums over all judged steps, ``generated`` and ``prompt``; 0 where none are told."""
    unparsed_texts: Sequence[str]
    """What the judge wrote where it could not be read, of the first few such steps."""
    audits: Mapping[str, "Audit"]
    """Of all steps and by tool, from `hopgym_agents.judging.audit`; each counts what could not
    be read as ``unparsed``."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"audits": {part: each.to_dict() for part, each in self.audits.items()}}


@takes_arguments
def judge(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Trajectory file or run's folder.")],
    tasks: Annotated[
        int | None, typer.Option("-n", min=1, help="Judge the first so many tasks alone.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File of judgements; one that exists is gone on with.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Let a model judge each step of a run: GOOD or BAD, without the answer.

    Its options follow as --llm.model, --llm.base_url and so on, as for
    --policy llm; its temperature is 0 unless given. Where the steps have
    verdicts, its confusion matrix, error rates and kappa are printed.
    """
    from hopgym_agents.options import generator_from
    from hopgym_agents.prompts import style_named

    file, options = trajectory_file(run), _options(ctx.args)
    generate = generator_from(options)
    style = style_named(options.get("style", "plain"), options.get("template"))
    out = out or _beside(file)
    try:
        judged = judge_run(generate, file, out, tasks=tasks, style=style)
    except KeyboardInterrupt:
        say("Stopped; the judgements made so far are kept.")
        say_wrote({"judgements": out}, {"go on with": this_command(ctx)})
        raise typer.Exit(130) from None
    if as_json:
        print_json(judged.to_dict())
    else:
        _print(judged)
    say_wrote({"judgements": out}, {"go on with": this_command(ctx)} if judged.errors else {})
    _say_errors(judged)


def judge_run(
    generate: "Generate",
    file: Path,
    out: Path,
    *,
    tasks: int | None = None,
    style: "Style | None" = None,
) -> Judged:
    """Judge what a file of judgements still lacks of a run; return the audit of the whole.

    Args:
        generate: The model that judges.
        file: The run's trajectory file.
        out: The file of judgements.
        tasks: The first so many tasks of the run are judged; None for all.
        style: How the judge is shown the conversations; None for `hopgym_agents.prompts.PLAIN`.

    Raises:
        ArgumentError: When the style does not go with the run's dialect.
        DataError: When the trajectory file holds nothing to be judged.
        RunFileError: When the file of judgements is in use, or of another run or judge.
    """
    from hopgym.runs.trajectory_file import read_header
    from hopgym_agents.judging.judge import judge_steps
    from hopgym_agents.judging.store import JudgementWriter, judgements_header
    from hopgym_agents.prompts import PLAIN

    style = style or PLAIN
    errors: list[str] = []
    header = judgements_header(read_header(file), generate.fingerprint)
    episodes = _Episodes(file, tasks)
    with JudgementWriter(out, header) as writer:
        with progress("steps judged", episodes.steps) as advance:
            missing = _missing(episodes, writer, advance, style)
            for judgement in judge_steps(generate, missing, style=style):
                if judgement.error:
                    errors.append(judgement.error)
                else:
                    writer.write(judgement)
                advance(1)
        return _summed(episodes, writer, generate.fingerprint, errors)


class _Episodes:
    """The episodes of a run that are judged, read from its file each time.

    Args:
        path: The trajectory file.
        tasks: Those of the first so many tasks; None for all.
    """

    def __init__(self, path: Path, tasks: int | None) -> None:
        from hopgym.runs.trajectory_file import read_trajectories
        from hopgym.trajectory import ERROR_REASONS

        self.path = path
        steps: dict[int, int] = {}
        for episode in read_trajectories(path):
            if episode.reason not in ERROR_REASONS:
                own = sum(not step.given for step in episode.steps)
                steps[episode.index] = steps.get(episode.index, 0) + own
                self.record = episode
        self.indices = frozenset(sorted(steps)[:tasks])
        self.steps = sum(steps[index] for index in self.indices)
        if not self.steps:
            raise DataError(f"{path}: expected steps to judge, got none; finish an episode first")

    def __iter__(self) -> "Iterator[Trajectory]":
        from hopgym.runs.trajectory_file import read_trajectories

        return (each for each in read_trajectories(self.path) if each.index in self.indices)


def _missing(
    episodes: _Episodes, writer: "JudgementWriter", advance: Advance, style: "Style"
) -> "Iterator[Trajectory]":
    """Yield the steps that are not judged yet; check of the others that they are still the same."""
    from hopgym_agents.judging.judge import digest_of, judge_request, steps_of

    for episode in episodes:
        for prefix in steps_of(episode):
            kept = writer.kept.get((*prefix.key, len(prefix.steps) - 1))
            if kept is None:
                yield prefix
                continue
            advance(1)
            if kept.asked != digest_of(judge_request(prefix, style)):
                raise RunFileError(
                    f"{writer.path} must hold judgements of the steps of {episodes.path}, that of "
                    f"{kept.key} is of another text: the run was played again, or the prompt is "
                    "another one now; give another file (--out)"
                )


def _summed(
    episodes: _Episodes, writer: "JudgementWriter", judge: str, errors: Sequence[str]
) -> Judged:
    """Return what all judgements on some episodes come to."""
    from hopgym_agents.judging.audit import audits, marked
    from hopgym_agents.judging.judge import Mark
    from hopgym_agents.judging.store import texts_of

    found, generated, prompt = [], 0, 0
    unread: set[tuple[str, int, int]] = set()
    for episode in episodes:
        for position in range(len(episode.steps)):
            if kept := writer.kept.get((*episode.key, position)):
                found.append(marked(episode, position, kept.mark))
                if kept.mark is Mark.UNPARSED and len(unread) < _TEXTS:
                    unread.add(kept.key)
                generated, prompt = generated + kept.n_tokens, prompt + kept.prompt_tokens
    return Judged(
        run=str(episodes.path),
        judge=judge,
        evidence_source=_evidence_source(episodes),
        tasks=len(episodes.indices),
        errors=len(errors),
        first_error=errors[0] if errors else "",
        tokens={"generated": generated, "prompt": prompt},
        unparsed_texts=texts_of(writer.path, unread),
        audits=audits(found),
    )


def _evidence_source(episodes: _Episodes) -> str:
    try:
        return source_of(episodes.path, episodes.record).evidence_source
    except (
        HopgymError
    ):  # For want of the benchmark's file, say; the verdicts are there all the same.
        return "unknown"


def _options(words: Sequence[str]) -> dict[str, Any]:
    """Return the options of the generator among the words, without what their names begin with."""
    plain, named = read_arguments(words)
    strange = [*plain, *(f"--{name}" for name in named if not name.startswith(_OPTIONS))]
    if strange:
        raise ArgumentError(
            f"options of the judge must be given as --{_OPTIONS}model and so on, got {strange[0]!r}"
        )
    given = {name.removeprefix(_OPTIONS): value for name, value in named.items()}
    return {"temperature": 0.0} | given


def _beside(file: Path) -> Path:
    """Return where the judgements of a run are kept."""
    name = "judgements" if file.name == EPISODES else f"{file.stem}.judgements"
    return file.with_name(f"{name}.jsonl")


def _print(judged: Judged) -> None:
    from hopgym.cli.display import console
    from hopgym_agents.cli.audit_table import confusion_table, rates_table, trust_in, unread

    whole = next(iter(judged.audits.values()))
    out = console(markup=False)  # The name of a model may hold brackets.
    out.print(f"{judged.judge} on {judged.run}", style="bold", soft_wrap=True)
    out.print(f"{whole.steps:,} steps of {judged.tasks:,} tasks judged.", soft_wrap=True)
    if not whole.steps:  # What failed is told on stderr.
        return
    for kind, tokens in judged.tokens.items():
        if tokens:
            out.print(f"{kind} tokens: {tokens:,}, {tokens / whole.steps:,.1f} a step")
    out.print()
    if whole.audited:
        out.print(confusion_table(whole))
        out.print()
    out.print(rates_table(judged.audits))
    out.print(trust_in(judged.evidence_source, whole), style="dim", width=100)
    for line in unread(whole, judged.unparsed_texts):
        out.print(line, width=100)
    out.print()


def _say_errors(judged: Judged) -> None:
    if not judged.errors:
        return
    done = next(iter(judged.audits.values())).steps if judged.audits else 0
    text = f"the judge failed on {judged.errors:,} steps, {done:,} are judged"
    say(f"{text}. The first error is {judged.first_error}", style="warning" if done else "error")
    if not done:
        raise typer.Exit(1)
