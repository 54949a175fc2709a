"""``hopgym eval``: a policy's figures with 95% intervals, and the floors on the same tasks.

In: an id, a policy, a number of tasks. Out: the folder of a run (`hopgym.runs.folder`), and tables.
"""

import shlex
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.arguments import policy_options
from hopgym.cli.display import print_json, progress, say, say_wrote
from hopgym.cli.interrupts import held_back
from hopgym.cli.options import make_env, takes_arguments
from hopgym.policies.registry import FLOORS, HELP, policy_named

if TYPE_CHECKING:
    from hopgym.cli.live import Board
    from hopgym.env import HopEnv
    from hopgym.evaluation.results import Results
    from hopgym.rollout import Policy
    from hopgym.runs.folder import Folder
    from hopgym.runs.reader import Run

Id = Annotated[str, typer.Argument(metavar="ID", help="For example hopgym/People-v0.")]
Tasks = Annotated[
    int | None,
    typer.Option("-n", min=1, help="Take the first so many tasks: 400, of a benchmark all."),
]
Samples = Annotated[int, typer.Option(min=1, help="Attempts at each task.")]
Slots = Annotated[int, typer.Option("--slots", "-c", min=1, help="Episodes under way at a time.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the policy.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the run, gone on with if it exists; by default one in runs/."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Move a run aside and play it anew.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Play nothing; print prompt, tools and tokens.")
]


@takes_arguments
def evaluate_policy(
    ctx: typer.Context,
    env_id: Id,
    policy: Annotated[str, typer.Option(help=HELP)],
    tasks: Tasks = None,
    samples: Samples = 1,
    slots: Slots = 64,
    seed: Seed = 0,
    as_json: Json = False,
    out: Out = None,
    fresh: Fresh = False,
    dry_run: DryRun = False,
) -> None:
    """Evaluate a policy, with the floors beside it.

    Each task is played once, or --samples times; the same command goes on with what is there.
    Any argument of the environment may follow (hopgym list ID tells them): --split test --hops
    2,4. Options of the policy are given with its name: --llm.model NAME. The floors read nothing:
    guess knows the last relation and the world's values.
    """
    from hopgym.cli.runs import first_tasks, say_one_at_a_time
    from hopgym.runs.reader import Run

    words, options = policy_options([env_id, *ctx.args], policy)
    env = make_env("", words)
    playing = policy_named(policy, env, options)
    run = Run(policy, first_tasks(env, tasks), Path(), samples, slots, seed)
    if dry_run:
        from hopgym.cli.dryrun import show_dry_run

        show_dry_run(env, playing, run.episodes, as_json=as_json)
        return
    say_one_at_a_time(ctx, playing, run)
    folder = _begin(ctx, env, playing, run, options, out, fresh)
    _evaluate(ctx, env, playing, folder, _runs(run, folder), as_json)


def _evaluate(
    ctx: typer.Context,
    env: "HopEnv",
    playing: "Policy",
    folder: "Folder",
    runs: Mapping[str, "Run"],
    as_json: bool,
) -> None:
    """Play what is missing, write and print the figures; Ctrl-C leaves those of what is there."""
    from hopgym.cli.live import Board
    from hopgym.cli.results import print_results

    board = Board(env.settings.score)
    stopped = not _play(env, playing, runs, board)
    with held_back() as interrupts:
        results = _measure(env, runs)
        summary = _write(env, folder, runs, results, board) if results else {}
    if as_json and results:
        print_json(summary)
    elif results:
        now = _timing({}, board)
        print_results(env, results, next(iter(runs.values())), now, summary["timing"])
    stopped = stopped or bool(interrupts.count)
    _say_end(ctx, folder, board, stopped=stopped, written=bool(results))
    if stopped:
        raise typer.Exit(130)
    from hopgym.cli.runs import say_errors

    own = next(iter(results.values())).standing
    say_errors(own.errors, own.first_error, own.evaluated, own.unfit)


def _begin(
    ctx: typer.Context,
    env: "HopEnv",
    playing: "Policy",
    run: "Run",
    options: Mapping[str, Any],
    out: Path | None,
    fresh: bool,
) -> "Folder":
    """Return the folder of a run, ready to be played into."""
    from hopgym.rollout import header_of
    from hopgym.runs import folder
    from hopgym.runs.secrets import words_without_secrets

    with redirect_stdout(sys.stderr):  # An agent may print when it is seeded.
        header = header_of(env, playing, run.seed)
    config = folder.config_of(
        env.spec.id if env.spec else env.source.name,
        env.spec.kwargs if env.spec else {},
        header,
        options,
        policy=run.policy,
        fingerprint=getattr(playing, "fingerprint", ""),
        tasks=run.tasks,
        samples=run.samples,
        seed=run.seed,
        slots=run.slots,
        command=shlex.join(["hopgym", *words_without_secrets(ctx.find_root().obj or [])]),
    )
    path = out or folder.default_path(config["id"], run.policy, header)
    return folder.begin(path, config, fresh=fresh, moved=_say_moved)


def _say_moved(path: Path) -> None:
    say(f"The run so far is {path} now.")


def _runs(run: "Run", folder: "Folder") -> dict[str, "Run"]:
    """Return the policy's run, and those of the floors: one attempt each, as they never differ."""
    from dataclasses import replace

    floors = [name for name in FLOORS if name != run.policy]
    return {run.policy: replace(run, out=folder.episodes)} | {
        name: replace(run, policy=name, samples=1, out=folder.floor(name)) for name in floors
    }


def _play(env: "HopEnv", playing: "Policy", runs: Mapping[str, "Run"], board: "Board") -> bool:
    """Play what the runs lack; return whether all of it was, which Ctrl-C prevents."""
    from hopgym.cli.runs import play

    try:
        with board:
            for name, run in runs.items():
                own = not board.rows
                policy, again = (playing, "--fresh") if own else (policy_named(name, env), "")
                play(env, policy, run, board, again=again)
    except KeyboardInterrupt:
        say("Stopped; the finished episodes are kept.")
        return False
    return True


def _measure(env: "HopEnv", runs: Mapping[str, "Run"]) -> dict[str, "Results"]:
    """Return what each run comes to that has an episode."""
    from hopgym.evaluation.results import measure
    from hopgym.runs.reader import Episodes

    found = {name: Episodes(run) for name, run in runs.items()}
    return {
        name: measure(each, env.source, len(each), progress)
        for name, each in found.items()
        if len(each)
    }


def _write(
    env: "HopEnv",
    folder: "Folder",
    runs: Mapping[str, "Run"],
    results: Mapping[str, "Results"],
    board: "Board",
) -> dict[str, Any]:
    """Write summary and report; return the summary."""
    from hopgym.report import write_report
    from hopgym.report.about import about_folder
    from hopgym.runs.folder import read_summary, write_json
    from hopgym.runs.reader import Episodes

    plain = {name: result.to_dict() for name, result in results.items()}
    policy = next(iter(runs))
    own = plain.get(policy) or {}
    timing = _timing(read_summary(folder).get("timing"), board)
    floors = {name: plain[name] for name in FLOORS if name in plain}
    summary = {"policy": policy} | own | {"timing": timing, "floors": floors}
    write_json(folder.summary, summary)
    with progress("report"):
        episodes = {name: Episodes(runs[name]) for name in results}
        about = {policy: about_folder(folder.path)}
        known = {name: result.whole for name, result in results.items()}
        write_report(episodes, env.source, folder.report, about=about, known=known)
    return summary


def _timing(before: Any, board: "Board") -> dict[str, float]:
    """Return the seconds of playing, how many episodes they were spent on, and the rate.

    What earlier parts of the run took is added; a part that was killed has told of neither.
    """
    before = before if isinstance(before, dict) else {}
    row = board.rows[0]
    seconds = row.seconds + float(before.get("seconds", 0.0))
    episodes = row.played + int(before.get("episodes", 0))
    rate = episodes / seconds if seconds else 0.0
    return {"seconds": seconds, "episodes": episodes, "episodes_per_second": rate}


def _say_end(
    ctx: typer.Context, folder: "Folder", board: "Board", *, stopped: bool, written: bool
) -> None:
    from hopgym.runs.secrets import words_without_secrets

    row = board.rows[0] if board.rows else None
    if stopped and row is not None:
        say(f"{row.standing.episodes:,} of {row.total:,} episodes of {row.name} are there.")
    paths, then = {"run": folder.path}, {}
    if written:
        paths |= {"figures": folder.summary, "report": folder.report}
        then["read it"] = shlex.join(["hopgym", "view", str(folder.path)])
    again = "" if stopped else "  (a larger -n adds tasks)"
    given = words_without_secrets(ctx.find_root().obj or [])
    words = [word for word in given if word != "--fresh"]
    then["go on with"] = f"{shlex.join(['hopgym', *words])}{again}"
    say_wrote(paths, then)
