"""Reading a study file: TOML in, a checked `Study` out.

What needs an environment, a model or a method to be checked is checked by
`hopgym_agents.studies.checking`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from msgspec import ValidationError, convert

from hopgym.errors import ArgumentError, DataError, did_you_mean, require
from hopgym.policies.registry import POLICIES
from hopgym_agents.modeling import Precision
from hopgym_agents.studies.spec import GRID, INSIDE, START, Arm, Study
from hopgym_agents.training.budget import Limits
from hopgym_agents.training.config import TrainConfig
from hopgym_agents.training.environments import Play, acting_options
from hopgym_agents.training.recipes import laid_over, merged, read_toml
from hopgym_agents.training.run_folder import MODEL

T = TypeVar("T")

RUN = "run.json"
"""The file by which the folder of a training run is known."""
OWN = ("run", "model", "out", "seed")
"""Options of a training run that follow from the study."""

_TABLES: Mapping[str, Any] = {"precision": Precision, "limits": Limits, "play": Play}
"""Options that are tables of a dataclass."""
WHOLE = ("reward", "limits")
"""Options that replace those they are laid over: each is one choice."""
_NAME = re.compile(r"[A-Za-z0-9][\w .,%+=-]*")


def read_study(
    path: Path, *, quick: bool = False, models: Mapping[str, str] | None = None
) -> Study:
    """Return the study of a file.

    Args:
        path: A TOML file.
        quick: Whether its table ``quick`` is merged over the rest.
        models: Folders or Hub ids of further models, by name.

    Raises:
        DataError: When there is no such file, or it is no TOML.
        ArgumentError: On names that there are not, values of another type or out of range.
    """
    given = read_toml(path, "a study")
    faster = given.pop("quick", {})
    if quick:
        require(bool(faster), "--quick", "for a study with a table [quick]", str(path))
        given = merged(given, faster)
    try:
        return _study(given, models or {})
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {error}") from error


def played_with(folder: Path) -> dict[str, Any]:
    """Return the options of the policy ``llm`` that play a model on disk.

    Args:
        folder: Of a model, an adapter, or a run of ``hopgym train``; a Hub id is taken as it is.

    Raises:
        DataError: When an adapter does not say what it is to go on.
    """
    options: dict[str, Any] = {"generator": "local", "model": str(folder)}
    if (folder / RUN).is_file() and (folder / MODEL).is_dir():
        options |= acting_options(json.loads((folder / RUN).read_bytes()))
        folder = folder / MODEL
        options["model"] = str(folder)
    written = folder / "adapter_config.json"
    if not written.is_file():
        return options
    try:
        base = json.loads(written.read_bytes())["base_model_name_or_path"]
    except (ValueError, KeyError) as error:
        raise DataError(f"{written}: expected the base of an adapter, got none") from error
    from hopgym_agents.modeling.trainable import read_record

    four = read_record(folder)["kind"] == "qlora"
    return (
        options | {"model": base, "adapter": str(folder)} | ({"load_in_4bit": True} if four else {})
    )


def _study(given: dict[str, Any], models: Mapping[str, str]) -> Study:
    base = given.pop("base", {})
    check_options(base, "base")
    given["arm"] = [_arm(each, base) for each in _tables(given, "arm")]
    more = [{"name": name, **played_with(Path(path))} for name, path in models.items()]
    given["model"] = [_model(each) for each in (*_tables(given, "model"), *more)]
    study = read_table(Study, given, "the study")
    require(bool(study.suite), "suite", "at least one table [[suite]]", ())
    require(bool(study.seeds), "seeds", "at least one whole number", study.seeds)
    once = len(set(study.seeds)) == len(study.seeds)
    require(once, "seeds", "others than each other", list(study.seeds))
    for arm in study.arm:
        _check_grid(arm)
    require(not study.arm or study.start is not None, "start", "given for arms: [start.tiny]", None)
    stages = [stage.train for stage in study.start.stage] if study.start else []
    for each in stages:
        check_options(each, "start.stage.train")
    acting = [acting_options(each) for each in (*stages, *(arm.options for arm in study.arm))]
    alike = all(each == acting[0] for each in acting)
    expected = "the same in all arms and stages of the start, which are evaluated with them"
    require(alike, "style and play.chat_settings", expected, acting)
    _check_names("suites", [each.name for each in study.suite])
    named = [each.name for each in study.arm] + [each.name for each in study.model]
    _check_names("arms and models", named)
    return study


def check_options(given: Mapping[str, Any], where: str) -> None:
    """Raise an `ArgumentError` on options that no training run takes, or that a study gives."""
    known = [each.name for each in fields(TrainConfig) if each.name not in OWN]
    for name in given:
        if name in OWN:
            raise ArgumentError(f"{where}: {name} follows from the study; leave it out")
        if name not in known:
            hint = did_you_mean(name, known)
            raise ArgumentError(f"{where} takes {', '.join(known)}, got {name!r}{hint}")


def _check_grid(arm: Arm) -> None:
    where = f"grid of arm {arm.name!r}"
    for name, values in arm.grid.items():
        table, _, inner = name.partition(".")
        check_options({table: values}, where)
        kind = _TABLES.get(table)
        if kind is not None:
            known = [f"{table}.{each.name}" for each in fields(kind)]
            hint = did_you_mean(name, known)
            right = not inner or f"{table}.{inner.partition('.')[0]}" in known
            require(right, where, f"of {', '.join(known)}", f"{name}{hint}")
        require(bool(values), f"{where}, {name}", "a list of at least one value", values)
        once = all(values.count(each) == 1 for each in values)
        require(once, f"{where}, {name}", "values that differ", values)


def read_table(kind: type[T], given: Any, where: str) -> T:
    """Return a table as one of the dataclasses here, names that there are not refused.

    Raises:
        ArgumentError: On such names, and values of another type or out of range.
    """
    _known(kind, given, where)
    try:
        return convert(given, kind)
    except ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        told = f"{where}{place.rstrip('`')}"
        raise ArgumentError(f"{told} cannot be taken: {what[0].lower()}{what[1:]}") from error


def _known(kind: Any, given: Any, where: str) -> None:
    if isinstance(given, list):
        for number, each in enumerate(given, start=1):
            _known(kind, each, f"{where} {number}")
    if not isinstance(given, Mapping):
        return
    names = [each.name for each in fields(kind)] + (["base", "quick"] if kind is Study else [])
    for name, value in given.items():
        if name not in names:
            hint = did_you_mean(name, names)
            raise ArgumentError(f"{where} takes {', '.join(names)}, got {name!r}{hint}")
        if (kind, name) in INSIDE:
            _known(INSIDE[kind, name], value, name)


def _tables(given: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = given.get(name, [])
    good = isinstance(found, list) and all(isinstance(each, dict) for each in found)
    require(good, name, f"tables, each headed [[{name}]]", found)
    return list(found)


def _arm(given: dict[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Return an arm's table with its options apart, over those of all."""
    own = {name: given[name] for name in ("name", "method", "collect", "grid") if name in given}
    options = {name: value for name, value in given.items() if name not in own}
    check_options(options, f"arm {own.get('name', '')!r} (name, method, collect, grid)")
    return own | {"options": laid_over(base, options, WHOLE)}


def _model(given: dict[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in given.items() if name != "name"}
    return {"options": options} | ({"name": given["name"]} if "name" in given else {})


def _check_names(what: str, names: Sequence[str]) -> None:
    for name in names:
        good = bool(_NAME.fullmatch(name))
        require(good, f"names of {what}", "of letters, numbers, blanks and any of .,%+=-_", name)
        require(names.count(name) == 1, f"names of {what}", "others than each other's", name)
        taken, told = (
            ((GRID,), f"another than {GRID}, by whose tasks grids are chosen from")
            if what == "suites"
            else ((START, *POLICIES), "none of a policy or start")
        )
        require(name not in taken, f"names of {what}", told, name)
