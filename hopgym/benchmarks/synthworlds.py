"""SynthWorlds: multi-hop questions over one set of documents, with real or with invented names.

Reads the rows of the configs ``qa-rm`` or ``qa-sm`` of ``kenqgu/SynthWorlds`` (a JSON list, JSONL,
or from the Hub), and those of ``qa-rm-docs`` or ``qa-sm-docs`` for the documents that all questions
share (Gu et al. 2025, arXiv 2510.24427).

The metrics are those of github.com/behavioral-data/synthworlds as its public copy in
github.com/DeanLight/dolores implements them. The two differ only in exact match, and both rules
are reported. Unlike there, no answer is extracted from a longer text: the full text is compared.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any

import msgspec
from dateutil import parser

from hopgym.benchmarks.base import BenchmarkSource
from hopgym.benchmarks.catalogue import SYNTHWORLDS
from hopgym.benchmarks.passages import AnnotatedQuestion, GoldFact, PassageRecords
from hopgym.benchmarks.predictions import PredictionEntry
from hopgym.benchmarks.records import Content, Record, decode, split_records
from hopgym.documents import Document, cut_title, split_sentences
from hopgym.scoring import f1_of
from hopgym.tasks import Question

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_DROPPED_WORDS = re.compile(r"\b(?:a|an|the|is)\b")
_COMMANDS = ("boxed", "text", "mathrm", "mathbf", "mathit", "mathcal", "mathbb")
_MAX_UNCUT_CHARS = 8

_ERAS = (("BCE", "BCE"), ("CE", "CE"), ("(year)", "CE"))
_ISO_MONTH = re.compile(r"(\d{4})-(\d{1,2})")
_ISO_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:T\d{2}:\d{2}:\d{2}Z?)?")
_LAST_YEAR_WITH_ERA = 1000
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)

_FIRST_YEAR_OF_1900S = 76
# A text is parsed with each of these defaults, and the fields that are equal in both results are
# those that the text states. Neither date is in a leap year, both months have 31 days, and a
# weekday in the text cannot move the two to the same day.
_DEFAULT_DATES = (datetime(2025, 1, 1), datetime(2026, 3, 10))


@dataclass(frozen=True, slots=True)
class SynthWorldsScore:
    """The scores of an answer, each in [0, 1]."""

    em: float
    """Whether the answer equals a gold: the rule of the public copy."""
    f1: float
    em_substring: float
    """Whether a gold contains the answer: the authors' rule. An empty answer always scores."""


NO_SCORE = SynthWorldsScore(0.0, 0.0, 0.0)


def normalize_synthworlds(text: str) -> str:
    r"""Return text as the official script compares it (``normalize_answer``).

    The text is lower-cased and loses its ASCII punctuation. The name of a LaTeX command at the
    start of a word of more than 8 characters becomes a word of its own. The words ``a``, ``an``,
    ``the`` and ``is`` are removed, and white space becomes single spaces: ``\boxed{Paris}`` becomes
    ``boxed paris``.
    """
    tokens = map(_split_command, text.lower().translate(_PUNCTUATION).split())
    return " ".join(_DROPPED_WORDS.sub(" ", " ".join(tokens)).split())


def date_of(text: str) -> str | None:
    """Return the date of a text in the format of the official script, or None if it has none.

    Up to the year 1000 it is the year with its era (``44 BCE``, ``850 CE``), later ``1896``,
    ``July, 1896`` or ``July 28, 1896``. The year is ``None`` if the text states only a month or a
    day. Accepted are all formats of ``dateutil``, years with ``BCE``, ``CE`` or ``(year)``, and ISO
    dates.

    The results of the official script depend on the date and the time zone of the machine. Here a
    two-digit year is in 1976 to 2075, as in any run during 2026, 29 February needs a year, and a
    lone 31 is a day. A month above 12, which crashes the official script, is not a date.
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

    Each score is the best over the golds. If the question asks for a time, the answer is also
    compared as a date; equal dates match exactly, and an exact match has an F1 of 1.

    Args:
        prediction: The answer.
        golds: At least one gold answer.
        is_time: Whether the question asks for a time (``expected_output_is_time``).
    """
    predicted = normalize_synthworlds(prediction)
    normalized_golds = [normalize_synthworlds(gold) for gold in golds]
    date = date_of(prediction) if is_time else None
    gold_dates = [gold_date for gold in golds if (gold_date := date_of(gold))] if date else []
    same_date = date in gold_dates
    em = float(same_date or predicted in normalized_golds)
    f1s = [_token_f1(predicted, gold) for gold in normalized_golds]
    if date:
        normalized_date = normalize_synthworlds(date)
        f1s += [_token_f1(normalized_date, normalize_synthworlds(gold)) for gold in gold_dates]
    contained = same_date or any(predicted in gold for gold in normalized_golds)
    return SynthWorldsScore(em, max(em, *f1s), float(contained))


