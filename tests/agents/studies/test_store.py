"""The folder of a study: results by the digests of their jobs."""

import json
from pathlib import Path

import pytest

from hopgym.errors import DataError, RunFileError
from hopgym_agents.studies.plan import plan_jobs
from hopgym_agents.studies.store import StudyStore
from tests.support.study_files import read


def test_results_name_files_from_the_folder_on(tmp_path: Path) -> None:
    jobs = plan_jobs(read(tmp_path))
    kept = StudyStore(tmp_path / "out", jobs)
    result = {"options": {"model": f"{kept.path(jobs[0])}/model"}, "tried": [f"{tmp_path}/x", 1.5]}
    kept.write(jobs[0], result)
    assert kept.read(jobs[0]) == result
    moved = StudyStore((tmp_path / "out").rename(tmp_path / "moved"), jobs)
    assert "out" not in next((tmp_path / "moved" / "results").iterdir()).read_text()
    own = {"options": {"model": f"{moved.path(jobs[0])}/model"}}
    assert moved.read(jobs[0]) == result | own


def test_a_damaged_result_is_named_and_its_job_is_to_be_run_again(tmp_path: Path) -> None:
    jobs = plan_jobs(read(tmp_path))
    store = StudyStore(tmp_path / "out", jobs)
    store.write(jobs[0], {"steps": 12})
    store.write(jobs[1], {"steps": 3})
    (file,) = (tmp_path / "out" / "results").glob("tiny-model-seed-0.*.json")
    file.write_text(file.read_text().replace("12", "13"))
    with pytest.warns(UserWarning, match=rf"{jobs[0].name} is run again.*{file.name}: expected"):
        assert store.read_all() == {jobs[1].name: {"steps": 3}}


def test_folders_of_other_versions_are_refused(tmp_path: Path) -> None:
    study = read(tmp_path)
    store = StudyStore(tmp_path / "out", plan_jobs(study))
    with store.open(study):
        pass
    one_writer = pytest.raises(RunFileError, match="one writer at a time")
    with store.open(study), one_writer, store.open(study):
        pass
    file = tmp_path / "out" / "study.json"
    content = json.loads(file.read_text())
    assert content["schema"] == 2 and content["study"]["title"] == study.title
    file.write_text(json.dumps(content | {"schema": 3, "version": "9.0"}))
    newer = pytest.raises(DataError, match=r"out: expected schema 2 .*, got 3 of hopgym 9\.0")
    with newer, store.open(study):
        pass
    # The first version wrote results without a file that names the schema.
    (tmp_path / "old" / "results").mkdir(parents=True)
    old = StudyStore(tmp_path / "old", plan_jobs(study))
    older = pytest.raises(DataError, match=r"old: expected schema 2 .*, got none; use the version")
    with older, old.open(study):
        pass
