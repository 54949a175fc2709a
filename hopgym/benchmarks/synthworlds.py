"""SynthWorlds: multi-hop questions over one set of documents, with real or with made-up names.

In: the rows of the configs ``qa-rm`` or ``qa-sm`` of ``kenqgu/SynthWorlds`` (a JSON list or JSONL,
or from the Hub), and of ``qa-rm-docs`` or ``qa-sm-docs`` for the documents that all questions
share. Out: tasks, scored as `hopgym.benchmarks.synthworlds` says (Gu et al. 2025, arXiv
2510.24427).
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any, ClassVar

import msgspec

from hopgym.benchmarks.base import BenchmarkSource, GoldRecords
from hopgym.benchmarks.catalogue import SYNTHWORLDS
from hopgym.benchmarks.passages import Asked, Fact, PassageRecords
from hopgym.benchmarks.predictions import Entry
from hopgym.benchmarks.records import Content, Record, decode, split_records
from hopgym.documents import Document, cut_title, split_sentences
from hopgym.scoring import f1_of
from hopgym.tasks import Question

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_DROPPED_WORDS = re.compile(r"\b(?:a|an|the|is)\b")
_COMMANDS = ("boxed", "text", "mathrm", "mathbf", "mathit", "mathcal", "mathbb")
_LONGEST_WHOLE_WORD = 8

_ERAS = (("BCE", "BCE"), ("CE", "CE"), ("(year)", "CE"))
_ISO_MONTH = re.compile(r"(\d{4})-(\d{1,2})")
_ISO_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:T\d{2}:\d{2}:\d{2}Z?)?")
_LAST_YEAR_WITH_ERA = 1000
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)

_FIRST_OLD_YEAR = 76
# What a text leaves out is filled in from each: equal in both is what it gives. Neither is in a
# leap year, both months have 31 days, and a weekday moves neither day as far as the other.
_FILLED_FROM = (datetime(2025, 1, 1), datetime(2026, 3, 10))


@dataclass(frozen=True, slots=True)
class SynthWorldsScore:
    """The scores of an answer, each in [0, 1]."""

    em: float
    """Whether it equals a gold: the public copy's rule."""
    f1: float
    em_substring: float
    """Whether a gold contains it: the rule of the authors, which an empty answer always meets."""


NO_SCORE = SynthWorldsScore(0.0, 0.0, 0.0)


def normalize_synthworlds(text: str) -> str:
    r"""Return text as the official script compares it (``normalize_answer``).

    Lower case, no ASCII punctuation, the names of LaTeX commands cut from the front of words of
    more than 8 characters and kept as words, then no ``a``, ``an``, ``the``, ``is``, and single
    spaces: ``\boxed{Paris}`` gives ``boxed paris``.
    """
    words = map(_cut_command, text.lower().translate(_PUNCTUATION).split())
    return " ".join(_DROPPED_WORDS.sub(" ", " ".join(words)).split())


def date_of(text: str) -> str | None:
    """Return the date of a text as the official script writes dates, or None where it has none.

    Up to the year 1000 it is the year with its era (``44 BCE``, ``850 CE``); later ``1896``,
    ``July, 1896`` or ``July 28, 1896``; the year is ``None`` where only a month or a day is
    given. Read are what ``dateutil`` knows, a year with ``BCE``, ``CE`` or ``(year)``, and ISO.

    The official script depends on the day that it runs on; here a year of two digits lies in 1976
    to 2075, as in any run of 2026, 29 February needs a year, and a lone 31 is a day. Nor does the
    machine's time zone matter. A month above 12, which stops the official script, is no date.
    """
    parts = _read_freely(text) or _read_strictly(text.strip())
    if parts is None:
        return None
    year, month, day, era = parts
    if year is not None and year <= _LAST_YEAR_WITH_ERA:
        return f"{year} {era}"
    if month is None:
        return f"{year}"
    if month > len(_MONTHS):
        return None
    # Month 0 is December, as in the official script.
    name = _MONTHS[month - 1]
    return f"{name}, {year}" if day is None else f"{name} {day}, {year}"


