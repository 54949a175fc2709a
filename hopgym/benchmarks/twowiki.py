"""2WikiMultihopQA: questions of two to four hops over Wikipedia, with facts and evidence triples.

In: ``{train,dev}.json`` of any release (a JSON list), or the rows of its copies on the Hub, and if
wanted ``id_aliases.json``. Out: tasks, scored as ``2wikimultihop_evaluate_v1.1.py`` of
github.com/Alab-NII/2wikimultihop scores (Ho et al. 2020, arXiv 2011.01060).
"""

import os
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec

from hopgym.benchmarks.base import BenchmarkSource, GoldRecords
from hopgym.benchmarks.catalogue import TWOWIKI
from hopgym.benchmarks.hotpotqa import answer_metrics, joint_metrics
from hopgym.benchmarks.passages import Asked, PassageRecords, sentence_facts
from hopgym.benchmarks.predictions import (
    METRIC_NAMES,
    NO_METRICS,
    Entry,
    How,
    Metrics,
    read_support,
)
from hopgym.benchmarks.records import Content, Record, decode, split_lines
from hopgym.documents import Document
from hopgym.scoring import AnswerKind, f1_of, normalize_answer
from hopgym.tasks import Hop, Prediction, Question, read_predictions

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


T = TypeVar("T")

_MEND = "records must be as in dev.json of 2WikiMultihopQA or in its copies on the Hub"
_PREDICTIONS = (
    'a prediction file is {"answer": {id: text}, "sp": {id: [[title, sentence index]]}, '
    '"evidence": {id: [[subject, relation, object]]}}'
)
_TRIPLES = tuple(NO_METRICS.named("evi_"))
_NULL = msgspec.Raw(b"null")


class _Field(Generic[T]):
    """A field that official files hold as rows, and copies also as structs, columns or JSON text.

    Args:
        name: The field.
        rows: Its type in official files, a list or None.
        columns: By column, the names that copies give it.
    """

    def __init__(self, name: str, rows: Any, *columns: tuple[str, ...]) -> None:
        self._name, self._rows, self._columns = name, rows, columns
        self._official: msgspec.json.Decoder[T] = msgspec.json.Decoder(rows)

    def read(self, record: Record, raw: msgspec.Raw | bytes) -> T:
        """Return the rows; `DataError` for what is none of the layouts."""
        try:
            return self._official.decode(raw)
        except msgspec.MsgspecError:
            pass  # Another layout, or a fault that is named below.
        try:
            value = msgspec.json.decode(raw)
            if isinstance(value, str):
                return self.read(record, value.encode())
            rows: T = msgspec.convert(self._as_rows(value), self._rows)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise record.error(f"{self._name!r}: {error}; {_MEND}") from error
        return rows

    def _as_rows(self, value: Any) -> Any:
        if isinstance(value, dict):
            columns = msgspec.convert(self._values(value), list[list[Any]])
            if len(set(map(len, columns))) > 1:
                raise msgspec.ValidationError(f"expected lists of one length in {', '.join(value)}")
            return list(zip(*columns, strict=True))
        if isinstance(value, list):
            return [self._values(row) if isinstance(row, dict) else row for row in value]
        return value

    def _values(self, struct: dict[str, Any]) -> list[Any]:
        known = [next((name for name in names if name in struct), "") for names in self._columns]
        if "" in known:
            expected = " or ".join(self._columns[known.index("")])
            raise msgspec.ValidationError(f"expected {expected}, got {', '.join(struct) or 'none'}")
        return [struct[name] for name in known]


Facts = list[tuple[str, int]] | None
_ENDS = (("fact", "subject"), ("relation",), ("entity", "object"))
_CONTEXT: _Field[list[tuple[str, list[str]]]] = _Field(
    "context", list[tuple[str, list[str]]], ("title",), ("sentences", "content")
)
_FACTS: _Field[Facts] = _Field("supporting_facts", Facts, ("title",), ("sent_id",))
_EVIDENCES: _Field[list[Triple] | None] = _Field("evidences", list[Triple] | None, *_ENDS)
_EVIDENCES_ID: _Field[list[Ids] | None] = _Field("evidences_id", list[Ids] | None, *_ENDS)


