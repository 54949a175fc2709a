"""The four filters: what passes, how much is kept of each, and by whose word."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from hopgym.cli.app import VERBS
from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError, RunFileError
from hopgym.rollout import run_episodes
from hopgym.runs.trajectory_file import RunEnvironment, read_header, read_trajectories
from hopgym.runs.writer import TrajectoryWriter
from hopgym.trajectory import Completion, StopReason, Trajectory
from hopgym.verdicts import GOOD_VERDICTS
from hopgym_agents.data.filter_run import filter_file, read_ratings, summarize_filters
from hopgym_agents.data.filtering import (
    FILTERS,
    EpisodeLabel,
    label_episode,
    label_episodes,
    sample_episodes,
    select_episodes,
)
from hopgym_agents.generate import Request
from hopgym_agents.judging.judge import Rating
from hopgym_agents.judging.run import judge_run
from hopgym_agents.noisy_oracle import noisy_oracle
from hopgym_agents.prompts import STYLES
from tests.support.command_line import hopgym

TASKS, SAMPLES = 20, 4


class Judge:
    """Says GOOD of every step but the first of each episode."""

    concurrency, fingerprint = 1, "first"

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        return [Completion("BAD" if each.key[2] == 0 else "GOOD") for each in requests]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the oracle with errors."""
    import gymnasium

    out = tmp_path_factory.mktemp("run") / "episodes.jsonl"
    env = gymnasium.make("hopgym/People-v0", size=10, questions_per_world=TASKS)
    policy = noisy_oracle(env.unwrapped, {"p": 0.25})  # type: ignore[arg-type]
    list(run_episodes(env, policy, range(TASKS), samples=SAMPLES, out=out))
    return out


@pytest.fixture(scope="module")
def episodes(file: Path) -> list[Trajectory]:
    return list(read_trajectories(file))


@pytest.fixture(scope="module")
def labels(episodes: list[Trajectory]) -> list[EpisodeLabel]:
    return [label_episode(each) for each in episodes]


