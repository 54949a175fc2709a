"""`hopgym judge`: a run's steps judged once each, by rules, over HTTP and by a real tiny model."""

import json
import runpy
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from hopgym.cli.app import VERBS
from hopgym.errors import DataError, RunFileError
from hopgym.policies import GreedySearchPolicy
from hopgym.rollout import run_episodes
from hopgym.runs.trajectory_file import read_header, read_trajectories
from hopgym.runs.writer import TrajectoryWriter
from hopgym.trajectory import Completion, StopReason
from hopgym.verdicts import GOOD_VERDICTS
from hopgym_agents.generate import Request
from hopgym_agents.judging.run import judge_run
from hopgym_agents.judging.store import JudgementWriter, judgements_header, read_judgements
from hopgym_agents.prompts import STYLES
from tests.support.command_line import hopgym
from tests.support.paths import ROOT

SMALL = {"size": 10, "questions_per_world": 20}


class Judge:
    """Knows every verdict; fails on the steps of the keys that it is given."""

    concurrency = 1

    def __init__(self, run: Path, failing: Sequence[int] = (), fingerprint: str = "exact") -> None:
        self.verdicts = {
            (each.index, each.sample, position): step.verdict in GOOD_VERDICTS
            for each in read_trajectories(run)
            for position, step in enumerate(each.steps)
        }
        self.failing, self.fingerprint = failing, fingerprint
        self.asked: list[tuple[int, int, int]] = []

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        self.asked += [each.key for each in requests]
        return [self._reply(each.key) for each in requests]

    def _reply(self, key: tuple[int, int, int]) -> Completion:
        if key[0] in self.failing:
            return Completion("", error="500", error_reason=StopReason.API_ERROR)
        text = "So: GOOD" if self.verdicts[key] else "So: BAD"
        return Completion(text, generated_tokens=3, prompt_tokens=100)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("run")
    playing = run_episodes(
        "hopgym/People-v0", GreedySearchPolicy(), range(12), env_kwargs=SMALL,
        out=folder / "episodes.jsonl",
    )  # fmt: skip
    assert len(list(playing)) == 12
    return folder


@pytest.fixture(scope="module")
def file(run: Path) -> Path:
    return run / "episodes.jsonl"


def steps_in(file: Path, tasks: int = 12) -> int:
    return sum(len(each.steps) for each in read_trajectories(file) if each.index < tasks)


