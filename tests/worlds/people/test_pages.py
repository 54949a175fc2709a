"""Pages of the people world, read again: what they state is the world, and evidence is stated."""

import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from itertools import groupby

import pytest

from hopgym.documents import Document
from hopgym.tasks import Evidence
from hopgym.worlds.people.name_pools import load_name_pool
from hopgym.worlds.people.pages import with_article
from hopgym.worlds.people.settings import KINDS, QuestionSettings, WorldSettings
from hopgym.worlds.people.source import PeopleSource
from hopgym.worlds.people.universe import Universe

Fact = tuple[str, str]  # a relation or attribute, and its value in words

ORDER = {
    "p": "gender birth_date job hobby home_town employer mother father husband wife son daughter"
    " friend company",
    "t": "region founding_year river resident",
    "e": "town trade founder employee",
}
PLACES = {"home_town": "t", "town": "t", "employer": "e", "company": "e"}
LITERALS = {"gender": r"(?:fe)?male", "birth_date": r"\d{4}-\d\d-\d\d", "founding_year": r"\d{4}"}
LITERALS |= dict.fromkeys(("job", "hobby", "trade", "region", "river"), r"[^\W\d]+(?:-[^\W\d]+)?")
INVERSES = {"resident", "employee", "company"}
EVERYTHING = set(" ".join(ORDER.values()).split())
PRONOUNS = {"She": "female", "Her": "female", "He": "male", "His": "male"}
SHOULD_BE_AN = re.compile(r"[aeio]|u(?!ni[^nm]|se|su|ti)|hour|honest|honou?r|heir")
SHOULD_BE_A = re.compile(r"eu|ew|one|once")

ALL: dict[str, object] = {"relations": "all", "size": 60}
WORLDS: dict[str, tuple[dict[str, object], set[str]]] = {
    "prose": ({}, EVERYTHING - INVERSES),
    "brief": ({"page_style": "brief"}, EVERYTHING - INVERSES),
    "prose all": (ALL | {"distractors": 20}, EVERYTHING),
    "brief all": (ALL | {"page_style": "brief", "name_pool": "small"}, EVERYTHING),
    "few": ({"relations": ("grandmother", "job")}, {"mother", "father", "job"}),
    "fewer": (
        {"relations": ("sister", "resident", "birth_date"), "page_style": "brief"},
        {"mother", "father", "daughter", "resident", "birth_date"},
    ),
}
"""Name to the arguments of a world and what its pages state."""


@dataclass(frozen=True)
class Read:
    """A sentence as the reader understands it."""

    fact: Fact
    phrasing: int
    opening: str


def truth(universe: Universe, pool: str) -> dict[str, list[Fact]]:
    """Return the facts of each title, from the lists of the population alone."""
    people, words = universe.people, load_name_pool(pool)
    facts: dict[str, list[Fact]] = {}
    for i, name in enumerate(people.names):
        female = people.female[i]
        facts[name] = [
            ("gender", "female" if female else "male"),
            ("birth_date", str(date.fromordinal(people.birth[i]))),
            ("job", words.jobs[people.job[i]]),
            ("hobby", words.hobbies[people.hobby[i]]),
            *(("friend", people.names[f]) for f in people.friends[i]),
        ]
        spouse = "husband" if female else "wife"
        kin = {"mother": people.mother[i], "father": people.father[i], spouse: people.spouse[i]}
        facts[name] += [(relation, people.names[k]) for relation, k in kin.items() if k >= 0]
        for child, parents in enumerate(zip(people.mother, people.father, strict=True)):
            if i in parents:
                relation = "daughter" if people.female[child] else "son"
                facts[name].append((relation, people.names[child]))
    for i, name in enumerate(people.towns):
        facts[name] = [
            ("region", words.regions[people.region[i]]),
            ("founding_year", str(people.founding_year[i])),
            ("river", words.rivers[people.river[i]]),
        ]
    for i, name in enumerate(people.employers):
        trade, founder = words.trades[people.trade[i]], people.founder[i]
        facts[name] = [("town", people.towns[people.town[i]]), ("trade", trade)]
        if founder >= 0:
            facts[name].append(("founder", people.names[founder]))
            facts[people.names[founder]].append(("company", name))
    places = zip(people.names, people.home_town, people.employer, strict=True)
    for person, home, employer in places:
        if home >= 0:
            facts[person].append(("home_town", people.towns[home]))
            facts[people.towns[home]].append(("resident", person))
        if employer >= 0:
            facts[person].append(("employer", people.employers[employer]))
            facts[people.employers[employer]].append(("employee", person))
    return facts


