"""Options of the verbs: arguments of an environment, and options generated from dataclasses.

Verbs that make one environment take its arguments as ``--name value`` (`takes_arguments`). Verbs
with many settings take those of a dataclass (`takes_options`): each field becomes an option with
its type, default and documentation, and nothing else is accepted.
"""

import ast
import functools
import inspect
import os
import re
import textwrap
import typing
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union

import typer
from typer.core import TyperCommand

from hopgym.arguments import json_or_text, read_arguments, read_value, split_option
from hopgym.cli.display import progress
from hopgym.errors import ArgumentError, did_you_mean
from hopgym.tasks import CORPUS_CHOICES

if TYPE_CHECKING:
    from hopgym.env import HopEnv

CONTEXT_SETTINGS = "context_settings"
"""Attribute of a verb's function: the settings of its command's context."""

COMMAND_CLASS = "command_class"
"""Attribute of a verb's function: the class of its command."""

_META = "hopgym.options"
_SENTENCE_END = re.compile(r"(?<=\.)\s")

V = TypeVar("V", bound=Callable[..., Any])


def takes_arguments(verb: V) -> V:
    """Let a verb accept arguments that it does not declare; they are in ``ctx.args``."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    setattr(verb, CONTEXT_SETTINGS, settings)
    return verb


def make_env(env_id: str, args: Sequence[str], **defaults: Any) -> "HopEnv":
    """Return the environment of an id with the arguments of a command line.

    Args:
        env_id: The verb's first positional argument. If options came before the id, this is the
            first option, so the id is the first positional string of both. Empty if ``args`` has
            the id.
        args: The strings that the verb itself does not declare.
        defaults: Arguments to use unless ``args`` sets them.

    Raises:
        ArgumentError: On an unknown id or argument, or on further positional strings.
    """
    positional, arguments = read_arguments([*filter(None, [env_id]), *args])
    if not positional:
        raise ArgumentError("an id must be given, as in hopgym/People-v0; hopgym list names them")
    if len(positional) > 1:
        raise ArgumentError(
            f"one id must be given and arguments as --name value, got {positional[1]!r} as well"
        )
    from hopgym.registry.lookup import resolve_id

    return make(resolve_id(positional[0]), defaults | arguments)


def make(env_id: str, arguments: Mapping[str, Any]) -> "HopEnv":
    """Return the environment of a registered id; show progress while a new corpus is indexed.

    Raises:
        ArgumentError: As `hopgym.registry.lookup.make` does.
    """
    # Imported here, as every verb imports this module, also those without an environment.
    from hopgym.registry import lookup
    from hopgym.storage import open_corpus

    corpus = arguments.get("corpus")
    if isinstance(corpus, str) and corpus not in CORPUS_CHOICES and os.path.isfile(corpus):
        # The environment then opens the index that is stored here.
        with progress("paragraphs indexed") as advance:
            open_corpus(corpus, advance=advance)
    return lookup.make(env_id, arguments)


def option_names(command: Any) -> list[str]:
    """Return the names of a verb's own options, spelled like arguments of an environment."""
    names = [name for parameter in command.params for name in parameter.opts]
    return [name[2:].replace("-", "_") for name in names if name.startswith("--")]


