"""Prompts: the question, with instructions for the mode and the dialect."""

from collections.abc import Iterator, Sequence

import numpy as np

from hopgym.actions import Action, Dialect
from hopgym.documents import Corpus, Document
from hopgym.env.settings import EnvSettings
from hopgym.tasks import Task, TaskSource, gold_documents
from hopgym.tools import TOOLS, argument_names

_PAGE_BREAK = "\n\n"


def tools_prompt(task: Task, source: TaskSource, dialect: Dialect, settings: EnvSettings) -> str:
    """Return the question with instructions for the tools and the step budget."""
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
    """Return the pages for a prompt whose question is answered at once, in random order.

    Gold pages are added first, then the question's other pages, or random pages of the corpus if
    it has none, until the next page would not fit. This is the protocol of Kabra et al. 2026,
    arXiv 2603.02091, section 4: gold and distractor pages in one prompt.

    Args:
        task: The question and its corpus.
        rng: Randomness for distractors and order.
        context_chars: Maximum length of the pages together, in characters.
        numbered: Whether each sentence is preceded by its number on the page, from 0.
    """
    room = context_chars
    chosen: list[str] = []
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
    """Return the question with instructions to answer at once."""
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
    """Yield pages for a prompt in the order in which they are added, and whether each is gold."""
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
    sentences = [sentence.strip() for sentence in document.sentences]
    if numbered:
        sentences = [f"[{number}] {sentence}" for number, sentence in enumerate(sentences)]
    return "\n".join([document.title, " ".join(sentences)])
