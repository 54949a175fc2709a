"""A user's own file: its documented format, every check with its line, whole episodes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hopgym.benchmarks import jsonl
from hopgym.benchmarks.jsonl import JsonlSource, split_sentences
from hopgym.env import HopEnv
from hopgym.errors import DataError

ADA = {"title": "Ada Brook", "text": "Ada Brook was born in 1950. Her mother is Cleo Dunn."}
CLEO = {"title": "Cleo Dunn", "sentences": ["Cleo Dunn works as a baker.", "She lives here."]}
PROOF = [{"shown_by": [["Ada Brook", 1]]}, {"shown_by": [["Cleo Dunn", 0]]}]
QUESTION: dict[str, Any] = {
    "id": "q1",
    "question": "What is the job of the mother of Ada Brook?",
    "answer": "baker",
    "evidence": PROOF,
}


def question(**changes: Any) -> dict[str, Any]:
    """The question with fields changed, and those set to None left out."""
    return {key: value for key, value in (QUESTION | changes).items() if value is not None}


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def load(*rows: dict[str, Any], limit: int | None = None) -> JsonlSource:
        path = tmp_path / "mine.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return JsonlSource(path, limit)

    return load


def play(source: JsonlSource, index: int = 0) -> tuple[dict[str, Any], float]:
    """Let the oracle play; return the last info and the sum of the process rewards."""
    env = HopEnv(source)
    env.reset(options={"index": index})
    episode = env._episode
    assert episode is not None
    arguments = {tool.name: tool.argument for tool in env.tools}
    total, info = 0.0, {}
    while not episode.stop_reason:
        call = episode.oracle_call()
        info = env.step(episode.dialect.write(call.action, arguments))[4]
        total += info["process_reward"]
    return info, total


def test_the_documented_file_loads_and_can_be_played(tmp_path: Path) -> None:
    example = re.search(r"::\n\n(.*?)\n\n\(the question", jsonl.__doc__ or "", re.DOTALL)
    assert example
    # The docstring breaks the question over lines, which the file does not.
    lines = re.sub(r",\n\s+", ", ", re.sub(r"(?m)^    ", "", example[1]))
    (tmp_path / "mine.jsonl").write_text(lines)
    source = JsonlSource(tmp_path / "mine.jsonl")
    asked = source[0].question
    assert (len(source), source.unjudged, source.index_of("q1")) == (1, 0, 0)
    assert (asked.answers, asked.answer_kind, asked.source) == (("baker",), "text", "jsonl")
    assert [(hop.text, hop.answers) for hop in asked.hops] == [
        ("mother of Ada Brook", ("Cleo Dunn",))
    ]
    assert [fact.fact for fact in asked.proofs[0]] == [
        "Her mother is Cleo Dunn.",
        "Cleo Dunn works as a baker.",
    ]
    assert {fact.call for fact in asked.proofs[0]} == {("search", asked.text)}
    info, total = play(source)
    assert (info["verdict"], info["corpus"]) == ("supported", "file")
    assert total == pytest.approx(1.0)


def test_questions_may_stand_before_documents_and_bring_their_own(load: Any) -> None:
    own = [{"title": "Ada Brook", "id": "x", "sentences": ["Ada Brook bakes."]}]
    proof = [{"shown_by": [["x", None]], "fact": "her job", "call": ["lookup", " Ada Brook "]}]
    source = load(question(id="q0", documents=own, evidence=proof), QUESTION, ADA, CLEO)
    assert [task.corpus.description for task in (source[0], source[1])] == ["record", "file"]
    (fact,) = source[0].question.proofs[0]
    assert (fact.fact, fact.shown_by, fact.call) == (
        "her job",
        (("x", None),),
        ("lookup", "Ada Brook"),
    )
    assert source[0] is source[0]
    assert [play(source, i)[0]["verdict"] for i in (0, 1)] == ["supported", "supported"]


def test_alternative_proofs(load: Any) -> None:
    source = load(ADA, CLEO, question(evidence=None, proofs=[PROOF, PROOF[1:]]))
    assert len(source[0].question.proofs) == 2
    assert play(source)[1] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"evidence": None},
        {"evidence": []},
        {"evidence": None, "proofs": []},
        {"evidence": None, "proofs": [PROOF] * 9},
    ],
)
def test_questions_without_usable_evidence_are_counted(load: Any, changes: Any) -> None:
    source = load(ADA, CLEO, QUESTION, question(id="q2", **changes))
    assert source.unjudged == 1
    assert source[1].question.proofs == ()
    info, total = play(source, 1)
    assert (info["verdict"], info["is_success"], total) == ("unjudged", True, 0.0)


def test_the_limit_counts_questions(load: Any) -> None:
    source = load(ADA, QUESTION, question(id="q2", evidence=None), CLEO, limit=1)
    assert (len(source), source.unjudged, len(source[0].corpus)) == (1, 0, 2)


@pytest.mark.parametrize(
    ("kind", "answers", "given", "em", "f1"),
    [
        ("text", ["the baker", "pastry cook"], "Pastry cook", 1.0, 1.0),
        ("text", ["pastry cook"], "cook", 0.0, 2 / 3),
        ("set", ["Ada", "Cleo"], "cleo; ada", 1.0, 1.0),
        ("number", ["1,234.50"], "1234.5", 1.0, 1.0),
        ("yesno", ["Yes"], "yes.", 1.0, 1.0),
    ],
)
def test_answer_kinds(
    load: Any, kind: str, answers: list[str], given: str, em: float, f1: float
) -> None:
    source = load(question(answer=None, answers=answers, answer_kind=kind, evidence=None))
    score = source.score(source[0], given)
    assert (score.em, score.f1) == (em, pytest.approx(f1))
    assert source.official({"q1": given}) == {"em": em, "f1": pytest.approx(f1)}
    assert play(source)[0]["is_success"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "Go." Then he went.', ['He said "Go."', "Then he went."]),
        ("Heading\nIt is 3.50. (Or so.) Yes", ["Heading", "It is 3.50.", "(Or so.)", "Yes"]),
        ("Dr. Hart", ["Dr.", "Hart"]),
        ("  \n ", []),
        ("x" + " " * 50_000, ["x"]),
    ],
)
def test_sentences_of_a_text(text: str, sentences: list[str]) -> None:
    assert list(split_sentences(text)) == sentences


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (question(answr="x"), r"unknown field `answr`.* \(did you mean 'answers?'\?\)"),
        (question(evidence=[{"show_by": []}]), r"`show_by`.*\(did you mean 'shown_by'\?\)"),
        (question(hops=[{"text": "x", "answer": []}]), r"`answer` - at `\$.hops.*'answers'"),
        (question(title="x"), "unknown field `title`"),
        ({"qestion": "x"}, r"got the fields 'qestion' \(did you mean 'question'\?\)"),
        ({}, "got the fields none"),
        (question(id=7), r"Expected `str`, got `int` - at `\$.id`"),
        (question(id=None), "missing required field `id`"),
        (question(id=" "), "expected an id"),
        (question(id="q0"), "expected every question to have its own id, got 'q0'"),
        (question(question=" "), "expected the text of question 'q1'"),
        (question(question="x" * 32_001), "at most 32000 characters, got 32001"),
        (question(answer=None), "expected 'answer' or 'answers', got neither"),
        (question(answers=["x"]), "expected 'answer' or 'answers', got both"),
        (question(answer=" "), "at least one answer and none empty"),
        (question(answer=None, answers=[]), "at least one answer and none empty"),
        (question(answer=None, answers=["x", ""]), "at least one answer and none empty"),
        (question(answer=42), r"Expected `str \| null`, got `int` - at `\$.answer`"),
        (question(answer_kind="txt"), r"got 'txt' \(did you mean 'text'\?\)"),
        (question(answer_kind="number"), "expected a number such as '1,234.5', got 'baker'"),
        (question(answer_kind="yesno"), "expected 'yes' or 'no', got 'baker'"),
        (question(answer_kind="set", answer="a; b"), "each member of a set"),
        (question(metadata=[]), r"Expected `object`, got `array` - at `\$.metadata`"),
        (question(proofs=[PROOF]), "expected 'evidence' or 'proofs', got both"),
        (question(evidence=None, proofs=[PROOF, []]), "got an empty proof"),
        (question(evidence=[{"shown_by": []}]), "at least one pair in 'shown_by'"),
        (question(evidence=[{"shown_by": [["Ada Brok", 0]]}]), "did you mean 'Ada Brook'"),
        (question(evidence=[{"shown_by": [["Ada Brook", 2]]}]), r"in \[0, 2\), got 2"),
        (question(evidence=[{"shown_by": [["Ada Brook", -1]]}]), r"in \[0, 2\), got -1"),
        (question(evidence=[{"shown_by": [["Ada Brook", True]]}]), "got `bool`"),
        (question(evidence=[{"shown_by": [["Ada Brook"]]}]), "length 2 - at"),
        (question(evidence=[{"shown_by": [["Bare", None]]}]), r"in \[0, 0\), got null"),
        (question(evidence=None, proofs=[PROOF] * 8 + [[{"shown_by": [["x", 0]]}]]), "id 'x'"),
        (question(evidence=[PROOF[0] | {"call": ["serch", "x"]}]), "search or lookup"),
        (question(evidence=[PROOF[0] | {"call": ["search", " "]}]), "search or lookup"),
        (question(documents=[ADA, ADA]), "document to have its own id, got 'Ada Brook' twice"),
        (ADA, "document to have its own id, got 'Ada Brook' twice"),
        ({"title": "x"}, "expected 'text' or 'sentences' of document 'x', got neither"),
        ({"title": "x", "text": "", "sentences": []}, "got both"),
        ({"title": "x", "sentences": ["A.", " "]}, "expected text in sentence 1 of document 'x'"),
        ({"title": " ", "text": "x"}, "title and id to hold text"),
        ({"title": "x", "id": "", "text": "x"}, "title and id to hold text"),
        ({"title": "x", "sentence": []}, r"`sentence` \(did you mean 'sentences'\?\)"),
    ],
)
def test_every_fault_names_its_line(load: Any, row: dict[str, Any], message: str) -> None:
    bare = {"title": "Bare", "sentences": []}
    with pytest.raises(DataError, match=r"mine.jsonl, line 5: .*" + message):
        load(ADA, CLEO, bare, question(id="q0"), row)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b'{"title": "x", "text": "y"}', "expected a question, got none"),
        (b"\n[1]\n", "line 2: Expected `object`, got `array`"),
        (b'{"title": "x"', "line 1: Input data was truncated"),
        (b'{"title": "x"} {"title": "y"}', "line 1: JSON is malformed: trailing"),
        (b'{"title": NaN}', "line 1: JSON is malformed"),
        (b'{"question": ' * 50_000, "line 1: .*recursion"),
        (b'{"title": "\xe9"}', "expected UTF-8 text"),
    ],
)
def test_unusable_files_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "mine.jsonl").write_bytes(data)
    with pytest.raises(DataError, match=message):
        JsonlSource(tmp_path / "mine.jsonl")


def test_a_file_cut_within_a_line_is_a_data_error(tmp_path: Path) -> None:
    rows = (ADA, CLEO, question(id="q0", question="Wer ist die Bäckerin?"), QUESTION)
    lines = [json.dumps(row, ensure_ascii=False).encode() for row in rows]
    data, path = b"\r\n".join(lines), tmp_path / "mine.jsonl"
    for end in range(len(data) + 1):
        path.write_bytes(data[:end])
        whole = data[:end].split(b"\n")
        whole = [line.rstrip() for line in whole if line.strip()]
        # Only a cut between lines leaves a valid, shorter file.
        if len(whole) >= 3 and whole == lines[: len(whole)]:
            assert len(JsonlSource(path)) == len(whole) - 2
        else:
            with pytest.raises(DataError):
                JsonlSource(path)
