"""``hopgym generate``: writes pages and questions, or training rows from oracle episodes."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from hopgym.cli.display import progress, say, say_wrote, this_command
from hopgym.cli.live import first_tasks
from hopgym.cli.options import make, make_env, takes_arguments
from hopgym.errors import ArgumentError, HopgymError, did_you_mean
from hopgym.policies import OraclePolicy
from hopgym.progress import Advance
from hopgym.rollout import run_episodes
from hopgym.trajectory import Trajectory, transcript

if TYPE_CHECKING:
    from hopgym.documents import Document
    from hopgym.env import HopEnv
    from hopgym.tasks import Evidence, Question, Task

_ADVANCE_EVERY = 500
_TABLE_ROWS = 10_000
_PARTIAL = ".partial"
_PROMPTS = ("prompt_completion", "rows of prompt and completion")
_MESSAGES = ("messages", "rows of chat messages")
_INTERRUPT = "Stopped; the rows so far are kept, and the same command starts again."


@dataclass(frozen=True, slots=True)
class GenerateJob:
    """What to write, and where."""

    env: "HopEnv"
    questions: int
    out: Path
    messages: bool


WrittenFiles = dict[str, tuple[int, Path]]
"""What a file contains, to the count and the path."""

Row = dict[str, Any]
"""One row of JSON."""


@takes_arguments
def generate(
    ctx: typer.Context,
    env_id: Annotated[str, typer.Argument(metavar="ID", help="For example hopgym/People-v0.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    questions: Annotated[int, typer.Option(min=1, help="How many questions.")] = 500,
    form: Annotated[
        str,
        typer.Option("--format", help="jsonl, hf (a datasets folder) or trl (training rows)."),
    ] = "jsonl",
    messages: Annotated[
        bool, typer.Option("--messages", help="With trl: one row per episode, as chat messages.")
    ] = False,
) -> None:
    """Write pages and questions, or training rows, to files.

    All questions come from as few worlds as possible, unless --worlds or
    --questions_per_world says otherwise. The same command writes the same
    bytes. Any argument of the environment may follow: --size 1000 --hops 1,9
    --kinds chain,count.
    """
    if form not in _FORMATS:
        hint = did_you_mean(form, _FORMATS)
        raise ArgumentError(f"format must be one of {', '.join(_FORMATS)}, got {form!r}{hint}")
    if messages and form != "trl":
        raise ArgumentError(f"--messages must come with --format trl, got --format {form}")
    env = _env_for(make_env(env_id, ctx.args), questions)
    questions = first_tasks(env, questions)
    out.mkdir(parents=True, exist_ok=True)
    try:
        files = _FORMATS[form](GenerateJob(env, questions, out, messages))
    except KeyboardInterrupt:
        say(_INTERRUPT)
        partial = {f"{path.stem}, in part": path for path in sorted(out.glob(f"*{_PARTIAL}"))}
        say_wrote(partial, {"again": this_command(ctx)})
        raise typer.Exit(130) from None
    counts = ", ".join(f"{count:,} {content}" for content, (count, _) in files.items())
    say(f"Wrote {counts}.")
    next_commands = {"again": this_command(ctx)}
    if form == "hf":
        next_commands = {"load it": f"datasets.load_from_disk({str(out)!r})"} | next_commands
    say_wrote({content: path for content, (_, path) in files.items()}, next_commands)


def _env_for(env: "HopEnv", questions: int) -> "HopEnv":
    """Return the environment with as few worlds as the questions need, if its source has worlds."""
    if env.spec is None:
        return env
    arguments = env.source.sized_arguments(questions, env.spec.kwargs)
    return env if arguments == env.spec.kwargs else make(env.spec.id, arguments)


def _write_jsonl(job: GenerateJob) -> WrittenFiles:
    paths = {name: job.out / f"{name}.jsonl" for name in ("documents", "questions")}
    counts = dict.fromkeys(paths, 0)
    with (
        _complete_file(paths["documents"]) as documents,
        _complete_file(paths["questions"]) as questions,
        progress("pages and questions") as advance,
    ):
        for corpus, new, task in _tasks(job):
            if new:
                rows = (document_row(page, corpus) for page in task.corpus)
                counts["documents"] += _write_rows(documents, rows, advance)
            row = question_row(task.question, corpus)
            counts["questions"] += _write_rows(questions, [row], advance)
    return {name: (counts[name], path) for name, path in paths.items()}


def _write_hf(job: GenerateJob) -> WrittenFiles:
    try:
        import datasets
    except ImportError as error:
        raise HopgymError(
            "--format hf needs the package datasets; pip install 'hopgym[data]' brings it"
        ) from error

    datasets.disable_progress_bars()
    tables = {name: _Table(datasets, types) for name, types in _features(datasets).items()}
    with progress("questions", job.questions) as advance:
        for corpus, new, task in _tasks(job):
            if new:
                for page in task.corpus:
                    tables["documents"].add(document_row(page, corpus))
            tables["questions"].add(question_row(task.question, corpus))
            advance(1)
        dataset = datasets.DatasetDict({name: table.dataset() for name, table in tables.items()})
        _save(dataset, job.out, list(tables))
    return {name: (len(dataset[name]), job.out / name) for name in tables}


@dataclass(slots=True)
class _Table:
    """Collects rows, and moves them to an Arrow table in batches, which takes far less memory."""

    datasets: Any
    features: Any
    _rows: list[Row] = field(default_factory=list)
    _parts: list[Any] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Add a row."""
        self._rows.append(row)
        if len(self._rows) == _TABLE_ROWS:
            self._flush()

    def dataset(self) -> Any:
        """Return all rows as one dataset."""
        if self._rows or not self._parts:
            self._flush()
        return self.datasets.concatenate_datasets(self._parts)

    def _flush(self) -> None:
        self._parts.append(self.datasets.Dataset.from_list(self._rows, features=self.features))
        self._rows = []