@pytest.fixture(autouse=True)
def verb(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program have the verb, also where the entry points of a checkout are older."""
    monkeypatch.setitem(VERBS, "filter", "hopgym_agents.cli.filter:filter_run")


def filter_verb(*words: object) -> Result:
    return hopgym("filter", *words)


def test_each_filter_passes_what_it_says(
    episodes: list[Trajectory], labels: list[EpisodeLabel]
) -> None:
    good = {e.key for e in episodes if all(s.verdict in GOOD_VERDICTS for s in e.steps)}
    right = {e.key for e in episodes if e.is_success}
    found = {name: {each.key for each in select_episodes(labels, name)} for name in FILTERS}
    assert found == {
        "none": {e.key for e in episodes}, "process": good, "outcome": right, "both": good & right
    }  # fmt: skip
    assert 0 < len(good & right) <= len(good) < len(right) < len(episodes)
    with pytest.raises(ArgumentError, match="filter must be one of none, process"):
        select_episodes(labels, "proces")


def test_process_accuracy_is_the_share_of_good_steps(
    episodes: list[Trajectory], labels: list[EpisodeLabel]
) -> None:
    summary = summarize_filters(labels)
    steps = [step.verdict in GOOD_VERDICTS for each in episodes for step in each.steps]
    none = summary["none"].process_accuracy
    assert none and none.mean == pytest.approx(sum(steps) / len(steps)) and none.n == len(steps)
    assert none.low < none.mean < none.high and summary["none"].judged_accuracy is None
    sure = summary["process"].process_accuracy
    assert sure and sure.mean == 1.0
    success = summary["outcome"].success
    assert success and success.mean == 1.0 and success.n == summary["outcome"].trajectories
    assert summarize_filters(labels[::-1]) == summary


def test_equally_many_are_kept_of_each_filter(labels: list[EpisodeLabel]) -> None:
    least = len(select_episodes(labels, "both"))
    for name in FILTERS:
        kept = sample_episodes(labels, name, seed=1)
        assert len(kept) == len({each.key for each in kept}) == least
        assert set(kept) <= set(select_episodes(labels, name))
        assert sample_episodes(labels[::-1], name, seed=1) == kept
    assert sample_episodes(labels, "none", seed=2) != sample_episodes(labels, "none", seed=1)
    assert len(sample_episodes(labels, "none", count=7)) == 7
    seven, nine = (sample_episodes(labels, "none", count=n, seed=1) for n in (7, 9))
    assert set(seven) < set(nine)


def test_all_tasks_give_one_before_any_gives_two(labels: list[EpisodeLabel]) -> None:
    for keep in (TASKS - 5, TASKS, TASKS + 5, 3 * TASKS):
        counts = Counter(each.task_id for each in sample_episodes(labels, "none", count=keep))
        assert max(counts.values()) == -(-keep // TASKS)
        assert len(counts) == min(keep, TASKS)


def test_too_little_is_told(labels: list[EpisodeLabel]) -> None:
    bad = [replace(each, is_success=False) for each in labels]
    with pytest.raises(DataError, match=r"filter outcome, got none of 80 .*take another filter"):
        sample_episodes(bad, "outcome")
    with pytest.raises(DataError, match=r"filter outcome, got none .*say how many to keep"):
        sample_episodes(bad, "process")
    assert sample_episodes(bad, "process", count=3)
    with pytest.raises(DataError, match="expected 81 trajectories that pass the filter none"):
        sample_episodes(labels, "none", count=81)
    with pytest.raises(ArgumentError, match="count must be a whole number from 1"):
        sample_episodes(labels, "none", count=0)
    unknown = [replace(each, good=None) for each in labels]
    with pytest.raises(DataError, match="no exact verdicts: let a model judge them"):
        sample_episodes(unknown, "process")
    assert summarize_filters(unknown)["none"].process_accuracy is None


def test_given_steps_and_errors_do_not_count(env: HopEnv) -> None:
    env.reset(options={"index": 0, "prefix": ["<lookup>Gil Hart</lookup>", "hm"]})
    for text in ("<lookup>Ada Brook</lookup>", "<lookup>Cleo Dunn</lookup>"):
        env.step(text)
    env.step("<answer>baker</answer>")
    episode = env.trajectory()
    found = label_episode(episode)
    assert (found.steps, found.good, found.passes_process) == (3, 3, True)
    broken = replace(episode, stop_reason=StopReason.API_ERROR)
    assert list(label_episodes([broken, episode])) == [None, found]
    assert label_episode(replace(episode, steps=())).passes_process is False
    # The task of index 3 has no evidence: nothing is known of its steps.
    env.reset(options={"index": 3})
    env.step("<answer>1410</answer>")
    unknown = label_episode(env.trajectory())
    assert unknown.good is None and unknown.is_success and not unknown.passes_process


def test_a_judge_takes_the_place_of_the_verdicts(file: Path, tmp_path: Path) -> None:
    judged = tmp_path / "judged.jsonl"
    judge_run(Judge(), file, judged, tasks=TASKS // 2)
    ratings = read_ratings(judged, file, STYLES["plain"])
    found = list(label_episodes(read_trajectories(file), ratings))
    there = [each for each in found if each is not None]
    assert len(there) == len(found) // 2 and {each.index for each in there} == {*range(TASKS // 2)}
    # Every first step is called BAD, so that no episode passes.
    assert not select_episodes(there, "process") and not select_episodes(there, "both")
    sure = {key: Rating.GOOD for key in ratings}
    every = [each for each in label_episodes(read_trajectories(file), sure) if each]
    assert len(select_episodes(every, "process")) == len(there)
    summary = summarize_filters(there)["none"]
    steps = sum(each.steps for each in there)
    assert summary.judged_accuracy
    assert summary.judged_accuracy.mean == pytest.approx(1 - len(there) / steps)
    unparsed = {key: Rating.UNPARSED for key in ratings}
    assert not any(e.judged_good for e in label_episodes(read_trajectories(file), unparsed) if e)


def test_a_judge_of_other_steps_is_refused(file: Path, tmp_path: Path) -> None:
    judged, again = tmp_path / "judged.jsonl", tmp_path / "again.jsonl"
    judge_run(Judge(), file, judged)
    with TrajectoryWriter(again, read_header(file)) as writer:
        for each in read_trajectories(file):
            steps = tuple(replace(step, text=f"now {step.text}") for step in each.steps)
            writer.write(replace(each, steps=steps))
    with pytest.raises(DataError, match="of another text: give the --style"):
        read_ratings(judged, again, STYLES["plain"])
    with pytest.raises(DataError, match="of another text: give the --style"):
        read_ratings(judged, file, STYLES["swirl"])
    other = tmp_path / "other.jsonl"
    header = replace(read_header(file), environments=(RunEnvironment("other"),))
    with TrajectoryWriter(other, header):
        pass
    with pytest.raises(DataError, match="got those of others"):
        read_ratings(judged, other, STYLES["plain"])


def test_what_is_kept_is_a_run(file: Path, episodes: list[Trajectory], tmp_path: Path) -> None:
    out = tmp_path / "deep" / "kept.jsonl"
    found = filter_file(file, out, "outcome", seed=3)
    kept = list(read_trajectories(out))
    assert len(kept) == found.written == found.filters["both"].trajectories
    assert all(each in episodes and each.is_success for each in kept)
    assert [each.key for each in kept] == [e.key for e in episodes if e in kept]
    before = out.read_bytes()
    assert filter_file(file, out, "outcome", seed=3) == found and out.read_bytes() == before
    assert read_header(out).source == read_header(file).source
    with pytest.raises(RunFileError, match="another config"):  # No rollout goes on with it.
        TrajectoryWriter(out, read_header(file))
    every = filter_file(file, out, "outcome", count="all")
    assert every.written == every.filters["outcome"].trajectories > found.written
    with pytest.raises(ArgumentError, match="--out must be another file"):
        filter_file(file, file, "outcome")


def test_the_verb(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "kept.jsonl"
    printed = filter_verb(file, "--filter", "process", "--out", out, "--keep", "5")
    assert printed.exit_code == 0, printed.stderr
    assert len(list(read_trajectories(out))) == 5
    assert "Kept 5 of" in printed.stderr and "hopgym export" in printed.stderr
    for words in ("process accuracy", "none", "both", "100.0%"):
        assert words in printed.stdout
    plain = json.loads(filter_verb(file, "--json").stdout)
    assert plain["filters"]["none"]["trajectories"] == TASKS * SAMPLES
    assert plain["filters"]["process"]["process_accuracy"]["mean"] == 1.0
    assert (plain["written"], plain["left_out"], plain["filter"]) == (0, 0, "process")
    judged = tmp_path / "judged.jsonl"
    judge_run(Judge(), file, judged, tasks=3)
    by_judge = filter_verb(file, "--judgements", judged)
    assert by_judge.exit_code == 0 and "by the judge" in by_judge.stdout
    assert "not judged whole" in by_judge.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--filter", "best"), "filter must be one of"),
        (("--keep", "few"), "keep must be a whole number from 1, all or equal, got 'few'"),
        (("--keep", "0"), "keep must be a whole number from 1"),
        (("--keep", "999", "--out", "OUT"), "expected 999 trajectories"),
        (("--judgements", "nowhere.jsonl"), "nowhere.jsonl"),
    ],
)
def test_wrong_words_are_told(
    file: Path, tmp_path: Path, words: Sequence[str], message: str
) -> None:
    given = [str(tmp_path / "out.jsonl") if word == "OUT" else word for word in words]
    result = filter_verb(file, *given)
    assert result.exit_code == 2 and result.stdout == "" and message in result.stderr
    assert not list(tmp_path.iterdir())
