"""The folder of a study: results by the digests of their jobs."""

from pathlib import Path

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
