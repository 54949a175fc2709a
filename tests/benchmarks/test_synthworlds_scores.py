"""The scorer of SynthWorlds: its normaliser, its dates, exact match, F1."""

import json
import time

import pytest

from hopgym.benchmarks import synthworlds
from hopgym.benchmarks.synthworlds import answer_score, date_of, normalize_synthworlds
from tests.support.paths import SHARED as SHARED_FOLDER

SHARED = SHARED_FOLDER / "benchmarks"
REFERENCE = SHARED / "reference" / "reference_synthworlds_behaviour.dev.json"

needs_files = pytest.mark.skipif(
    not SHARED.is_dir(), reason="real records: ../shared/benchmarks is not beside this checkout"
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (r"\boxed{Paris}", "boxed paris"),
        (r"\boxed{Rio}", "boxedrio"),
        (r"\boxed{\text{Paris}}", "boxed textparis"),
        (r"\mathrm{\text{Paris}}", "mathrm textparis"),
        (r"\textbf{Paris}", "text bfparis"),
        (r"\text{textbook}", "texttextbook"),
        (r"\text{mathrm mathbf}", "text mathrm mathbf"),
        ("textbooks", "text books"),
        ("contextually boxedboxed", "contextually boxedboxed"),
        (r"\boxed{the cat}", "boxedthe cat"),
        ("Is the answer is", "answer"),
        ("A well-known, U.S. “the”\xa0isle", "wellknown us “ ” isle"),
        (" \n", ""),
    ],
)
def test_normalisation(text: str, normal: str) -> None:
    assert normalize_synthworlds(text) == normal


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("28 July 1896", "July 28, 1896"),
        ("July 28th, 1896", "July 28, 1896"),
        ("1896-07-28", "July 28, 1896"),
        ("28/07/1896", "July 28, 1896"),
        ("07/28/1896", "July 28, 1896"),
        ("04/05/1896", "April 5, 1896"),
        ("20240101", "January 1, 2024"),
        ("1896-07-28T10:00:00Z", "July 28, 1896"),
        ("1896-07-28T10:00:00", "July 28, 1896"),
        ("1896-07-28T10:00:00+02:00", None),
        ("28 July 1896 10:30 XYZ", "July 28, 1896"),
        ("28 July 1896 10:30 UTC", None),
        ("July 1896", "July, 1896"),
        ("1896-07", "July, 1896"),
        ("1896-00-00", "December 0, 1896"),
        ("1896.", "1896"),
        ("  1896\n", "1896"),
        ("1896 (year)", "1896"),
        ("1200 BCE", "1200"),
        ("44 BCE", "44 BCE"),
        ("1000", "1000 CE"),
        ("1001", "1001"),
        ("July 4, 850", "850 CE"),
        ("AD 850", "850 CE"),
        ("0850-13", "850 CE"),
        ("-44 CE", "-44 CE"),
        ("99999 CE", "99999"),
        ("July", "July, None"),
        ("5", "None"),
        ("31", "None"),
        ("Monday July 1896", "July, 1896"),
        ("29 February 1896", "February 29, 1896"),
        ("29 February", None),
        ("1896-13", None),
        ("1896-13-01", None),
        ("10:30", None),
        ("Monday", None),
        ("44 BC", None),
        ("850 bce", None),
        ("March 15, 44 BCE", None),
        ("1" * 5000 + " CE", None),
        ("c. 1896", None),
        ("in 1896", None),
        ("1890s", None),
        ("31 February 1896", None),
        ("", None),
    ],
)
def test_dates(text: str, date: str | None) -> None:
    assert date_of(text) == date


def test_dates_do_not_depend_on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(0))
    monkeypatch.setattr(time, "tzname", ("XYZ", "XYZ"))
    synthworlds._date_parser.cache_clear()
    assert [date_of(f"July 4, '{year}") for year in ("75", "76", "99", "00")] == [
        *("July 4, 2075", "July 4, 1976", "July 4, 1999", "July 4, 2000")
    ]
    assert date_of("28 July 1896 10:30 XYZ") == "July 28, 1896"


@pytest.mark.parametrize(
    ("prediction", "golds", "is_time", "scores"),
    [
        ("28 July 1896", ["July 28, 1896"], True, (1, 1, 1)),
        ("28 July 1896", ["July 28, 1896"], False, (0, 1, 0)),
        ("1896-07-28", ["July 28, 1896"], True, (1, 1, 1)),
        ("1896-07-28", ["July 28, 1896"], False, (0, 0, 0)),
        ("July 1896", ["28 July 1896"], True, (0, 0.8, 1)),
        ("1896", ["28 July 1896"], True, (0, 0.5, 1)),
        ("5", ["7"], True, (1, 1, 1)),
        ("1896-13", ["1896"], True, (0, 0, 0)),
        ("1896", ["1896-13", "the 1896"], True, (1, 1, 1)),
        ("", ["Elmstead"], False, (0, 0, 1)),
        ("", [""], False, (1, 1, 1)),
        ("Elm", ["Vale", "Elmstead"], False, (0, 0, 1)),
        ("Elmstead Vale", ["Vale", "Elmstead"], False, (0, 2 / 3, 0)),
        ("yes, it is", ["yes"], False, (0, 2 / 3, 0)),
        (r"\boxed{Paris}", ["Paris"], False, (0, 2 / 3, 0)),
        ("The answer is: Paris", ["Paris"], False, (0, 2 / 3, 0)),
    ],
)
def test_scores(
    prediction: str, golds: list[str], is_time: bool, scores: tuple[float, float, float]
) -> None:
    found = answer_score(prediction, golds, is_time)
    assert (found.em, found.f1, found.em_substring) == pytest.approx(scores, abs=1e-12)


@needs_files
def test_scores_are_those_of_the_public_copy() -> None:
    rows = json.loads(REFERENCE.read_text())["records"]
    checked = 0
    for row in rows:
        for key, expected in row["score"].items():
            predictor, _, is_time = key.partition("|time=")
            found = answer_score(row["pred"][predictor], row["gold"], is_time == "True")
            assert (found.em, found.f1, found.em_substring) == pytest.approx(
                (expected["em"], expected["f1"], expected["em_upstream_substring_rule"]), abs=1e-12
            ), (key, row["gold"])
            checked += 1
        gold = answer_score(row["gold"][0], row["gold"], row["is_time"])
        assert (gold.em, gold.f1, gold.em_substring) == (1.0, 1.0, 1.0)
    assert (len(rows), checked) == (60, 810)