def answer_score(prediction: str, golds: Sequence[str], is_time: bool) -> SynthWorldsScore:
    """Return the official scores of an answer (``score_instance`` of the public copy).

    The best over the golds counts. Where a time is asked for, the answer is compared as a date
    too; equal dates match exactly, and an exact match has an F1 of 1.

    Args:
        prediction: The answer.
        golds: At least one.
        is_time: Whether the question asks for a time (``expected_output_is_time``).
    """
    predicted, wanted = normalize_synthworlds(prediction), [*map(normalize_synthworlds, golds)]
    date = date_of(prediction) if is_time else None
    dates = [found for gold in golds if (found := date_of(gold))] if date else []
    same_date = date in dates
    em = float(same_date or predicted in wanted)
    f1s = [_token_f1(predicted, gold) for gold in wanted]
    if date:
        f1s += [_token_f1(*map(normalize_synthworlds, (date, gold))) for gold in dates]
    contained = same_date or any(predicted in gold for gold in wanted)
    return SynthWorldsScore(em, max(em, *f1s), float(contained))


def _token_f1(predicted: str, gold: str) -> float:
    given, due = predicted.split(), gold.split()
    return f1_of((Counter(given) & Counter(due)).total(), len(given), len(due))


def _cut_command(word: str) -> str:
    """Return a long word with the first LaTeX command that it begins with cut off by a space."""
    if len(word) <= _LONGEST_WHOLE_WORD:
        return word
    # One that stands in the word again is left, and the next is tried.
    found = (each for each in _COMMANDS if word.startswith(each) and word.count(each) == 1)
    command = next(found, "")
    return f"{command} {word.removeprefix(command)}"


Parts = tuple[int | None, int | None, int | None, str]


def _read_freely(text: str) -> Parts | None:
    """Return year, month, day and era as ``dateutil`` reads them; None where it does not."""
    parse = _date_parser().parse
    try:
        first, second = (parse(text, default=each, tzinfos=_mark_zone) for each in _FILLED_FROM)
    except Exception:  # Of many kinds, and all mean the same to the official script.
        return None
    fields = [(getattr(first, name), getattr(second, name)) for name in ("year", "month", "day")]
    year, month, day = (a if a == b else None for a, b in fields)
    # A time with a zone, and a time alone, are none to the official script either.
    nothing = year is month is day is None
    return None if nothing or first.tzinfo else (year, month, day, "CE")


def _read_strictly(text: str) -> Parts | None:
    """Return year, month, day and era of a year with its era or of an ISO date, or None."""
    for mark, era in _ERAS:
        if mark in text:
            try:
                return int(text.replace(mark, "").strip()), None, None, era
            except ValueError:
                return None
    found = _ISO_MONTH.fullmatch(text) or _ISO_DAY.fullmatch(text)
    if not found:
        return None
    year, month, *day = map(int, found.groups())
    return year, month, day[0] if day else None, "CE"


def _mark_zone(name: str | None, offset: int | None) -> tzinfo | None:
    """Return a time zone where a text gives one with its offset, whatever it is."""
    return None if offset is None else UTC


@cache
def _date_parser() -> Any:
    from dateutil import parser

    class FixedCentury(parser.parserinfo):  # type: ignore[misc]
        """What the parser knows, without its clock."""

        def convertyear(self, year: int, century_specified: bool = False) -> int:
            """Return a year of two digits in 1976 to 2075; others as they are."""
            if year >= 100 or century_specified:
                return year
            return year + (2000 if year < _FIRST_OLD_YEAR else 1900)

    return parser.parser(FixedCentury())


_MEND = "records must be as in the configs qa-rm and qa-sm of the Hub's kenqgu/SynthWorlds"
_DOCUMENTS = "documents must be as in the configs qa-rm-docs and qa-sm-docs of the same dataset"
_PREDICTIONS = 'a prediction file is {id: text} or {"answer": {id: text}}'


def document_of(text: str, document_id: str) -> Document:
    """Return a document from its one text, by `cut_title`."""
    title, rest = cut_title(text)
    return Document(document_id, title, split_sentences(rest))


class _Row(msgspec.Struct):
    instance_id: str
    query: str
    gold_answers: list[str]
    gold_docs: list[str]
    expected_output_is_time: bool
    question_graph_type: str | None = None
    gold_qids: list[str] | None = None


