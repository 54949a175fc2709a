"""The official scores of SynthWorlds: its normaliser, its dates, exact match and token F1.

In: an answer, its golds, whether a time is asked for. Out: numbers in [0, 1]. Followed is the
scorer of github.com/behavioral-data/synthworlds (Gu et al. 2025, arXiv 2510.24427) as its public
copy in github.com/DeanLight/dolores runs, which differs from it in exact match alone; both rules
are given. Neither cuts an answer out of a longer text here: what an agent answers is its answer.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Any

from hopgym.scoring import f1_of

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
