"""Plans of studies: which jobs there are, and what tells them apart."""

from pathlib import Path

import pytest

from hopgym.errors import ArgumentError
from hopgym_agents.studies.plan import JobKind, job_digest, plan_jobs
from hopgym_agents.studies.store import StudyStore
from tests.support.study_files import GRID, TEXT, read


def test_every_job_stands_behind_what_it_needs(tmp_path: Path) -> None:
    jobs = plan_jobs(read(tmp_path, GRID))
    places = {job.name: number for number, job in enumerate(jobs)}
    assert len(places) == len(jobs)
    for number, job in enumerate(jobs):
        assert all(places[name] < number for name in job.needs.values()), job.name
    kinds = [job.kind for job in jobs]
    assert kinds.count(JobKind.TINY_MODEL) == 2
    assert kinds.count(JobKind.COLLECT) == 1, "all seeds share what the oracle plays"
    assert kinds.count(JobKind.TRAIN) == 2 + 2 * 2 + 2
    assert kinds.count(JobKind.CHOOSE) == 1
    chosen = next(job for job in jobs if job.name == "two, seed 1")
    assert chosen.needs["choice"] == "choice for two"
    tried = next(job for job in jobs if job.name.startswith("two with trl.learning_rate=0.1"))
    assert tried.arguments["options"]["trl"] == {"max_steps": 5, "learning_rate": 0.1}
    assert (tried.seed, tried.arguments["options"]["batch"]) == (0, 4)


def test_values_of_one_turn_are_chosen_in_one_turn(tmp_path: Path) -> None:
    def modes(text: str) -> list[str | None]:
        suites = (job for job in plan_jobs(read(tmp_path, text)) if job.suite == "grid")
        return [job.arguments["kwargs"].get("mode") for job in suites]

    two = GRID[GRID.index('name = "two"') :]
    assert modes(GRID) == [None, None]
    assert modes(GRID.replace(two, two.replace('"sft"', '"one_turn"'))) == ["one_turn"] * 2


def test_guessing_is_always_played(tmp_path: Path) -> None:
    text = TEXT.replace('title = "T"', 'title = "T"\npolicies = ["oracle"]')
    played = [job.subject for job in plan_jobs(read(tmp_path, text)) if not job.needs and job.suite]
    assert played == ["oracle", "guess"]


def test_episodes_of_the_start_are_of_each_seed(tmp_path: Path) -> None:
    text = TEXT.replace('method = "sft"\ntrl', 'method = "sft"\ncollect = {policy = "start"}\ntrl')
    collected = [
        job for job in plan_jobs(read(tmp_path, text)) if job.arguments.get("policy") == "start"
    ]
    assert [(job.seed is None, job.arguments["seed"]) for job in collected] == [
        (True, 0),
        (True, 1),
    ]
    assert [job.needs["model"] for job in collected] == [
        "start, stage 1, seed 0",
        "start, stage 1, seed 1",
    ]


def test_suites_whose_file_is_missing_have_no_jobs(tmp_path: Path) -> None:
    text = TEXT.replace("n = 300", 'n = 300\nfile = "hotpotqa"\nenv = "HotpotQA"')
    study = read(tmp_path, text)
    assert not [job for job in plan_jobs(study) if job.suite]
    suite = [job for job in plan_jobs(study, {"hotpotqa": "x.json"}) if job.suite]
    assert {job.arguments["kwargs"]["path"] for job in suite} == {"x.json"}


def test_worlds_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(
        ArgumentError, match=r"env must be given for .*, or the study's: \[env\] id"
    ):
        plan_jobs(read(tmp_path, TEXT.replace('[env]\nid = "People"', "")))
    with pytest.raises(ArgumentError, match="an id must be one of"):
        plan_jobs(read(tmp_path, TEXT.replace('"People"', '"Peoples"')))


def test_other_limits_are_another_run(tmp_path: Path) -> None:
    def paths(text: str) -> dict[str, Path]:
        jobs = plan_jobs(read(tmp_path, text))
        kept = StudyStore(tmp_path, jobs)
        return {job.name: kept.path(job) for job in jobs}

    before, after = (
        paths(TEXT),
        paths(TEXT.replace("generated_tokens = 100", "generated_tokens = 200")),
    )
    assert before["one, seed 0"] != after["one, seed 0"]
    assert before["test: one, seed 0"] != after["test: one, seed 0"], "another model plays"
    assert before["two, seed 0"] == after["two, seed 0"], "whose limits are its own"
    assert len(set(before.values())) == len(before)


def test_kept_episodes_of_different_collections_are_different_jobs(tmp_path: Path) -> None:
    text = TEXT
    for name, tasks in (("one", 30), ("two", 40)):
        collect = f'collect = {{ policy = "start", tasks = {tasks}, filter = "process" }}'
        text = text.replace(f'name = "{name}"', f'name = "{name}"\n{collect}')
    jobs = plan_jobs(read(tmp_path, text))
    kept = [job for job in jobs if job.kind is JobKind.FILTER]
    assert len(kept) == 4 and len({job.needs["run"] for job in kept}) == 4
    assert "episodes for one, seed 0 that pass process" in {job.name for job in kept}


def test_changed_files_are_others(tmp_path: Path) -> None:
    model, data = tmp_path / "model", tmp_path / "data.json"
    model.mkdir()
    (model / "config.json").write_text("{}")
    text = TEXT.replace("n = 300", 'n = 300\nfile = "hotpotqa"\nenv = "HotpotQA"')
    text = text.replace("[start.tiny]\nhidden = 32", f'[start]\nmodel = "{model}"')

    def digests() -> dict[str, str]:
        jobs = plan_jobs(read(tmp_path, text, models={"mine": str(model)}), {"hotpotqa": str(data)})
        found: dict[str, str] = {}
        for job in jobs:
            found[job.name] = job_digest(job, found)
        return found

    data.write_text("[]")
    (model / "model.safetensors").write_bytes(b"1")
    first = digests()
    assert digests() == first
    data.write_text("[1]")
    other = digests()
    assert {name for name in first if first[name] != other[name]} == {
        name for name in first if name.startswith("test: ")
    }
    (model / "model.safetensors").write_bytes(b"2")
    changed = digests()
    assert all(changed[name] != other[name] for name in ("start", "mine", "one, seed 0"))
