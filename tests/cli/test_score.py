"""`hopgym score`: the official metrics of prediction files, and what is none."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.support.benchmark_files import BENCHMARKS, needs_files
from tests.support.command_line import hopgym as run

ADA: dict[str, Any] = {
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
GIL = ADA | {"_id": "gil", "question": "Was Gil Hart or Ada Brook a baker?", "answer": "Ada Brook"}
TOM = ADA | {"_id": "tom", "question": "Is Elmstead older than Tom Reed?", "answer": "yes"}
NAMES = [
    f"{part}{end}"
    for part in ("", "sp_", "joint_")
    for end in ("em", "f1", "prec", "recall")
]  # fmt: skip


def told(result: Result) -> str:
    """The one line of an error."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    return result.stderr


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    path = tmp_path / "gold.json"
    path.write_text(json.dumps([ADA, GIL, TOM]))
    return path


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Two of three records right in answer, one of them half right in support; one unknown."""
    path = tmp_path / "predictions.json"
    answers = {"ada": "Farrow", "gil": "Ada Brook", "else": "yes"}
    facts = {"ada": ADA["supporting_facts"], "gil": [["Ada Brook", 1]]}
    path.write_text(json.dumps({"answer": answers, "sp": facts}))
    return path


def test_the_official_metrics_come_as_json(gold: Path, predictions: Path) -> None:
    result = run("score", "hotpotqa", "--gold", gold, "--predictions", predictions, "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    metrics = found.pop("metrics")
    assert found.pop("printed") == metrics
    assert found == {
        "benchmark": "hotpotqa", "records": 3, "missing": 1, "extra": 1, "printed_in": "fraction",
        "scoring": "hotpot_evaluate_v1.py",
    }  # fmt: skip
    assert list(metrics) == NAMES
    expected = {"em": 2 / 3, "f1": 2 / 3, "sp_em": 1 / 3, "sp_prec": 2 / 3, "sp_recall": 1.5 / 3}
    for name, value in (expected | {"joint_recall": 1.5 / 3, "joint_em": 1 / 3}).items():
        assert metrics[name] == pytest.approx(value, abs=1e-12)
    warned = " ".join(result.stderr.split())
    assert "1 of 3 records have no prediction; they score 0" in warned
    assert "1 of the predictions" in warned and "'else'" in warned


def test_the_table_names_unit_and_script(gold: Path, predictions: Path) -> None:
    result = run("score", "hotpotqa", "--gold", gold, "--predictions", predictions)
    assert "HotpotQA: 3 records, in fractions, by hotpot_evaluate_v1.py" in result.stdout
    rows = {line.split("  ")[0]: line.split()[-4:] for line in result.stdout.splitlines()}
    assert rows["answer"] == ["0.6667"] * 4
    assert rows["supporting facts"] == ["0.3333", "0.5556", "0.6667", "0.5000"]
    assert rows["joint"] == ["0.3333", "0.5556", "0.6667", "0.5000"]


@pytest.mark.parametrize("name", ["HotpotQA", "hopgym/HotpotQA-v0", "hotpotqa-v0", "HOTPOTQA"])
def test_a_benchmark_goes_by_name_id_or_title(name: str, gold: Path, predictions: Path) -> None:
    result = run("score", "--setting", "fullwiki", name, "--gold", gold, "--predictions",
                 predictions, "--json")  # fmt: skip
    assert json.loads(result.stdout)["benchmark"] == "hotpotqa"


def test_metrics_by_record(gold: Path, predictions: Path, tmp_path: Path) -> None:
    words = ("score", "hotpotqa", "--gold", gold, "--predictions", predictions, "--records")
    assert run(*words, tmp_path / "new" / "rows.jsonl").exit_code == 0
    lines = (tmp_path / "new" / "rows.jsonl").read_text().splitlines()
    rows = {row.pop("id"): row for row in map(json.loads, lines)}
    assert list(rows) == ["ada", "gil", "tom"]
    assert rows["ada"] == dict.fromkeys(NAMES, 1.0)
    assert rows["gil"]["sp_recall"] == 0.5
    assert rows["tom"] == dict.fromkeys(NAMES, 0.0)
    for taken in (gold, predictions):
        before = taken.read_bytes()
        assert "must be another file" in told(run(*words, taken))
        assert taken.read_bytes() == before
    assert "got the folder or device" in told(run(*words, tmp_path))


def test_limit_scores_the_first_records(gold: Path, predictions: Path) -> None:
    words = ("--gold", gold, "--predictions", predictions, "--limit", 1, "--json")
    found = json.loads(run("score", "hotpotqa", *words).stdout)
    assert found["records"] == 1 and found["extra"] == 2 and found["missing"] == 0
    assert set(found["metrics"].values()) == {1.0}


def test_no_predictions_at_all_score_0(gold: Path, tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    path.write_text('{"answer": {}, "sp": {}}')
    found = run("score", "hotpotqa", "--gold", gold, "--predictions", path, "--json")
    assert json.loads(found.stdout)["missing"] == 3
    assert set(json.loads(found.stdout)["metrics"].values()) == {0.0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"answer": {"5a": "yes"}}', "but one for '5a'"),
        ('{"answer": {"ada": "yes"}', "predictions.json: Input data was truncated"),
        ('{"ada": "yes"}', "missing required field `answer`"),
        ('{"id": "ada", "predicted_answer": "x"}\n{"id": "gil"}\n', "predictions.json: "),
        ("[1, 2]", "Expected `object`, got `array`"),
        ("", "got an empty file"),
        ("\0", "got a NUL byte"),
        ('{"answer": {"ada": ["yes"]}}', "Expected `str`, got `array`"),
        ("[" * 100_000, "predictions.json: "),
    ],
)
def test_what_is_no_prediction_file_is_one_line(
    text: str, expected: str, gold: Path, tmp_path: Path
) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(text)
    out = tmp_path / "rows.jsonl"
    words = ("score", "hotpotqa", "--gold", gold, "--predictions", path, "--records", out)
    assert expected in told(run(*words))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["gold.json", "predictions.json"]


def test_wrong_words_are_one_line(gold: Path, predictions: Path, tmp_path: Path) -> None:
    files = ("--gold", gold, "--predictions", predictions)
    assert "(did you mean 'hotpotqa'?)" in told(run("score", "hotpotq", *files))
    assert "one of hotpotqa, twowiki, musique" in told(run("score", "", *files))
    message = told(run("score", "hotpotqa", *files, "--seting", "fullwiki"))
    assert "got 'seting' (did you mean 'setting'?)" in message
    assert "setting must be one of" in told(run("score", "hotpotqa", *files, "--setting", "x"))
    assert "got 'twowiki' as well" in told(run("score", "hotpotqa", "twowiki", *files))
    assert "check the path" in told(run("score", "hotpotqa", *files[:3], tmp_path / "nowhere"))
    assert "got a directory" in told(run("score", "hotpotqa", *files[:3], tmp_path))
    assert "gold.json, record 0" in told(run("score", "musique", *files))
    assert "further arguments of bamboogle must be none" in told(
        run("score", "bamboogle", *files, "--version", "1.1")
    )


def squad(tmp_path: Path) -> tuple[Path, Path]:
    asked = [
        {"id": "a", "question": "Who?", "answers": [{"text": "Ada Brook", "answer_start": 0}]},
        {"id": "b", "question": "When?", "answers": [], "is_impossible": True},
    ]
    article = {"title": "T", "paragraphs": [{"context": "Ada Brook.", "qas": asked}]}
    gold, given = tmp_path / "squad.json", tmp_path / "given.json"
    gold.write_text(json.dumps({"version": "v2.0", "data": [article]}))
    given.write_text(json.dumps({"a": "Ada", "b": "", "c": "x"}))
    return gold, given


def test_squad_is_scored_by_either_version(tmp_path: Path) -> None:
    gold, given = squad(tmp_path)
    words = ("score", "SQuAD", "--gold", gold, "--predictions", given)
    found = json.loads(run(*words, "--json").stdout)
    assert found["printed_in"] == "percent" and found["records"] == 2 and found["extra"] == 1
    assert found["printed"]["exact"] == 50.0 and found["metrics"]["exact"] == 0.5
    assert found["printed"]["total"] == found["metrics"]["total"] == 2
    found = json.loads(run(*words, "--json", "--version", "1.1").stdout)
    assert found["records"] == 1 and found["printed"]["exact_match"] == 0.0
    assert found["metrics"]["f1"] == pytest.approx(2 / 3)
    assert "evaluate-v1.1.py" in run(*words, "--version", "1.1").stdout
    assert "HasAns" in run(*words).stdout
    assert "version must be one of 2.0, 1.1, got '3'" in told(run(*words, "--version", 3))


@needs_files
@pytest.mark.parametrize(
    ("name", "folder", "gold_name", "own"),
    [
        ("hotpotqa", "hotpotqa_distractor", "hotpot_dev_distractor_v1.dev.json", ()),
        ("twowiki", "2wikimultihopqa", "dev.dev.json", ("--aliases", "id_aliases_partial.json")),
        ("beerqa", "beerqa", "DERIVED_beerqa_format.dev.json", ()),
    ],
)
def test_score_prints_what_the_official_script_printed(
    name: str, folder: str, gold_name: str, own: tuple[str, ...], tmp_path: Path
) -> None:
    text = (BENCHMARKS / "reference" / f"reference_{folder}.dev.json").read_text(encoding="utf-8")
    reference = json.loads(text)
    given = {
        "answer": {row["id"]: row["pred"]["C"] for row in reference["records"]},
        "sp": {row["id"]: row["sp"]["C"] for row in reference["records"] if "sp" in row},
        "evidence": {
            row["id"]: row.get("evidence", {}).get("C", []) for row in reference["records"]
        },
    }
    given = given if name == "twowiki" else {k: v for k, v in given.items() if k != "evidence"}
    given = given if given["sp"] else {"answer": given["answer"]}
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(given))
    own = tuple(str(BENCHMARKS / folder / w) if w.endswith(".json") else w for w in own)
    words = ("--gold", BENCHMARKS / folder / gold_name, "--predictions", path, *own, "--json")
    found = json.loads(run("score", name, *words).stdout)
    assert found["missing"] == found["extra"] == 0
    expected = reference["aggregate"]["C"]["dev"]
    assert expected and set(expected) <= set(found["printed"])
    for metric, value in expected.items():
        assert found["printed"][metric] == pytest.approx(value, abs=1e-12), metric
