"""What readers and a resumed run make of trajectory files with changed, lost or doubled bytes."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hopgym.cli.app import app
from hopgym.errors import DataError
from hopgym.runs.json_file import SCHEMA, check_schema, read_checked_json, write_checked_json
from hopgym.runs.reader import RunPlan, StoredEpisodes
from hopgym.runs.trajectory_file import read_trajectories

EVAL = (
    *("eval", "People-v0", "--size", "10", "--questions_per_world", "20", "--policy", "random"),
    *("-n", "4", "--out"),
)

Damage = Callable[[list[bytes]], list[bytes]]


def hopgym(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a run of four episodes."""
    place = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert hopgym(*EVAL, "run").exit_code == 0
    yield place / "run"


@pytest.fixture
def run(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run in the working directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, tmp_path / "run")
    return Path("run")


def flipped(line: bytes, place: int) -> bytes:
    """Return a line with one bit of one byte changed."""
    changed = bytearray(line)
    changed[place] ^= 1
    return bytes(changed)


def without_checksum(line: bytes) -> bytes:
    return json.dumps(json.loads(line)["episode"]).encode() + b"\n"


def with_line(number: int, change: Callable[[bytes], bytes]) -> Damage:
    """Return what changes one line, counted from 1."""
    return lambda lines: [
        change(line) if at == number else line for at, line in enumerate(lines, start=1)
    ]


