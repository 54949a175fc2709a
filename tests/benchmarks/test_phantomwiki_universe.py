"""PhantomWiki's output: a hand-made universe with everything that is unusual."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import pytest

import hopgym  # noqa: F401  (registers the id)
from hopgym.benchmarks.phantomwiki import PhantomWikiSource
from hopgym.env import HopEnv
from hopgym.env.episode import Episode
from hopgym.env.settings import EnvSettings
from hopgym.tasks import Task
from hopgym.tools import Toolbox, ToolSettings
from hopgym.worlds.queries import Query

ANN = 'Ann "Ace" O\'Neil'
BO = "Bo Vé, Jr"
MATHS = "scientist, research (maths)"

# Bo has children with Ann (Cy, Di) and with Gia (Hal); Cy has Ivy with Joan; Di and Cy are friends.
FACTS = r"""
uncle(X, Y) :-
    parent(X, A),   % a comment with a "quote
    brother(A, Y).

:- dynamic parent/2.

library_directory(Dir) :- '$x':y(Dir, "a. b"), Dir \= 0'".
prolog_file_type(pl, prolog).
attribute("go").
type("Ann \"Ace\" O'Neil", person).
parent("Cy Neil", "Ann \"Ace\" O'Neil").
parent("Cy Neil",
       "Bo V\xe9\, Jr").
parent("Di Neil", "Bo Vé, Jr"). parent("Di Neil", "Ann \"Ace\" O'Neil").
parent('Hal Neil', 'Bo Vé, Jr').
parent("Hal Neil", "Gia Ray").
parent("Ivy Neil", "Cy Neil").
parent("Ivy Neil", "Cy Neil").
parent("Ivy Neil", "Joan Poe").
gender("Ann \"Ace\" O'Neil", "female").
gender("Bo Vé, Jr", "male").
gender("Cy Neil", "male").
gender("Di Neil", "female").
gender("Hal Neil", "male").
gender("Gia Ray", "female").
gender("Ivy Neil", "female").
gender("Joan Poe", "female").
friend_("Di Neil", "Cy Neil").
job("Cy Neil", "scientist, research (maths)").
job("Hal Neil", "scientist, research (maths)").
job("Di Neil", "research (maths)").
hobby("Di Neil", "C:\\go").
shoe_size("Di Neil", "39").
"""

PAGES = {
    ANN: [
        f"The son of {ANN} is Cy Neil.",
        f"The daughter of {ANN} is Di Neil.",
        f"The husband of {ANN} is {BO}.",
    ],
    BO: [
        f"The sons of {BO} are Cy Neil, Hal Neil.",
        f"The daughter of {BO} is Di Neil.",
        f"The wives of {BO} are {ANN}, Gia Ray.",
    ],
    "Cy Neil": [
        "The sister of Cy Neil is Di Neil.",
        "The brother of Cy Neil is Hal Neil.",
        f"The mother of Cy Neil is {ANN}.",
        f"The father of Cy Neil is {BO}.",
        "The daughter of Cy Neil is Ivy Neil.",
        "The wife of Cy Neil is Joan Poe.",
        "The friend of Cy Neil is Di Neil.",
        f"The occupation of Cy Neil is {MATHS}.",
    ],
    "Di Neil": [
        "The brothers of Di Neil are Cy Neil, Hal Neil.",
        f"The mother of Di Neil is {ANN}.",
        f"The father of Di Neil is {BO}.",
        "The friend of Di Neil is Cy Neil.",
        "The occupation of Di Neil is research (maths).",
        "The hobby of Di Neil is C:\\go.",
        "The shoe size of Di Neil is 39.",
    ],
    "Hal Neil": [
        "The brother of Hal Neil is Cy Neil.",
        "The sister of Hal Neil is Di Neil.",
        "The mother of Hal Neil is Gia Ray.",
        f"The father of Hal Neil is {BO}.",
        f"The occupation of Hal Neil is {MATHS}, {MATHS}.",
    ],
    "Gia Ray": ["The son of Gia Ray is Hal Neil.", f"The husband of Gia Ray is {BO}."],
    "Ivy Neil": ["The mother of Ivy Neil is Joan Poe.", "The father of Ivy Neil is Cy Neil."],
    "Joan Poe": ["The husband of Joan Poe is Cy Neil.", "The daughter of Joan Poe is Ivy Neil."],
}

# Goals, the variable of the answer, the answers, and the steps of a perfect episode (0: unjudged).
ASKED: tuple[tuple[list[str], list[str], int], ...] = (
    (['wife("Bo Vé, Jr", A)'], [ANN, "Gia Ray"], 2),  # lookup, answer
    (['sibling("Hal Neil", A)'], ["Cy Neil", "Di Neil"], 2),
    (['sister("Hal Neil", A)'], ["Di Neil"], 2),
    ([r"""husband("Ann \"Ace\" O'Neil", A)"""], [BO], 2),
    (["hobby(Y, A)", 'sister("Cy Neil", Y)'], ["C:\\go"], 3),
    (['shoe_size("Di Neil", A)'], ["39"], 2),
    (['grandmother("Ivy Neil", A)'], [ANN], 4),  # her own page and her parents'
    (['mother_in_law("Joan Poe", A)'], [ANN], 3),
    (['uncle("Ivy Neil", A)'], ["Hal Neil"], 4),
    (['niece("Hal Neil", A)'], ["Ivy Neil"], 4),
    # Nobody's and each one's friends: Cy 1, Di 1, Hal 0; Bo's page and his children's.
    (
        ["aggregate_all(count, distinct(friend(Y, Z)), A)", 'child("Bo Vé, Jr", Y)'],
        ["0", "1"],
        5,
    ),
    (['aggregate_all(count,distinct(friend("Hal Neil",Z)),A)'], ["0"], 2),
    # Found by one search; both snippets show the sentence that states it.
    ([f'job(A, "{MATHS}")'], ["Cy Neil", "Hal Neil"], 2),
    (["mother(Y, A)", f'job(Y, "{MATHS}")'], [ANN, "Gia Ray"], 4),
)


def question(goals: list[str], answers: list[str], number: int = 0, **changes: Any) -> Any:
    return {
        "id": f"q{number}",
        "question": f"Who or what fits {number}: {'; '.join(goals)}?",
        "solution_traces": "[]",
        "answer": answers,
        "prolog": {"query": goals, "answer": "A"},
        "template": [],
        "type": number,
        "difficulty": len(goals),
        "is_aggregation_question": "aggregate" in goals[0],
    } | changes


QUESTIONS = [question(goals, answers, i) for i, (goals, answers, _) in enumerate(ASKED)]


def article(title: str, lines: list[str]) -> dict[str, Any]:
    text = f"# {title}\n\n## Family\n" + "\n".join(lines) + "\n\n## Attributes\n"
    return {"title": title, "article": text, "facts": []}


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(
        facts: str = FACTS, pages: dict[str, list[str]] = PAGES, questions: Any = QUESTIONS
    ) -> Path:
        articles = [article(title, lines) for title, lines in pages.items()]
        (tmp_path / "facts.pl").write_text(facts, encoding="utf-8")
        (tmp_path / "articles.json").write_text(json.dumps(articles))
        (tmp_path / "questions.json").write_text(json.dumps(questions))
        return tmp_path

    return write


def play(source: PhantomWikiSource, index: int) -> tuple[float, float, int]:
    """Exact match, sum of process rewards, and steps of the oracle's own episode."""
    task = source[index]
    settings = EnvSettings(max_steps=source.max_steps or 0)
    toolbox = Toolbox(task.corpus, ToolSettings())
    episode = Episode(source, index, task, settings, toolbox)
    rewards = 0.0
    while not episode.stop_reason:
        action = episode.oracle_call().action
        rewards += episode.take(f"<{action.tool}>{action.argument}</{action.tool}>").process_reward
    return episode.score.em, rewards, len(episode.steps)


