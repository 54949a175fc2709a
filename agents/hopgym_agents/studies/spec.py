"""Study files: the tables of a study as dataclasses, and `read_study`, which reads them from TOML.

The fields of a dataclass are the keys of its table. Whatever needs an environment, a model or a
method to be checked is checked later, by `hopgym_agents.studies.checking`.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

from msgspec import Meta, ValidationError, convert

from hopgym.errors import ArgumentError, DataError, did_you_mean, require
from hopgym.policies import registry
from hopgym.runs.json_file import read_checked_json
from hopgym_agents.modeling import Precision
from hopgym_agents.modeling.trainable import read_record
from hopgym_agents.training.budget import Limits
from hopgym_agents.training.config import TrainConfig, merge_options, merge_tables, read_toml
from hopgym_agents.training.environments import PlaySettings, acting_options
from hopgym_agents.training.run_folder import MODEL

DEFAULT_POLICIES = ("oracle", "greedy", "random", "unknown", "guess")
"""Policies that play every suite beside the models, unless the file names others."""
START = "start"
"""Name of the start model: in tables, and as the policy of a collection."""
GRID = "grid"
"""Name of the suite that the values of a grid are chosen on."""
REPLACED_OPTIONS = ("reward", "limits")
"""Training options whose tables replace a table below them; other tables are merged."""

_RUN_FILE = "run.json"
"""The file that identifies the folder of a training run."""
_STUDY_OPTIONS = ("run", "model", "out", "seed")
"""Training options that the study sets."""
_OPTION_TABLES: Mapping[str, type] = {
    "precision": Precision,
    "limits": Limits,
    "play": PlaySettings,
}
"""Training options that are tables, with their dataclasses."""
_NAME = re.compile(r"[A-Za-z0-9][\w .,%+=-]*")

_Positive = Annotated[int, Meta(ge=1)]
_NonNegative = Annotated[int, Meta(ge=0)]
_Options = dict[str, Any]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class TinyModel:
    """A small model with random weights, seeded by the study; see `hopgym_agents.modeling.tiny`."""

    hidden: int = 128
    layers: int = 3


@dataclass(frozen=True, slots=True)
class DefaultEnv:
    """The environment of all parts of a study that name no other."""

    id: str = ""
    kwargs: _Options = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EpisodeCollection:
    """Episodes to collect for training."""

    policy: str = "oracle"
    """Name of a policy, or ``start`` for the model that the run starts from."""
    options: _Options = field(default_factory=dict)
    """Options of the policy."""
    env: str = ""
    kwargs: _Options = field(default_factory=dict)
    tasks: _Positive = 1_000
    first: _NonNegative = 0
    """Index of the first task."""
    samples: _Positive = 1
    """Episodes per task."""
    seed: _NonNegative = 0
    """Seed of the policy; for the start model, the study's seed is added."""
    filter: str = ""
    """A filter of `hopgym_agents.data.filtering.FILTERS`. The number of episodes is the same for
    all filters, which is how SWiRL compares them (Goldie et al. 2025, section 4). Empty keeps all
    episodes."""


@dataclass(frozen=True, slots=True)
class StartStage:
    """A training run that prepares the start model."""

    collect: EpisodeCollection | None = None
    method: str = "sft"
    train: _Options = field(default_factory=dict)
    """Options of the run."""


@dataclass(frozen=True, slots=True)
class StartModel:
    """The model that every arm starts from, one for each seed."""

    model: str = ""
    """Folder or Hub id; if empty, `tiny` is created."""
    tiny: TinyModel = field(default_factory=TinyModel)
    stage: tuple[StartStage, ...] = ()


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to train, run once for each seed."""

    name: str
    method: str
    collect: EpisodeCollection | None = None
    grid: dict[str, list[Any]] = field(default_factory=dict)
    """Values to choose from, by the dotted name of the option."""
    options: _Options = field(default_factory=dict)
    """Options of the run: the study's ``base``, overridden by the other keys of the arm."""


@dataclass(frozen=True, slots=True)
class GridSearch:
    """How the values of an arm's grid are chosen: by success on the first seed."""

    n: _Positive = 100
    """Number of evaluation tasks."""
    kwargs: _Options = field(default_factory=lambda: {"split": "dev"})
    """Environment arguments of the evaluation tasks."""
    options: _Options = field(default_factory=dict)
    """Options of the runs to choose from, such as smaller limits."""


