"""``hopgym rollout``: a policy's episodes, one JSON line each; the same command resumes."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from hopgym.cli.arguments import make_env, takes_arguments
from hopgym.cli.policies import HELP
from hopgym.cli.screen import say, say_wrote, this_command


@takes_arguments
def rollout(
    ctx: typer.Context,
    env_id: Annotated[str, typer.Argument(metavar="ID", help="For example hopgym/People-v0.")],
    policy: Annotated[str, typer.Option(help=HELP)],
    out: Annotated[Path, typer.Option(help="Trajectory file; one that exists is gone on with.")],
    tasks: Annotated[int, typer.Option("-n", min=1, help="Play the first so many tasks.")] = 100,
    samples: Annotated[int, typer.Option(min=1, help="Attempts at each task.")] = 1,
    slots: Annotated[int, typer.Option(min=1, help="Episodes under way at a time.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the policy.")] = 0,
) -> None:
    """Play episodes with a policy and write their trajectories.

    Killed or stopped, the same command goes on; a larger -n adds episodes. Any argument of the
    environment may follow (hopgym list ID tells them): --size 100 --hops 2,4 --split test.
    """
    from hopgym.cli.results import error_of
    from hopgym.cli.runs import Run, first_tasks, kept_episodes, new_episodes, say_errors

    env = make_env(env_id, ctx.args)
    run = Run(policy, first_tasks(env, tasks), samples, slots, seed, out)
    kept, done = sum(1 for _ in kept_episodes(run)), 0
    errors: list[str] = []
    try:
        for trajectory in new_episodes(env, run, kept):
            error = error_of(trajectory)
            errors += [error] if error else []
            done += not error
    except KeyboardInterrupt:
        say(f"Stopped with {kept + done:,} of {run.tasks * samples:,} episodes.")
        say_wrote({"trajectories": out}, {"go on with": this_command(ctx)})
        raise typer.Exit(130) from None
    before = f", {kept:,} of them from before" if kept else ""
    say(f"{kept + done:,} episodes of {policy} on {env.spec.id if env.spec else ''}{before}.")
    further = {
        "add more": "the same command with a larger -n",
        "read it": shlex.join(["hopgym", "view", str(out)]),
        "check it": shlex.join(["hopgym", "replay", str(out)]),
    }
    say_wrote({"trajectories": out}, further)
    say_errors(len(errors), errors[0] if errors else "", kept + done)
