"""The prompt: the text of a reset, from a task and how it is to be worked on.

In: a task, the mode, the dialect. Out: the question, and unless instructions are off, what the
tools are and how to write a call.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from hopgym.actions import Action, Dialect
from hopgym.documents import Corpus, Document
from hopgym.env.settings import EnvSettings
from hopgym.tasks import Task, TaskSource, gold_documents
from hopgym.tools import TOOLS, argument_names

_PAGE_BREAK = "\n\n"


def tools_prompt(task: Task, source: TaskSource, dialect: Dialect, settings: EnvSettings) -> str:
    """Return question and instructions for working with tools within the step budget."""
    names = argument_names(source.tools)
    lines = [
        f"- {dialect.example(name, argument)} {TOOLS[name].description}."
        for name, argument in names.items()
    ]
    turns = f"in at most {settings.max_steps} turns"
    turn = f"Answer the question with these tools, one call a turn, {turns}:"
    pages = (
        ["Long results come in parts: #2 behind an argument asks for the second."]
        if "lookup" in source.tools
        else []
    )
    notes = [*pages, _answer_format(source, dialect, settings)]
    return "\n".join([f"Question: {task.question.text}", "", turn, *lines, *notes])


def context_of(
    task: Task, rng: np.random.Generator, context_chars: int, *, numbered: bool = False
) -> str:
    """Return the pages that a question to be answered at once comes with.

    The gold pages come first into the budget of ``context_chars`` characters, then the question's
    own other pages, or where it has none pages drawn at random from the corpus, until the next one
    would not fit; all are shuffled (the protocol of Kabra et al. 2026, arXiv 2603.02091,
    section 4: gold and distractor pages in one prompt). Sentences stand with their numbers from 0
    where these are wanted.
    """
    room, chosen = context_chars, list[str]()
    for document, gold in _candidates(task, rng):
        page = _page_text(document, numbered)
        if len(page) > room:
            if gold:
                continue
            break
        chosen.append(page)
        room -= len(page) + len(_PAGE_BREAK)
    order: Sequence[int] = rng.permutation(len(chosen)).tolist()
    return _PAGE_BREAK.join(chosen[i] for i in order)


def at_once_prompt(task: Task, source: TaskSource, dialect: Dialect, settings: EnvSettings) -> str:
    """Return question and instructions for answering at once."""
    call = dialect.example("answer", TOOLS["answer"].argument)
    how = f"Answer at once, as {call}"
    return f"Question: {task.question.text}\n\n{how}\n{_answer_format(source, dialect, settings)}"


def _answer_format(source: TaskSource, dialect: Dialect, settings: EnvSettings) -> str:
    # Benchmarks want one answer.
    several = "" if source.has_script else ", several answers with ; between them"
    blind = settings.mode == "closed_book"
    notes = source.answer_notes if blind else source.notes
    lines = [f"Write the answer alone{several}. {notes}".strip()]
    if settings.ask_support and not blind:
        name = TOOLS["answer"].argument
        action = Action("answer", name, support=source.support_example)
        call = dialect.write(action, {"answer": name})
        lines.append(f"{source.support_asked}, as in {call}")
    return "\n".join(lines)


def _candidates(task: Task, rng: np.random.Generator) -> Iterator[tuple[Document, bool]]:
    """Yield pages for a prompt in the order in which they are taken, and whether one is gold."""
    corpus = task.corpus
    gold = [corpus.pages.position(document) for document in gold_documents(task.question)]
    if task.context is not None:
        titles = {corpus.pages.title(position) for position in gold}
        yield from ((document, document.title in titles) for document in task.context)
        return
    for position in dict.fromkeys([*gold, *_random_order(corpus, rng)]):
        yield corpus[position], position in gold


def _random_order(corpus: Corpus, rng: np.random.Generator) -> Sequence[int]:
    # At most a few hundred pages fit any context, so a large corpus is sampled, not permuted.
    if len(corpus) <= 2000:
        positions: list[int] = rng.permutation(len(corpus)).tolist()
        return positions
    sampled: list[int] = rng.integers(len(corpus), size=2000).tolist()
    return sampled


def _page_text(document: Document, numbered: bool) -> str:
    sentences = (each.strip() for each in document.sentences)
    shown = (f"[{i}] {text}" if numbered else text for i, text in enumerate(sentences))
    return "\n".join([document.title, " ".join(shown)])
