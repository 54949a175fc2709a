"""The program ``hopgym``: finds the verb, imports its module, and prints errors in one line.

The exit code is 2 for errors such as a wrong argument or an unusable file, and 130 after Ctrl-C.
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
from hopgym.cli.options import COMMAND_CLASS, CONTEXT_SETTINGS, OptionsCommand, option_names
from hopgym.errors import HopgymError, did_you_mean
from hopgym.registry import UnknownArgumentError
from hopgym.version import __version__

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
"""Verb to its function, in the order of the help text; a verb without its module is left out."""

PLUG_INS = "hopgym.commands"
"""Entry-point group of further verbs."""


class Verbs(TyperGroup):
    """The verbs as one command. Their modules are imported on first use."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all verbs that can be loaded, plug-ins last."""
        names = dict.fromkeys([*VERBS, *_plug_ins()])
        return [name for name in names if self.get_command(ctx, name)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of a verb, or None."""
        if cmd_name not in self.commands:
            verb = _load_built_in(cmd_name) if cmd_name in VERBS else _load_plug_in(cmd_name)
            if verb is not None:
                self.commands[cmd_name] = command_of(cmd_name, verb)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb that the arguments name; suggest a similar one for an unknown name."""
        if self.get_command(ctx, args[0]) is None:
            hint = did_you_mean(args[0], self.list_commands(ctx))
            ctx.fail(f"There is no verb {args[0]!r}{hint}.")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Store the command line, so that a verb can print how to resume."""
        ctx.obj = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run a verb; print an error in one line."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            missing = getattr(error, "param", None) if error.message == "" else None
            error.message += _typo_of(missing, ctx.obj) if missing else ""
            raise
        except UnknownArgumentError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            say(_with_options_of(command, error), style="error")
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


def _print_version(is_set: bool) -> None:
    if is_set:
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
    """Run the program and exit the process with its exit code.

    Args:
        args: The command line without the program's name; that of the process by default.
    """
    warnings.showwarning = _show_warning
    app(args, prog_name="hopgym")


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(str(message), style="warning")


def _with_options_of(command: Any, error: UnknownArgumentError) -> str:
    """Return the message of an error that also considers the verb's own options."""
    if isinstance(command, OptionsCommand):  # Arguments of the environment are apart there.
        return str(error)
    known = (*option_names(command), *error.known)
    hint = did_you_mean(error.name, known)
    return f"arguments must be among {', '.join(known)}, got {error.name!r}{hint}"


def _typo_of(missing: Any, args: list[str]) -> str:
    """Return a hint if one of the arguments resembles a missing option; else nothing."""
    for name in read_arguments(args)[1]:
        if did_you_mean(name, option_names(SimpleNamespace(params=[missing]))):
            return f"Got --{name}; did you mean {missing.opts[0]}?"
    return ""


def _plug_ins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=PLUG_INS)}


def _load_built_in(name: str) -> Any:
    """Return the function of a verb of this package; None if its module does not exist."""
    module, _, attribute = VERBS[name].partition(":")
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return None


def _load_plug_in(name: str) -> Any:
    """Return the verb of another package; None, with a warning, if it cannot be loaded."""
    point = _plug_ins().get(name)
    if point is None:
        return None
    try:
        verb = point.load()
        command_of(name, verb)
    except Exception as error:
        say(
            f"the verb {name!r} of {point.value} cannot be used ({type(error).__name__}: {error})",
            style="warning",
        )
        return None
    return verb


def command_of(name: str, verb: Any) -> Any:
    """Return the command of a verb, which is a function or a ``typer.Typer``."""
    command = get_command(verb if isinstance(verb, typer.Typer) else typer_of(name, verb))
    command.name = name
    return command


def typer_of(name: str, verb: Any) -> typer.Typer:
    """Return a program whose only verb is a function, with the settings of its decorator."""
    program = typer.Typer(add_completion=False)
    settings = getattr(verb, CONTEXT_SETTINGS, None)
    program.command(name, cls=getattr(verb, COMMAND_CLASS, None), context_settings=settings)(verb)
    return program