def _save(dataset: Any, out: Path, names: Sequence[str]) -> None:
    """Save a dict of datasets in a folder; a killed run leaves no folder that can be loaded."""
    partial = out / _PARTIAL
    index = "dataset_dict.json"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        dataset.save_to_disk(str(partial))
        (out / index).unlink(missing_ok=True)
        for name in names:
            if (out / name).exists():
                shutil.rmtree(out / name)
            (partial / name).rename(out / name)
        (partial / index).rename(out / index)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_trl(job: GenerateJob) -> WrittenFiles:
    env = job.env
    name, content = _MESSAGES if job.messages else _PROMPTS
    rows_of = message_rows if job.messages else prompt_rows
    path = job.out / f"{name}.jsonl"
    count = 0
    policy = OraclePolicy(env.source, env.tool_settings)
    # One slot, so that the rows are in the order of the tasks.
    episodes = run_episodes(env, policy, range(job.questions), slots=1)
    with _complete_file(path) as file, progress("oracle episodes", job.questions) as advance:
        for episode in episodes:
            count += _write_rows(file, rows_of(episode))
            advance(1)
    return {content: (count, path)}


_FORMATS: dict[str, Callable[[GenerateJob], WrittenFiles]] = {
    "jsonl": _write_jsonl,
    "hf": _write_hf,
    "trl": _write_trl,
}


def _tasks(job: GenerateJob) -> Iterator[tuple[int, bool, "Task"]]:
    """Yield the number of each task's corpus, whether it is a new one, and the task."""
    corpus = None
    number = -1
    for index in range(job.questions):
        task = job.env.source[index]
        new = task.corpus is not corpus
        corpus = task.corpus
        number += new
        yield number, new, task


@contextmanager
def _complete_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name at the end of the block.

    An interrupted run leaves its rows under a name that ends with ``.partial``.
    """
    partial = path.with_name(path.name + _PARTIAL)
    with partial.open("wb") as file:
        yield file
    os.replace(partial, path)


def _write_rows(file: IO[bytes], rows: Iterable[Row], advance: Advance | None = None) -> int:
    """Write rows as JSON lines, reporting progress in batches; return the number of rows."""
    encode = msgspec.json.Encoder().encode
    count = 0
    for row in rows:
        file.write(encode(row) + b"\n")
        count += 1
        if advance and not count % _ADVANCE_EVERY:
            advance(_ADVANCE_EVERY)
    if advance:
        advance(count % _ADVANCE_EVERY)
    return count


def _features(datasets: Any) -> dict[str, Any]:
    """Return the types of the columns, which rows of empty lists and None do not show."""
    text = datasets.Value("string")
    number = datasets.Value("int64")
    sequence = datasets.List if hasattr(datasets, "List") else datasets.Sequence
    place = {"document": text, "sentence": number}
    fact = {
        "fact": text,
        "shown_by": sequence(place),
        "call": {"tool": text, "argument": text},
    }
    hop = {"text": text, "answers": sequence(text)}
    documents = {"corpus": number, "id": text, "title": text, "sentences": sequence(text)}
    questions = {
        **dict.fromkeys(("id", "question", "answer_kind", "kind", "query"), text),
        "corpus": number,
        "answers": sequence(text),
        "hops": sequence(hop),
        "proofs": sequence(sequence(fact)),
    }
    return {"documents": datasets.Features(documents), "questions": datasets.Features(questions)}


def document_row(document: "Document", corpus: int) -> Row:
    """Return a page as a row.

    Args:
        document: The page.
        corpus: Number of its corpus; page ids are unique within a corpus.
    """
    sentences = list(document.sentences)
    return {"corpus": corpus, "id": document.id, "title": document.title, "sentences": sentences}


def question_row(question: "Question", corpus: int) -> Row:
    """Return a question as a row, with its answers, hops and proofs.

    Args:
        question: The question.
        corpus: Number of the corpus that it belongs to.
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


def prompt_rows(episode: Trajectory) -> Iterator[Row]:
    """Yield a row for each step: the transcript before it as prompt, its text as completion.

    Steps that used a title before it was shown are left out: no reader could have taken them.
    """
    for number, step in enumerate(episode.steps):
        if step.completion is None or not step.completion.privileged:
            prompt = transcript(episode.prompt, episode.steps[:number])
            row = {"prompt": prompt, "completion": step.text}
            yield {**row, "task_id": episode.task_id, "step": number + 1}


def message_rows(episode: Trajectory) -> Iterator[Row]:
    """Yield one row for an episode: its turns as chat messages of ``user`` and ``assistant``.

    An episode with a step that used a title before it was shown yields no row.
    """
    if any(step.completion and step.completion.privileged for step in episode.steps):
        return
    messages = [{"role": "user", "content": episode.prompt}]
    for step in episode.steps:
        messages.append({"role": "assistant", "content": step.text})
        messages.append({"role": "user", "content": step.observation})
    # The observation after the last action does not lead to another action.
    yield {"messages": messages[:-1], "task_id": episode.task_id}


def _evidence_row(evidence: "Evidence") -> Row:
    call = evidence.call
    return {
        "fact": evidence.fact,
        "shown_by": [{"document": name, "sentence": index} for name, index in evidence.shown_by],
        "call": {"tool": call[0], "argument": call[1]} if call else None,
    }
