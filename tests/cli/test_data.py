"""`hopgym data list` and `hopgym data check`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from hopgym.benchmarks.catalogue import DATASETS
from tests.support.benchmark_files import BENCHMARKS, needs_files
from tests.support.command_line import hopgym as run

HOTPOT: dict[str, Any] = {
    "_id": "ada",
    "question": "On which river lies the town where Ada Brook was born?",
    "answer": "the Farrow",
    "supporting_facts": [["Ada Brook", 1], ["Elmstead", 0]],
    "context": [
        ["Ada Brook", ["Ada Brook is a baker.", " She was born in Elmstead."]],
        ["Elmstead", ["It lies on the Farrow.", " It was founded in 1410."]],
    ],
    "type": "bridge",
    "level": "hard",
}
HUB_ROW = {key: HOTPOT[key] for key in ("question", "answer", "type", "level")} | {
    "id": "a",
    "supporting_facts": {"title": ["Ada Brook", "Elmstead"], "sent_id": [1, 0]},
    "context": {
        "title": [title for title, _ in HOTPOT["context"]],
        "sentences": [sentences for _, sentences in HOTPOT["context"]],
    },
}
TWOWIKI = {name: value for name, value in HOTPOT.items() if name != "level"} | {
    "evidences": [["Ada Brook", "place of birth", "Elmstead"], ["Elmstead", "river", "Farrow"]],
    "evidences_id": [],
    "answer_id": None,
    "entity_ids": "Q1_Q2",
}
STEPS = [("Where was Ada Brook born?", "Elmstead"), ("On which river does #1 lie?", "Farrow")]
MUSIQUE = {
    "id": "2hop__1_2",
    "question": HOTPOT["question"],
    "paragraphs": [
        {"idx": i, "title": title, "paragraph_text": "".join(text), "is_supporting": True}
        for i, (title, text) in enumerate(HOTPOT["context"])
    ],
    "question_decomposition": [
        {"id": i, "question": question, "answer": answer, "paragraph_support_idx": i}
        for i, (question, answer) in enumerate(STEPS)
    ],
    "answer": "Farrow",
    "answer_aliases": [],
    "answerable": True,
}
COFCA_ROW = {name: HOTPOT[name] for name in ("_id", "question", "answer", "context")} | {
    "type": "2-hop",
    "sub_questions": [question for question, _ in STEPS],
    "sub_answers": [answer for _, answer in STEPS],
}
BEERQA_ROW = {
    "id": "b1",
    "src": "squad",
    "answers": ["Farrow"],
    "question": HOTPOT["question"],
    "context": [["Elmstead", "It lies on the Farrow."]],
}
GSM8K_ROW = {"question": "What is 3 + 4, twice?", "answer": "<<3+4=7>>7\n<<7*2=14>>14\n#### 14"}
SYNTHWORLDS_ROW = {
    "instance_id": "rm-0",
    "query": HOTPOT["question"],
    "gold_answers": ["Farrow"],
    "gold_docs": ["Elmstead\nIt lies on the Farrow."],
    "gold_qids": ["Q1"],
    "question_graph_type": "1-hop",
    "expected_output_is_time": False,
    "mhop_qa": "{}",
}
SQUAD_QUESTION = {"id": "s", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}]}
SQUAD_FILE = {"data": [{"title": "T", "paragraphs": [{"context": "A", "qas": [SQUAD_QUESTION]}]}]}


def lines(*rows: Any) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


FILES = {
    "hotpotqa": json.dumps([HOTPOT]),
    "twowiki": json.dumps([TWOWIKI]),
    "musique": lines(MUSIQUE),
    "cofca": json.dumps([COFCA_ROW]),
    "beerqa": json.dumps({"version": "1.0", "split": "dev", "data": [BEERQA_ROW]}),
    "gsm8k": lines(GSM8K_ROW),
    "synthworlds": json.dumps([SYNTHWORLDS_ROW]),
    "squad": json.dumps(SQUAD_FILE),
    "bamboogle": lines({"Question": "Who?", "Answer": "Ada"}),
    "jsonl": lines(
        {"title": "Ada Brook", "text": "Ada Brook is a baker."},
        {"id": "q1", "question": "What is Ada Brook?", "answer": "baker"},
    ),
}


def told(result: Result) -> str:
    """The one line of an error."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr


def checked(path: Path, *words: object) -> dict[str, Any]:
    result = run("data", "check", path, *words, "--json")
    found: dict[str, Any] = json.loads(result.stdout)
    assert result.exit_code == (1 if found["problems"] else 0)
    return found


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_list_names_every_benchmark_and_its_revision() -> None:
    result = run("data", "list")
    assert result.exit_code == 0
    listed = {row["name"]: row for row in json.loads(run("data", "list", "--json").stdout)}
    assert list(listed) == [dataset.name for dataset in DATASETS]
    for dataset in DATASETS:
        assert dataset.name in result.stdout and dataset.licence in result.stdout
        assert dataset.origin in result.stdout
        for variant, form in dataset.hub.items():
            assert f"{form.repo} at {form.revision[:7]}" in result.stdout
            assert listed[dataset.name]["hub"][variant]["revision"] == form.revision
        assert all(name in result.stdout for names in dataset.files.values() for name in names)
    assert "by hand" in result.stdout
    assert listed["squad"]["id"] == "" and listed["hotpotqa"]["id"] == "hopgym/HotpotQA-v0"


@pytest.mark.parametrize("name", FILES)
def test_check_finds_out_what_a_file_is_of(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "file.json", FILES[name])
    found = checked(path)
    assert found["benchmark"] == name
    assert found["problems"] == []
    assert found["records"] == 1
    assert checked(path, "--benchmark", name) == found
    assert f"read as {name}" in run("data", "check", path).stdout


