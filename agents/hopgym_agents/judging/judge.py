"""The judge: a model that says of single steps whether they are GOOD or BAD, without the answer.

In: episodes so far that end with the step in question. Out: one `Judgement` each. The judge reads
what the agent read, rendered by `hopgym_agents.prompts`, and the step; not what the step brought,
no gold answer, and no verdict.

This is the process judge of SWiRL (Goldie et al. 2025, arXiv 2504.04736) in words of our own.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from hopgym.trajectory import ERROR_REASONS, Completion, Trajectory
from hopgym_agents.generate import Generate, Message, Request
from hopgym_agents.prompts import PLAIN, Style, render

AT_ONCE = 64
"""Steps that a generator which takes many is asked about in one call."""

QUESTION = """\
An assistant answers a question with the help of tools. You check its work, one message at a time. \
Below stand the conversation so far and the assistant's last message.

Judge the last message alone. Nothing before it counts, for or against the assistant.
- Where it calls a tool: GOOD if the call is likely to help with answering the question, after \
what has been shown so far; else BAD.
- Where it gives an answer: GOOD if the answer follows from what the conversation has shown. \
Whether you believe it to be true does not count. Where too little has been shown to tell, every \
answer is BAD.
- Where it does neither: BAD.

<conversation>
{conversation}
</conversation>

<last_message>
{last}
</last_message>

Give your reasons in a few sentences. Then end with one word, GOOD or BAD."""
"""What the judge is asked."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?][*_\"'”)\]]{0,3}\s|\n")
_WORDS = frozenset({"GOOD", "BAD"})
_LEADS = frozenset({"my", "the", "final", "verdict", "answer", "judgement", "judgment", "is"})
"""What may stand before the word on a line of its own, as in ``Final verdict: GOOD``."""
_NEGATIONS = frozenset({"not", "never", "no", "hardly", "cannot"})
_NEGATED_WITHIN = 3


class Mark(StrEnum):
    """What a judge says of a step."""

    GOOD = "GOOD"
    BAD = "BAD"
    UNPARSED = "unparsed"
    """Its text holds neither word, or leaves open which one it means."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's word on one step."""

    task_id: str
    sample: int
    step: int
    """Position of the step in its episode, from 0."""
    mark: Mark
    text: str
    """What the judge wrote."""
    asked: str
    """Hex digest of what it was asked."""
    n_tokens: int = 0
    """Generated tokens."""
    prompt_tokens: int = 0
    """Tokens of what was asked."""
    error: str = ""
    """Why the judge said nothing; such a step is to be judged again."""

    @property
    def key(self) -> tuple[str, int, int]:
        """What makes it unique for a run: (task id, sample, step)."""
        return self.task_id, self.sample, self.step


def steps_of(episode: Trajectory) -> Iterator[Trajectory]:
    """Yield the prefixes of an episode that end with one of the agent's own steps.

    An episode that ended in an error of the policy gives none, as it is to be played again.
    """
    if episode.reason not in ERROR_REASONS:
        for position, step in enumerate(episode.steps):
            if not step.given:
                yield episode.prefix(position + 1)


def judge_request(prefix: Trajectory, style: Style = PLAIN) -> Request:
    """Return what a judge is asked about the last step of a prefix.

    Args:
        prefix: With one step at least. What its last step brought is not shown.
        style: How the conversation is rendered.
    """
    # The last message is what the environment said to the step.
    *before, last = render(prefix, style).messages[:-1]
    conversation = "\n\n".join(f"[{message['role']}]\n{_written(message)}" for message in before)
    content = QUESTION.format(conversation=conversation, last=_written(last))
    key = (prefix.index, prefix.sample, len(prefix.steps) - 1)
    return Request(({"role": "user", "content": content},), key=key)


