"""What PhantomWiki's files may hold: Prolog as it is written, and everything that is refused."""

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks.phantomwiki import PhantomWikiSource
from hopgym.benchmarks.phantomwiki.prolog import PrologFact, read_facts, read_query
from hopgym.benchmarks.records import Content
from hopgym.errors import ArgumentError, DataError

FACTS = """
:- dynamic parent/2.

parent("Ivy Neil", "Cy Neil").
parent("Ivy Neil", "Joan Poe").
gender("Cy Neil", "male").
gender("Ivy Neil", "female").
gender("Joan Poe", "female").
job("Cy Neil", "baker").
"""
ARTICLES = [
    {"title": "Ivy Neil", "article": "# Ivy Neil\nThe mother of Ivy Neil is Joan Poe.\n"},
    {
        "title": "Cy Neil",
        "article": "The occupation of Cy Neil is baker.\nThe wife of Cy Neil is Joan Poe.",
    },
    {"title": "Joan Poe", "article": "# Joan Poe\nThe husband of Joan Poe is Cy Neil.\n"},
]


def question(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"q{number}",
        "question": "Who is the wife of Cy Neil?",
        "answer": ["Joan Poe"],
        "prolog": {"query": ['wife("Cy Neil", A)'], "answer": "A"},
    } | changes


QUESTIONS = [question(i) for i in range(4)]

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(facts: str = FACTS, articles: Any = ARTICLES, questions: Any = QUESTIONS) -> Path:
        (tmp_path / "facts.pl").write_text(facts, encoding="utf-8")
        (tmp_path / "articles.json").write_text(json.dumps(articles))
        (tmp_path / "questions.json").write_text(json.dumps(questions))
        return tmp_path

    return write


def test_facts_in_prolog() -> None:
    text = r'''
        a("x\x41\\u00e9\n\"", "it\'s"). /* b("c", "d"). */ % e("f", "g").
        h("say ""hi""", 'it\'s'). i(j, 42).
        k(X, "l") :- m(X). n("o"). p("q", r("s")).
    '''
    content = Content("facts.pl", text.encode(), "")
    assert list(read_facts(content)) == [
        PrologFact("a", 'xAé\n"', "it's"),
        PrologFact("h", 'say "hi"', "it's"),
        PrologFact("i", "j", "42"),
    ]  # fmt: skip


def test_goals_in_any_order() -> None:
    goals = ["friend(Y_4, Y_2)", 'job(Y_8, "a, b(c)")', "son(Y_8,Y_4)"]
    read = read_query(goals, "Y_2", {"friend", "son"}, {"job"})
    assert str(read) == "Follow('friend', Follow('son', Having('job', 'a, b(c)')))"


@pytest.mark.parametrize(
    ("line", "got"),
    [
        ('parent("Cy Neil" "Ann").', 'line 2: .*got \'parent\\("Cy Neil" "Ann"\\)'),
        ('parent("Cy Neil, "Ann").\nparent("Di", "Bo").', "line 2"),
        ("friend_(X, Y).", "line 2"),
        ('gender("Cy Neil").', "line 2"),
        ('job("Cy Neil", "bak', "line 2.*cut off"),
        ('job("Cy Neil", "baker")', "line 2"),
    ],
)
def test_facts_that_cannot_be_read(write: Write, line: str, got: str) -> None:
    path = write('type("Cy Neil", person).\n' + line)
    with pytest.raises(DataError, match=f"(?s)facts.pl, {got}"):
        PhantomWikiSource(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prolog": {"query": ['wife("Bob Poe", A)'], "answer": "A"}}, "'Bob Poe' .did you mean"),
        ({"prolog": {"query": ['wive("Cy Neil", A)'], "answer": "A"}}, "did you mean 'wife'"),
        ({"prolog": {"query": ['wife("Cy Neil", A'], "answer": "A"}}, "expected a goal such as"),
        ({"prolog": {"query": ['wife("Cy Neil", A)'], "answer": "B"}}, "a goal that gives B"),
        ({"prolog": {"query": ["wife(A, B)", "wife(B, A)"], "answer": "A"}}, "gives A, got none"),
        ({"prolog": {"query": [], "answer": "A"}}, "gives A"),
        (
            {"prolog": {"query": ['wife("Cy Neil", A)', 'job(B, "x")'], "answer": "A"}},
            "one chain",
        ),
        ({"prolog": None}, "Expected `object`"),
        ({"answer": []}, "at least one answer"),
        ({"answer": ["a;b", "c"]}, "without ;"),
        ({"id": "q1"}, "its own id"),
        ({"question": " "}, "the text of question"),
    ],
)
def test_questions_that_cannot_be_used(write: Write, change: dict[str, Any], says: str) -> None:
    questions = [*QUESTIONS, question(4, **change)]
    with pytest.raises(DataError, match=f"(?s)questions.json, record 4: .*{says}"):
        PhantomWikiSource(write(questions=questions))