def single_positional(first: str, args: Sequence[str], expected: str) -> tuple[str, dict[str, Any]]:
    """Return the only positional string of a command line, and the named arguments beside it.

    Args:
        first: The verb's positional argument; the first option, if options came before it.
        args: The strings that the verb itself does not declare.
        expected: What the positional string is, for the message.

    Raises:
        ArgumentError: When there is no positional string, or more than one.
    """
    positional, arguments = read_arguments([first, *args])
    if len(positional) != 1:
        got = f"{positional[1]!r} as well" if positional else "none"
        raise ArgumentError(
            f"{expected} must be given once, and arguments as --name value, got {got}"
        )
    return positional[0], arguments


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command line, generated from a dataclass field."""

    path: tuple[str, ...]
    """Where the value belongs in the nested options, such as ``("limits", "cpu_seconds")``."""
    type: Any
    """The field's type, without ``Annotated`` and None."""
    optional: bool
    """Whether None is a value of the field."""
    default: Any
    """The field's default; `dataclasses.MISSING` for a required field."""
    help: str
    """First sentence of the field's docstring."""
    panel: str
    """Heading in the help text."""
    name: str
    """How it is written in the help text, without its dashes: ``cpu-seconds``."""
    hidden: bool = False
    """Whether it is left out of the help text: the verb accepts it only to explain its refusal."""

    @property
    def is_table(self) -> bool:
        """Whether it holds values by name, each written ``--table.name value``."""
        return bool(typing.get_origin(self.type) is dict or self.type is dict)

    @property
    def is_weights(self) -> bool:
        """Whether it holds numbers by name, which may be written ``NAME=NUMBER,...``."""
        return self.is_table and typing.get_args(self.type)[1:] == (float,)

    @property
    def flag(self) -> str:
        """How it is written in the help text."""
        return f"--{self.name}" + (".NAME" if self.is_table and not self.is_weights else "")

    @property
    def metavar(self) -> str:
        """The type of its value, for the help text."""
        if self.is_weights:
            return "<name=weight,...>"
        if self.is_table:
            return "<value>"
        if typing.get_origin(self.type) is Literal:
            return "|".join(map(str, typing.get_args(self.type)))
        return f"<{getattr(self.type, '__name__', 'value')}>"

    @property
    def shown_default(self) -> str | None:
        """The default, for the help text; None if there is nothing to show."""
        if self.default is MISSING or self.default in (None, "") or self.is_table:
            return None
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)

    def read(self, text: str | None) -> Any:
        """Return the value of the option's text; None stands for an option without a value.

        Raises:
            ArgumentError: When a value is missing, or weights cannot be read.
        """
        if text is None:
            if self.type is bool:
                return True
            raise ArgumentError(f"--{self.name} must have a value, {self.metavar}, got none")
        if self.optional and text in ("None", "null"):
            return None
        if self.type is str:
            return text
        if self.is_weights and not text.startswith("{"):
            return _weights(self.path[-1], text)
        if typing.get_origin(self.type) in (list, tuple):
            return read_value(self.path[-1], text)
        return json_or_text(text)


def options_of(
    kind: type,
    prefix: str = "",
    panel: str = "Options",
    *,
    tables: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    hidden: Collection[str] = (),
) -> list[Option]:
    """Return the options of a dataclass, those of nested dataclasses included.

    An option is written with its path, as ``--limits.cpu_seconds``. If no other field has the same
    name, the name alone is enough, as ``--cpu-seconds``; a field called ``kind`` goes by the name
    of its table. A field of type dict takes ``--trl.learning_rate 1e-4``.

    Args:
        kind: The dataclass; each field has a docstring below it.
        prefix: Written before each name, as ``llm`` in ``--llm.model``.
        panel: Heading of the top-level options in the help text.
        tables: Names of fields of type dict, to the paths of the fields with dots.
        defaults: Defaults that differ from those of the dataclass, by field name.
        hidden: Names of fields that are left out of the help text.
    """
    start = (prefix,) if prefix else ()
    options = list(_fields_of(kind, start, panel))
    names = Counter(option.path[-1] for option in options)
    table_names = {path: name for name, path in (tables or {}).items()}
    unknown = set(table_names) - {".".join(option.path) for option in options if option.is_table}
    assert not unknown, f"{kind.__name__} has no tables {unknown}"
    return [
        replace(
            option,
            name=table_names.get(".".join(option.path)) or _short_name(option, start, names),
            default=(defaults or {}).get(option.path[-1], option.default),
            hidden=option.path[-1] in hidden,
        )
        for option in options
    ]


def takes_options(options: Sequence[Option]) -> Callable[[V], V]:
    """Return a decorator that gives a verb generated options.

    The verb has parameters ``ctx`` and ``options``; the latter gets the values that are set, as
    nested dicts. Any other option is refused, with the nearest known one.
    """

    def decorate(verb: V) -> V:
        @functools.wraps(verb)
        def call(**values: Any) -> Any:
            declared = {name: value for name, value in values.items() if name in parameters}
            return verb(**declared, options=values["ctx"].meta.get(_META, {}))

        parameters = dict(inspect.signature(verb, eval_str=True).parameters)
        del parameters["options"]
        generated = [_parameter(option) for option in options if not option.hidden]
        by_keyword = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in (*parameters.values(), *generated)
        ]
        setattr(call, "__signature__", inspect.Signature(by_keyword))  # noqa: B010
        call.__annotations__ = {item.name: item.annotation for item in by_keyword}
        setattr(call, COMMAND_CLASS, type("Command", (OptionsCommand,), {"generated": options}))
        return typing.cast("V", call)

    return decorate