@dataclass(frozen=True, slots=True)
class Suite:
    """Tasks that all models and policies are evaluated on."""

    name: str
    env: str = ""
    kwargs: _Options = field(default_factory=dict)
    n: _Positive | None = None
    """Evaluate on the first ``n`` tasks; None for all."""
    file: str = ""
    """Name of a command line option that sets the argument ``path``: ``--hotpotqa FILE``."""
    policies: tuple[str, ...] | None = None
    """Policies that play this suite instead of the study's."""
    options: _Options = field(default_factory=dict)
    """Options of models on this suite, merged over the study's ``play``."""


@dataclass(frozen=True, slots=True)
class ExtraModel:
    """A model that is evaluated but not trained."""

    name: str
    options: _Options
    """Options of the policy ``llm``."""


@dataclass(frozen=True, slots=True)
class Study:
    """A study file."""

    title: str
    seeds: tuple[_NonNegative, ...] = (0,)
    env: DefaultEnv = field(default_factory=DefaultEnv)
    start: StartModel | None = None
    arm: tuple[Arm, ...] = ()
    grid: GridSearch = field(default_factory=GridSearch)
    suite: tuple[Suite, ...] = ()
    model: tuple[ExtraModel, ...] = ()
    policies: tuple[str, ...] = DEFAULT_POLICIES
    play: _Options = field(default_factory=lambda: {"temperature": 0.0, "max_tokens": 64})
    """Options of the policy ``llm`` for evaluations."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


_NESTED_TABLES: Mapping[tuple[type, str], type] = {
    (Study, "env"): DefaultEnv,
    (Study, "start"): StartModel,
    (Study, "arm"): Arm,
    (Study, "grid"): GridSearch,
    (Study, "suite"): Suite,
    (Study, "model"): ExtraModel,
    (StartModel, "tiny"): TinyModel,
    (StartModel, "stage"): StartStage,
    (StartStage, "collect"): EpisodeCollection,
    (Arm, "collect"): EpisodeCollection,
}
"""The dataclass of a table inside a table, by the outer dataclass and the key."""


def read_study(
    path: Path, *, quick: bool = False, models: Mapping[str, str] | None = None
) -> Study:
    """Return the study in a TOML file.

    Args:
        path: The file.
        quick: Merge its table ``quick`` over the rest.
        models: Folders or Hub ids of further models to evaluate, by name.

    Raises:
        DataError: If the file does not exist or is not TOML.
        ArgumentError: On unknown names, and on values of a wrong type or out of range.
    """
    tables = read_toml(path, "a study")
    overrides = tables.pop("quick", {})
    if quick:
        require(bool(overrides), "--quick", "for a study with a table [quick]", str(path))
        tables = merge_tables(tables, overrides)
    try:
        return _parse_study(tables, models or {})
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {error}") from error


def model_options(folder: Path) -> dict[str, Any]:
    """Return the options of the policy ``llm`` that play a model on disk.

    Args:
        folder: Folder of a model, an adapter, or a run of ``hopgym train``. Any other path is taken
            for a Hub id.

    Raises:
        DataError: If an adapter does not name its base model, or another version of hopgym wrote
            the run.
    """
    options: dict[str, Any] = {"generator": "local", "model": str(folder)}
    run = read_checked_json(folder / _RUN_FILE) if (folder / MODEL).is_dir() else None
    if run is not None:
        options |= acting_options(run)
        folder = folder / MODEL
        options["model"] = str(folder)
    adapter_config = folder / "adapter_config.json"
    if not adapter_config.is_file():
        return options
    try:
        base = json.loads(adapter_config.read_bytes())["base_model_name_or_path"]
    except (ValueError, KeyError) as error:
        raise DataError(f"{adapter_config}: expected the base of an adapter, got none") from error
    options |= {"model": base, "adapter": str(folder)}
    if read_record(folder)["kind"] == "qlora":
        options["load_in_4bit"] = True
    return options


def check_train_options(options: Mapping[str, Any], where: str) -> None:
    """Raise an `ArgumentError` on unknown training options and on those that the study sets."""
    known = [option.name for option in fields(TrainConfig) if option.name not in _STUDY_OPTIONS]
    for name in options:
        if name in _STUDY_OPTIONS:
            raise ArgumentError(f"{where}: {name} follows from the study; leave it out")
        if name not in known:
            hint = did_you_mean(name, known)
            raise ArgumentError(f"{where} takes {', '.join(known)}, got {name!r}{hint}")


def _parse_study(tables: dict[str, Any], models: Mapping[str, str]) -> Study:
    base = tables.pop("base", {})
    check_train_options(base, "base")
    tables["arm"] = [_parse_arm(table, base) for table in _list_of_tables(tables, "arm")]
    command_line_models = [
        {"name": name, **model_options(Path(path))} for name, path in models.items()
    ]
    tables["model"] = [
        _parse_model(table) for table in (*_list_of_tables(tables, "model"), *command_line_models)
    ]
    study = _convert(Study, tables, "the study")
    _check_study(study)
    return study


def _check_study(study: Study) -> None:
    require(bool(study.suite), "suite", "at least one table [[suite]]", ())
    require(bool(study.seeds), "seeds", "at least one whole number", study.seeds)
    distinct = len(set(study.seeds)) == len(study.seeds)
    require(distinct, "seeds", "others than each other", list(study.seeds))
    for arm in study.arm:
        _check_grid(arm)
    require(not study.arm or study.start is not None, "start", "given for arms: [start.tiny]", None)
    stages = [stage.train for stage in study.start.stage] if study.start else []
    for options in stages:
        check_train_options(options, "start.stage.train")
    acting = [acting_options(options) for options in (*stages, *(arm.options for arm in study.arm))]
    consistent = all(options == acting[0] for options in acting)
    expected = "the same in all arms and stages of the start, which are evaluated with them"
    require(consistent, "style and play.chat_settings", expected, acting)
    suite_names = [suite.name for suite in study.suite]
    expected = f"another than {GRID}, by whose tasks grids are chosen from"
    _check_names("suites", suite_names, reserved=(GRID,), expected=expected)
    model_names = [*(arm.name for arm in study.arm), *(model.name for model in study.model)]
    reserved = (START, *registry.POLICIES)
    expected = "none of a policy or start"
    _check_names("arms and models", model_names, reserved=reserved, expected=expected)


def _check_grid(arm: Arm) -> None:
    where = f"grid of arm {arm.name!r}"
    for name, values in arm.grid.items():
        table, _, option = name.partition(".")
        check_train_options({table: values}, where)
        if table in _OPTION_TABLES:
            known = [f"{table}.{entry.name}" for entry in fields(_OPTION_TABLES[table])]
            hint = did_you_mean(name, known)
            is_known = not option or f"{table}.{option.partition('.')[0]}" in known
            require(is_known, where, f"of {', '.join(known)}", f"{name}{hint}")
        require(bool(values), f"{where}, {name}", "a list of at least one value", values)
        distinct = all(values.count(value) == 1 for value in values)
        require(distinct, f"{where}, {name}", "values that differ", values)


def _check_names(
    what: str, names: Sequence[str], *, reserved: Collection[str], expected: str
) -> None:
    for name in names:
        valid = bool(_NAME.fullmatch(name))
        require(valid, f"names of {what}", "of letters, numbers, blanks and any of .,%+=-_", name)
        require(names.count(name) == 1, f"names of {what}", "others than each other's", name)
        require(name not in reserved, f"names of {what}", expected, name)


def _parse_arm(table: dict[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Return an arm's table with its training options, merged over the base, under ``options``."""
    keys = ("name", "method", "collect", "grid")
    arm = {key: table[key] for key in keys if key in table}
    options = {key: value for key, value in table.items() if key not in keys}
    check_train_options(options, f"arm {arm.get('name', '')!r} ({', '.join(keys)})")
    return arm | {"options": merge_options(base, options, REPLACED_OPTIONS)}


