"""The questions of the people world: what is asked, and how it is worded."""

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import pytest

import hopgym.worlds.queries as q
from hopgym.search import tokenize
from hopgym.tasks import Question
from hopgym.worlds.people.name_pools import load_name_pool
from hopgym.worlds.people.settings import KINDS
from hopgym.worlds.people.source import PeopleSource
from hopgym.worlds.people.world import PeopleWorld
from hopgym.worlds.queries import Query

FEW = ("mother", "son", "friend", "sister", "home_town", "job", "birth_date")
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "all": {"size": 100, "relations": "all", "hops": (1, 6), "max_oracle_steps": 20},
    "large": {"size": 1000, "hops": (1, 5), "max_answers": 5},
    "few": {"size": 60, "relations": FEW, "page_style": "brief"},
    "distractors": {"relations": "all", "distractors": 25, "max_answers": 4},
    "small": {"size": 50, "name_pool": "small", "hops": (2, 3), "page_style": "brief"},
    "heldout": {"size": 40, "names_split": "heldout", "split": "test", "world_seed": 7},
    "near": {"kinds": ("chain", "comparison", "yesno"), "hops": (1, 2)},
    "paired": {"relations": "all", "distractors": 25, "kinds": ("intersection", "comparison")},
}
ASKED = 250
every = pytest.mark.parametrize("name", SETTINGS)


@cache
def asked(name: str) -> tuple[tuple[PeopleWorld, tuple[Question, ...]], ...]:
    arguments = {"kinds": KINDS, "questions_per_world": ASKED} | SETTINGS[name]
    source = PeopleSource.from_arguments(worlds=2, **arguments)
    slots = range(ASKED)
    worlds = ((n, tuple(source[n * ASKED + slot].question for slot in slots)) for n in range(2))
    return tuple((source.world(number), questions) for number, questions in worlds)


def each(name: str) -> Iterator[tuple[PeopleWorld, Question, Query]]:
    for world, questions in asked(name):
        for question in questions:
            yield world, question, Query.parse(question.metadata["query"])


def ends(world: PeopleWorld, query: Query) -> tuple[int, ...]:
    return world.evaluator.evaluate(query).entities


def branches(query: Query) -> list[Query]:
    """Return the parts that are walked; the value that an intersection filters by is none."""
    by_value = isinstance(query, q.Intersect) and isinstance(query.right, q.Having)
    return [*query.parts[: 1 if by_value else None]]


def meaning(query: Query) -> tuple[object, ...]:
    """Return what tells questions apart: two things compared are so from either side."""
    if isinstance(query, q.Compare):
        return (query.by, query.op == "same", frozenset(query.parts))
    return (type(query), frozenset(query.parts)) if len(branches(query)) == 2 else (query,)


@every
def test_answers_hops_and_counts(name: str) -> None:
    (low, high), most = SETTINGS[name].get("hops", (1, 4)), SETTINGS[name].get("max_answers", 3)
    for world, question, query in each(name):
        found = world.evaluator.evaluate(query)
        assert low <= query.hops == len(question.hops) <= high, question
        assert question.hops == found.hops and 1 <= len(question.proofs) <= 8
        if question.kind == "unanswerable":
            assert found.values == () and question.answer_kind == "text"
            assert {"unknown", "no answer", "none"} <= {*question.answers}
            continue
        assert question.answers == found.values and 1 <= len(found.values) <= most
        assert len(found.values) == 1 or question.answer_kind == "set"
        if isinstance(query, q.Count):
            assert question.answers == (str(int(found.values[0])),)
            assert 0 <= int(found.values[0]) <= most


@every
def test_no_question_is_asked_twice(name: str) -> None:
    for _, questions in asked(name):
        assert len({question.id for question in questions}) == len(questions) == ASKED
        assert len({question.text for question in questions}) == ASKED
        queries = (Query.parse(question.metadata["query"]) for question in questions)
        twice = [m for m, count in Counter(map(meaning, queries)).items() if count > 1]
        assert not twice, twice[0]


@every
def test_no_question_lies_on_the_way_of_another(name: str) -> None:
    for _, questions in asked(name):
        queries = [Query.parse(question.metadata["query"]) for question in questions]
        whole = set(queries)
        for query in queries:
            on_the_way = whole.intersection(p for b in branches(query) for p in b.walk())
            assert not on_the_way, f"{on_the_way} on the way of {query}"


