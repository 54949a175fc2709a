"""Holds the design's rules about who imports whom, read from the sources with `ast`.

A new module of hopgym fails here until it has a place in `ORDER`: choosing it is a design decision.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_FUNCTION_LINES = 60

# A module or sub-package imports only from those before it.
# fmt: off
ORDER = (
    "version", "errors", "plugins", "progress", "spaces", "search", "documents", "storage",
    "scoring", "tasks", "arguments", "actions", "tools", "verdicts", "oracle", "trajectory", "runs",
    "env", "wrappers", "replay", "policy", "rollout", "policies", "evaluation", "report", "worlds",
    "benchmarks", "registry", "cli", "__main__",
)
# fmt: on
# Those that build tasks know nothing of env, policies or training; to count the steps that a
# question takes they play the oracle, on tools and verdicts, without an environment.
TASK_MODULES = {
    *(
        "errors",
        "progress",
        "text",
        "search",
        "documents",
        "storage",
        "scoring",
        "tasks",
        "actions",
        "tools",
    ),
    *("verdicts", "oracle"),
}
NARROWER = {"worlds": TASK_MODULES, "benchmarks": TASK_MODULES | {"worlds"}}

HEAVY = {"torch", "transformers", "trl", "peft", "bitsandbytes", "datasets", "accelerate"}
LIGHT = {"gymnasium", "numpy"}
TORCH_MODULES = {"generate", "modeling", "training"}
# Whoever names the local generator gets torch; the rest of `generate` works without it.
IMPORT_TORCH = {"hopgym_agents.generate.local", "hopgym_agents.generate.decoding"}
COMMAND_LINES = ("hopgym.cli.", "hopgym_agents.cli.")
NOT_AT_IMPORT = sorted(
    HEAVY | {"bm25s", "typer", "rich", "jinja2", "msgspec", "simpleeval", "httpx"}
)


@dataclass(frozen=True)
class Import:
    """One import: of what, and when it runs."""

    target: str
    """A module, or a module and a name in it, with dots."""
    line: int
    at_import: bool
    """Whether importing the module runs it: not in a function, not only for type checkers."""
    for_types: bool
    """Whether it stands under `if TYPE_CHECKING`."""


def absolute_base(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    """The dotted name that `from ... import` names, relative ones resolved."""
    if not node.level:
        return node.module or ""
    package = module.split(".") if is_package else module.split(".")[:-1]
    anchor = package[: len(package) - (node.level - 1)]
    return ".".join([*anchor, *([node.module] if node.module else [])])


def imports_of(source: str, module: str, is_package: bool = False) -> list[Import]:
    """Every import of a module, those inside functions too."""

    def targets(node: ast.AST) -> list[str]:
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            base = absolute_base(node, module, is_package)
            return [f"{base}.{alias.name}" for alias in node.names]
        return []

    def walk(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
        for target in targets(node):
            line = getattr(node, "lineno", 0)
            yield Import(target, line, not (in_function or for_types), for_types)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from walk(child, in_function, True)
            for child in node.orelse:
                yield from walk(child, in_function, for_types)
            return
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, in_function or inside, for_types)

    return list(walk(ast.parse(source), False, False))


def unit_of(module: str) -> str:
    """The module or sub-package of hopgym that a dotted name belongs to; "" for hopgym itself."""
    return f"{module}.".split(".")[1]


def breach(importer: str, item: Import) -> str | None:
    """What is wrong with one import inside hopgym, or None."""
    if item.target.split(".")[0] == "hopgym_agents":
        return "hopgym never imports hopgym_agents"
    if item.target.split(".")[0] != "hopgym" or item.target == "hopgym.__version__":
        return None
    unit, wanted = unit_of(importer), unit_of(item.target)
    if unit == "":  # public names are lazy there; type checkers may be told about them
        allowed = item.for_types or wanted in {"registry", "version"}
        return None if allowed else "hopgym/__init__.py imports only registry and version"
    if wanted == unit or (unit == "cli" and wanted not in ORDER):
        return None
    if wanted not in ORDER:
        return f"{wanted or 'hopgym'!r} is not in ORDER: place new modules deliberately"
    if unit in NARROWER:
        allowed = wanted in NARROWER[unit]
        return None if allowed else f"{unit} imports only from {sorted(NARROWER[unit])}"
    above = ORDER.index(wanted) < ORDER.index(unit)
    return None if above else f"{unit} stands above {wanted}"


def module_name(path: Path, root: Path) -> str:
    """The dotted name under which a file is imported."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(root: Path, package: str) -> dict[str, Path]:
    """The modules of a package, by dotted name."""
    return {module_name(path, root): path for path in sorted((root / package).rglob("*.py"))}


def read_imports(module: str, path: Path) -> list[Import]:
    return imports_of(path.read_text(encoding="utf-8"), module, path.name == "__init__.py")


