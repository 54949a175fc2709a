"""Policies that only use the text of a prefix: random calls, greedy reading, and the first hit.

They assume nothing about the phrasing of questions or pages. On text that they cannot use, they
answer ``unknown``.
"""

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hopgym.actions import Action
from hopgym.policies.base import UNKNOWN, PrefixPolicy, budget_ends, write_answer, write_call
from hopgym.rollout import episode_rng
from hopgym.trajectory import Trajectory
from hopgym.verdicts import Verdict

_ANSWER_CHANCE = 0.1
_MAX_WORDS = 64
_STOP_WORDS = frozenset({
    "a", "all", "an", "and", "any", "are", "as", "at", "be", "been", "by", "did", "do", "does",
    "for", "from", "had", "has", "have", "he", "her", "his", "how", "i", "in", "is", "it", "its",
    "many", "much", "of", "on", "or", "person", "she", "that", "the", "their", "them", "there",
    "these", "they", "this", "those", "to", "was", "were", "what", "when", "where", "which", "who",
    "whom", "whose", "why", "with",
})  # fmt: skip
_WORD = re.compile(r"\w+(?:[-'’]\w+)*")
_TOP_HIT = re.compile(r"^\[1\] (.*)$", re.MULTILINE)
_MARK = re.compile(r"\[[^\[\]\n]*\]")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_BEFORE_VALUE = re.compile(r"\b(?:is|are|was|were|as|in|an?|the)\s+")


def words_in(text: str) -> list[str]:
    """Return the content words of a text that are not capitalized, in order."""
    candidates = (match[0] for match in _WORD.finditer(text))
    return [w for w in candidates if not w[0].isupper() and w.lower() not in _STOP_WORDS]


def names_in(text: str) -> list[str]:
    """Return the runs of capitalized words of a text, in order, without stop words."""
    names: list[str] = []
    end = -1
    for match in _WORD.finditer(text):
        word = match[0]
        if not word[0].isupper() or word.lower() in _STOP_WORDS:
            continue
        bare = word.removesuffix("'s").removesuffix("’s")
        if end >= 0 and text[end : match.start()] == " ":
            names[-1] += f" {bare}"
        else:
            names.append(bare)
        end = match.end()
    return names


@dataclass(frozen=True, slots=True)
class RandomPolicy(PrefixPolicy):
    """Calls a random tool with words or names seen so far, or answers with probability 0.1."""

    seed: int = 0
    """0 or more; a call only depends on seed, index, sample and step number."""

    def seeded(self, seed: int) -> "RandomPolicy":
        """Return a copy of the policy with another seed."""
        return replace(self, seed=seed)

    def act(self, prefix: Trajectory) -> str:
        """Return a random call."""
        rng = episode_rng(self.seed, prefix.index, prefix.sample, len(prefix.steps))
        tools = [name for name in prefix.tools if name != "answer"]
        answers = not tools or rng.random() < _ANSWER_CHANCE
        tool = "answer" if answers else _one_of(tools, rng)
        seen = "\n".join([prefix.question, *(step.observation for step in prefix.steps)])
        argument = _random_argument(tool, _MARK.sub("", seen), rng)
        return write_call(prefix, Action(tool, argument))


def _random_argument(tool: str, seen: str, rng: np.random.Generator) -> str:
    if tool == "calculate":
        numbers = re.findall(r"\d+", seen) or ["1"]
        return f"{_one_of(numbers, rng)} {_one_of('+-*/', rng)} {_one_of(numbers, rng)}"
    common = words_in(seen)
    names = names_in(seen)
    if tool == "search":
        return _one_of(common + names or [UNKNOWN], rng)
    return _one_of(names or common or [UNKNOWN], rng)


def _one_of(items: Sequence[str], rng: np.random.Generator) -> str:
    return items[int(rng.integers(len(items)))]