@pytest.fixture(autouse=True)
def verb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program have the verb, also where the entry points of a checkout are older."""
    monkeypatch.setitem(VERBS, "judge", "hopgym_agents.cli.judge:judge")


def judge(*words: object) -> Result:
    return hopgym("judge", *words)


def test_each_step_is_judged_once_and_kept(file: Path, tmp_path: Path) -> None:
    out, first = tmp_path / "deep" / "judged.jsonl", Judge(file)
    part = judge_run(first, file, out, tasks=5)
    assert part.tasks == 5 and part.audits["all"].steps == len(first.asked) == steps_in(file, 5)
    assert part.evidence_source == "exact"
    then = Judge(file)
    whole = judge_run(then, file, out)
    assert not set(then.asked) & set(first.asked)
    assert len(then.asked) + len(first.asked) == whole.audits["all"].steps == steps_in(file)
    assert whole.audits["all"].kappa is not None and whole.audits["all"].kappa.mean == 1.0
    assert whole.tokens == {"generated": 3 * steps_in(file), "prompt": 100 * steps_in(file)}
    again = Judge(file)
    assert judge_run(again, file, out) == whole and not again.asked
    kept = list(read_judgements(out))
    assert len({each.key for each in kept}) == len(kept) == steps_in(file)
    assert all(each.text.startswith("So: ") for each in kept)


def test_what_failed_is_judged_again(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "judged.jsonl"
    broken = judge_run(Judge(file, failing=(2, 3)), file, out)
    of_them = sum(len(each.steps) for each in read_trajectories(file) if each.index in (2, 3))
    assert (broken.errors, broken.first_error) == (of_them, "500")
    assert broken.audits["all"].steps == steps_in(file) - of_them
    then = Judge(file)
    assert judge_run(then, file, out).errors == 0
    assert {key[0] for key in then.asked} == {2, 3} and len(then.asked) == of_them


def test_half_a_line_is_cut_and_judged_again(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "judged.jsonl"
    judge_run(Judge(file), file, out)
    whole = out.read_bytes()
    out.write_bytes(whole[:-30])
    assert len(list(read_judgements(out))) == steps_in(file) - 1
    then = Judge(file)
    judge_run(then, file, out)
    assert len(then.asked) == 1 and out.read_bytes() == whole
    lines = whole.splitlines(keepends=True)
    out.write_bytes(b"".join([lines[0], b"{}\n", *lines[1:]]))
    with pytest.raises(DataError, match="line 2: expected a judgement"):
        list(read_judgements(out))
    with pytest.warns(UserWarning, match="dropped .*line 2: expected a judgement"):
        judge_run(Judge(file), file, out)
    assert out.read_bytes() == whole


def test_one_writer_at_a_time(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "judged.jsonl"
    header = judgements_header(read_header(file), "exact")
    with (
        JudgementWriter(out, header),
        pytest.raises(RunFileError, match="one writer at a time"),
    ):
        judge_run(Judge(file), file, out)
    judge_run(Judge(file), file, out)
    assert not out.with_name(f"{out.name}.lock").exists()
    with JudgementWriter(out, header) as writer, pytest.raises(RunFileError, match="once, got"):
        writer.write(next(read_judgements(out)))


def test_another_judge_or_run_or_text_is_refused(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "judged.jsonl"
    judge_run(Judge(file), file, out)
    before = out.read_bytes()
    with pytest.raises(RunFileError, match=r"another judge: then exact, now other; .* --out FILE"):
        judge_run(Judge(file, fingerprint="other"), file, out)
    # The same command played again from nothing, with a policy that is not the same twice.
    again = tmp_path / "again.jsonl"
    with TrajectoryWriter(again, read_header(file)) as writer:
        for each in read_trajectories(file):
            steps = tuple(replace(step, text=f"now {step.text}") for step in each.steps)
            writer.write(replace(each, steps=steps))
    with pytest.raises(RunFileError, match="is of another text"):
        judge_run(Judge(again), again, out)
    with pytest.raises(RunFileError, match="is of another text"):
        judge_run(Judge(file), file, out, style=STYLES["swirl"])
    assert out.read_bytes() == before


class _AlwaysGood(BaseHTTPRequestHandler):
    """Answers chat completions as OpenAI's API writes them."""

    said = "It may help.\nGOOD"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["temperature"] == 0 and "<last_message>" in asked["messages"][0]["content"]
        message = {"role": "assistant", "content": self.said}
        body = {
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 50, "completion_tokens": 4, "total_tokens": 54},
        }
        sent = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _AlwaysGood) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}/v1"
        serving.shutdown()
        thread.join()


def test_the_verb_over_http(run: Path, file: Path, server: str) -> None:
    pytest.importorskip("httpx")
    words = (run, "--llm.model", "m", "--llm.base_url", server, "--llm.concurrency", "4", "-n", "6")
    result = judge(*words, "--json")
    assert result.exit_code == 0, result.stderr
    plain = json.loads(result.stdout)
    whole = plain["audits"]["all"]
    assert whole["steps"] == whole["audited"] == steps_in(file, 6)
    assert whole["false_positive_rate"]["mean"] == 1.0
    assert whole["false_negative_rate"]["mean"] == whole["kappa"]["mean"] == 0.0
    assert plain["tokens"]["generated"] == 4 * steps_in(file, 6)
    assert len(list(read_judgements(run / "judgements.jsonl"))) == steps_in(file, 6)
    printed = judge(*words)
    assert printed.exit_code == 0 and "judgements.jsonl" in printed.stderr
    rows = printed.stdout.splitlines()[1:]
    assert max(map(len, (row.rstrip() for row in rows))) <= 100
    for words_in in ("Exact verdicts by the judge's", "positives", "100.0%", "kappa"):
        assert words_in in printed.stdout
    assert "The verdicts are exact." in " ".join(printed.stdout.split())


