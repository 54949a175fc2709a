"""``hopgym rollout``: a policy's episodes, one JSON line each; the same command resumes."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from hopgym.arguments import policy_options
from hopgym.cli.display import say, say_wrote, this_command
from hopgym.cli.options import make_env, takes_arguments
from hopgym.policies.registry import HELP


@takes_arguments
def rollout(
    ctx: typer.Context,
    env_id: Annotated[str, typer.Argument(metavar="ID", help="For example hopgym/People-v0.")],
    policy: Annotated[str, typer.Option(help=HELP)],
    out: Annotated[Path, typer.Option(help="Trajectory file; one that exists is gone on with.")],
    tasks: Annotated[int, typer.Option("-n", min=1, help="Play the first so many tasks.")] = 100,
    samples: Annotated[int, typer.Option(min=1, help="Attempts at each task.")] = 1,
    slots: Annotated[
        int, typer.Option("--slots", "-c", min=1, help="Episodes under way at a time.")
    ] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the policy.")] = 0,
) -> None:
    """Play episodes with a policy and write their trajectories.

    Killed or stopped, the same command goes on; a larger -n adds episodes. Any argument of the
    environment may follow (hopgym list ID tells them): --size 100 --hops 2,4 --split test.
    Options of the policy are given with its name: --llm.model NAME.
    """
    from hopgym.cli.live import Board, first_tasks, play, say_errors, say_one_at_a_time
    from hopgym.policies.registry import policy_named
    from hopgym.runs.reader import Run

    words, options = policy_options([env_id, *ctx.args], policy)
    env = make_env("", words)
    run = Run(policy, first_tasks(env, tasks), out, samples, slots, seed)
    playing = policy_named(policy, env, options)
    say_one_at_a_time(ctx, playing, run)
    board = Board(env.settings.score)
    try:
        with board:
            row = play(env, playing, run, board)
    except KeyboardInterrupt:
        done = sum(each.standing.evaluated for each in board.rows)
        say(f"Stopped with {done:,} of {run.episodes:,} episodes.")
        say_wrote({"trajectories": out}, {"go on with": this_command(ctx)})
        raise typer.Exit(130) from None
    kept, done, errors = row.kept, row.standing.evaluated, row.standing.errors
    before = f", {kept:,} of them from before" if kept else ""
    say(f"{done:,} episodes of {policy} on {env.spec.id if env.spec else ''}{before}.")
    further = {
        "add more": "the same command with a larger -n",
        "read it": shlex.join(["hopgym", "view", str(out)]),
        "check it": shlex.join(["hopgym", "replay", str(out)]),
    }
    say_wrote({"trajectories": out}, further)
    say_errors(errors, row.standing.first_error, done, row.standing.oversized)