RECORDS: dict[str, tuple[Damage, int, str]] = {
    "flipped in the middle": (with_line(3, lambda x: flipped(x, len(x) // 2)), 3, "checksum"),
    "flipped at the end": (with_line(4, lambda x: flipped(x, -3)), 4, "checksum"),
    "flipped last line": (with_line(5, lambda x: flipped(x, len(x) // 2)), 5, "checksum"),
    "flipped in the checksum": (with_line(2, lambda x: flipped(x, 15)), 2, "checksum"),
    "flipped in a key": (with_line(2, lambda x: flipped(x, 3)), 2, "checksum"),
    "cut short": (with_line(3, lambda x: x[: len(x) // 2] + b"\n"), 3, "checksum"),
    "no checksum": (with_line(4, without_checksum), 4, "no checksum"),
    "empty line": (with_line(4, lambda x: b"\n"), 4, "no checksum"),
}
HEADERS: dict[str, tuple[Damage, str]] = {
    "flipped": (with_line(1, lambda x: flipped(x, 0)), "expected the header of a trajectory file"),
    "cut short": (with_line(1, lambda x: x[:40] + b"\n"), "expected the header of a trajectory"),
    "lost": (lambda lines: lines[1:], "expected the header of a trajectory file"),
    "older": (
        with_line(1, lambda x: b'{"schema":1,"config":"","source":"","code":"0.0.9"}\n'),
        "expected schema 2 of hopgym .*, got 1 of hopgym 0.0.9; use the version",
    ),
    "without a schema": (
        with_line(1, lambda x: x.replace(b'"schema":2', b'"scheme":2')),
        "expected the header of a trajectory file",
    ),
}


def damage(run: Path, change: Damage) -> Path:
    file = run / "episodes.jsonl"
    file.write_bytes(b"".join(change(file.read_bytes().splitlines(keepends=True))))
    return file


def refused(file: Path, message: str) -> None:
    """Check that every reader refuses a file in one line."""
    with pytest.raises(DataError, match=message):
        list(read_trajectories(file))
    for verb in (("replay", file), ("report", file, "--out", "report.html")):
        result = hopgym(*verb)
        assert result.exit_code == 2, result.output
        assert re.search(message, " ".join(result.stderr.split())), result.stderr
    assert not Path("report.html").exists()


@pytest.mark.parametrize("name", RECORDS)
def test_a_damaged_record_is_named_and_played_again(whole: Path, run: Path, name: str) -> None:
    change, number, problem = RECORDS[name]
    file = damage(run, change)
    refused(file, rf"episodes\.jsonl, line {number}: expected a trajectory, got .*{problem}")
    told = rf"a damaged episode is dropped and played again: .*line {number}: expected a trajectory"
    with pytest.warns(UserWarning, match=told) as caught:
        result = hopgym(*EVAL, run)
    assert result.exit_code == 0, result.output
    assert len(caught) == 1
    before = {each.key: each for each in read_trajectories(whole / "episodes.jsonl")}
    assert {each.key: each for each in read_trajectories(file)} == before
    assert hopgym("replay", file).exit_code == 0
    assert hopgym(*EVAL, run).exit_code == 0


@pytest.mark.parametrize("name", HEADERS)
def test_a_damaged_or_older_header_is_refused(run: Path, name: str) -> None:
    change, message = HEADERS[name]
    file = damage(run, change)
    before = file.read_bytes()
    refused(file, rf"episodes\.jsonl, line 1: {message}")
    result = hopgym(*EVAL, run)
    assert result.exit_code == 2
    assert re.search(message, " ".join(result.stderr.split()))
    assert file.read_bytes() == before


def test_a_half_written_last_line_is_played_again(whole: Path, run: Path) -> None:
    file = run / "episodes.jsonl"
    content = file.read_bytes()
    file.write_bytes(content[:-20])
    assert len(list(read_trajectories(file))) == 3
    for verb in (("replay", file), ("report", file, "--out", "report.html")):
        assert hopgym(*verb).exit_code == 0
    result = hopgym(*EVAL, run)
    assert result.exit_code == 0, result.output
    assert file.read_bytes() == content


def test_a_doubled_line_is_refused(run: Path) -> None:
    file = damage(run, lambda lines: [*lines, lines[2]])
    message = r"episodes\.jsonl, line 6: expected each task and sample once"
    refused(file, message)
    result = hopgym(*EVAL, run)
    assert result.exit_code == 2
    assert re.search(message, " ".join(result.stderr.split()))


def test_every_flipped_byte_of_a_record_is_found(run: Path) -> None:
    file = run / "episodes.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)[:2]
    header, line = lines
    for place in range(0, len(line) - 1, 7):
        file.write_bytes(header + flipped(line, place))
        with pytest.raises(DataError, match="line 2: expected a trajectory"):
            list(read_trajectories(file))


def test_episodes_read_by_their_places_are_checked(run: Path) -> None:
    plan = RunPlan("random", 4, run / "episodes.jsonl")
    stored = StoredEpisodes(plan)
    assert [each.index for each in stored] == [0, 1, 2, 3]
    damage(run, with_line(3, lambda line: flipped(line, -3)))
    with pytest.raises(DataError, match="line 3: expected a trajectory"):
        list(stored)
    with pytest.raises(DataError, match="line 3: expected a trajectory"):
        StoredEpisodes(plan)


def test_a_run_folder_of_an_older_version_is_refused_and_can_be_moved_aside(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    assert config["schema"] == SCHEMA
    (run / "config.json").write_text(json.dumps(config | {"schema": 1}))
    result = hopgym(*EVAL, run)
    assert result.exit_code == 2
    assert "config.json: expected schema 2 of hopgym" in " ".join(result.stderr.split())
    assert hopgym(*EVAL, run, "--fresh").exit_code == 0
    assert json.loads(Path("run.1/config.json").read_text())["schema"] == 1


@pytest.mark.parametrize("schema", [None, 1, 3, "2", True])
def test_other_schemas_are_refused_with_their_version(schema: object) -> None:
    with pytest.raises(DataError, match=r"run\.json: expected schema 2 of hopgym .* 7\.7; use"):
        check_schema("run.json", {"schema": schema, "version": "7.7"})
    check_schema("run.json", {"schema": SCHEMA})


def test_json_files_with_a_checksum(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert read_checked_json(path) is None
    write_checked_json(path, {"b": (1, 2.5), 3: {"ä": None}})
    assert read_checked_json(path) == {"b": [1, 2.5], "3": {"ä": None}}
    text = path.read_text()
    for broken, message in (
        (text.replace("2.5", "2.6"), "checksum"),
        (text.replace('"schema": 2', '"schema": 1'), "expected schema 2"),
        (text[:-5], "expected JSON"),
        ("[]", "expected a JSON object"),
    ):
        path.write_text(broken)
        with pytest.raises(DataError, match=message):
            read_checked_json(path)