class _Row(msgspec.Struct):
    question: str
    context: msgspec.Raw
    official_id: str = msgspec.field(name="_id", default="")
    hub_id: str = msgspec.field(name="id", default="")
    answer: str | None = None
    supporting_facts: msgspec.Raw = _NULL
    evidences: msgspec.Raw = _NULL
    evidences_id: msgspec.Raw = _NULL
    answer_id: str | None = ""
    entity_ids: str | None = None
    type: str | None = None

    @property
    def id(self) -> str:
        return self.official_id or self.hub_id


class _Predictions(msgspec.Struct):
    answer: dict[str, str]
    sp: dict[str, list[tuple[str, int]]] = {}
    evidence: dict[str, list[Triple]] = {}


_ROWS = msgspec.json.Decoder(_Row)
_PREDICTED = msgspec.json.Decoder(_Predictions)


class _TwoWikiRecords(PassageRecords):
    def load(self, content: Content, limit: int | None) -> None:
        further = self.options.further
        self.aliases = read_aliases(further) if further else {}
        super().load(content, limit)

    def asked_of(self, record: Record, number: int) -> Asked:
        row = decode(record, _ROWS, _MEND)
        if row.answer is None or not row.answer.strip():
            raise record.error(
                f"expected an answer to {row.id!r}, got none; the test questions are "
                "published without answers and cannot be scored: take the dev file"
            )
        context = _CONTEXT.read(record, row.context)
        pages = tuple(
            Document(str(i), title, tuple(each)) for i, (title, each) in enumerate(context)
        )
        facts = tuple(dict.fromkeys(_FACTS.read(record, row.supporting_facts) or ()))
        triples = _EVIDENCES.read(record, row.evidences)
        if triples is None:
            raise record.error(f"expected 'evidences' of {row.id!r}, got none; {_MEND}")
        ids = self._ids(record, row, triples)
        gold = Entry(row.answer, facts, tuple(triples))
        answer_id = row.answer_id or None
        names = self.aliases.get(answer_id or "", ())
        yes_or_no = normalize_answer(row.answer) in ("yes", "no")
        kind: AnswerKind = "yesno" if yes_or_no else "text"
        question = Question(
            id=row.id,
            text=row.question,
            answers=tuple(dict.fromkeys([row.answer, *names])),
            answer_kind=kind,
            hops=tuple(Hop(f"{how} of {subject}", (object_,)) for subject, how, object_ in triples),
            kind=row.type or "",
            source=TwoWikiSource.name,
            metadata={
                "answer_id": answer_id,
                "evidences_id": list(map(list, ids)),
                "entity_ids": row.entity_ids,
            },
            support=gold.support,
        )
        return Asked(question, pages, sentence_facts(facts, pages), gold)

    def _ids(self, record: Record, row: _Row, triples: list[Triple]) -> list[Ids]:
        """Return the Wikidata ids of the triples, checked where aliases are looked up by them."""
        # Where nothing is known of an answer's id, official files say null.
        if self.options.further and row.evidences_id is _NULL and row.answer_id == "":
            raise record.error(
                "expected 'answer_id' and 'evidences_id', by which aliases are looked up, got "
                "neither; take a release with ids (data_ids_april7.zip), or give no aliases"
            )
        ids = _EVIDENCES_ID.read(record, row.evidences_id) or []
        relations = [relation for _, relation, _ in triples]
        if self.options.further and ids and [relation for _, relation, _ in ids] != relations:
            raise record.error(
                "expected 'evidences_id' to have the relations of 'evidences', got others, at "
                "which the official script stops; mend the record, or give no aliases"
            )
        return ids

    def gold_triples(self, index: int) -> list[GoldTriple]:
        """Return the gold triples of a record with all their names."""
        ids = self.questions[index].metadata["evidences_id"] if self.aliases else ()
        return gold_triples(self.gold[index].triples or (), ids, self.aliases)