def test_check_finds_the_variant_of_musique(tmp_path: Path) -> None:
    other = MUSIQUE | {"answerable": False}
    path = write(tmp_path / "full.jsonl", lines(MUSIQUE, other))
    found = checked(path)
    assert found["arguments"] == {"variant": "full"}
    assert (found["records"], found["judged"], found["unjudged"]) == (2, 1, 1)
    assert found["repeated"] == 1
    assert checked(path, "--variant", "ans")["problems"]


def test_check_of_rows_of_the_hub(tmp_path: Path) -> None:
    found = checked(write(tmp_path / "rows.jsonl", lines(HUB_ROW, HUB_ROW | {"id": "b"})))
    assert found["benchmark"] == "hotpotqa" and found["judged"] == 2


def test_check_of_a_folder_of_phantomwiki(tmp_path: Path) -> None:
    (tmp_path / "facts.pl").write_text("")
    found = checked(tmp_path)
    assert found["benchmark"] == "phantomwiki"
    assert "without articles.json, questions.json" in found["problems"][0]


def bad_records() -> list[Any]:
    broken = HOTPOT | {"_id": "c"}
    del broken["context"]
    return [
        HOTPOT,
        HOTPOT | {"_id": "b", "supporting_facts": [["Elmstead", 9]], "type": "comparison"},
        broken,
        HOTPOT,
        HOTPOT | {"_id": "e", "answer": " "},
        "[/b]",
    ]


def test_check_tells_all_problems_and_counts_the_rest(tmp_path: Path) -> None:
    (tmp_path / "[").mkdir()
    path = write(tmp_path / "[" / "x].json", json.dumps(bad_records()))
    found = checked(path)
    assert (found["records"], found["judged"], found["unjudged"]) == (2, 1, 1)
    assert found["kinds"] == {"bridge": 1, "comparison": 1}
    assert found["hops"] == {"1": 1, "2": 1} and found["repeated"] == 1
    numbers = [re.search(r"record (\d+):", problem) for problem in found["problems"]]
    assert [int(number[1]) for number in numbers if number] == [2, 3, 4, 5]
    assert all(problem.startswith(str(path)) for problem in found["problems"])
    shown = run("data", "check", path)
    assert shown.exit_code == 1
    assert "4 problems:" in shown.stdout and "[/x].json: read as hotpotqa" in shown.stdout
    for problem in found["problems"]:
        assert problem in shown.stdout


def test_check_shows_twenty_problems(tmp_path: Path) -> None:
    records = [HOTPOT, *(HOTPOT | {"_id": str(i), "answer": ""} for i in range(23))]
    path = write(tmp_path / "file.json", json.dumps(records))
    shown = run("data", "check", path).stdout
    assert "23 problems:" in shown and "and 3 more" in shown
    assert shown.count("expected an answer") == 20
    assert len(checked(path)["problems"]) == 23


def test_check_of_a_cut_off_jsonl_file_names_the_line(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.jsonl", (lines(MUSIQUE) * 2)[:-40])
    (problem,) = checked(path)["problems"]
    assert f"{path}, line 2" in problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps([HOTPOT])[:-30], "the file may be cut off"),
        ("", "got an empty file"),
        ("\0\1", "got a NUL byte"),
        ("[]", "expected the records of a benchmark"),
        ("{}", "expected the records of a benchmark"),
        ('{"data": []}', "expected the records of a benchmark"),
        ("[[1], 2, null]", "expected the records of a benchmark"),
        ("nonsense", "expected the records of a benchmark"),
        ('{"answer": {"ada": "yes"}}', "expected the records of a benchmark"),
    ],
)
def test_check_of_what_is_no_benchmark_is_one_line(
    text: str, expected: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "file.json", text)
    assert expected in told(run("data", "check", path))


def test_check_of_wrong_words(tmp_path: Path) -> None:
    path = write(tmp_path / "file.json", FILES["hotpotqa"])
    assert "did you mean 'musique'?" in told(run("data", "check", path, "--benchmark", "musiqe"))
    assert "among setting" in told(run("data", "check", path, "--aliases", "x"))
    assert "setting must be" in told(run("data", "check", path, "--setting", "x"))
    assert "check the path" in told(run("data", "check", tmp_path / "nowhere"))
    assert "name a file in it" in told(run("data", "check", tmp_path))
    own = write(tmp_path / "own.jsonl", FILES["jsonl"])
    assert "further arguments of jsonl must be none" in told(run("data", "check", own, "--x", 1))


def test_check_of_own_files_tells_what_is_wrong(tmp_path: Path) -> None:
    path = write(tmp_path / "own.jsonl", FILES["jsonl"] + lines({"id": "q1", "question": "?"}))
    (problem,) = checked(path)["problems"]
    assert "line 3" in problem


@needs_files
@pytest.mark.parametrize(
    ("file", "name", "counts"),
    [
        ("hotpotqa_fullwiki/hotpot_dev_fullwiki_v1.dev.json", "hotpotqa", (478, 125)),
        ("2wikimultihopqa/dev.dev.json", "twowiki", (329, 328)),
        ("musique/DERIVED_musique_full_pairs.dev.jsonl", "musique", (60, 30)),
        ("beerqa/DERIVED_beerqa_format.dev.json", "beerqa", (310, 310)),
        ("squad/squad_dev-v2.0_half.dev.json", "squad", (2828, 0)),
    ],
)
def test_check_of_real_files(file: str, name: str, counts: tuple[int, int]) -> None:
    found = checked(BENCHMARKS / file)
    assert found["benchmark"] == name
    assert (found["records"], found["judged"]) == counts
