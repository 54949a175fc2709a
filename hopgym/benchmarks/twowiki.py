"""2WikiMultihopQA: questions of two to four hops over Wikipedia, with facts and evidence triples.

Reads ``{train,dev}.json`` of any release (a JSON list) or the rows of its copies on the Hub, and
optionally ``id_aliases.json`` (Ho et al. 2020, arXiv 2011.01060). The metrics are those of
``2wikimultihop_evaluate_v1.1.py`` in github.com/Alab-NII/2wikimultihop. Without aliases they equal
those of ``2wikimultihop_evaluate.py``, except for repeated gold triples.
"""

import os
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec

from hopgym.benchmarks.base import BenchmarkSource
from hopgym.benchmarks.catalogue import TWOWIKI
from hopgym.benchmarks.hotpotqa import answer_metrics, joint_metrics
from hopgym.benchmarks.passages import (
    AnnotatedQuestion,
    PassageRecords,
    answer_kind_of,
    sentence_facts,
)
from hopgym.benchmarks.predictions import (
    METRIC_NAMES,
    NO_METRICS,
    Metrics,
    PredictionEntry,
    SupportSource,
    read_support,
)
from hopgym.benchmarks.records import Content, Record, decode, split_lines
from hopgym.documents import Document
from hopgym.scoring import f1_of
from hopgym.tasks import Hop, Prediction, Question, read_predictions

Triple = tuple[str, str, str]
"""Subject, relation, object."""
Ids = tuple[str | None, str, str | None]
"""Wikidata id of the subject, relation, Wikidata id of the object; the id is None or not an id
for a subject or object without one, such as a date."""

_ALIASES = 'a file of aliases has lines {"Q_id": id, "aliases": [text], "demonyms": [text]}'
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class GoldTriple:
    """A gold evidence triple with all names of its subject and object, normalized."""

    subjects: frozenset[str]
    relation: str
    objects: frozenset[str]

    def matches(self, triple: Triple) -> bool:
        """Return whether a normalized triple is this one under any of its names."""
        subject, relation, object_ = triple
        return relation == self.relation and subject in self.subjects and object_ in self.objects


class _AliasLine(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1)] = msgspec.field(name="Q_id")
    aliases: list[str]
    demonyms: list[str]


_LINES = msgspec.json.Decoder(_AliasLine)


def read_aliases(content: Content) -> dict[str, tuple[str, ...]]:
    """Return the aliases and demonyms of ``id_aliases.json`` by Wikidata id.

    A later line with the same id replaces an earlier one, as in the official script.

    Raises:
        DataError: If a line has another layout.
    """
    lines = (decode(record, _LINES, _ALIASES) for record in split_lines(content))
    return {line.id: (*line.aliases, *line.demonyms) for line in lines}


def normalize_name(text: str) -> str:
    """Return text in lower case without ASCII punctuation and extra white space; articles stay."""
    return " ".join(text.lower().translate(_PUNCTUATION).split())


def gold_triples(
    triples: Sequence[Triple], ids: Sequence[Ids], aliases: Mapping[str, Sequence[str]]
) -> list[GoldTriple]:
    """Return gold triples with all their names.

    Args:
        triples: The annotated triples.
        ids: One per triple, or empty if they are unknown; then there are no aliases.
        aliases: Further names by id.
    """
    id_pairs = [(subject or "", object_ or "") for subject, _, object_ in ids]
    id_pairs = id_pairs or [("", "")] * len(triples)
    named_triples = []
    for (subject, relation, object_), id_pair in zip(triples, id_pairs, strict=True):
        subjects = (subject, *aliases.get(id_pair[0], ()))
        objects = (object_, *aliases.get(id_pair[1], ()))
        named_triples.append(
            GoldTriple(
                frozenset(map(normalize_name, subjects)),
                normalize_name(relation),
                frozenset(map(normalize_name, objects)),
            )
        )
    return named_triples