@cache
def phrasings() -> dict[str, tuple[bool, tuple[str, ...]]]:
    """Return for each fact whether a pronoun may open it, and its templates."""
    text = files("hopgym").joinpath("data", "prose.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    return {f: (t == "pronoun", tuple(p)) for t, facts in tables.items() for f, p in facts.items()}


@cache
def patterns(kind: str) -> list[tuple[str, int, re.Pattern[str]]]:
    """Return (fact, phrasing, pattern) for a kind of page; \\1 stands for its subject."""
    found = []
    for name in ORDER[kind].split():
        pronoun, templates = phrasings()[name]
        for number, template in enumerate(templates):
            who, whose = "\x01", "\x01's"
            if pronoun:
                who, whose = "(?:\x01|^She|^He)", "(?:\x01's|^Her|^His)"
            value = f"(?P<v>{LITERALS.get(name, '.+')})"
            given = {"who": who, "whose": whose, "value": value, "a_value": f"an? {value}"}
            found.append((name, number, re.compile(template[:-1].format_map(given) + r"\.")))
    return found


class Reader:
    """Reads the sentences of one world's pages."""

    def __init__(self, source: PeopleSource, number: int) -> None:
        self.source, self.world = source, source.world(number)
        self.pages = {page.title: page for page in self.world.corpus}
        self.kinds = {title: page.id[0] for title, page in self.pages.items()}
        self.brief = source.world_settings.page_style == "brief"
        self.truth = truth(self.world.universe, source.world_settings.name_pool)
        self._read = {title: tuple(self._sentences(page)) for title, page in self.pages.items()}

    def read(self, title: str) -> tuple[Read, ...]:
        return self._read[title]

    def _sentences(self, page: Document) -> Iterator[Read]:
        subject = re.compile(rf"(?<![\w'-]){re.escape(page.title)}(?!-|'[^s]|\w)")
        for sentence in page.sentences:
            if self.brief:
                key, value = re.fullmatch(r"([a-z ]+): (.+)\.", sentence).groups()  # type: ignore[union-attr]
                assert value in self.kinds or re.fullmatch(LITERALS[key.replace(" ", "_")], value)
                yield Read((key.replace(" ", "_"), value), 0, "")
                continue
            masked = subject.sub("\x01", sentence)
            meant = [
                Read((name, match["v"]), number, sentence.split()[0])
                for name, number, pattern in patterns(page.id[0])
                if (match := pattern.fullmatch(masked)) and self._fits(name, match["v"])
            ]
            assert len({read.fact for read in meant}) == 1, (page.title, sentence, meant)
            yield meant[0]

    def _fits(self, name: str, value: str) -> bool:
        return name in LITERALS or self.kinds.get(value) == PLACES.get(name, "p")


@cache
def readers(name: str) -> tuple[Reader, ...]:
    arguments = WORLDS[name][0]
    questions = QuestionSettings(60, (1, 5), KINDS, max_oracle_steps=20)
    source = PeopleSource(WorldSettings(worlds=3, **arguments), questions)  # type: ignore[arg-type]
    return tuple(Reader(source, number) for number in range(3))


@pytest.mark.parametrize("name", WORLDS)
def test_pages_state_the_world_and_nothing_else(name: str) -> None:
    stated = WORLDS[name][1]
    for reader in readers(name):
        assert set(reader.pages) == set(reader.truth)
        for title, page in reader.pages.items():
            wanted = sorted(fact for fact in reader.truth[title] if fact[0] in stated)
            assert sorted(read.fact for read in reader.read(title)) == wanted, page
            assert len(page.sentences) == len(wanted) and title == page.title


@pytest.mark.parametrize("name", [name for name in WORLDS if readers(name)[0].brief])
def test_brief_pages_keep_one_order(name: str) -> None:
    for reader in readers(name):
        for title, page in reader.pages.items():
            keys = [key for key, _ in groupby(read.fact[0] for read in reader.read(title))]
            order = ORDER[page.id[0]].split()
            assert keys == [key for key in order if key in keys], page


def test_prose_varies_phrasings_and_order() -> None:
    used: dict[str, Counter[int]] = defaultdict(Counter)
    first: Counter[str] = Counter()
    pairs = (("birth_date", "job"), ("region", "river"), ("town", "trade"))
    for reader in (*readers("prose"), *readers("prose all")):
        for title in reader.pages:
            names = [read.fact[0] for read in reader.read(title)]
            first.update(a for a, b in pairs if a in names and names.index(a) < names.index(b))
            first.update(b for a, b in pairs if a in names and names.index(a) > names.index(b))
            for read in reader.read(title):
                used[read.fact[0]][read.phrasing] += 1
    for name in EVERYTHING:
        templates = phrasings()[name][1]
        assert len(set(templates)) >= 6
        # Of 60 fair draws among six, one stays out once in ten thousand times.
        if sum(used[name].values()) >= 60:
            assert set(used[name]) == set(range(len(templates))), (name, used[name])
    for a, b in pairs:
        assert 0.25 < first[a] / (first[a] + first[b]) < 0.75, first


@pytest.mark.parametrize("name", ["prose", "prose all"])
def test_pronouns_agree_and_are_unambiguous(name: str) -> None:
    seen = 0
    for reader in readers(name):
        people = [title for title, kind in reader.kinds.items() if kind == "p"]
        for title, page in reader.pages.items():
            for number, read in enumerate(reader.read(title)):
                if read.opening not in PRONOUNS:
                    continue
                seen += 1
                assert ("gender", PRONOUNS[read.opening]) in reader.truth[title], page
                assert number > 0 and page.id[0] == "p", page
                before = page.sentences[number - 1]
                assert not any(other in before for other in people if other != title), page
    assert seen > 100, "pronouns are hardly ever put to the test"


def test_articles_are_right() -> None:
    for pool in ("full", "small"):
        for noun in (*load_name_pool(pool).jobs, "aunt", "uncle", "employee", "son", "husband"):
            an = bool(SHOULD_BE_AN.match(noun)) and not SHOULD_BE_A.match(noun)
            assert with_article(noun) == f"{'an' if an else 'a'} {noun}"
    for name in ("prose", "prose all"):
        text = "\n".join(s for r in readers(name) for p in r.pages.values() for s in p.sentences)
        found = re.findall(r"\b([Aa]n?) ([a-z]\S*)", text)
        assert {article for article, _ in found} >= {"a", "an"}
        for article, noun in found:
            an = bool(SHOULD_BE_AN.match(noun)) and not SHOULD_BE_A.match(noun)
            assert article.lower() == ("an" if an else "a"), (article, noun)
        assert "  " not in text


PARTS = {"parent": "mother father", "child": "son daughter", "spouse": "husband wife"}
ON_THE_OTHER_PAGE = {
    **{"parent": "son daughter", "child": "mother father", "spouse": "husband wife"},
    **{"friend": "friend", "home_town": "resident", "resident": "home_town"},
    **{"employer": "employee", "employee": "employer", "founder": "company", "company": "founder"},
}
"""Relation to what the other entity's page says of it; no gender hangs on that sentence's own."""


def test_the_reader_knows_what_evidence_says() -> None:
    reader = readers("prose")[0]
    wrong = Evidence("mother of Nobody is Noone", ((reader.world.corpus[0].id, 0),))
    with pytest.raises(AssertionError):
        check(reader, wrong)


def check(reader: Reader, fact: Evidence) -> str:
    """Assert that all that is said to show a fact does; return which form the fact has."""
    corpus = reader.world.corpus
    whole = re.fullmatch(r"all of ([a-z ]+) of (.+)", fact.fact)
    one = re.fullmatch(r"([a-z ]+) of (.+) is (.+)", fact.fact)
    assert fact.shown_by and (whole or one), fact
    for document, index in fact.shown_by:
        title = corpus.title_of(document)
        if whole:
            relation, subject = whole[1].replace(" ", "_"), whole[2]
            assert index is None and relation in {*PARTS, *EVERYTHING}, fact
            names = PARTS.get(relation, relation).split()
            listed = {r.fact for r in reader.read(title) if r.fact[0] in names}
            assert listed == {f for f in reader.truth[subject] if f[0] in names}, fact
            couple = {f for f in reader.truth[subject] if f[0] in ("husband", "wife")}
            own = title == subject or relation in ("child", "son", "daughter")
            assert own and (title == subject or title in dict(map(reversed, couple))), fact
        elif one:
            relation, subject, value = one[1].replace(" ", "_"), one[2], one[3]
            assert index is not None, fact
            said = reader.read(title)[index].fact
            if title == subject:
                assert said[0] in PARTS.get(relation, relation).split() and said[1] == value, fact
            else:
                assert title == value and said[1] == subject, fact
                assert said[0] in ON_THE_OTHER_PAGE[relation].split(), fact
            assert fact.call in (None, ("search", value)), fact
    return "whole page" if whole else "sentence"


@pytest.mark.parametrize("name", WORLDS)
def test_evidence_is_stated_where_it_says(name: str) -> None:
    checked: Counter[str] = Counter()
    for number, reader in enumerate(readers(name)):
        for slot in range(60 if len(WORLDS[name][1]) > 5 else 12):
            for fact in {f for p in reader.source[60 * number + slot].question.proofs for f in p}:
                checked[check(reader, fact)] += 1
    assert min(checked["whole page"], checked["sentence"]) > 10, checked