def test_what_cannot_be_read_is_shown(
    run: Path, file: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("httpx")
    said = f"{'Well, ' * 200}I'd say GOOD or BAD"
    monkeypatch.setattr(_AlwaysGood, "said", said)
    out = tmp_path / "judged.jsonl"
    words = (run, "--llm.model", "m", "--llm.base_url", server, "-n", "4", "--out", out)
    printed = judge(*words)
    assert printed.exit_code == 0, printed.stderr
    steps = steps_in(file, 4)
    told = " ".join(printed.stdout.split())
    assert f"{steps} texts could not be read as GOOD or BAD, such as" in told
    assert told.count("I'd say GOOD or BAD") == 3 and told.count("Well,") < 100
    assert "No text of the judge could be parsed" in told and "no verdicts" not in told
    plain = json.loads(judge(*words, "--json").stdout)
    assert plain["audits"]["all"]["unparsed"] == steps and plain["unparsed_texts"] == [said] * 3


def test_a_judge_that_only_fails_says_so(run: Path, file: Path, tmp_path: Path) -> None:
    pytest.importorskip("httpx")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        result = judge(
            run, "--llm.model", "m", "--llm.base_url", url, "--llm.retries", "0", "-n", "2",
            "--out", tmp_path / "judged.jsonl",
        )  # fmt: skip
    assert result.exit_code == 1
    assert "0 steps of 2 tasks judged." in result.stdout and "verdicts" not in result.stdout
    failed = f"the judge failed on {steps_in(file, 2)} steps, 0 are judged. The first error is"
    assert f"{failed} {url}: connection refused" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "m"), "got --model (did you mean 'llm.model'?)"),
        (("--llm.model", "m", "--llm.modle", "m"), "did you mean 'llm.model'"),
        ((), "needs a model"),
        (("--llm.model", "m", "--llm.drop_middle"), "llm.drop_middle is for playing episodes"),
        (("--llm.model", "m", "--llm.max_context", "9"), "llm.max_context is for playing"),
    ],
)
def test_wrong_options_are_told(run: Path, words: Sequence[str], message: str) -> None:
    pytest.importorskip("httpx")
    result = judge(run, *words)
    assert result.exit_code == 2 and result.stdout == ""
    assert message in result.stderr


def test_a_run_without_steps_is_told(file: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(DataError, match="expected steps to judge, got none"):
        judge_run(Judge(file), empty, tmp_path / "judged.jsonl")


@pytest.mark.torch
def test_a_tiny_model_judges(run: Path, file: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    make: Any = runpy.run_path(str(ROOT / "examples" / "tiny_model.py"))["make_tiny_model"]
    model, out = make(tmp_path / "model"), tmp_path / "judged.jsonl"
    words = (run, "--llm.generator", "local", "--llm.model", model, "--llm.max_tokens", "6")
    result = judge(*words, "--llm.device", "cpu", "-n", "3", "--out", out, "--json")
    assert result.exit_code == 0, result.stderr
    plain = json.loads(result.stdout)
    whole = plain["audits"]["all"]
    kept = list(read_judgements(out))
    assert len(kept) == whole["steps"] == steps_in(file, 3) and plain["errors"] == 0
    # It has learnt nothing: what it writes is hardly a verdict, which must be counted.
    assert whole["unparsed"] == sum(each.rating == "unparsed" for each in kept)
    assert plain["tokens"]["prompt"] > 100 * len(kept) and plain["tokens"]["generated"] > 0
