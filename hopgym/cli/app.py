"""The program: verbs by name, loaded when asked for, and errors told in one line.

In: the words of a command line. Out: the verb's exit code; 2 for a wrong argument, a file that
cannot be used and the like, 130 after Ctrl-C.
"""

import errno
import warnings
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import SimpleNamespace
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from hopgym.arguments import read_arguments
from hopgym.cli.display import say
from hopgym.cli.options import COMMAND_CLASS, CONTEXT_SETTINGS, option_names
from hopgym.errors import HopgymError, did_you_mean
from hopgym.registry import UnknownArgumentError

VERBS = {
    "list": "hopgym.cli.list:list_ids",
    "play": "hopgym.cli.play:play",
    "demo": "hopgym.cli.demo:demo",
    "generate": "hopgym.cli.generate:generate",
    "data": "hopgym.cli.data:data",
    "rollout": "hopgym.cli.rollout:rollout",
    "eval": "hopgym.cli.evaluate:evaluate_policy",
    "score": "hopgym.cli.score:score",
    "export-predictions": "hopgym.cli.export:export_predictions",
    "report": "hopgym.cli.report:report",
    "view": "hopgym.cli.report:view",
    "compare": "hopgym.cli.compare:compare_runs",
    "replay": "hopgym.cli.replay:replay_file",
    "bench": "hopgym.cli.bench:bench",
    "doctor": "hopgym.cli.doctor:doctor",
}
"""Verb to its function, in the order of the help; a verb whose module is missing is left out."""

PLUG_INS = "hopgym.commands"
"""Entry-point group of further verbs."""


class Verbs(TyperGroup):
    """The verbs as one command; their modules are imported when they are needed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all verbs that load, those of plug-ins last."""
        names = dict.fromkeys([*VERBS, *_plug_ins()])
        return [name for name in names if self.get_command(ctx, name)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a verb, or None."""
        if cmd_name not in self.commands:
            loaded = _load_base(cmd_name) if cmd_name in VERBS else _load_plug_in(cmd_name)
            if loaded is not None:
                self.commands[cmd_name] = _as_command(cmd_name, loaded)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb that the arguments name; an unknown one is told what is close to it."""
        if self.get_command(ctx, args[0]) is None:
            hint = did_you_mean(args[0], self.list_commands(ctx))
            ctx.fail(f"There is no verb {args[0]!r}{hint}.")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words of the command line, for what is printed on how to resume."""
        ctx.obj = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a verb; tell what went wrong in one line."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            missing = getattr(error, "param", None) if error.message == "" else None
            error.message += _typo_of(missing, ctx.obj) if missing else ""
            raise
        except UnknownArgumentError as error:
            # Its own hint knows the environment's arguments alone, not the options of the verb.
            names = option_names(self.get_command(ctx, ctx.invoked_subcommand or ""))
            known = ", ".join((*names, *error.known))
            hint = did_you_mean(error.name, (*names, *error.known))
            say(f"arguments must be among {known}, got {error.name!r}{hint}", style="error")
        except HopgymError as error:
            say(str(error), style="error")
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            say(str(error), style="error")
        except KeyboardInterrupt:
            say("Interrupted.", style="warning")
            raise typer.Exit(130) from None
        raise typer.Exit(2)


app = typer.Typer(
    cls=Verbs,
    name="hopgym",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from hopgym import __version__

        typer.echo(f"hopgym {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Multi-hop question answering as text environments, every step judged.

    Begin with: hopgym list, hopgym play hopgym/People-v0, hopgym demo --quick
    """


def run(args: list[str] | None = None) -> None:
    """Run the program and leave the process with its exit code.

    Args:
        args: The words behind the program's name; those of the process by default.
    """
    warnings.showwarning = _show_warning
    app(args, prog_name="hopgym")


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(str(message), style="warning")


def _typo_of(missing: Any, words: list[str]) -> str:
    """Return which of the words seems to mean an option that is missing; empty where none does."""
    for name in read_arguments(words)[1]:
        if did_you_mean(name, option_names(SimpleNamespace(params=[missing]))):
            return f"Got --{name}; did you mean {missing.opts[0]}?"
    return ""


def _plug_ins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=PLUG_INS)}


def _load_base(name: str) -> Any:
    """Return the object of a verb of this package; None where its module does not exist."""
    module, _, attribute = VERBS[name].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return None


def _load_plug_in(name: str) -> Any:
    """Return the object of another package's verb; None, and a warning, where it is broken."""
    point = _plug_ins().get(name)
    if point is None:
        return None
    try:
        loaded = point.load()
        _as_command(name, loaded)
    except Exception as error:
        say(
            f"the verb {name!r} of {point.value} cannot be used ({type(error).__name__}: {error})",
            style="warning",
        )
        return None
    return loaded


def _as_command(name: str, loaded: Any) -> Any:
    """Return the command of a verb from its function or its ``typer.Typer``."""
    if not isinstance(loaded, typer.Typer):
        one = typer.Typer(add_completion=False)
        settings = getattr(loaded, CONTEXT_SETTINGS, None)
        one.command(name, cls=getattr(loaded, COMMAND_CLASS, None), context_settings=settings)(
            loaded
        )
        loaded = one
    command = get_command(loaded)
    command.name = name
    return command