def sentences(task: Task) -> list[str]:
    """What the one proof needs: the sentence, or the title of a whole page."""
    (proof,) = task.question.proofs
    shown = [fact.shown_by[0] for fact in proof]
    documents = [(task.corpus.document(document), index) for document, index in shown]
    return [d.title if index is None else d.sentences[index] for d, index in documents]


@pytest.mark.parametrize("number", range(len(ASKED)))
def test_hand_made_universe(write: Write, number: int) -> None:
    _, answers, steps = ASKED[number]
    source = PhantomWikiSource(write())
    assert source.unjudged == 0
    assert list(source[number].question.answers) == answers
    em, rewards, played = play(source, number)
    assert (em, rewards, played) == (1.0, pytest.approx(1.0), steps)


def test_kinds_and_metadata(write: Write) -> None:
    source = PhantomWikiSource(write())
    kinds = [(source[i].question.kind, source[i].question.answer_kind) for i in (0, 2, 4, 10, 11)]
    assert kinds == [
        ("chain", "set"), ("chain", "set"), ("attribute", "set"), ("count", "set"),
        ("count", "number"),
    ]  # fmt: skip
    metadata = source[4].question.metadata
    query = "Attribute('hobby', Follow('sister', Name('Cy Neil')))"
    assert metadata == {"difficulty": 2, "type": 4, "query": query}
    assert [hop.answers for hop in source[4].question.hops] == [("Di Neil",), ("C:\\go",)]


