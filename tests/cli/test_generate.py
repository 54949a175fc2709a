"""`hopgym list`, `generate` and `doctor`."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hopgym.cli import doctor
from hopgym.cli.app import app
from hopgym.registry import FACTORIES
from tests.support.command_line import hopgym as run

MINE = """\
{"title": "Ada Brook", "text": "Ada Brook was born in 1950. Her mother is Cleo Dunn."}
{"title": "Cleo Dunn", "text": "Cleo Dunn works as a baker."}
{"id": "q1", "question": "What is the job of the mother of Ada Brook?", "answer": "baker"}
"""


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_list_names_every_id() -> None:
    result = run("list")
    for env_id in FACTORIES:
        assert env_id in result.stdout
    listed = {row["id"]: row for row in json.loads(run("list", "--json").stdout)}
    assert list(listed) == list(FACTORIES)
    assert listed["hopgym/People-v0"]["evidence"] == "exact"
    assert listed["hopgym/PeopleHard-v0"]["evidence"] == "exact"
    assert listed["hopgym/People-v0"]["needs"] == ""
    assert listed["hopgym/HotpotQA-v0"]["evidence"] == "annotated"
    assert listed["hopgym/HotpotQA-v0"]["needs"] == "path"
    assert all(row["what"].endswith(".") for row in listed.values())


def test_list_of_one_id_is_its_documentation() -> None:
    text = run("list", "jsonl").stdout
    assert text.startswith("# hopgym/Jsonl-v0")
    assert "## Arguments" in text


def test_list_shows_a_file_that_can_be_loaded(tmp_path: Path) -> None:
    from hopgym.benchmarks.jsonl import JsonlSource
    from hopgym.cli.list import JSONL_EXAMPLE

    assert JSONL_EXAMPLE in run("list", "hopgym/Jsonl-v0").stdout
    (tmp_path / "mine.jsonl").write_text(JSONL_EXAMPLE)
    assert len(JsonlSource(tmp_path / "mine.jsonl")) == 1


def test_list_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom hopgym.cli.app import app\n"
        "assert CliRunner().invoke(app, ['list']).exit_code == 0\n"
        "heavy = {'bm25s', 'torch', 'datasets', 'jinja2', 'transformers'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def generate(out: Path, *words: str) -> Result:
    result = run("generate", "hopgym/People-v0", *words, "--out", str(out))
    assert result.exit_code == 0, result.output
    return result


def test_generate_makes_one_world_of_all_questions(tmp_path: Path) -> None:
    result = generate(tmp_path, "--size", "30", "--questions", "60")
    documents, questions = rows(tmp_path / "documents.jsonl"), rows(tmp_path / "questions.jsonl")
    assert len(questions) == 60
    assert len({row["question"] for row in questions}) > 55
    assert {row["corpus"] for row in [*documents, *questions]} == {0}
    assert len(documents) > 30
    ids = {row["id"]: row for row in documents}
    for row in questions:
        assert row["answers"] and row["hops"] and row["query"]
        for proof in row["proofs"]:
            for place in (place for fact in proof for place in fact["shown_by"]):
                sentences = ids[place["document"]]["sentences"]
                assert place["sentence"] is None or place["sentence"] < len(sentences)
    assert f"questions  {tmp_path / 'questions.jsonl'}" in result.stderr
    assert "hopgym generate hopgym/People-v0 --size 30" in result.stderr


@pytest.mark.parametrize("form", ["jsonl", "trl", "hf"])
def test_the_same_command_gives_the_same_bytes(tmp_path: Path, form: str) -> None:
    if form == "hf":
        pytest.importorskip("datasets")
    contents = []
    for name in ("one", "two"):
        generate(tmp_path / name, "--questions", "12", "--size", "10", "--format", form)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        contents.append(
            {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in files}
        )
    assert contents[0] and contents[0] == contents[1]


def test_generate_makes_as_many_worlds_as_are_asked_for(tmp_path: Path) -> None:
    generate(tmp_path, "--questions", "6", "--questions_per_world", "2", "--size", "8")
    questions = rows(tmp_path / "questions.jsonl")
    assert [row["corpus"] for row in questions] == [0, 0, 1, 1, 2, 2]
    assert {row["corpus"] for row in rows(tmp_path / "documents.jsonl")} == {0, 1, 2}
    generate(tmp_path, "--questions", "6", "--worlds", "2", "--size", "8")
    assert [row["corpus"] for row in rows(tmp_path / "questions.jsonl")] == [0, 0, 0, 1, 1, 1]


def test_trl_rows_are_the_oracles_steps(tmp_path: Path) -> None:
    from hopgym import transcript

    words = ("--questions", "5", "--size", "10", "--format", "trl")
    generate(tmp_path, *words)
    by_task: dict[str, list[dict[str, Any]]] = {}
    for row in rows(tmp_path / "prompt_completion.jsonl"):
        by_task.setdefault(row["task_id"], []).append(row)
    assert len(by_task) == 5
    for steps in by_task.values():
        assert [row["step"] for row in steps] == list(range(1, len(steps) + 1))
        assert steps[-1]["completion"].startswith("<answer>")
        for before, after in pairwise(steps):
            assert after["prompt"].startswith(f"{before['prompt']}\n\n{before['completion']}\n\n")
    assert transcript(steps[0]["prompt"], []) == steps[0]["prompt"]
    generate(tmp_path, *words, "--messages")
    chats = rows(tmp_path / "messages.jsonl")
    assert len(chats) == 5
    for chat in chats:
        roles = [message["role"] for message in chat["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        completions = [m["content"] for m in chat["messages"] if m["role"] == "assistant"]
        assert completions == [row["completion"] for row in by_task[chat["task_id"]]]


def test_hf_folders_can_be_loaded(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    generate(tmp_path, "--questions", "7", "--size", "10", "--format", "hf")
    both = datasets.load_from_disk(str(tmp_path))
    assert len(both["documents"]) > 5
    questions = datasets.load_from_disk(str(tmp_path / "questions"))
    assert len(questions) == 7
    assert questions[0]["proofs"][0][0]["shown_by"][0]["document"].startswith("p")
    assert "sentences" in datasets.load_from_disk(str(tmp_path / "documents")).features


def test_generate_refuses_what_there_is_not(tmp_path: Path) -> None:
    mine = tmp_path / "mine.jsonl"
    mine.write_text(MINE)
    out = ("--out", str(tmp_path / "out"))
    result = run("generate", "hopgym/Jsonl-v0", "--path", str(mine), "--questions", "1", *out)
    assert result.exit_code == 0
    assert rows(tmp_path / "out" / "questions.jsonl")[0]["answers"] == ["baker"]
    result = run("generate", "hopgym/Jsonl-v0", "--path", str(mine), "--questions", "2", *out)
    assert result.exit_code == 0
    assert "there are 1 tasks, 2 were asked for" in result.stderr
    assert run("generate", "hopgym/Jsonl-v0", "--path", str(mine), *out).exit_code == 0
    result = run("generate", "People-v0", *out, "--messages")
    assert result.exit_code == 2
    assert "--messages must come with --format trl" in result.stderr
    result = run("generate", "People-v0", *out, "--format", "jsnl")
    assert "did you mean 'jsonl'?" in result.stderr


def test_ctrl_c_in_generate_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hopgym.worlds.people.source import PeopleSource

    make = PeopleSource.__getitem__

    def interrupted(self: PeopleSource, index: int, /) -> Any:
        if index == 3:
            raise KeyboardInterrupt
        return make(self, index)

    monkeypatch.setattr(PeopleSource, "__getitem__", interrupted)
    (tmp_path / "questions.jsonl").write_text("before")
    result = run("generate", "People-v0", "--questions", "9", "--out", str(tmp_path))
    assert result.exit_code == 130
    left = {"documents.jsonl.partial", "questions.jsonl.partial", "questions.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == left
    assert (tmp_path / "questions.jsonl").read_text() == "before"
    assert "hopgym generate People-v0 --questions 9" in result.stderr


def test_ctrl_c_in_replay_tells_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run.jsonl"
    words = ("--policy", "oracle", "-n", "3", "--out", str(out))
    assert run("rollout", "People-v0", *words).exit_code == 0
    checked = iter([["one difference"], []])

    def interrupted(*_: object) -> list[str]:
        found = next(checked, None)
        if found is None:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr("hopgym.cli.replay.replay", interrupted)
    result = run("replay", str(out))
    assert result.exit_code == 130
    assert "2 records, 1 of them different" in result.stdout
    assert "one difference" in result.stdout
    assert "Stopped" in result.stderr


def test_play_says_right_and_refuses_other_environments() -> None:
    closed = ("play", "People-v0", "--mode", "closed_book", "--index", "0")
    result = CliRunner().invoke(app, [*closed], input="answer nobody\n")
    assert "unjudged: not right" in result.stdout
    assert "You took 1 step," in result.stdout or "You took 1 step;" in result.stdout
    assert "unjudged: right" in CliRunner().invoke(app, [*closed], input="!\n").stdout
    result = run("play", "CartPole-v1")
    assert result.exit_code == 2
    assert "must be that of a hopgym environment, got 'CartPole-v1'" in result.stderr


def test_doctor_finds_all_well(monkeypatch: pytest.MonkeyPatch) -> None:
    # torch takes seconds to load; what it would tell is not at stake here.
    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda p: doctor.MISSING if p == "torch" else real(p))
    result = run("doctor", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["ok"] is True
    assert found["versions"]["torch"] == "not installed"
    assert set(found["versions"]) >= {"python", "gymnasium", "numpy", "bm25s", "msgspec", "trl"}
    assert found["oracle"] == {"id": "hopgym/People-v0", "tasks": 50, "success": 1.0}
    states = {each["id"]: each["state"] for each in found["ids"]}
    assert list(states) == list(FACTORIES)
    assert states["hopgym/People-v0"] == "ok"
    assert states["hopgym/HotpotQA-v0"] == "needs a file"
    assert found["machine"]["cores"] >= 1


def test_doctor_tells_what_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_version", lambda package: doctor.MISSING)
    monkeypatch.setattr(doctor, "_ids", lambda: [{"id": "x", "state": "broken", "detail": "why"}])
    monkeypatch.setattr(doctor, "_oracle_success", lambda: 0.5)
    result = run("doctor")
    assert result.exit_code == 1
    assert "Something is wrong" in result.stdout
    assert "why" in result.stdout
