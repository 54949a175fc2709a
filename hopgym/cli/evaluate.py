"""``hopgym eval``: a policy's figures with 95% intervals, and the floors on the same tasks."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.cli.arguments import make_env, takes_arguments, write_arguments
from hopgym.cli.policies import FLOORS, HELP
from hopgym.cli.screen import console, print_json, progress, say, say_wrote, this_command

if TYPE_CHECKING:
    from hopgym.cli.results import Results
    from hopgym.cli.runs import Run
    from hopgym.env import HopEnv
    from hopgym.trajectory import Trajectory


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
        typer.Option(help="Folder for trajectories, summary and report; resumed if it exists."),
    ] = None,
) -> None:
    """Evaluate a policy, with the floors beside it.

    The floors read nothing: guess knows the last relation and the world's values. Any argument
    of the environment may follow (hopgym list ID tells them): --split test --hops 2,4. A report
    is written to the folder, or without one to runs/.
    """
    from hopgym.cli.results import measure
    from hopgym.cli.runs import Run, first_tasks, say_errors
    from hopgym.report import write_report

    env = make_env(env_id, ctx.args)
    count = first_tasks(env, tasks)
    runs = {name: Run(name, count, 1, slots, seed, _file(out, name)) for name in (policy, *FLOORS)}
    try:
        played = {name: _episodes(env, run) for name, run in runs.items()}
        results = {name: measure(episodes, env.source) for name, episodes in played.items()}
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
    report = _report_file(out, env, policy)
    with progress("report"):
        write_report(played, env.source, report)
    if out is not None:
        _write_summary(out, summary)
    _say_written(ctx, out, report)
    own = results[policy]
    say_errors(own.whole.errors, own.first_error, own.whole.episodes)


def _say_written(ctx: typer.Context, out: Path | None, report: Path) -> None:
    paths, then = {"report": report}, {"read it": shlex.join(["hopgym", "view", str(report)])}
    if out is not None:
        paths = {"trajectories": out, "figures": out / "summary.json"} | paths
        then["go on with"] = f"{this_command(ctx)}  (a larger -n adds tasks)"
    say_wrote(paths, then)


def _episodes(env: "HopEnv", run: "Run") -> list["Trajectory"]:
    from hopgym.cli.runs import all_episodes

    return all_episodes(env, run)


def _report_file(out: Path | None, env: "HopEnv", policy: str) -> Path:
    if out is not None:
        return out / "report.html"
    env_id = env.spec.id if env.spec else env.source.name
    return Path("runs") / f"{env_id.rpartition('/')[2]}-{_stem(policy)}.html"


def _print_tables(
    env: "HopEnv", run: "Run", result: "Results", floors: dict[str, "Results"]
) -> None:
    from hopgym.cli.results import kinds_table, policies_table
    from hopgym.report.official import official_table, official_text

    arguments = write_arguments(env.spec.kwargs if env.spec else {})
    title = shlex.join([env.spec.id if env.spec else "", *arguments])
    out = console(markup=False)  # A path or a kind may hold brackets.
    out.print(f"{title}: {run.tasks:,} tasks", style="bold", soft_wrap=True)
    out.print(policies_table({run.policy: result} | floors))
    out.print()
    others = {name: floor for name, floor in floors.items() if name != run.policy}
    out.print(kinds_table(run.policy, result, others))
    out.print()
    if official := official_table(result.whole, env.source):
        heading = f"{run.policy}: official metrics, {official.unit} ({official.scoring})"
        out.print(heading, style="bold", soft_wrap=True)
        out.print(official_text(official))
        out.print()
    if unjudged := env.source.unjudged:
        text = f"The steps of {unjudged:,} of {len(env.source):,} tasks are not judged"
        out.print(f"{text}: their evidence is not known, or not in the corpus.")


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