def read_mark(text: str) -> Mark:
    """Return the verdict that a judge's text ends with; any text has one, if only UNPARSED.

    A last line that is GOOD or BAD alone counts, in any spelling and also behind ``verdict:`` or
    ``answer:``; else the last sentence that holds one in capitals; else a last word that is either
    in any spelling. A sentence that holds both, or a negation right before, says neither. What is
    thought between ``<think>`` and ``</think>`` does not count.
    """
    said = text.rpartition("</think>")[2].partition("<think>")[0]
    lines = [words for line in said.splitlines() if (words := _WORD.findall(line))]
    if not lines:
        return Mark.UNPARSED
    *before, last = lines[-1]
    if last.upper() in _WORDS and {word.lower() for word in before} <= _LEADS:
        return Mark(last.upper())
    sentences = [words for part in _SENTENCE_END.split(said) if (words := _WORD.findall(part))]
    for words in reversed(sentences):
        if not _WORDS.isdisjoint(words):
            return _mark_in(words)
    *before, last = sentences[-1]
    return _mark_in([*before, last.upper()])


def judge_steps(
    generate: Generate, prefixes: Iterable[Trajectory], *, style: Style = PLAIN
) -> Iterator[Judgement]:
    """Yield a judgement on the last step of each prefix, in the order in which they are ready.

    Args:
        generate: The model that judges.
        prefixes: Each ends with the step to be judged; they are taken as they are needed.
        style: How the conversations are rendered.
    """
    if generate.concurrency > 1:
        yield from _in_threads(generate, prefixes, style)
        return
    waiting = iter(prefixes)
    while some := list(islice(waiting, AT_ONCE)):
        yield from _judged(generate, some, style)


def digest_of(request: Request) -> str:
    """Return the hex digest of what a judge is asked, which tells one question from another."""
    written = json.dumps(request.messages, ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()[:16]


def _mark_in(words: Sequence[str]) -> Mark:
    """Return the one mark that the words of a sentence hold, not negated."""
    places = [place for place, word in enumerate(words) if word in _WORDS]
    if len({words[place] for place in places}) != 1:
        return Mark.UNPARSED
    for place in places:
        if any(_negates(word) for word in words[max(place - _NEGATED_WITHIN, 0) : place]):
            return Mark.UNPARSED
    return Mark(words[places[0]])


def _negates(word: str) -> bool:
    return word.lower() in _NEGATIONS or word.lower().endswith(("n't", "n’t"))


def _judged(generate: Generate, prefixes: Sequence[Trajectory], style: Style) -> list[Judgement]:
    requests = [judge_request(prefix, style) for prefix in prefixes]
    replies = zip(prefixes, requests, generate(requests), strict=True)
    return [_judgement(prefix, request, reply) for prefix, request, reply in replies]


def _judgement(prefix: Trajectory, request: Request, reply: Completion) -> Judgement:
    return Judgement(
        task_id=prefix.task_id,
        sample=prefix.sample,
        step=len(prefix.steps) - 1,
        mark=read_mark(reply.text),
        text=reply.text,
        asked=digest_of(request),
        n_tokens=reply.n_tokens,
        prompt_tokens=reply.prompt_tokens,
        error=reply.error,
    )


def _in_threads(
    generate: Generate, prefixes: Iterable[Trajectory], style: Style
) -> Iterator[Judgement]:
    """Ask about each step by itself, as many at once as the generator takes."""
    waiting = iter(prefixes)
    pool = ThreadPoolExecutor(generate.concurrency, thread_name_prefix="hopgym-judge")
    asked: set[Future[list[Judgement]]] = set()
    try:
        while True:
            # Twice as many as can run, so that no thread waits for the next one.
            for prefix in islice(waiting, 2 * generate.concurrency - len(asked)):
                asked.add(pool.submit(_judged, generate, [prefix], style))
            if not asked:
                return
            done, asked = wait(asked, return_when=FIRST_COMPLETED)
            for future in done:
                yield from future.result()
    except BaseException:
        # The interpreter waits for its threads at the end: calls under way must fail, not retry.
        getattr(generate, "close", lambda: None)()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _written(message: Message) -> str:
    """Return a message as one text, its calls included."""
    calls = [json.dumps(each["function"], ensure_ascii=False) for each in _calls(message)]
    return "\n".join(part for part in (message.get("content") or "", *calls) if part)


def _calls(message: Message) -> Sequence[Message]:
    calls: Sequence[Message] = message.get("tool_calls") or ()
    return calls
