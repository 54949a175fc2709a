"""``hopgym rollout``: plays episodes with a policy into a trajectory file."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from hopgym.arguments import policy_options
from hopgym.cli.display import say, say_wrote, this_command
from hopgym.cli.live import LiveTable, first_tasks, play, report_errors, warn_of_serial_policy
from hopgym.cli.options import make_env, takes_arguments
from hopgym.policies.registry import HELP, policy_named
from hopgym.runs.reader import RunPlan


@takes_arguments
def rollout(
    ctx: typer.Context,
    env_id: Annotated[str, typer.Argument(metavar="ID", help="For example hopgym/People-v0.")],
    policy: Annotated[str, typer.Option(help=HELP)],
    out: Annotated[Path, typer.Option(help="Trajectory file; an existing one is resumed.")],
    tasks: Annotated[int, typer.Option("-n", min=1, help="Play the first N tasks.")] = 100,
    samples: Annotated[int, typer.Option(min=1, help="Attempts at each task.")] = 1,
    slots: Annotated[
        int, typer.Option("--slots", "-c", min=1, help="Episodes played at the same time.")
    ] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the policy.")] = 0,
) -> None:
    """Play episodes with a policy and write their trajectories.

    The same command resumes a stopped run; a larger -n adds episodes. Any
    argument of the environment may follow (see hopgym list ID): --size 100
    --hops 2,4 --split test. Options of the policy follow with its name:
    --llm.model NAME (see hopgym list --policy llm).
    """
    args, options = policy_options([env_id, *ctx.args], policy)
    env = make_env("", args)
    run = RunPlan(policy, first_tasks(env, tasks), out, samples, slots, seed)
    player = policy_named(policy, env, options)
    warn_of_serial_policy(ctx, player, run)
    table = LiveTable(env.settings.score)
    try:
        with table:
            row = play(env, player, run, table)
    except KeyboardInterrupt:
        done = sum(row.progress.evaluated for row in table.rows)
        say(f"Stopped with {done:,} of {run.episodes:,} episodes.")
        say_wrote({"trajectories": out}, {"resume": this_command(ctx)})
        raise typer.Exit(130) from None
    stored = f", {row.stored:,} of them from before" if row.stored else ""
    name = env.spec.id if env.spec else ""
    say(f"{row.progress.evaluated:,} episodes of {policy} on {name}{stored}.")
    next_commands = {
        "add more": "the same command with a larger -n",
        "read it": shlex.join(["hopgym", "view", str(out)]),
        "check it": shlex.join(["hopgym", "replay", str(out)]),
    }
    say_wrote({"trajectories": out}, next_commands)
    report_errors(row.progress)