@dataclass(frozen=True, slots=True)
class GreedySearchPolicy(PrefixPolicy):
    """Searches for the question's words, then follows them from page to page, last word first.

    On the page of the top hit it takes the first sentence with a word of the question, looks up the
    first new name in it, and continues with the words before that one. It answers with the last
    value that it found.
    """

    def act(self, prefix: Trajectory) -> str:
        """Return the search, the next lookup, or the answer."""
        if not {"search", "lookup"} <= set(prefix.tools):
            return write_answer(prefix, UNKNOWN)
        query = " ".join([*names_in(prefix.question), *words_in(prefix.question)][:_MAX_WORDS])
        hits = _observations(prefix, "search")
        if not hits and query:
            return write_call(prefix, Action("search", query))
        pages = _observations(prefix, "lookup")
        top = _TOP_HIT.search(hits[0]) if hits else None
        if not pages and top and top[1].strip():
            return write_call(prefix, Action("lookup", top[1].strip()))
        values, next_title = _read(pages, prefix.question)
        if next_title and not budget_ends(prefix):
            return write_call(prefix, Action("lookup", next_title))
        return write_answer(prefix, "; ".join(values) or UNKNOWN)


@dataclass(frozen=True, slots=True)
class FirstPagePolicy(PrefixPolicy):
    """Answers with the title of the first page found by a search for the question's words.

    Without tools it uses the first page of the prompt, if there is one.
    """

    def act(self, prefix: Trajectory) -> str:
        """Return the search, or the answer."""
        query = " ".join([*names_in(prefix.question), *words_in(prefix.question)][:_MAX_WORDS])
        hits = _observations(prefix, "search")
        if "search" in prefix.tools and not hits and query and not budget_ends(prefix):
            return write_call(prefix, Action("search", query))
        top = _TOP_HIT.search(hits[0]) if hits else None
        title = top[1].strip() if top else ""
        if prefix.tools == ("answer",) and not prefix.prompt.startswith("Question: "):
            title = prefix.prompt.partition("\n")[0].strip()
        return write_answer(prefix, title or UNKNOWN)


def _observations(prefix: Trajectory, tool: str) -> list[str]:
    return [
        step.observation
        for step in prefix.steps
        if step.action and step.action.tool == tool and step.verdict is not Verdict.FAILED
    ]


def _read(pages: Sequence[str], question: str) -> tuple[list[str], str]:
    """Return the values of the question's words on the pages, and the title to read next or ''."""
    remaining = words_in(question)[: -_MAX_WORDS - 1 : -1]
    latest: list[str] = []
    next_title = ""
    for page in pages:
        values, remaining = _follow(page, remaining, question)
        if not values:
            return latest, ""
        latest = values
        next_title = values[0] if remaining and values[0][0].isupper() else ""
    return latest, next_title


def _follow(page: str, keywords: list[str], question: str) -> tuple[list[str], list[str]]:
    """Return the values of the first keyword that a page knows, and the keywords after it."""
    title, _, body = page.partition("\n")
    sentences = _SENTENCE_END.split(_MARK.sub("", body))
    stems = [{_stem(match[0]) for match in _WORD.finditer(s)} for s in sentences]
    for i, keyword in enumerate(keywords):
        for sentence, known in zip(sentences, stems, strict=True):
            if _stem(keyword) not in known:
                continue
            names = [n for n in names_in(sentence) if n not in title and n not in question]
            ending = _ending(sentence)
            if values := names or ([ending] if ending not in question else []):
                return values, keywords[i + 1 :]
    return [], []


def _ending(sentence: str) -> str:
    """Return the text after the last ``is``, ``as``, ``the`` and the like, or an empty one."""
    starts = [match.end() for match in _BEFORE_VALUE.finditer(sentence)]
    return sentence[starts[-1] :].strip(string.punctuation + string.whitespace) if starts else ""


def _stem(word: str) -> str:
    return word.lower().removesuffix("'s").rstrip("s")
