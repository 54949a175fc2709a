"""PhantomWiki's own output: its articles and questions, judged by its facts.

In: the folder that ``pw-generate --article-format json --question-format json`` of
github.com/kilian-group/phantom-wiki writes (Gong et al. 2025, arXiv 2502.20377). Out: tasks over
all articles. Each question's Prolog query is read into the query algebra and evaluated over
``facts.pl``, which gives hops and proofs.
"""

import hashlib
import os
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import ClassVar
from weakref import WeakValueDictionary

import msgspec

from hopgym.benchmarks.file_source import FileSource, Records, checked_limit, checked_path
from hopgym.benchmarks.phantomwiki.articles import WRITE, load_articles
from hopgym.benchmarks.phantomwiki.facts import PhantomFacts
from hopgym.benchmarks.phantomwiki.prolog import read_facts, read_query
from hopgym.benchmarks.records import Content, Record, decode, read_content, split_records
from hopgym.documents import Corpus, PageList
from hopgym.errors import DataError
from hopgym.oracle import count_steps, plans_by_cost
from hopgym.scoring import AnswerKind
from hopgym.tasks import Question, Task
from hopgym.tools import Toolbox, ToolSettings
from hopgym.verdicts import Knowledge
from hopgym.worlds.evaluator import Evaluator
from hopgym.worlds.queries import Attribute, Count, Follow, Query

_FILES = ("articles.json", "questions.json", "facts.pl")
_MEND = "records must be as pw-generate --question-format json writes them"
_SPARE_STEPS = 4
_PLANS_PLAYED, _LONGEST_PLAYED = 20, 100
_GUESSES_FROM, _MOST_GUESSED = 2_000, 10
_ANSWER_NOTES = "Give all answers, each once."
_NOTES = "Pages list the relations of their subject in full{}. Give all answers, each once."
_TOGETHER = ", and couples have their children together"


class _Prolog(msgspec.Struct):
    query: list[str]
    answer: str


class _Row(msgspec.Struct):
    id: str
    question: str
    answer: list[str]
    prolog: _Prolog
    type: int | None = None
    difficulty: int | None = None


_ROWS = msgspec.json.Decoder(_Row)


class _Universe(Records):
    """The checked questions of a folder with the universe that they are asked over."""

    def __init__(self, contents: Sequence[Content], limit: int | None, digest: str) -> None:
        articles, questions, facts = contents
        documents = load_articles(articles)
        self.facts = PhantomFacts(read_facts(facts), documents)
        self.evaluator = Evaluator(self.facts)
        self._corpus = Corpus(PageList(documents), "universe")
        super().__init__(questions, limit)
        self.digest = digest

    def load(self, content: Content, limit: int | None) -> None:
        records = split_records(content, limit)
        if not records:
            raise Record(content.path, b"").error(f"expected questions, got none; {_MEND}")
        self._rows: list[_Row] = []
        self.queries: list[Query] = []
        """The queries in file order."""
        planned: list[int] = []
        differing = 0
        for record in records:
            row = decode(record, _ROWS, _MEND)
            self.add(record, row.id, row.question)
            query, task = self._check(record, row)
            self._rows.append(row)
            self.queries.append(query)
            differing += not task.question.hops
            self.unjudged += not task.question.proofs
            planned.append(_plan_length(task))
        if 2 * differing > len(records):
            raise DataError(
                f"{content.path}: expected the answers that facts.pl gives, got others for "
                f"{differing} of {len(records)} questions; take the files of one run"
            )
        self.longest = self._most_steps(planned)

    def _most_steps(self, planned: Sequence[int]) -> int:
        """Return the oracle's largest number of steps, playing the longest plans only."""
        most, left = 1, sorted(range(len(planned)), key=lambda i: -planned[i])
        for played, index in enumerate(left):
            # One search may show several people at once, so that a plan is at most too long.
            if planned[index] <= most:
                break
            if played >= _PLANS_PLAYED or planned[index] > _LONGEST_PLAYED:
                return planned[index]
            task = self.task(index)
            most = max(most, count_steps(task, Toolbox(task.corpus, ToolSettings())))
        return most

    def build(self, index: int) -> Task:
        return self._task(self._rows[index], self.queries[index])

    def _check(self, record: Record, row: _Row) -> tuple[Query, Task]:
        _check_answers(record, row)
        attributes, relations = self.facts.attributes, self.facts.relations
        try:
            query = read_query(row.prolog.query, row.prolog.answer, relations, attributes)
            return query, self._task(row, query)
        except (DataError, RecursionError) as error:
            problem = error if isinstance(error, DataError) else "expected a shorter query"
            raise record.error(f"{problem}; the query is {row.prolog.query!r}") from error

    def _task(self, row: _Row, query: Query) -> Task:
        found = self.evaluator.find(query)
        right = set(found.values) == set(row.answer)
        # Where no page shows a fact, or the facts give another answer, steps are not judged.
        shown = right and all(fact.shown_by for proof in found.proofs for fact in proof)
        question = Question(
            id=row.id,
            text=row.question,
            answers=tuple(dict.fromkeys(row.answer)),
            answer_kind=_answer_kind(query, row.answer),
            hops=found.hops if right else (),
            kind=_kind(query, self.facts),
            proofs=found.proofs if shown else (),
            source=PhantomWikiSource.name,
            metadata={"difficulty": row.difficulty, "type": row.type, "query": str(query)},
        )
        return Task(question, self._corpus)


