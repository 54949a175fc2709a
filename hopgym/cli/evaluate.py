"""``hopgym eval``: a policy's figures with 95% intervals, and the floors on the same tasks."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.cli.arguments import make_env, takes_arguments, write_arguments
from hopgym.cli.policies import FLOORS, HELP
from hopgym.cli.screen import console, print_json, say, say_wrote, this_command

if TYPE_CHECKING:
    from hopgym.cli.results import Results
    from hopgym.cli.runs import Run
    from hopgym.env import HopEnv


@takes_arguments
def evaluate_policy(
    ctx: typer.Context,
    env_id: Annotated[str, typer.Argument(metavar="ID", help="For example hopgym/People-v0.")],
    policy: Annotated[str, typer.Option(help=HELP)],
    tasks: Annotated[int, typer.Option("-n", min=1, help="Take the first so many tasks.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the policy.")] = 0,
    slots: Annotated[int, typer.Option(min=1, help="Episodes under way at a time.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for trajectories and summary.json; resumed if it exists."),
    ] = None,
) -> None:
    """Evaluate a policy, with the floors beside it.

    The floors read nothing: guess knows the last relation and the world's values. Any argument
    of the environment may follow (hopgym list ID tells them): --split test --hops 2,4.
    """
    from hopgym.cli.runs import Run, first_tasks, say_errors

    env = make_env(env_id, ctx.args)
    count = first_tasks(env, tasks)
    runs = {name: Run(name, count, 1, slots, seed, _file(out, name)) for name in (policy, *FLOORS)}
    try:
        results = {name: _result(env, run) for name, run in runs.items()}
    except KeyboardInterrupt:
        _stopped(out, this_command(ctx))
        raise typer.Exit(130) from None
    floors = {name: results[name] for name in FLOORS}
    plain = {name: result.to_dict() for name, result in results.items()}
    summary = plain[policy] | {"floors": {name: plain[name] for name in FLOORS}}
    if as_json:
        print_json(summary)
    else:
        _print_tables(env, runs[policy], results[policy], floors)
    if out is not None:
        _write_summary(out, summary)
        _say_written(ctx, out, runs)
    own = results[policy]
    say_errors(own.whole.errors, own.first_error, own.whole.episodes)


def _say_written(ctx: typer.Context, out: Path, runs: dict[str, "Run"]) -> None:
    read = shlex.join(["hopgym", "view", *(str(run.out) for run in runs.values())])
    again = f"{this_command(ctx)}  (a larger -n adds tasks)"
    paths = {"trajectories": out, "figures": out / "summary.json"}
    say_wrote(paths, {"read it": read, "go on with": again})


def _result(env: "HopEnv", run: "Run") -> "Results":
    from hopgym.cli.results import measure
    from hopgym.cli.runs import all_episodes

    return measure(all_episodes(env, run), env.source)


def _print_tables(
    env: "HopEnv", run: "Run", result: "Results", floors: dict[str, "Results"]
) -> None:
    from hopgym.cli.results import kinds_table, policies_table

    arguments = write_arguments(env.spec.kwargs if env.spec else {})
    title = shlex.join([env.spec.id if env.spec else "", *arguments])
    out = console(markup=False)  # A path or a kind may hold brackets.
    out.print(policies_table(f"{title}: {run.tasks:,} tasks", {run.policy: result} | floors))
    out.print()
    others = {name: floor for name, floor in floors.items() if name != run.policy}
    out.print(kinds_table(run.policy, result, others))
    out.print()


def _write_summary(folder: Path, summary: dict[str, Any]) -> None:
    text = json.dumps(summary, ensure_ascii=False, indent=1)
    (folder / "summary.json").write_text(f"{text}\n", encoding="utf-8")


def _stopped(out: Path | None, command: str) -> None:
    if out is None:
        say("Stopped; with --out FOLDER the episodes are kept and resumed.")
        return
    say("Stopped; the finished episodes are kept.")
    say_wrote({"trajectories": out}, {"go on with": command})


def _file(folder: Path | None, policy: str) -> Path | None:
    return folder / f"{_stem(policy)}.jsonl" if folder else None


def _stem(policy: str) -> str:
    return policy.replace(":", ".").replace("/", ".")