HOPGYM = sources(ROOT, "hopgym")
AGENTS = sources(ROOT / "agents", "hopgym_agents")
EVERYTHING = HOPGYM | AGENTS
FILES = [
    path
    for folder in ("hopgym", "agents", "scripts", "tests", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def describe(path: Path, item: Import, why: str) -> str:
    return f"{path.relative_to(ROOT)}:{item.line} imports {item.target}: {why}"


@pytest.mark.parametrize("module", HOPGYM)
def test_every_module_has_a_place_in_the_order(module: str) -> None:
    unit = unit_of(module)
    assert unit in {"", *ORDER}, (
        f"{module} is not in ORDER of {Path(__file__).name}: put {unit!r} where the design wants it"
    )


@pytest.mark.parametrize("module", HOPGYM)
def test_imports_go_one_way(module: str) -> None:
    if unit_of(module) not in {"", *ORDER}:
        pytest.fail(f"{module} is not in ORDER")
    path = HOPGYM[module]
    breaches = [
        describe(path, item, why)
        for item in read_imports(module, path)
        if (why := breach(module, item))
    ]
    assert not breaches, "\n".join(breaches)


@pytest.mark.parametrize("module", HOPGYM)
def test_nothing_heavy_is_imported_at_module_level(module: str) -> None:
    forbidden = {
        item.target
        for item in read_imports(module, HOPGYM[module])
        if item.at_import and item.target.split(".")[0] in HEAVY
    }
    assert not forbidden


@pytest.mark.parametrize("module", [name for name in HOPGYM if unit_of(name) in {"", "registry"}])
def test_the_entrance_needs_gymnasium_and_numpy_alone(module: str) -> None:
    third_party = {
        root
        for item in read_imports(module, HOPGYM[module])
        if item.at_import and (root := item.target.split(".")[0]) not in sys.stdlib_module_names
    }
    assert third_party <= LIGHT | {"hopgym"}


@pytest.mark.parametrize("module", AGENTS)
def test_torch_stays_in_its_modules(module: str) -> None:
    unit = unit_of(module)
    torch = [
        item
        for item in read_imports(module, AGENTS[module])
        if item.target.split(".")[0] == "torch" and not item.for_types
    ]
    assert not torch or unit in TORCH_MODULES
    may_import = unit != "generate" or module in IMPORT_TORCH
    assert may_import or not any(item.at_import for item in torch)


@pytest.mark.parametrize("module", [name for name in AGENTS if unit_of(name) != "cli"])
def test_libraries_do_not_import_the_command_line(module: str) -> None:
    imported = [item.target for item in read_imports(module, AGENTS[module])]
    assert not [name for name in imported if f"{name}.".startswith(COMMAND_LINES)]


def test_no_import_cycle() -> None:
    graph: dict[str, set[str]] = {}
    for module, path in EVERYTHING.items():
        graph[module] = set()
        for item in read_imports(module, path):
            if module == "hopgym" and item.for_types:
                continue
            known = [item.target, item.target.rpartition(".")[0]]
            target = next((name for name in known if name in EVERYTHING), None)
            if target not in {None, module} and item.target != "hopgym.__version__":
                graph[module].add(str(target))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("import cycle: " + " -> ".join(error.args[1]))


def test_import_hopgym_loads_nothing_heavy() -> None:
    code = f"import sys, hopgym; print(*[m for m in {NOT_AT_IMPORT} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


@pytest.mark.parametrize("folder", ["agents", "tests", "examples"])
def test_folders_that_are_no_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_functions_are_short(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {f"{n.name}, line {n.lineno}": (n.end_lineno or 0) - n.lineno + 1 for n in functions}
    assert not {name: n for name, n in lengths.items() if n > MAX_FUNCTION_LINES}


@pytest.mark.parametrize(
    ("importer", "source", "allowed"),
    [
        ("hopgym.env", "import hopgym.tasks", True),
        ("hopgym.env", "def f():\n    from hopgym.rollout import run_episodes", False),
        ("hopgym.env", "from hopgym import policies", False),
        ("hopgym.env", "from . import policies", False),
        ("hopgym.env", "from .tasks import Task", True),
        ("hopgym.env", "from hopgym import __version__", True),
        ("hopgym.env", "from hopgym import make", False),
        ("hopgym.env", "import hopgym.unheard_of", False),
        ("hopgym.env", "import hopgym_agents.prompts", False),
        ("hopgym.worlds.people.source", "from ..queries import Query", True),
        ("hopgym.worlds.people.source", "from ...tasks import Task", True),
        ("hopgym.worlds.people.source", "from hopgym.env import HopEnv", False),
        ("hopgym.benchmarks.musique", "from hopgym.worlds import queries", True),
        ("hopgym.worlds.queries", "from hopgym.benchmarks import musique", False),
        ("hopgym.registry", "from hopgym.env import HopEnv", True),
        ("hopgym.cli.play", "import hopgym", True),
        ("hopgym", "from hopgym import registry", True),
        ("hopgym", "from hopgym.env import HopEnv", False),
        ("hopgym", "if TYPE_CHECKING:\n    from hopgym.env import HopEnv", True),
    ],
)
def test_the_rules_themselves(importer: str, source: str, allowed: bool) -> None:
    (item,) = imports_of(source, importer, is_package=importer == "hopgym")
    assert (breach(importer, item) is None) == allowed


def test_what_counts_as_module_level() -> None:
    source = (
        "import a\n"
        "if TYPE_CHECKING:\n    import b\nelse:\n    import c\n"
        "try:\n    import d\nexcept ImportError:\n    pass\n"
        "class C:\n    import e\n    def f(self):\n        import g\n"
    )
    found = {item.target: item.at_import for item in imports_of(source, "m")}
    assert found == {"a": True, "b": False, "c": True, "d": True, "e": True, "g": False}


def test_every_public_name_is_what_its_module_defines() -> None:
    import hopgym

    for name in hopgym.__all__:
        assert not isinstance(getattr(hopgym, name), ModuleType), f"{name} is hidden by a module"
    assert "HopEnv" in dir(hopgym)
    with pytest.raises(AttributeError, match="no attribute 'HopEnvy'"):
        hopgym.HopEnvy  # noqa: B018
