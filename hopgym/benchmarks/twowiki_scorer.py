"""2WikiMultihopQA's official scorer, and the file of aliases that it takes.

In: a predicted answer, supporting facts or evidence triples with their gold. Out: metrics, as
``2wikimultihop_evaluate_v1.1.py`` of github.com/Alab-NII/2wikimultihop reckons them. Without
aliases they are those of ``2wikimultihop_evaluate.py``, but for gold triples that repeat.
"""

import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from hopgym.benchmarks.files import Content, decode, split_lines
from hopgym.benchmarks.hotpotqa import answer_metrics
from hopgym.benchmarks.official import Metrics
from hopgym.scoring import f1_of

Triple = tuple[str, str, str]
"""Subject, relation, object."""
Ids = tuple[str | None, str, str | None]
"""The same, its ends as Wikidata ids; None or no id where an end has none, such as a date."""

_ALIASES = 'a file of aliases has lines {"Q_id": id, "aliases": [text], "demonyms": [text]}'
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class GoldTriple:
    """An evidence triple with all the names that its ends go by, normalised."""

    subjects: frozenset[str]
    relation: str
    objects: frozenset[str]

    def matches(self, triple: Triple) -> bool:
        """Return whether a normalised triple says the same."""
        subject, relation, object_ = triple
        return relation == self.relation and subject in self.subjects and object_ in self.objects


class _AliasLine(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1)] = msgspec.field(name="Q_id")
    aliases: list[str]
    demonyms: list[str]


_LINES = msgspec.json.Decoder(_AliasLine)


def read_aliases(content: Content) -> dict[str, tuple[str, ...]]:
    """Return the aliases and demonyms of ``id_aliases.json`` by Wikidata id.

    A later line of the same id replaces an earlier one, as in the official script.

    Raises:
        DataError: When a line is not of that file.
    """
    lines = (decode(record, _LINES, _ALIASES) for record in split_lines(content))
    return {line.id: (*line.aliases, *line.demonyms) for line in lines}


def normalize_name(text: str) -> str:
    """Return text lower-cased, without ASCII punctuation and extra white space; articles stay."""
    return " ".join(text.lower().translate(_PUNCTUATION).split())


def gold_triples(
    triples: Sequence[Triple], ids: Sequence[Ids], aliases: Mapping[str, Sequence[str]]
) -> list[GoldTriple]:
    """Return gold triples with all their names.

    Args:
        triples: As annotated.
        ids: As many, or none where none are known; then no aliases count.
        aliases: Further names by id.
    """
    ends = [(subject or "", object_ or "") for subject, _, object_ in ids]
    return [
        GoldTriple(
            frozenset(map(normalize_name, (subject, *aliases.get(first, ())))),
            normalize_name(relation),
            frozenset(map(normalize_name, (object_, *aliases.get(last, ())))),
        )
        for (subject, relation, object_), (first, last) in zip(
            triples, ends or [("", "")] * len(triples), strict=True
        )
    ]


def best_answer_metrics(prediction: str, golds: Sequence[str]) -> Metrics:
    """Return the best of each metric over the answer and its aliases (``update_answer``).

    Precision and recall may come from different golds, and HotpotQA's rule for yes and no holds
    for each gold alone.
    """
    each = [answer_metrics(prediction, gold) for gold in golds]
    best = (max(getattr(one, name) for one in each) for name in Metrics.__slots__)
    return Metrics(*best)


def fact_metrics(
    predicted: Collection[tuple[str, int]], gold: Collection[tuple[str, int]]
) -> Metrics:
    """Return the metrics of supporting facts (``update_sp``).

    Titles are lower-cased after equal facts were merged, so that facts that differ in case alone
    count one by one.
    """
    given = [(title.lower(), index) for title, index in set(predicted)]
    due = [(title.lower(), index) for title, index in set(gold)]
    known, named = set(due), set(given)
    same = sum(fact in known for fact in given)
    missed = sum(fact not in named for fact in due)
    if not same:
        return Metrics(float(not given and not due), 0.0, 0.0, 0.0)
    found = same + missed
    em = float(same == len(given) and not missed)
    return Metrics(em, f1_of(same, len(given), found), same / len(given), same / found)


def triple_metrics(predicted: Collection[Triple], gold: Sequence[GoldTriple]) -> Metrics:
    """Return the metrics of evidence triples (``update_evi``).

    Every predicted triple that a gold one goes by counts as a match, so that with two names of
    one gold triple recall and F1 can exceed 1. Equal gold triples are not merged.
    """
    given = {(normalize_name(s), normalize_name(r), normalize_name(o)) for s, r, o in predicted}
    same = sum(any(each.matches(triple) for each in gold) for triple in given)
    em = float(same == len(given) == len(gold))
    if not same:
        return Metrics(em, 0.0, 0.0, 0.0)
    return Metrics(em, f1_of(same, len(given), len(gold)), same / len(given), same / len(gold))