@pytest.mark.parametrize("name", ["articles.json", "questions.json", "facts.pl"])
def test_broken_folders(write: Write, name: str) -> None:
    path = write()
    file = path / name
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole[: len(whole) // 2], encoding="utf-8")
    with pytest.raises(DataError, match=f"{name}.*cut off"):
        PhantomWikiSource(path)
    file.write_text("[]" if name.endswith("json") else "% nothing")
    with pytest.raises(DataError):
        PhantomWikiSource(path)
    file.unlink()
    with pytest.raises(DataError, match=f"without {name}; write the folder with pw-generate"):
        PhantomWikiSource(path)
    with pytest.raises(DataError, match="got no folder"):
        PhantomWikiSource(path / "questions.json")


def test_files_of_different_universes(write: Write) -> None:
    others = [question(0), *(question(i, answer=["Somebody Else"]) for i in range(1, 4))]
    with pytest.raises(DataError, match="3 of 4 questions; take the files of one run"):
        PhantomWikiSource(write(questions=others))


def test_articles_without_a_title(write: Write) -> None:
    with pytest.raises(DataError, match=r"articles\.json, record 3: expected the title"):
        PhantomWikiSource(write(articles=[*ARTICLES, {"title": " ", "article": ""}]))


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "3"])
def test_wrong_arguments(write: Write, limit: Any) -> None:
    with pytest.raises(ArgumentError, match="limit must be"):
        PhantomWikiSource(write(), limit)
    with pytest.raises(ArgumentError, match="path must be"):
        PhantomWikiSource(b"", 1)  # type: ignore[arg-type]


def chain(length: int) -> dict[str, Any]:
    """The wife of the husband of the wife of ... of the baker, given from the end."""
    relations = ("wife", "husband")
    goals = [f"{relations[i % 2]}(Y{i + 1}, Y{i})" for i in range(length)]
    return {"query": [*goals, f'job(Y{length}, "baker")'], "answer": "Y0"}


def test_chains_too_long_to_follow_are_refused(write: Write) -> None:
    source = PhantomWikiSource(write(questions=[question(0, prolog=chain(81))]))
    assert (source.unjudged, len(source[0].question.hops)) == (0, 82)
    assert source.guess(source[0]) == "Joan Poe"
    with pytest.raises(DataError, match="record 0: expected a shorter query"):
        PhantomWikiSource(write(questions=[question(0, prolog=chain(2_000))]))


def test_copies_pickles_and_fingerprints(write: Write) -> None:
    source = PhantomWikiSource(write())
    prints = {source.fingerprint}
    assert copy.deepcopy(source) is source
    pickled = pickle.dumps(source)
    assert len(pickled) < 1_000
    twin = pickle.loads(pickled)
    assert twin.fingerprint == source.fingerprint and twin[3].question == source[3].question
    assert twin[3].corpus is source[3].corpus
    prints.add(PhantomWikiSource(source.path, 3).fingerprint)
    prints.add(PhantomWikiSource(write(FACTS + "% more\n")).fingerprint)
    prints.add(
        PhantomWikiSource(write(articles=[*ARTICLES, {"title": "Zoe", "article": ""}])).fingerprint
    )
    assert len(prints) == 4
    with pytest.raises(DataError, match="put the file back"):
        pickle.loads(pickled)