def best_answer_metrics(prediction: str, golds: Sequence[str]) -> Metrics:
    """Return the best of each metric over the answer and its aliases (``update_answer``).

    Precision and recall may come from different golds. HotpotQA's rule for yes and no applies to
    each gold separately.
    """
    candidates = [answer_metrics(prediction, gold) for gold in golds]
    best = (max(getattr(metrics, name) for metrics in candidates) for name in Metrics.__slots__)
    return Metrics(*best)


def fact_metrics(
    predicted: Collection[tuple[str, int]], gold: Collection[tuple[str, int]]
) -> Metrics:
    """Return the metrics of supporting facts (``update_sp``).

    Titles are lower-cased after equal facts were merged, so facts that differ only in case count
    separately.
    """
    predicted_facts = [(title.lower(), index) for title, index in set(predicted)]
    gold_facts = [(title.lower(), index) for title, index in set(gold)]
    predicted_set = set(predicted_facts)
    gold_set = set(gold_facts)
    same = sum(fact in gold_set for fact in predicted_facts)
    missed = sum(fact not in predicted_set for fact in gold_facts)
    if not same:
        return Metrics(float(not predicted_facts and not gold_facts), 0.0, 0.0, 0.0)
    em = float(same == len(predicted_facts) and not missed)
    f1 = f1_of(same, len(predicted_facts), same + missed)
    return Metrics(em, f1, same / len(predicted_facts), same / (same + missed))


def triple_metrics(predicted: Collection[Triple], gold: Sequence[GoldTriple]) -> Metrics:
    """Return the metrics of evidence triples (``update_evi``).

    Every predicted triple that is a gold triple under some name counts as a match, so recall and
    F1 can exceed 1 if two names of one gold triple are predicted. Equal gold triples are not
    merged.
    """
    normalized = {
        (normalize_name(s), normalize_name(r), normalize_name(o)) for s, r, o in predicted
    }
    count = len(normalized)
    same = sum(any(fact.matches(triple) for fact in gold) for triple in normalized)
    em = float(same == count == len(gold))
    if not same:
        return Metrics(em, 0.0, 0.0, 0.0)
    return Metrics(em, f1_of(same, count, len(gold)), same / count, same / len(gold))


T = TypeVar("T")

_FIX = "records must be as in dev.json of 2WikiMultihopQA or in its copies on the Hub"
_PREDICTIONS = (
    'a prediction file is {"answer": {id: text}, "sp": {id: [[title, sentence index]]}, '
    '"evidence": {id: [[subject, relation, object]]}}'
)
_TRIPLES = tuple(NO_METRICS.by_name("evi_"))
_NULL = msgspec.Raw(b"null")


class _FlexibleField(Generic[T]):
    """A field that is a list of rows in official files; copies have structs, columns or JSON text.

    Args:
        name: Name of the field.
        rows: Its type in official files, a list or None.
        columns: For each column, the names that copies use for it.
    """

    def __init__(self, name: str, rows: Any, *columns: tuple[str, ...]) -> None:
        self._name = name
        self._rows = rows
        self._columns = columns
        self._official: msgspec.json.Decoder[T] = msgspec.json.Decoder(rows)

    def read(self, record: Record, raw: msgspec.Raw | bytes) -> T:
        """Return the rows; `DataError` if the field has none of the layouts."""
        try:
            return self._official.decode(raw)
        except msgspec.MsgspecError:
            pass  # Another layout, or an error that is reported below.
        try:
            value = msgspec.json.decode(raw)
            # Some copies store the rows as JSON inside a string.
            if isinstance(value, str):
                return self.read(record, value.encode())
            rows: T = msgspec.convert(self._as_rows(value), self._rows)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise record.error(f"{self._name!r}: {error}; {_FIX}") from error
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
        names = [next((n for n in column if n in struct), "") for column in self._columns]
        if "" in names:
            expected = " or ".join(self._columns[names.index("")])
            raise msgspec.ValidationError(f"expected {expected}, got {', '.join(struct) or 'none'}")
        return [struct[name] for name in names]