def _parse_model(table: dict[str, Any]) -> dict[str, Any]:
    options = {key: value for key, value in table.items() if key != "name"}
    return {"options": options} | ({"name": table["name"]} if "name" in table else {})


def _list_of_tables(tables: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = tables.get(name, [])
    valid = isinstance(value, list) and all(isinstance(table, dict) for table in value)
    require(valid, name, f"tables, each headed [[{name}]]", value)
    return list(value)


def _convert(kind: type[_T], table: Any, where: str) -> _T:
    """Return a table as a dataclass; unknown keys are refused."""
    _check_keys(kind, table, where)
    try:
        return convert(table, kind)
    except ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        place = f"{where}{path.rstrip('`')}"
        raise ArgumentError(
            f"{place} cannot be taken: {problem[0].lower()}{problem[1:]}"
        ) from error


def _check_keys(kind: Any, table: Any, where: str) -> None:
    if isinstance(table, list):
        for number, item in enumerate(table, start=1):
            _check_keys(kind, item, f"{where} {number}")
    if not isinstance(table, Mapping):
        return
    known = [entry.name for entry in fields(kind)] + (["base", "quick"] if kind is Study else [])
    for key, value in table.items():
        if key not in known:
            hint = did_you_mean(key, known)
            raise ArgumentError(f"{where} takes {', '.join(known)}, got {key!r}{hint}")
        if (kind, key) in _NESTED_TABLES:
            _check_keys(_NESTED_TABLES[kind, key], value, key)