@every
def test_walks_start_among_the_people_asked_about_and_never_come_back(name: str) -> None:
    for world, _, query in each(name):
        apart = branches(query) if isinstance(query, q.Intersect | q.Member) else [query]
        for branch in apart:
            seen: set[int] = set()
            for part in branch.walk():
                if isinstance(part, q.Name | q.Having | q.Follow):
                    reached = {*ends(world, part)}
                    assert seen.isdisjoint(reached), f"{query} comes back to {reached & seen}"
                    seen |= reached
        members = {query.member} if isinstance(query, q.Member) else set()
        for part in {*query.walk()} - members:
            if isinstance(part, q.Name) and world.universe.kind(ends(world, part)[0]) == "person":
                assert ends(world, part)[0] < world.universe.size, f"{query} starts elsewhere"


@every
def test_no_ties_and_no_single_candidates(name: str) -> None:
    def births(people: Sequence[int]) -> list[int]:
        return sorted(world.universe.people.birth[person] for person in people)

    for world, question, query in each(name):
        match query:
            case q.Superlative(op, _, of):
                assert len(ends(world, of)) > 1, query
                first, second = births(ends(world, of))[:: 1 if op == "oldest" else -1][:2]
                assert first != second
            case q.Compare(op, by, left, right):
                two = (*ends(world, left), *ends(world, right))
                follow = world.evaluator.follow
                assert len(two) == len({*two}) == 2
                if op in ("larger", "smaller"):
                    assert len({len(follow(by, e)) for e in two}) == 2
                elif op != "same":
                    assert len({*births(two)}) == 2
            case q.Intersect(left, q.Having()):
                assert len(ends(world, left)) > len(question.answers)


@every
def test_one_page_alone_holds_the_tokens_of_an_entry(name: str) -> None:
    entries = 0
    holders: dict[PeopleWorld, dict[str, set[str]]] = {}
    for world, _ in asked(name):
        holders[world] = defaultdict(set)
        for page in world.corpus:
            for token in tokenize(" ".join((page.title, *page.sentences))):
                holders[world][token].add(page.id)
    for world, question, query in each(name):
        for branch in branches(query) or [query]:
            for part in (p for p in branch.walk() if isinstance(p, q.Having)):
                entries += 1
                (entity,) = ends(world, part)
                declared = {f.call for proof in question.proofs for f in proof} - {None}
                assert ("search", part.value) in declared
                for token in tokenize(part.value):
                    pages = holders[world][token]
                    assert pages == {world.universe.document_id(entity)}, (query, pages)
    assert entries >= (0 if name == "few" else 20), entries


def test_no_token_is_shared_between_classes_of_words() -> None:
    words = load_name_pool("full")
    compounds = (words.towns, words.employers, words.jobs, words.hobbies)
    classes = [*words.first, words.last, *compounds, words.regions, words.rivers, words.trades]
    tokens = [{token for word in names for token in tokenize(word)} for names in classes]
    texts = [tomllib.loads(files("hopgym").joinpath("data", "prose.toml").read_text("utf-8"))]
    prose = [t for table in texts[0].values() for facts in table.values() for t in facts]
    templates = {token for t in prose for token in tokenize(re.sub(r"\{\w+\}", " ", t))}
    for name in SETTINGS:
        for _, question, query in each(name):
            text = question.text
            for part in query.walk():
                value = part.name if isinstance(part, q.Name) else getattr(part, "value", "")
                text = text.replace(value, " ") if value else text
            templates.update(tokenize(text))
    assert len(templates) > 100
    assert len(set().union(*tokens, templates)) == sum(map(len, tokens)) + len(templates)
    # Hyphens join one token; 1,000,000 people and more can be named.
    assert all(len(tokenize(job)) == 1 for job in (*words.jobs, *words.hobbies, *words.trades))
    assert (len({*words.first[0]}) + len({*words.first[1]})) * len({*words.last}) >= 1_000_000


def plural(noun: str) -> str:
    stem, tail = re.fullmatch(r"(.+?)(-in-law| once removed|)", noun).groups()  # type: ignore[union-attr]
    for one, many in (("child", "children"), ("wife", "wives"), ("ny", "nies"), ("", "s")):
        if stem.endswith(one):
            return stem.removesuffix(one) + many + tail
    raise AssertionError(noun)


