"""Answers against gold: the normaliser, and the score of each answer kind."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopgym.scoring import (
    ANSWER_KINDS,
    Score,
    exact_match,
    f1_of,
    normalize_answer,
    parse_number,
    score_answer,
    split_answers,
    token_f1,
)

repeatable = settings(derandomize=True, deadline=None, max_examples=60)

TWO = ("Ada Brook", "Ivo Jay")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Farrow!", "farrow"),
        ("a baker, the baker", "baker baker"),
        ("The The", ""),
        ("The Theatre", "theatre"),
        ("A-ha", "aha"),
        ("U.S.A.", "usa"),
        ("an\tapple\n", "apple"),
        ("Ada’s", "ada’s"),
        ("ÉCOLE", "école"),
        ("1,234", "1234"),
        ("", ""),
    ],
)
def test_the_normaliser(text: str, normal: str) -> None:
    assert normalize_answer(text) == normal


@repeatable
@given(st.text(), st.text())
def test_exact_match_and_f1_agree(one: str, two: str) -> None:
    assert exact_match(one, one) == 1.0
    assert exact_match(one, two) == exact_match(two, one)
    assert token_f1(one, two) == token_f1(two, one)
    if exact_match(one, two) and normalize_answer(one):
        assert token_f1(one, two) == 1.0


@pytest.mark.parametrize(
    ("prediction", "golds", "em", "f1"),
    [
        ("baker", ["baker"], 1.0, 1.0),
        ("The Baker.", ["baker"], 1.0, 1.0),
        ("the baker man", ["baker"], 0.0, 2 / 3),  # precision 1/2, recall 1
        ("Brook", ["Ada Brook"], 0.0, 2 / 3),  # precision 1, recall 1/2
        ("baker baker", ["baker"], 0.0, 2 / 3),  # a repeated token counts once
        ("smith", ["baker"], 0.0, 0.0),
        ("", ["baker"], 0.0, 0.0),
        ("the Farrow", ["Farrow", "the river Farrow"], 1.0, 1.0),  # the best alias
        ("river", ["Farrow", "the river Farrow"], 0.0, 2 / 3),
        ("The The", ["The The"], 1.0, 1.0),
        ("the", ["The The"], 1.0, 1.0),
        ("Who", ["The The"], 0.0, 0.0),
        ("Ada Brook; Ivo Jay", ["Ada Brook"], 0.0, 2 * 0.5 / 1.5),  # a text is one whole string
    ],
)
def test_text(prediction: str, golds: list[str], em: float, f1: float) -> None:
    assert score_answer(prediction, golds, "text") == Score(em, pytest.approx(f1))
    assert score_answer(prediction, golds, "text", partial=False) == Score(em, em)


@pytest.mark.parametrize(
    ("prediction", "golds", "em", "f1"),
    [
        ("Ada Brook; Ivo Jay", TWO, 1.0, 1.0),
        ("Ivo Jay ;ada brook", TWO, 1.0, 1.0),
        ("Ada Brook\nIvo Jay\n", TWO, 1.0, 1.0),
        ("Ada Brook, Ivo Jay", TWO, 1.0, 1.0),
        ("Ada Brook;; Ivo Jay;", TWO, 1.0, 1.0),
        ("Ada Brook; Ada Brook; Ivo Jay", TWO, 1.0, 1.0),  # duplicates are dropped
        ("Ada Brook", TWO, 0.0, 2 / 3),  # precision 1, recall 1/2
        ("Ada Brook; Ivo Jay; Gil Hart", TWO, 0.0, 0.8),  # precision 2/3, recall 1
        ("Ada Brook; Gil Hart", TWO, 0.0, 0.5),
        ("Ada Jay; Ivo Brook", TWO, 0.0, 0.0),  # no credit for a shared surname
        ("Ada Brook and Ivo Jay", TWO, 0.0, 0.0),
        ("", TWO, 0.0, 0.0),
        (" ; \n", TWO, 0.0, 0.0),
        ("Bath, Ohio; Rome", ("Bath, Ohio", "Rome"), 1.0, 1.0),
        ("Bath, Ohio\nRome", ("Bath, Ohio", "Rome"), 1.0, 1.0),
        ("Bath, Ohio, Rome", ("Bath, Ohio", "Rome"), 0.0, 0.0),  # commas do not split here
        ("The The; Ada Brook", ("The The", "Ada Brook"), 1.0, 1.0),
        ("1,234", ("1", "234"), 1.0, 1.0),
        ("Ada Brook", ("Ada Brook",), 1.0, 1.0),
    ],
)
def test_sets(prediction: str, golds: tuple[str, ...], em: float, f1: float) -> None:
    assert score_answer(prediction, golds, "set") == Score(em, pytest.approx(f1))
    assert score_answer(prediction, golds, "set", partial=False) == Score(em, pytest.approx(f1))


@pytest.mark.parametrize(
    ("prediction", "gold", "em"),
    [
        ("1410", "1410", 1.0),
        (" 1410. ", "1410", 1.0),
        ("1,410", "1410", 1.0),
        ("1410.0", "1410", 1.0),
        ("$1,410.00", "1410", 1.0),
        ("-3", "-3", 1.0),
        ("+3", "3", 1.0),
        ("0.50", ".5", 1.0),
        ("3", "-3", 0.0),
        ("14 10", "1410", 0.0),
        ("1410 or 1411", "1410", 0.0),  # a number is one whole string
        ("in 1410", "1410", 0.0),
        ("14", "1410", 0.0),
        ("1410.5", "1410", 0.0),
        ("", "0", 0.0),
        ("-", "0", 0.0),
        ("three", "three", 1.0),
    ],
)
def test_numbers(prediction: str, gold: str, em: float) -> None:
    assert score_answer(prediction, [gold], "number") == Score(em, em)


@pytest.mark.parametrize(
    ("prediction", "gold", "em"),
    [("yes", "yes", 1.0), ("Yes.", "yes", 1.0), ("no", "yes", 0.0), ("yes and no", "yes", 0.0)],
)
def test_yes_and_no(prediction: str, gold: str, em: float) -> None:
    assert score_answer(prediction, [gold], "yesno") == Score(em, em)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,234", 1234.0),
        ("-3", -3.0),
        ("2.50", 2.5),
        ("$5", 5.0),
        ("1,23", None),
        ("1.2.3", None),
        ("", None),
        ("-", None),
        (".", None),
        ("twelve", None),
        ("12 people", None),
    ],
)
def test_parsing_numbers(text: str, number: float | None) -> None:
    assert parse_number(text) == number


def test_splitting_keeps_order_and_duplicates() -> None:
    assert split_answers("b; a\n b ,;", ["x"]) == ["b", "a", "b"]
    assert split_answers("b, a; c", ["x, y"]) == ["b, a", "c"]


def test_f1_of_counts() -> None:
    assert f1_of(0, 0, 0) == 0.0
    assert f1_of(2, 3, 2) == pytest.approx(0.8)  # 2 * (2/3) * 1 / (5/3)


@repeatable
@given(
    st.text(max_size=30),
    st.lists(st.text(max_size=30), max_size=3),
    st.sampled_from(ANSWER_KINDS),
    st.booleans(),
)
def test_scores_are_floats_in_range(text: str, golds: list[str], kind, partial: bool) -> None:
    score = score_answer(text, golds, kind, partial=partial)
    assert type(score.em) is float and type(score.f1) is float
    assert score.em in (0.0, 1.0) and 0.0 <= score.f1 <= 1.0


@repeatable
@given(st.lists(st.text("abc xyz", min_size=1, max_size=8), min_size=1, max_size=4))
def test_gold_written_as_the_oracle_writes_it_is_right(golds: list[str]) -> None:
    assert score_answer(golds[-1], golds, "text").em == 1.0
    if all(map(normalize_answer, golds)):
        assert score_answer("; ".join(golds), golds, "set") == Score(1.0, 1.0)
