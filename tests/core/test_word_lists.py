"""Checks on the word lists: sizes, shape of the entries, and tokens that never clash."""

import re
import unicodedata

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.filterwarnings("error")

WORDS = ROOT / "hopgym" / "data" / "words"
TOKEN = re.compile(r"\w+(?:[-'’]\w+)*")
NAMES = {"first_female": 1000, "first_male": 1000, "last": 1500, "region": 60, "river": 400}
SINGLE = {**NAMES, "trade": 120}
PAIRS = {"town": (400, 250), "employer": (320, 200), "job": (60, 40), "hobby": (60, 40)}
ENDS = ("start", "end")
SIZES = SINGLE | {f"{n}_{e}": p[i] for n, p in PAIRS.items() for i, e in enumerate(ENDS)}
TEXT = """a an the who what which how many much is are was were be been has have had do does did
of in on at by for to from with and or both same old older young younger oldest youngest larger
largest smaller smallest more most fewer fewest person people man men woman women male female
mother father parent son daughter child children husband wife wives spouse friend brother sister
sibling town home employer employee founder founded company companies region river year born
birth date job hobby hobbies work worked live lived trade traded base based name named count
counted number whose where that his her he she they them their it i you we us me my your our
married marry marries page unknown yes no not answer question search searches lookup calculate
january february march april may june july august september october november december zero one
two three four five six seven eight nine ten eleven twelve twenty thirty hundred thousand
million first second third last about above after before below between into near off out over
past since than through under until up upon without grandmother grandfather grandparent grandson
granddaughter grandchild grandchildren cousin niece nephew uncle aunt twin widow widower"""
TEMPLATE = {word + plural for word in TEXT.split() for plural in ("", "s")}


def norm(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def bare(text: str) -> str:
    return re.sub(r"[\W_]", "", norm(text))


def read(name: str) -> list[str]:
    text = (WORDS / f"{name}.txt").read_bytes().decode("utf-8")
    assert text.endswith("\n") and "\r" not in text and "\ufeff" not in text, name
    return text[:-1].split("\n")


def pairs(name: str) -> list[str]:
    joint = "-" if name in ("job", "hobby") else ""
    return [start + joint + end for start in read(f"{name}_start") for end in read(f"{name}_end")]


def test_version_and_files() -> None:
    assert (WORDS / "VERSION").read_text(encoding="utf-8").strip() == "1"
    assert {path.stem for path in WORDS.glob("*.txt")} == set(SIZES)


@pytest.mark.parametrize("name", sorted(SIZES))
def test_list_shape(name: str) -> None:
    words = read(name)
    assert len(words) >= SIZES[name] and len(set(map(bare, words))) == len(words)
    for word in words:
        assert unicodedata.normalize("NFC", word) == word and TOKEN.fullmatch(norm(word)), word
        assert word[0].isupper() == (name in {*NAMES, "town_start", "employer_start"}), word
        assert not TEMPLATE & {norm(word), bare(word), *re.findall(r"\w+", norm(word))}, word


def test_tokens_are_disjoint() -> None:
    tokens = [norm(w) for n in SINGLE for w in read(n)] + [norm(w) for n in PAIRS for w in pairs(n)]
    stripped = set(map(bare, tokens))
    assert len(set(tokens)) == len(stripped) == len(tokens)
    assert not TEMPLATE & (stripped | set(tokens)) and all(map(TOKEN.fullmatch, tokens))


def test_name_space() -> None:
    female, male, last = (len(set(read(n))) for n in ("first_female", "first_male", "last"))
    assert min(female, male) * last >= 500_000 and (female + male) * last >= 1_000_000