def phrases(query: Query) -> list[Query]:
    """Return what a question names by a phrase of its own, relation by relation."""
    match query:
        case q.Superlative(_, _, of) | q.Member(_, of) | q.Intersect(of, q.Having()):
            return [*of.parts, *query.parts[:-1]] if isinstance(query, q.Member) else [*of.parts]
        case q.Intersect(left, right):
            return [*left.parts, *right.parts]
        case q.Follow() | q.Having():
            return [query]
    return [*query.parts]


VERBS = r"(?:is|are|was|were|does|do)"


def noun_of(part: q.Follow) -> str:
    hyphened = part.relation.replace("great_", "great-").replace("_in_law", "-in-law")
    return hyphened.replace("_", " ")


@every
def test_grammar(name: str) -> None:
    for world, question, query in each(name):
        text = question.text
        assert re.fullmatch(r"[A-Z]\S*(?: \S+)+[?.]", text), text
        assert not re.search(r"\b(\w+) \1\b|\b[Aa] [aeiou]|\b[Aa]n [^aeiou]|[{}]", text), text
        for part in (p for phrase in phrases(query) for p in phrase.walk()):
            if isinstance(part, q.Follow):
                noun = noun_of(part)
                # Nobody may be asked for in either number.
                reached = len(ends(world, part))
                noun = (
                    plural(noun)
                    if reached > 1
                    else noun
                    if reached
                    else f"(?:{noun}|{plural(noun)})"
                )
                assert re.search(rf"(?:the|'s) {noun}(?![\w-]| once)", text), (text, noun)
        several = len(question.answers) > 1
        if question.kind == "unanswerable":
            assert isinstance(query, q.Follow)
            several = bool(re.search(rf"(?:the|'s) {plural(noun_of(query))}(?![\w-]| once)", text))
            assert several or not query.relation.endswith("parent")
        match query:
            case q.Follow() | q.Having():
                verb = re.search(r"^(?:Who|What|Which \w+) (is|are)\b|\b(is|are)\.$", text)
                assert not verb or ("are" in verb.groups()) == several, text
            case q.Attribute(_, of):
                verb = re.search(rf"^(?:What|When|(?:\w+ )?[Ww]hich \w+) ({VERBS})\b", text)
                many = len(ends(world, of)) > 1
                assert not verb or (verb[1] in ("are", "were", "do")) == many, text
            case q.Intersect(_, right):
                start = r"(?:Who|Which (?:person|people)|Name the (?:person|people) who)"
                verb = re.match(rf"{start} (is|are)\b", text)
                verbs = re.findall(r"\b(works?|has|have|enjoys?|was|were)\b", text)
                said = verbs[-1] if isinstance(right, q.Having) else verb and verb[1]
                assert not said or (said in ("are", "were", "have", "work", "enjoy")) == several


@every
def test_only_women_have_husbands_and_men_wives(name: str) -> None:
    for world, _, query in each(name):
        for part in query.walk():
            if isinstance(part, q.Follow) and part.relation in ("husband", "wife"):
                one, *others = ends(world, part.of)
                assert others or world.universe.is_female(one) == (part.relation == "husband")


def test_several_dates_years_and_rivers_are_asked_for_in_the_plural() -> None:
    for _, question, query in (*each("default"), *each("all"), *each("large")):
        if isinstance(query, q.Attribute) and len(question.answers) > 1:
            assert not re.search(r"[Ww]hich (?:date|year|river)\b", question.text), question.text


def test_what_has_no_answer_is_worded_like_what_has_one() -> None:
    worded: dict[str, Counter[str]] = defaultdict(Counter)
    source = PeopleSource.from_arguments(kinds=("chain", "unanswerable"), hops=(1, 2), worlds=120)
    for question in (source[i].question for i in range(6_000)):
        query = Query.parse(question.metadata["query"])
        if isinstance(query, q.Follow):
            opening = re.match(r"Name|Tell|Which|Who|What", question.text)
            assert opening, question
            noun = re.search(rf"\b{query.relation[:2]}\w*", question.text)
            assert noun, question
            worded[question.kind][f"{opening[0]} {noun[0]}"] += 1
    assert sum(worded["unanswerable"].values()) > 500
    for wording, times in worded["unanswerable"].items():
        assert worded["chain"][wording] > 0 or times < 10, f"{wording}: {times} times"
