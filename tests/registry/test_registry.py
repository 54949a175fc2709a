"""The registry: ids, the sources that they name, and the environments of recorded runs."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest

import hopgym
from hopgym.errors import ArgumentError, DataError
from hopgym.policies import OraclePolicy
from hopgym.registry import FACTORIES, UnknownArgumentError
from hopgym.registry.lookup import env_of_record, env_of_run, make, resolve_id, source_of
from hopgym.rollout import run_episodes
from hopgym.tasks import TaskSource
from hopgym.trajectory import Trajectory
from hopgym.worlds.people.settings import KINDS
from hopgym.worlds.people.source import PeopleSource


@pytest.mark.parametrize("env_id", FACTORIES)
def test_an_id_names_its_source_and_its_entry_point(env_id: str) -> None:
    factory = FACTORIES[env_id]
    assert issubclass(factory.source_class(), TaskSource)
    spec = gymnasium.spec(env_id)
    assert spec.entry_point == f"hopgym.registry:{env_id}"
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert getattr(hopgym.registry, env_id) is factory
    with pytest.raises(AttributeError, match="no attribute 'hopgym/Peple-v0'"):
        getattr(hopgym.registry, "hopgym/Peple-v0")


def test_defaults_of_an_id_give_way_to_arguments() -> None:
    assert set(FACTORIES["hopgym/PeopleHard-v0"].defaults["kinds"]) == set(KINDS)
    hard = make("hopgym/PeopleHard-v0", {"size": 30, "max_steps": 9})
    assert isinstance(hard.source, PeopleSource)
    assert (hard.source.world_settings.size, hard.source.question_settings.hops) == (30, (3, 6))
    # The oracle must be able to answer within the step budget.
    assert hard.source.question_settings.max_oracle_steps == 9
    no_tools = make("hopgym/PeopleHard-v0", {"mode": "closed_book", "max_steps": 9})
    assert isinstance(no_tools.source, PeopleSource)
    assert no_tools.source.question_settings.max_oracle_steps == 20


def test_unknown_arguments_and_ids_are_refused() -> None:
    with pytest.raises(UnknownArgumentError, match=r"got 'sizes' .did you mean 'size'") as caught:
        FACTORIES["hopgym/People-v0"](sizes=3)
    assert caught.value.name == "sizes" and {"size", "max_steps"} < set(caught.value.known)
    assert resolve_id("peopleeasy") == "hopgym/PeopleEasy-v0"
    with pytest.raises(ArgumentError, match="did you mean 'hopgym/People-v0'"):
        resolve_id("peple-v0")


@pytest.fixture
def played(tmp_path: Path) -> tuple[Path, Trajectory]:
    path = tmp_path / "run.jsonl"
    env = make("hopgym/People-v0", {"size": 10, "world_seed": 3})
    (record,) = run_episodes(env, OraclePolicy(env.source), [0], out=path)
    return path, record


def test_the_environment_of_a_run(played: tuple[Path, Trajectory]) -> None:
    path, record = played
    source = source_of(path, record)
    assert source.fingerprint == env_of_record(record).source.fingerprint
    created: list[Any] = []

    def create(env_id: str, arguments: Any) -> Any:
        created.append((env_id, arguments))
        return make(env_id, arguments)

    assert env_of_run(path, record, create).source.fingerprint == source.fingerprint
    assert created == [("hopgym/People-v0", {"size": 10, "world_seed": 3})]


def test_a_run_of_other_tasks_is_refused(played: tuple[Path, Trajectory]) -> None:
    path, record = played
    with pytest.raises(DataError, match="expected episodes that name their environment, got none"):
        env_of_run(path, replace(record, env_id=""))
    other = replace(record, env_kwargs={"size": 11})
    with pytest.raises(DataError, match="tasks of hopgym/People-v0 that the run was played on"):
        env_of_run(path, other)