def test_proofs_point_at_the_lines_that_state_the_facts(write: Write) -> None:
    source = PhantomWikiSource(write())
    # One husband: his sentence. Two wives, or sisters however many: the whole page.
    assert sentences(source[3]) == [f"The husband of {ANN} is {BO}."]
    assert sentences(source[0]) == [BO]
    assert sentences(source[4]) == ["Cy Neil", "The hobby of Di Neil is C:\\go."]
    (proof,) = source[12].question.proofs
    assert {fact.call for fact in proof} == {("search", MATHS)}


def test_couples_who_share_all_children_vouch_for_each_other(write: Write) -> None:
    asked = [question(['child("Joan Poe", A)'], ["Ivy Neil"])]
    source = PhantomWikiSource(write(questions=asked))
    ((page,),) = source[0].question.proofs
    assert len(page.shown_by) == 1  # Bo has children with two: pages vouch for themselves alone
    assert "couples" not in source.notes
    faithful = FACTS.replace('parent("Hal Neil", "Gia Ray").', "").replace(
        "parent('Hal Neil', 'Bo Vé, Jr').", ""
    )
    source = PhantomWikiSource(write(faithful, questions=asked))
    ((page,),) = source[0].question.proofs
    assert len(page.shown_by) == 2
    assert "couples have their children together" in source.notes


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["The brother of Di Neil is Cy Neil."],
        ["The brothers of Di Neil are Cy Neil, Hal Neil, Bob Poe."],
        ["The brothers of Dina Neil are Cy Neil, Hal Neil."],
    ],
)
def test_what_an_article_does_not_state_is_not_judged(write: Write, lines: list[str]) -> None:
    asked = [question(['brother("Di Neil", A)'], ["Cy Neil", "Hal Neil"]), QUESTIONS[3]]
    source = PhantomWikiSource(write(pages=PAGES | {"Di Neil": lines}, questions=asked))
    assert (source.unjudged, source[0].question.proofs) == (1, ())
    assert source.score(source[0], "Hal Neil, Cy Neil").em == 1.0
    assert play(source, 0) == (1.0, 0.0, 1)
    assert play(source, 1)[1] == 1.0


def test_a_missing_article_and_other_answers_are_not_judged(write: Write) -> None:
    pages = {title: lines for title, lines in PAGES.items() if title != "Ivy Neil"}
    odd = question(['wife("Cy Neil", A)'], ["Gia Ray"], 99)
    source = PhantomWikiSource(write(pages=pages, questions=[*QUESTIONS, odd]))
    # The grandmother and the uncle of Ivy; her own page is not needed for her being a niece.
    assert source.unjudged == 3
    assert (source[14].question.answers, source[14].question.hops) == (("Gia Ray",), ())


def test_several_values_and_other_genders(write: Write) -> None:
    facts = FACTS.replace('gender("Di Neil", "female").', 'gender("Di Neil", "nonbinary").')
    facts += 'hobby("Di Neil", "chess").\n'
    asked = [
        question(['sibling("Hal Neil", A)'], ["Cy Neil", "Di Neil"], 0),
        question(['sister("Hal Neil", A)', ], ["Di Neil"], 1),
        question(['hobby("Di Neil", A)'], ["C:\\go", "chess"], 2),
        question(['sibling(Y, A)', 'hobby(Y, "chess")'], ["Cy Neil", "Hal Neil"], 3),
    ]  # fmt: skip
    pages = PAGES | {"Di Neil": [*PAGES["Di Neil"], "The hobby of Di Neil is chess."]}
    source = PhantomWikiSource(write(facts, pages, asked))
    found = [source.evaluator.evaluate(Query.parse(source[i].question.metadata["query"])).values
             for i in range(4)]  # fmt: skip
    assert [set(values) for values in found] == [
        {"Cy Neil", "Di Neil"}, set(), {"C:\\go", "chess"}, {"Cy Neil", "Hal Neil"},
    ]  # fmt: skip
    # No page has a word for Di as a sibling, and nobody is found by one hobby of several.
    assert [bool(source[i].question.proofs) for i in range(4)] == [False, False, True, False]
    assert source[2].question.kind == "attribute"


def test_environment_by_id(write: Write) -> None:
    env = gymnasium.make("hopgym/PhantomWiki-v0", path=str(write()), limit=4)
    unwrapped = env.unwrapped
    assert isinstance(unwrapped, HopEnv)
    longest = max(steps for _, _, steps in ASKED[:4])
    text, info = env.reset(options={"task_id": "q0"})
    assert info["steps_left"] == longest + 4
    assert "Pages list the relations of their subject in full." in text
    *_, info = env.step(f"<lookup>{BO}</lookup>")
    assert (info["verdict"], info["process_reward"]) == ("good", 1.0)
    _, reward, terminated, _, info = env.step(f"<answer>{ANN}; Gia Ray</answer>")
    assert (reward, terminated, info["verdict"]) == (1.0, True, "supported")
