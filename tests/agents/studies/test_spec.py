"""Study files: what they say, what is wrong with them, and how quick ones are laid over."""

from pathlib import Path

import pytest

from hopgym.errors import ArgumentError, DataError
from hopgym.runs.json_file import write_checked_json
from hopgym_agents.studies.plan import JobKind, nest_options, plan_jobs
from hopgym_agents.studies.spec import model_options, read_study
from hopgym_agents.training.config import merge_options, merge_tables
from tests.support.study_files import TEXT, read

GRID = 'name = "one"'
"""Behind which a grid is put."""


def test_arms_have_the_options_of_all_under_their_own(tmp_path: Path) -> None:
    one, two = read(tmp_path).arm
    assert one.options == {
        "batch": 8,
        "limits": {"generated_tokens": 100},
        "trl": {"max_steps": 5, "learning_rate": 0.1},
    }
    assert two.options["limits"] == {"cpu_seconds": 3}, "limits are one choice"


def test_quick_is_laid_over_every_suite_and_arm(tmp_path: Path) -> None:
    study = read(tmp_path, quick=True)
    assert study.seeds == (0,)
    assert [suite.n for suite in study.suite] == [5]
    limits = [arm.options["limits"] for arm in study.arm]
    assert limits == [{"generated_tokens": 10}, {"cpu_seconds": 3}]
    with pytest.raises(ArgumentError, match=r"--quick must be for a study with a table \[quick\]"):
        read(tmp_path, TEXT.partition("[quick]")[0], quick=True)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("title =", "titel =", r"the study takes title, .* got 'titel' \(did you mean 'title'\?\)"),
        ("hidden = 32", "hiden = 32", r"tiny takes hidden, layers, got 'hiden' .*'hidden'"),
        ("tasks = 20", "task = 20", r"collect takes .* got 'task' \(did you mean 'tasks'\?\)"),
        ("tasks = 20", "tasks = 0", r"tasks cannot be taken: expected `int` >= 1"),
        ("batch = 4", "bach = 4", r"start.stage.train takes .*'bach' \(did you mean 'batch'\?\)"),
        ("batch = 8", "seed = 8", r"base: seed follows from the study; leave it out"),
        ('method = "sft"\ntrl', 'methd = "sft"\ntrl', r"arm 'one' .* takes .*got 'methd'"),
        ("seeds = [0, 1]", "seeds = []", r"seeds must be at least one whole number"),
        ('name = "two"', 'name = "one"', r"names of arms and models must be others than"),
        ('name = "two"', 'name = "oracle"', r"must be none of a policy or start, got 'oracle'"),
        ('name = "test"', 'name = "a/b"', r"names of suites must be of letters, .*'a/b'"),
        ("seeds = [0, 1]", "seeds = [1, 1]", r"seeds must be others than each other"),
        ('name = "test"', 'name = "grid"', r"must be another than grid, .* got 'grid'"),
        (GRID, "trl = []", r"grid of arm 'one', trl must be a list of at least one value"),
        (GRID, '"trl.x" = []', r"grid of arm 'one', trl.x must be a list of at least one"),
        (GRID, "batch = [4, 4]", r"grid of arm 'one', batch must be values that differ"),
        (GRID, "bach = [4]", r"grid of arm 'one' takes .*'bach' \(did you mean 'batch'\?\)"),
        (GRID, '"play.rond" = [4]', r"grid of .*play.rond \(did you mean 'play.round'\?\)"),
        (GRID, '"seed" = [4]', r"grid of arm 'one': seed follows from the study"),
        ("[[suite]]", "[[suites]]", r"got 'suites' \(did you mean 'suite'\?\)"),
        ("[start.tiny]\nhidden = 32", "[begin]", r"got 'begin'"),
        ('name = "two"', 'name = "two"\nstyle = "swirl"', r"style and .* the same in all arms"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in TEXT
    new = f"{old}\ngrid = {{ {new} }}" if old == GRID else new
    with pytest.raises(ArgumentError, match=rf"study\.toml: .*{told}"):
        read(tmp_path, TEXT.replace(old, new, 1))


def test_no_toml(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a study in TOML"):
        read(tmp_path, "a = ")
    with pytest.raises(DataError, match="expected a study in TOML"):
        read_study(tmp_path / "none.toml")


def test_tables_over_tables() -> None:
    assert merge_tables({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}}) == {
        "a": {"b": 4, "c": 2},
        "d": 3,
    }
    assert merge_tables({"a": [{"b": 1}, {}]}, {"a": {"c": 2}}) == {
        "a": [{"b": 1, "c": 2}, {"c": 2}]
    }
    assert merge_options({"reward": {"good": 1}}, {"reward": {"format": 1}}) == {
        "reward": {"format": 1}
    }
    assert nest_options({"trl.learning_rate": 1, "trl.beta": 2, "batch": 3}) == {
        "trl": {"learning_rate": 1, "beta": 2},
        "batch": 3,
    }


def test_models_of_the_command_line(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "model").mkdir(parents=True)
    assert model_options(run)["model"] == str(run), "no run of hopgym train"
    write_checked_json(run / "run.json", {})
    assert model_options(run) == {"generator": "local", "model": str(run / "model")}
    silent = {"chat_settings": {"enable_thinking": False}}
    write_checked_json(run / "run.json", {"style": "swirl", "play": silent})
    own = {"style": "swirl", **silent}
    assert model_options(run) == {"generator": "local", "model": str(run / "model"), **own}
    (run / "model" / "adapter_config.json").write_text('{"base_model_name_or_path": "base"}')
    record = '{"kind": "qlora", "rank": 4, "alpha": 8, "dtype": "float32", "base": "x"}'
    (run / "model" / "hopgym_adapter.json").write_text(record)
    assert model_options(run) == {
        "generator": "local",
        "model": "base",
        "adapter": str(run / "model"),
        "load_in_4bit": True,
        **own,
    }
    study = read(tmp_path, models={"mine": str(run)})
    assert study.model[0].name == "mine"
    assert study.model[0].options["model"] == "base"


def test_a_given_start_acts_as_the_arms_do(tmp_path: Path) -> None:
    told = 'style = "swirl"\nplay = { chat_settings = { enable_thinking = false } }\n'
    before, _, behind = TEXT.partition("[start.tiny]")
    given = f'{before}[start]\nmodel = "m"\n[base]\n{told}{behind.partition("[base]")[2]}'
    (start,) = [job for job in plan_jobs(read(tmp_path, given)) if job.kind is JobKind.MODEL]
    own = {"style": "swirl", "chat_settings": {"enable_thinking": False}}
    assert start.arguments["options"] == {"generator": "local", "model": "m", **own}
