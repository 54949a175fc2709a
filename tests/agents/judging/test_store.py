"""Files of judgements: what is told where one belongs to another run or judge."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hopgym.errors import DataError, RunFileError
from hopgym.runs.trajectory_file import Header, RunEnvironment
from hopgym_agents.judging.judge import Judgement, Rating
from hopgym_agents.judging.store import (
    JudgementWriter,
    judgements_header,
    read_judgements,
    read_texts,
)

OTHERS = (RunEnvironment("others"),)
RUN = Header.of({"policy": "greedy"}, [RunEnvironment("tasks")])
NAMED = "openai m at h, Sampling(temperature=0.0, max_tokens={}, stop=(), seed=0)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of two judgements."""
    path = tmp_path / "judged.jsonl"
    with JudgementWriter(path, judgements_header(RUN, NAMED.format(64))) as writer:
        for step, mark in enumerate((Rating.GOOD, Rating.UNPARSED)):
            writer.write(Judgement("q0", 0, step, mark, f"text {step}", "asked"))
    return path


@pytest.mark.parametrize(
    ("run", "judge", "told"),
    [
        (RUN, NAMED.format(512), "another judge: then max_tokens=64, now max_tokens=512; give"),
        (RUN, f"{NAMED.format(64)} {{}}", "another judge: then nothing more, now {}; give the old"),
        (replace(RUN, config="0" * 64), NAMED.format(64), "got those of another run; give the old"),
        (replace(RUN, environments=OTHERS), NAMED.format(64), "got those of another run; give the"),
    ],
)
def test_what_differs_is_named(path: Path, run: Header, judge: str, told: str) -> None:
    before = path.read_bytes()
    with pytest.raises(RunFileError) as caught:
        JudgementWriter(path, judgements_header(run, judge))
    assert told in str(caught.value) and str(caught.value).endswith("another file as --out FILE")
    assert path.read_bytes() == before


def test_a_file_that_does_not_name_its_judge_is_gone_on_with(path: Path) -> None:
    first, rest = path.read_bytes().split(b"\n", 1)
    older = {name: each for name, each in json.loads(first).items() if name != "judge"}
    path.write_bytes(json.dumps(older).encode() + b"\n" + rest)
    with JudgementWriter(path, judgements_header(RUN, NAMED.format(64))) as writer:
        assert len(writer.contents) == 2
    with pytest.raises(RunFileError, match=r"got another of the two \(hash"):
        JudgementWriter(path, judgements_header(RUN, "other"))


def test_texts_come_back_by_key(path: Path) -> None:
    kept = list(read_judgements(path))
    assert [each.text for each in kept] == ["text 0", "text 1"]
    assert read_texts(path, {kept[1].key}) == ["text 1"] and read_texts(path, ()) == []


@pytest.mark.parametrize("line", [2, 3])
def test_a_damaged_judgement_is_named_and_dropped_on_resume(path: Path, line: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace(b"text", b"next")
    path.write_bytes(b"".join(lines))
    named = rf"judged\.jsonl, line {line}: expected a judgement"
    with pytest.raises(DataError, match=named):
        list(read_judgements(path))
    with (
        pytest.warns(UserWarning, match=rf"a damaged judgement is dropped .*{named}"),
        JudgementWriter(path, judgements_header(RUN, NAMED.format(64))) as writer,
    ):
        assert len(writer.contents) == 1
    assert len(list(read_judgements(path))) == 1
