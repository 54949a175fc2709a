"""A model that rates single steps of an episode as GOOD or BAD, without seeing the answer.

The judge reads what the agent read, rendered by `hopgym_agents.prompts`, and the step. It does not
see the step's result, the gold answer or the verdict. This is the process judge of SWiRL (Goldie et
al. 2025, arXiv 2504.04736) with a prompt of our own.
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
from hopgym_agents.generate import Generator, Message, Request
from hopgym_agents.prompts import PLAIN, Style, render

BATCH_SIZE = 64
"""Steps per call of a generator that takes batches."""

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
"""Prompt of the judge, with the fields ``conversation`` and ``last``."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?][*_\"'”)\]]{0,3}\s|\n")
_RATING_WORDS = frozenset({"GOOD", "BAD"})
_LEADING_WORDS = frozenset(
    {"my", "the", "final", "verdict", "answer", "judgement", "judgment", "is"}
)
"""Words allowed before the rating on a line of its own, as in ``Final verdict: GOOD``."""
_NEGATIONS = frozenset({"not", "never", "no", "hardly", "cannot"})
_NEGATION_REACH = 3
"""A negation at most this many words before a rating negates it."""


class Rating(StrEnum):
    """A judge's rating of a step."""

    GOOD = "GOOD"
    BAD = "BAD"
    UNPARSED = "unparsed"
    """The judge's text has neither word, or is ambiguous."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's reply on one step."""

    task_id: str
    sample: int
    step: int
    """Position of the step in its episode, from 0."""
    rating: Rating
    text: str
    """The judge's reply."""
    request_digest: str
    """`digest_request` of the request."""
    generated_tokens: int = 0
    prompt_tokens: int = 0
    error: str = ""
    """Why there is no reply; empty if there is one. Steps with an error are judged again."""

    @property
    def key(self) -> tuple[str, int, int]:
        """(task id, sample, step), unique in a run."""
        return self.task_id, self.sample, self.step


def step_prefixes(episode: Trajectory) -> Iterator[Trajectory]:
    """Yield the prefixes of an episode that end with a step of the policy.

    An episode that ended in an error of the policy yields none, as it will be played again.
    """
    if episode.stop_reason not in ERROR_REASONS:
        for position, step in enumerate(episode.steps):
            if not step.from_prefix:
                yield episode.prefix(position + 1)


def judge_request(prefix: Trajectory, style: Style = PLAIN) -> Request:
    """Return the request to judge the last step of a prefix.

    Args:
        prefix: A prefix with at least one step; the result of its last step is not shown.
        style: How the conversation is rendered.
    """
    # The last message is the environment's reply to the step.
    *before, last = render(prefix, style).messages[:-1]
    conversation = "\n\n".join(f"[{message['role']}]\n{_as_text(message)}" for message in before)
    content = QUESTION.format(conversation=conversation, last=_as_text(last))
    key = (prefix.index, prefix.sample, len(prefix.steps) - 1)
    return Request(({"role": "user", "content": content},), key=key)


def parse_rating(text: str) -> Rating:
    """Return the rating that a judge's reply ends with, or `Rating.UNPARSED`.

    In this order: a last line that is GOOD or BAD alone, in any case and also after ``verdict:`` or
    ``answer:``; the last sentence that has one of them in capitals; a last word that is one of them
    in any case. A sentence with both words, or with a negation right before, is unparsed. Text
    between ``<think>`` and ``</think>`` is ignored.
    """
    answer = text.rpartition("</think>")[2].partition("<think>")[0]
    lines = [tokens for line in answer.splitlines() if (tokens := _WORD.findall(line))]
    if not lines:
        return Rating.UNPARSED
    *before, last = lines[-1]
    if last.upper() in _RATING_WORDS and {word.lower() for word in before} <= _LEADING_WORDS:
        return Rating(last.upper())
    sentences = [tokens for part in _SENTENCE_END.split(answer) if (tokens := _WORD.findall(part))]
    for sentence in reversed(sentences):
        if not _RATING_WORDS.isdisjoint(sentence):
            return _rating_in(sentence)
    *before, last = sentences[-1]
    return _rating_in([*before, last.upper()])


def judge_steps(
    generate: Generator, prefixes: Iterable[Trajectory], *, style: Style = PLAIN
) -> Iterator[Judgement]:
    """Yield a judgement on the last step of each prefix, as soon as it is ready.

    Args:
        generate: The model that judges.
        prefixes: Each ends with the step to judge; they are consumed lazily.
        style: How the conversations are rendered.
    """
    if generate.concurrency > 1:
        yield from _judge_in_threads(generate, prefixes, style)
        return
    remaining = iter(prefixes)
    while batch := list(islice(remaining, BATCH_SIZE)):
        yield from _judge_batch(generate, batch, style)


def digest_request(request: Request) -> str:
    """Return 16 hex digits that identify the messages of a request."""
    messages = json.dumps(request.messages, ensure_ascii=True)
    return hashlib.sha256(messages.encode()).hexdigest()[:16]


def _rating_in(sentence: Sequence[str]) -> Rating:
    """Return the only rating among the words of a sentence, unless it is negated."""
    positions = [position for position, word in enumerate(sentence) if word in _RATING_WORDS]
    if len({sentence[position] for position in positions}) != 1:
        return Rating.UNPARSED
    for position in positions:
        preceding = sentence[max(position - _NEGATION_REACH, 0) : position]
        if any(_is_negation(word) for word in preceding):
            return Rating.UNPARSED
    return Rating(sentence[positions[0]])


def _is_negation(word: str) -> bool:
    return word.lower() in _NEGATIONS or word.lower().endswith(("n't", "n’t"))


def _judge_batch(
    generate: Generator, prefixes: Sequence[Trajectory], style: Style
) -> list[Judgement]:
    requests = [judge_request(prefix, style) for prefix in prefixes]
    replies = zip(prefixes, requests, generate(requests), strict=True)
    return [_judgement(prefix, request, reply) for prefix, request, reply in replies]


def _judgement(prefix: Trajectory, request: Request, reply: Completion) -> Judgement:
    return Judgement(
        task_id=prefix.task_id,
        sample=prefix.sample,
        step=len(prefix.steps) - 1,
        rating=parse_rating(reply.text),
        text=reply.text,
        request_digest=digest_request(request),
        generated_tokens=reply.generated_tokens,
        prompt_tokens=reply.prompt_tokens,
        error=reply.error,
    )


def _judge_in_threads(
    generate: Generator, prefixes: Iterable[Trajectory], style: Style
) -> Iterator[Judgement]:
    """Judge each step in its own request, up to ``concurrency`` requests at a time."""
    remaining = iter(prefixes)
    pool = ThreadPoolExecutor(generate.concurrency, thread_name_prefix="hopgym-judge")
    pending: set[Future[list[Judgement]]] = set()
    try:
        while True:
            # Twice the number that can run at a time, so that no thread waits for the next one.
            for prefix in islice(remaining, 2 * generate.concurrency - len(pending)):
                pending.add(pool.submit(_judge_batch, generate, [prefix], style))
            if not pending:
                return
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield from future.result()
    except BaseException:
        # The interpreter joins its threads at exit: calls in progress must fail, not retry.
        getattr(generate, "close", lambda: None)()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _as_text(message: Message) -> str:
    """Return the content of a message and its tool calls as one text."""
    calls: Sequence[Message] = message.get("tool_calls") or ()
    functions = [json.dumps(call["function"], ensure_ascii=False) for call in calls]
    return "\n".join(part for part in (message.get("content") or "", *functions) if part)