class OptionsCommand(TyperCommand):
    """A verb whose generated options are read here, before typer reads the declared ones."""

    generated: Sequence[Option] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the generated options out of the command line; refuse unknown ones."""
        declared = self._declared()
        remaining: list[str] = []
        rest = list(args)
        values: dict[str, Any] = {}
        while rest:
            arg = rest.pop(0)
            name = arg[2:].partition("=")[0].replace("-", "_")
            if not arg.startswith("--") or not name or name in declared:
                remaining.append(arg)
                continue
            option, key = self._option_named(name, declared, ctx.command_path)
            text = split_option(arg, rest)[1]
            if not key:
                _put(values, option.path, option.read(text))
            elif text is None:
                _put(values, (*option.path, key), True)
            else:
                _put(values, (*option.path, key), read_value(key.rpartition(".")[2], text))
        ctx.meta[_META] = values
        return super().parse_args(ctx, remaining)

    def _declared(self) -> set[str]:
        """Return the names of the options that typer reads."""
        generated = {"__".join(option.path) for option in self.generated}
        declared = {"help"}
        for parameter in self.params:
            if parameter.name not in generated:
                names = (*parameter.opts, *parameter.secondary_opts)
                declared |= {name[2:].replace("-", "_") for name in names if name.startswith("--")}
        return declared

    def _option_named(self, name: str, declared: set[str], verb: str) -> tuple[Option, str]:
        """Return the option of a name, and the key if the name is ``table.key``."""
        single: dict[str, Option] = {}
        tables: dict[str, Option] = {}
        for option in self.generated:
            names = tables if option.is_table else single
            names[".".join(option.path)] = option
            names[option.name.replace("-", "_")] = option
        if exact := single.get(name) or tables.get(name):
            return exact, ""
        # The longest table first, as one name may begin with another.
        for table in sorted(tables, key=len, reverse=True):
            if name.startswith(f"{table}."):
                return tables[table], name.removeprefix(f"{table}.")
        hint = did_you_mean(name, [*single, *tables, *declared])
        if not hint:
            flags = (option.flag for option in tables.values() if not option.is_weights)
            entries = ", ".join(dict.fromkeys(flags))
            hint = f"; entries of tables are {entries}" if entries else ""
        raise ArgumentError(f"options must be among those of {verb} --help, got --{name}{hint}")


def _fields_of(kind: type, path: tuple[str, ...], panel: str) -> Iterator[Option]:
    docstrings = field_docstrings(kind)
    hints = typing.get_type_hints(kind)
    nested: list[tuple[str, type]] = []
    for field in fields(kind):
        hint, optional = _without_none(hints[field.name])
        if is_dataclass(hint):
            nested.append((field.name, typing.cast("type", hint)))
            continue
        text = _first_sentence(docstrings.get(field.name, ""))
        default = _default_of(field)
        yield Option((*path, field.name), hint, optional, default, text, panel, field.name)
    for name, inner in nested:  # After the options of this level, as panels of their own.
        yield from _fields_of(inner, (*path, name), name.replace("_", " ").capitalize())


def field_docstrings(kind: type) -> dict[str, str]:
    """Return the docstring below each field of a class, read from its source; empty if none."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    (definition,) = tree.body
    assert isinstance(definition, ast.ClassDef)
    texts: dict[str, str] = {}
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            texts[statement.target.id] = inspect.cleandoc(str(following.value.value))
    return texts


def _first_sentence(text: str) -> str:
    flat = " ".join(text.replace("`", "").split())
    sentence, *_ = _SENTENCE_END.split(flat, maxsplit=1)
    return sentence


def _without_none(hint: Any) -> tuple[Any, bool]:
    """Return a type without None, and whether None was part of it."""
    if typing.get_origin(hint) not in (Union, UnionType):
        return hint, False
    members = [member for member in typing.get_args(hint) if member is not NoneType]
    return (members[0] if len(members) == 1 else hint), True


def _default_of(field: "Field[Any]") -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _short_name(option: Option, start: tuple[str, ...], names: Mapping[str, int]) -> str:
    *tables, name = option.path
    if name == "kind" and tables:
        name = tables.pop()
    if start or option.is_table or (tables and names[name] > 1):
        return ".".join((*tables, name))
    return name.replace("_", "-")


def _parameter(option: Option) -> inspect.Parameter:
    """Return the parameter that shows an option in the help text; its value is never used."""
    text = option.help if option.default is not MISSING else f"{option.help} Required."
    info = typer.Option(
        option.flag,
        help=text.replace("[", r"\[").strip(),
        metavar=option.metavar,
        rich_help_panel=option.panel,
        show_default=option.shown_default is not None,
    )
    return inspect.Parameter(
        "__".join(option.path),
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[str | None, info],
        default=option.shown_default,
    )


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    *tables, last = path
    for table in tables:
        values = values.setdefault(table, {})
    values[last] = value


def _weights(name: str, text: str) -> dict[str, float]:
    """Return the weights of ``good`` or ``good=1,format=0.1``."""
    weights: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        key, _, weight = part.strip().partition("=")
        try:
            weights[key] = float(weight) if weight else 1.0
        except ValueError as error:
            expected = "names, or NAME=WEIGHT, with commas between them"
            raise ArgumentError(f"{name} must be {expected}, got {part!r}") from error
    return weights