SupportingFacts = list[tuple[str, int]] | None
_ENDS = (("fact", "subject"), ("relation",), ("entity", "object"))
_CONTEXT: _FlexibleField[list[tuple[str, list[str]]]] = _FlexibleField(
    "context", list[tuple[str, list[str]]], ("title",), ("sentences", "content")
)
_FACTS: _FlexibleField[SupportingFacts] = _FlexibleField(
    "supporting_facts", SupportingFacts, ("title",), ("sent_id",)
)
_EVIDENCES: _FlexibleField[list[Triple] | None] = _FlexibleField(
    "evidences", list[Triple] | None, *_ENDS
)
_EVIDENCES_ID: _FlexibleField[list[Ids] | None] = _FlexibleField(
    "evidences_id", list[Ids] | None, *_ENDS
)


class _TwoWikiRow(msgspec.Struct):
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


class _TwoWikiPredictions(msgspec.Struct):
    answer: dict[str, str]
    sp: dict[str, list[tuple[str, int]]] = {}
    evidence: dict[str, list[Triple]] = {}


_ROWS = msgspec.json.Decoder(_TwoWikiRow)
_PREDICTED = msgspec.json.Decoder(_TwoWikiPredictions)


class _TwoWikiRecords(PassageRecords):
    def load(self, content: Content, limit: int | None) -> None:
        aliases_file = self.options.second_file
        self.aliases = read_aliases(aliases_file) if aliases_file else {}
        super().load(content, limit)

    def read_question(self, record: Record, number: int) -> AnnotatedQuestion:
        row = decode(record, _ROWS, _FIX)
        if row.answer is None or not row.answer.strip():
            raise record.error(
                f"expected an answer to {row.id!r}, got none; the test questions are "
                "published without answers and cannot be scored: take the dev file"
            )
        context = _CONTEXT.read(record, row.context)
        pages = tuple(
            Document(str(i), title, tuple(page)) for i, (title, page) in enumerate(context)
        )
        facts = tuple(dict.fromkeys(_FACTS.read(record, row.supporting_facts) or ()))
        triples = _EVIDENCES.read(record, row.evidences)
        if triples is None:
            raise record.error(f"expected 'evidences' of {row.id!r}, got none; {_FIX}")
        ids = self._ids(record, row, triples)
        gold = PredictionEntry(row.answer, facts, tuple(triples))
        answer_id = row.answer_id or None
        names = self.aliases.get(answer_id or "", ())
        question = Question(
            id=row.id,
            text=row.question,
            answers=tuple(dict.fromkeys([row.answer, *names])),
            answer_kind=answer_kind_of((row.answer,)),
            hops=tuple(Hop(f"{r} of {subject}", (object_,)) for subject, r, object_ in triples),
            kind=row.type or "",
            source=TwoWikiSource.name,
            metadata={
                "answer_id": answer_id,
                "evidences_id": list(map(list, ids)),
                "entity_ids": row.entity_ids,
            },
            support=gold.support,
        )
        return AnnotatedQuestion(question, pages, sentence_facts(facts, pages), gold)

    def _ids(self, record: Record, row: _TwoWikiRow, triples: list[Triple]) -> list[Ids]:
        """Return the Wikidata ids of the triples, checked if aliases are looked up by them."""
        # Official files have null for an unknown answer id; a missing field becomes "".
        if self.options.second_file and row.evidences_id is _NULL and row.answer_id == "":
            raise record.error(
                "expected 'answer_id' and 'evidences_id', by which aliases are looked up, got "
                "neither; take a release with ids (data_ids_april7.zip), or give no aliases"
            )
        ids = _EVIDENCES_ID.read(record, row.evidences_id) or []
        relations = [relation for _, relation, _ in triples]
        # The official script pairs triples and ids by position.
        if self.options.second_file and ids and [relation for _, relation, _ in ids] != relations:
            raise record.error(
                "expected 'evidences_id' to have the relations of 'evidences', got others, at "
                "which the official script stops; fix the record, or give no aliases"
            )
        return ids

    def gold_triples(self, index: int) -> list[GoldTriple]:
        """Return the gold triples of a 0-based index, with all their names."""
        ids = self.questions[index].metadata["evidences_id"] if self.aliases else ()
        return gold_triples(self.gold[index].triples or (), ids, self.aliases)