def _token_f1(predicted: str, gold: str) -> float:
    predicted_tokens = predicted.split()
    gold_tokens = gold.split()
    same = (Counter(predicted_tokens) & Counter(gold_tokens)).total()
    return f1_of(same, len(predicted_tokens), len(gold_tokens))


def _split_command(word: str) -> str:
    """Separate a leading LaTeX command from the rest of a long word by a space."""
    if len(word) <= _MAX_UNCUT_CHARS:
        return word
    # A command that occurs in the word again is skipped, as in the official script.
    commands = (name for name in _COMMANDS if word.startswith(name) and word.count(name) == 1)
    command = next(commands, "")
    return f"{command} {word.removeprefix(command)}"


DateParts = tuple[int | None, int | None, int | None, str]
"""Year, month, day and era."""


def _read_freely(text: str) -> DateParts | None:
    """Return the parts that ``dateutil`` reads, or None if it fails."""
    parse = _date_parser().parse
    try:
        first, second = (parse(text, default=date, tzinfos=_mark_zone) for date in _DEFAULT_DATES)
    except Exception:  # dateutil raises many types; the official script treats all of them alike.
        return None
    fields = [(getattr(first, name), getattr(second, name)) for name in ("year", "month", "day")]
    year, month, day = (a if a == b else None for a, b in fields)
    # The official script does not accept a time with a zone or a time alone either.
    is_empty = year is month is day is None
    return None if is_empty or first.tzinfo else (year, month, day, "CE")


def _read_strictly(text: str) -> DateParts | None:
    """Return the parts of a year with its era or of an ISO date, or None for another text."""
    for mark, era in _ERAS:
        if mark in text:
            try:
                return int(text.replace(mark, "").strip()), None, None, era
            except ValueError:
                return None
    match = _ISO_MONTH.fullmatch(text) or _ISO_DAY.fullmatch(text)
    if not match:
        return None
    year, month, *day = map(int, match.groups())
    return year, month, day[0] if day else None, "CE"


def _mark_zone(name: str | None, offset: int | None) -> tzinfo | None:
    """Return any time zone if a text states an offset: only its presence matters."""
    return None if offset is None else UTC


class _FixedCentury(parser.parserinfo):  # type: ignore[misc]
    """Resolves two-digit years without the clock."""

    def convertyear(self, year: int, century_specified: bool = False) -> int:
        """Return a two-digit year as one in 1976 to 2075; other years unchanged."""
        if year >= 100 or century_specified:
            return year
        return year + (2000 if year < _FIRST_YEAR_OF_1900S else 1900)


@cache
def _date_parser() -> Any:
    return parser.parser(_FixedCentury())


_FIX = "records must be as in the configs qa-rm and qa-sm of the Hub's kenqgu/SynthWorlds"
_DOCUMENTS = "documents must be as in the configs qa-rm-docs and qa-sm-docs of the same dataset"
_PREDICTIONS = 'a prediction file is {id: text} or {"answer": {id: text}}'


def document_of(text: str, document_id: str) -> Document:
    """Return a document from a text that starts with its title (`cut_title`)."""
    title, rest = cut_title(text)
    return Document(document_id, title, split_sentences(rest))