class _Shared(msgspec.Struct):
    qid: str
    doc: str


_ROWS = msgspec.json.Decoder(_Row)
_SHARED = msgspec.json.Decoder(_Shared)
_PREDICTED = msgspec.json.Decoder(dict[str, str | dict[str, str]])


class _SynthWorldsRecords(PassageRecords):
    def load(self, content: Content, limit: int | None) -> None:
        # Whatever is wrong with the second file shows at once, not at the first search.
        self._shared = tuple(_shared_documents(self.options.further))
        super().load(content, limit)

    def further_documents(self) -> Iterable[Document]:
        return self._shared

    def asked_of(self, record: Record, number: int) -> Asked:
        row = decode(record, _ROWS, _MEND)
        # The oracle gives the first answer, so a blank one, which counts as gold, comes last.
        answers = tuple(sorted(row.gold_answers, key=lambda answer: not answer.strip()))
        if not answers or not answers[0].strip():
            raise record.error(
                f"expected an answer among the 'gold_answers' of {row.instance_id!r}, "
                f"got {row.gold_answers}; {_MEND}"
            )
        paragraphs = tuple(document_of(text, str(i)) for i, text in enumerate(row.gold_docs))
        question = Question(
            id=row.instance_id,
            text=row.query,
            answers=answers,
            answer_kind="text",
            kind=row.question_graph_type or "",
            source=SynthWorldsSource.name,
            metadata={
                "expected_output_is_time": row.expected_output_is_time,
                "gold_qids": row.gold_qids or [],
            },
        )
        return Asked(question, paragraphs, _facts(paragraphs), Entry(answers[0]))


class SynthWorldsSource(BenchmarkSource[_SynthWorldsRecords]):
    """The questions of a SynthWorlds file; the gold documents, whole, are the one proof.

    Arguments: see `BenchmarkSource`. ``variant`` is ``rm`` (real names) or ``sm`` (made-up ones);
    ``documents`` is the path of the documents of the same variant, which join the corpus
    ``split``: without it that holds the gold documents of all questions alone. ``hub=True`` reads
    them as well. SynthWorlds gives no intermediate answers: ``hops`` is empty.

    The metrics are ``em`` and ``f1``, by which tasks are scored, and ``em_substring``, the looser
    rule of the authors' own script. The steps of a question without gold documents, or with an
    empty one, are not judged, and it counts in ``unjudged``.
    """

    name = "synthworlds"
    script = "the public copy of SynthWorlds' eval_utils.py"
    dataset = SYNTHWORLDS
    records_type: ClassVar[type[GoldRecords]] = _SynthWorldsRecords
    corpora = ("split", "record")
    variant_argument = "variant"
    variants = ("rm", "sm")
    further_argument = "documents"
    further_config = "qa-{}-docs"
    notes = "The answer is a short phrase from the pages, such as a name or a date."
    answer_notes = "The answer is a short phrase, such as a name or a date."

    def metrics_of(self, index: int, entry: Entry) -> dict[str, float]:
        """Return the official metrics; an entry without an answer earns nothing."""
        found = NO_SCORE
        if entry.answer is not None:
            question = self._records.questions[index]
            is_time = question.metadata["expected_output_is_time"]
            found = answer_score(entry.answer, question.answers, is_time)
        return {name: getattr(found, name) for name in SynthWorldsScore.__slots__}


def _shared_documents(content: Content | None) -> Iterable[Document]:
    if content is None:
        return
    rows = split_records(content)
    if not rows:
        raise Record(content.path, b"").error(f"expected documents, got none; {_DOCUMENTS}")
    for record in rows:
        row = decode(record, _SHARED, _DOCUMENTS)
        yield document_of(row.doc, row.qid)


def _facts(paragraphs: tuple[Document, ...]) -> tuple[Fact, ...]:
    """Return each paragraph as a fact, one that stands there twice once; an empty one nowhere."""
    facts = []
    for page in paragraphs:
        content = (page.title, page.sentences)
        same = (each.id for each in paragraphs if (each.title, each.sentences) == content)
        own = tuple((int(position), None) for position in same) if page.sentences else ()
        facts.append(Fact(page.title, None, " ".join(page.sentences), own))
    return tuple(dict.fromkeys(facts))