class TwoWikiSource(BenchmarkSource[_TwoWikiRecords]):
    """The questions of a 2WikiMultihopQA file; together, the supporting facts are the only proof.

    Each evidence triple is a hop. If the facts are missing, or name a sentence that the corpus
    lacks, the steps of that question are not judged, and it counts in ``unjudged``. For the
    arguments, see `BenchmarkSource`. ``aliases`` is the path of ``id_aliases.json``; without it,
    aliases are wrong answers. Aliases need records with ids, which the first release and some
    copies on the Hub lack.
    """

    name = "twowiki"
    dataset = TWOWIKI
    records_type = _TwoWikiRecords
    second_file_argument = "aliases"
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
    support_metrics: ClassVar[Mapping[SupportSource, tuple[str, ...]]] = {
        "read": METRIC_NAMES["sp"],
        "named": (*METRIC_NAMES["sp"], *_TRIPLES, *METRIC_NAMES["joint"]),
    }

    @property
    def aliases_used(self) -> bool:
        """Whether aliases of answers and evidence count as right."""
        return self.read_options.second_file is not None

    @property
    def scoring(self) -> str:
        """The official script that the metrics follow, and the aliases used."""
        if self.read_options.second_file is None:
            return f"{self.script} without aliases"
        name = os.path.basename(self.read_options.second_file.path)
        return f"{self.script} with {name} ({len(self._records.aliases)} ids)"

    def official(
        self,
        predictions: Mapping[str, str | Prediction],
        gold: Collection[str] | None = None,
    ) -> dict[str, float]:
        """Return the official metrics, as in `BenchmarkSource.official`.

        The metrics of triples and the joint metrics are absent if no answer names a triple.
        """
        metrics = super().official(predictions, gold)
        attempts = read_predictions(predictions).values()
        if any(read_support(attempt.support).triples for attempt in attempts):
            return metrics
        return {n: value for n, value in metrics.items() if not n.startswith(("evi_", "joint_"))}

    def metrics_of(self, index: int, entry: PredictionEntry) -> dict[str, float]:
        """Return the official metrics; a missing part scores 0, and so do the joint metrics."""
        gold = self._records.gold[index]
        answer = facts = triples = joint = NO_METRICS
        if entry.answer is not None:
            answer = best_answer_metrics(entry.answer, self._records.questions[index].answers)
        if entry.facts is not None:
            facts = fact_metrics(entry.facts, gold.facts or ())
        if entry.triples is not None:
            triples = triple_metrics(entry.triples, self._records.gold_triples(index))
        if entry.answer is not None and entry.facts is not None and entry.triples is not None:
            joint = joint_metrics(answer, facts, triples)
        return (
            answer.by_name()
            | facts.by_name("sp_")
            | triples.by_name("evi_")
            | joint.by_name("joint_")
        )

    def read_entries(self, content: Content) -> dict[str, PredictionEntry]:
        """Read a file ``{"answer": {...}, "sp": {...}, "evidence": {...}}`` of entries by id."""
        file = decode(Record(content.path, content.data), _PREDICTED, _PREDICTIONS)
        facts = {task_id: tuple(pairs) for task_id, pairs in file.sp.items()}
        triples = {task_id: tuple(rows) for task_id, rows in file.evidence.items()}
        return {
            task_id: PredictionEntry(
                file.answer.get(task_id), facts.get(task_id), triples.get(task_id)
            )
            for task_id in dict.fromkeys([*file.answer, *facts, *triples])
        }

    def write_entries(self, entries: Mapping[str, PredictionEntry]) -> bytes:
        """Return the layout that `read_entries` reads."""
        answers = {i: entry.answer for i, entry in entries.items() if entry.answer is not None}
        facts = {i: entry.facts for i, entry in entries.items() if entry.facts is not None}
        triples = {i: entry.triples for i, entry in entries.items() if entry.triples is not None}
        return msgspec.json.encode({"answer": answers, "sp": facts, "evidence": triples})