class _SynthWorldsRow(msgspec.Struct):
    instance_id: str
    query: str
    gold_answers: list[str]
    gold_docs: list[str]
    expected_output_is_time: bool
    question_graph_type: str | None = None
    gold_qids: list[str] | None = None


class _SharedDocument(msgspec.Struct):
    qid: str
    doc: str


_ROWS = msgspec.json.Decoder(_SynthWorldsRow)
_SHARED_DOCUMENTS = msgspec.json.Decoder(_SharedDocument)
_PREDICTED = msgspec.json.Decoder(dict[str, str | dict[str, str]])


class _SynthWorldsRecords(PassageRecords):
    def load(self, content: Content, limit: int | None) -> None:
        # Read the second file now, so that its errors do not first appear during a search.
        self._shared = tuple(_shared_documents(self.options.second_file))
        super().load(content, limit)

    def further_documents(self) -> Iterable[Document]:
        return self._shared

    def read_question(self, record: Record, number: int) -> AnnotatedQuestion:
        row = decode(record, _ROWS, _FIX)
        # The oracle answers with the first gold, so blank golds are moved to the end.
        answers = tuple(sorted(row.gold_answers, key=lambda answer: not answer.strip()))
        if not answers or not answers[0].strip():
            raise record.error(
                f"expected an answer among the 'gold_answers' of {row.instance_id!r}, "
                f"got {row.gold_answers}; {_FIX}"
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
        gold = PredictionEntry(answers[0])
        return AnnotatedQuestion(question, paragraphs, _facts(paragraphs), gold)


class SynthWorldsSource(BenchmarkSource[_SynthWorldsRecords]):
    """The questions of a SynthWorlds file; together, the gold documents are the only proof.

    For the arguments, see `BenchmarkSource`. ``variant`` is ``rm`` (real names) or ``sm`` (invented
    names). ``documents`` is the path of the documents of the same variant, which join the corpus
    ``split``; without it, that corpus has only the gold documents of all questions. ``hub=True``
    reads them too. SynthWorlds has no intermediate answers: ``hops`` is empty.

    The metrics are ``em`` and ``f1``, by which tasks are scored, and ``em_substring``, the looser
    rule of the authors' script. The steps of a question without gold documents, or with an empty
    one, are not judged, and it counts in ``unjudged``.
    """

    name = "synthworlds"
    script = "the public copy of SynthWorlds' eval_utils.py"
    dataset = SYNTHWORLDS
    records_type = _SynthWorldsRecords
    corpora = ("split", "record")
    variant_argument = "variant"
    variants = ("rm", "sm")
    second_file_argument = "documents"
    second_file_config = "qa-{}-docs"
    notes = "The answer is a short phrase from the pages, such as a name or a date."
    answer_notes = "The answer is a short phrase, such as a name or a date."

    def metrics_of(self, index: int, entry: PredictionEntry) -> dict[str, float]:
        """Return the official metrics; a missing answer scores 0."""
        score = NO_SCORE
        if entry.answer is not None:
            question = self._records.questions[index]
            is_time = question.metadata["expected_output_is_time"]
            score = answer_score(entry.answer, question.answers, is_time)
        return {name: getattr(score, name) for name in SynthWorldsScore.__slots__}


def _shared_documents(content: Content | None) -> Iterable[Document]:
    if content is None:
        return
    rows = split_records(content)
    if not rows:
        raise Record(content.path, b"").error(f"expected documents, got none; {_DOCUMENTS}")
    for record in rows:
        row = decode(record, _SHARED_DOCUMENTS, _DOCUMENTS)
        yield document_of(row.doc, row.qid)


def _facts(paragraphs: tuple[Document, ...]) -> tuple[GoldFact, ...]:
    """Return each different paragraph as a fact; an empty one is not shown anywhere."""
    facts = []
    for page in paragraphs:
        content = (page.title, page.sentences)
        equal = (p.id for p in paragraphs if (p.title, p.sentences) == content)
        positions = tuple((int(position), None) for position in equal) if page.sentences else ()
        facts.append(GoldFact(page.title, None, " ".join(page.sentences), positions))
    return tuple(dict.fromkeys(facts))