class PhantomWikiSource(FileSource[_Universe]):
    """The questions of a folder that PhantomWiki wrote, asked over all its articles.

    Answers are the file's own. A question's steps are not judged, and it counts in ``unjudged``,
    where an article does not state what ``facts.pl`` says, or where the facts give another
    answer. ``max_steps`` is the oracle's largest number of steps and 4 more.

    Args:
        path: The folder with ``articles.json``, ``questions.json`` and ``facts.pl``.
        limit: The most questions to take, from the first, at least 1; None takes all.

    Raises:
        ArgumentError: When an argument is of the wrong type or out of range.
        DataError: When a file is missing or cannot be used as it is, or the files are of
            different universes.
    """

    name = "phantomwiki"
    evidence_source = "exact"
    partial_credit = False
    answer_notes = _ANSWER_NOTES
    records_type: ClassVar[type[Records]] = _Universe

    def __init__(self, path: str | os.PathLike[str], limit: int | None = None) -> None:
        self.path = checked_path("path", path)
        self.limit = checked_limit(limit)
        self._arguments = {"path": os.path.abspath(self.path), "limit": limit}
        self._records = _shared(self.path, limit)
        self.max_steps = self._records.longest + _SPARE_STEPS
        self.notes = _NOTES.format(_TOGETHER if self.facts.couples_share_children else "")
        self._guesses: dict[tuple[str, str], list[str]] = {}

    @property
    def facts(self) -> PhantomFacts:
        """The universe."""
        return self._records.facts

    @property
    def evaluator(self) -> Evaluator:
        """What evaluates queries over the universe."""
        return self._records.evaluator

    def guess(self, task: Task) -> str:
        """Return the best answer to be had without reading.

        It knows the question's last relation or attribute and which values the universe has:
        the most frequent ones, up to 10 of a set and one number.
        """
        kind, name = _last(self._records.queries[self.index_of(task.question.id)])
        if (kind, name) not in self._guesses:
            counted = Counter(self._led_to(kind, name))
            # Counter keeps the order of first occurrence among equals.
            self._guesses[kind, name] = [value for value, _ in counted.most_common()]
        wanted = _MOST_GUESSED if task.question.answer_kind == "set" else 1
        return "; ".join(self._guesses[kind, name][:wanted]) or "unknown"

    def _led_to(self, kind: str, name: str) -> Iterable[str]:
        people, follow = self.facts.people[:_GUESSES_FROM], self.evaluator.follow
        if kind == "Count":
            return (str(len(follow(name, person))) for person in people)
        if kind == "Attribute":
            values = (self.facts.attribute(name, person) for person in people)
            return (value for value in values if value is not None)
        if kind == "Follow":
            return (self.facts.name(v) for person in people for v in follow(name, person))
        return map(self.facts.name, people)


# Sources in use share their universe; the latest stays for the next one.
_in_use: WeakValueDictionary[tuple[str, int | None], _Universe] = WeakValueDictionary()
_latest: deque[_Universe] = deque(maxlen=1)


def _shared(folder: str, limit: int | None) -> _Universe:
    """Return the universe of a folder; one of the same content is read once."""
    paths = [os.path.join(folder, name) for name in _FILES]
    missing = [name for name, path in zip(_FILES, paths, strict=True) if not os.path.exists(path)]
    if missing:
        got = f"one without {', '.join(missing)}" if os.path.isdir(folder) else "no folder"
        raise DataError(
            f"{folder!r}: expected a folder with {', '.join(_FILES)}, got {got}; {WRITE}"
        )
    contents = [read_content(path) for path in paths]
    digest = hashlib.sha256("".join(c.digest for c in contents).encode()).hexdigest()
    universe = _in_use.get((digest, limit)) or _Universe(contents, limit, digest)
    _in_use[digest, limit] = universe
    _latest.append(universe)
    return universe


def _check_answers(record: Record, row: _Row) -> None:
    if not row.answer or not all(answer.strip() for answer in row.answer):
        raise record.error(f"expected at least one answer and none empty, got {row.answer}")
    divided = next((a for a in row.answer if ";" in a or "\n" in a), None)
    if divided is not None and len(row.answer) > 1:
        raise record.error(f"expected answers without ; or line breaks, got {divided!r}; rename it")


def _answer_kind(query: Query, answers: Sequence[str]) -> AnswerKind:
    if len(set(answers)) > 1:
        return "set"
    if isinstance(query, Count):
        return "number"
    # A set would be taken apart at these.
    return "text" if ";" in answers[0] or "\n" in answers[0] else "set"


def _kind(query: Query, facts: PhantomFacts) -> str:
    if isinstance(query, Count):
        return "count"
    if isinstance(query, Attribute):
        return "attribute"
    return "attribute" if _last(query)[1] in facts.attributes else "chain"


def _last(query: Query) -> tuple[str, str]:
    match query:
        case Count(name, _) | Attribute(name, _) | Follow(name, _):
            return type(query).__name__, name
    return type(query).__name__, ""


def _plan_length(task: Task) -> int:
    """Return the steps that the oracle plans, the answer among them."""
    plans = plans_by_cost(Knowledge(task))
    return len(plans[0]) + 1 if plans else 1