class TwoWikiSource(BenchmarkSource[_TwoWikiRecords]):
    """The questions of a 2WikiMultihopQA file; the supporting facts are the one proof.

    Each evidence triple is a hop. Where the facts are missing, or name a sentence that the corpus
    does not hold, the steps of that question are not judged, and it counts in ``unjudged``.
    Arguments: see `BenchmarkSource`; ``aliases`` is the path of ``id_aliases.json``, without which
    no aliases count as right. It needs records with ids: the first release and some copies on
    the Hub have none.
    """

    name = "twowiki"
    dataset = TWOWIKI
    records_type: ClassVar[type[GoldRecords]] = _TwoWikiRecords
    further_argument = "aliases"
    script = "2wikimultihop_evaluate_v1.1.py"
    notes = "The answer is a short phrase from the pages, or yes or no."
    answer_notes = "The answer is a short phrase, or yes or no."
    percent = True
    decimals = 2
    names_sentences = True
    support_asked = (
        "Name the sentences that prove the answer, each by page and number on it from 0, and the "
        "facts they state as subject > relation > object"
    )
    support_example = "title#0 | title#2 | subject > relation > object"
    support_metrics: ClassVar[Mapping[How, tuple[str, ...]]] = {
        "read": METRIC_NAMES["sp"],
        "named": (*METRIC_NAMES["sp"], *_TRIPLES, *METRIC_NAMES["joint"]),
    }

    @property
    def aliases_used(self) -> bool:
        """Whether aliases of answers and of evidence count as right."""
        return self.reading.further is not None

    @property
    def scoring(self) -> str:
        """The official script that is followed, and with which aliases."""
        if self.reading.further is None:
            return f"{self.script} without aliases"
        name = os.path.basename(self.reading.further.path)
        return f"{self.script} with {name} ({len(self._records.aliases)} ids)"

    def official(
        self,
        predictions: Mapping[str, str | Prediction],
        gold: Collection[str] | None = None,
    ) -> dict[str, float]:
        """Return the official metrics, as in `OfficialSource.official`.

        Those of triples, and the joint ones, are left out where no answer names a triple.
        """
        metrics = super().official(predictions, gold)
        given = read_predictions(predictions).values()
        if any(read_support(each.support).triples for each in given):
            return metrics
        return {i: value for i, value in metrics.items() if not i.startswith(("evi_", "joint_"))}

    def metrics_of(self, index: int, entry: Entry) -> dict[str, float]:
        """Return the official metrics; what the entry lacks earns nothing, nor jointly."""
        records, parts = self._records, [NO_METRICS] * 3
        gold, golds = records.gold[index], records.questions[index].answers
        if entry.answer is not None:
            parts[0] = best_answer_metrics(entry.answer, golds)
        if entry.facts is not None:
            parts[1] = fact_metrics(entry.facts, gold.facts or ())
        if entry.triples is not None:
            parts[2] = triple_metrics(entry.triples, records.gold_triples(index))
        answer, facts, triples = parts
        joint = NO_METRICS
        if entry.answer is not None and entry.facts is not None and entry.triples is not None:
            joint = joint_metrics(answer, facts, triples)
        return answer.named() | facts.named("sp_") | triples.named("evi_") | joint.named("joint_")

    def read_entries(self, content: Content) -> dict[str, Entry]:
        """Return the entries of ``{"answer": {...}, "sp": {...}, "evidence": {...}}``, by id."""
        given = decode(Record(content.path, content.data), _PREDICTED, _PREDICTIONS)
        facts = {task_id: tuple(each) for task_id, each in given.sp.items()}
        triples = {task_id: tuple(each) for task_id, each in given.evidence.items()}
        return {
            task_id: Entry(given.answer.get(task_id), facts.get(task_id), triples.get(task_id))
            for task_id in dict.fromkeys([*given.answer, *facts, *triples])
        }

    def write_entries(self, entries: Mapping[str, Entry]) -> bytes:
        """Return the layout that `read_entries` reads."""
        answers = {i: each.answer for i, each in entries.items() if each.answer is not None}
        facts = {i: each.facts for i, each in entries.items() if each.facts is not None}
        triples = {i: each.triples for i, each in entries.items() if each.triples is not None}
        return msgspec.json.encode({"answer": answers, "sp": facts, "evidence": triples})
