"""``hopgym eval``: metrics of a policy with 95% intervals, and the floors on the same tasks.

It writes the folder of a run (`hopgym.runs.folder`) and prints tables.
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from hopgym.arguments import policy_options, write_arguments
from hopgym.cli.display import (
    console,
    interrupts_deferred,
    new_table,
    print_json,
    progress,
    say,
    say_wrote,
)
from hopgym.cli.dryrun import show_dry_run
from hopgym.cli.live import LiveTable, first_tasks, play, report_errors, warn_of_serial_policy
from hopgym.cli.options import make_env, takes_arguments
from hopgym.evaluation.results import ANSWER_FORMS, GroupResults, Results, measure
from hopgym.policies.registry import FLOORS, HELP, policy_named
from hopgym.report import results_table, write_report
from hopgym.report.about import about_folder
from hopgym.report.table import cell, official_table, official_text, unjudged_line
from hopgym.rollout import header_of
from hopgym.runs import folder as folders
from hopgym.runs.folder import Folder
from hopgym.runs.json_file import write_json
from hopgym.runs.reader import RunPlan, StoredEpisodes
from hopgym.runs.secrets import command_without_secrets

if TYPE_CHECKING:
    from rich.table import Table

    from hopgym.env import HopEnv
    from hopgym.evaluation import Estimates
    from hopgym.rollout import Policy

Id = Annotated[str, typer.Argument(metavar="ID", help="For example hopgym/People-v0.")]
Tasks = Annotated[
    int | None,
    typer.Option(
        "-n", min=1, help="Take the first N tasks; by default 400, or all of a benchmark."
    ),
]
Samples = Annotated[int, typer.Option(min=1, help="Attempts at each task.")]
Slots = Annotated[
    int, typer.Option("--slots", "-c", min=1, help="Episodes played at the same time.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the policy.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the run, resumed if it exists; by default one in runs/."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Move an existing run aside and start again.")]
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

    Each task is played once, or --samples times. The same command resumes a
    stopped run. Any argument of the environment may follow (see hopgym list
    ID): --split test --hops 2,4. Options of the policy follow with its name:
    --llm.model NAME (see hopgym list --policy llm). The floors read nothing:
    guess knows the last relation and the world's values.
    """
    args, options = policy_options([env_id, *ctx.args], policy)
    env = make_env("", args)
    player = policy_named(policy, env, options)
    run = RunPlan(policy, first_tasks(env, tasks), Path(), samples, slots, seed)
    if dry_run:
        show_dry_run(env, player, run.episodes, as_json=as_json)
        return
    warn_of_serial_policy(ctx, player, run)
    folder = _open_folder(ctx, env, player, run, options, out, fresh)
    _evaluate(ctx, env, player, folder, _runs(run, folder), as_json)


def _evaluate(
    ctx: typer.Context,
    env: "HopEnv",
    player: "Policy",
    folder: Folder,
    runs: Mapping[str, RunPlan],
    as_json: bool,
) -> None:
    """Play the missing episodes, then write and print the results, even after Ctrl-C."""
    table = LiveTable(env.settings.score)
    stopped = not _play(env, player, runs, table)
    with interrupts_deferred() as interrupts:
        results = _measure(env, runs)
        summary = _write(env, folder, runs, results, table) if results else {}
    if as_json and results:
        print_json(summary)
    elif results:
        timing = _timing({}, table)
        print_results(env, results, next(iter(runs.values())), timing, summary["timing"])
    stopped = stopped or bool(interrupts.count)
    _say_end(ctx, folder, table, stopped=stopped, has_results=bool(results))
    if stopped:
        raise typer.Exit(130)
    report_errors(next(iter(results.values())).progress)


def _open_folder(
    ctx: typer.Context,
    env: "HopEnv",
    player: "Policy",
    run: RunPlan,
    options: Mapping[str, Any],
    out: Path | None,
    fresh: bool,
) -> Folder:
    """Return the folder of a run, created or checked."""
    with redirect_stdout(sys.stderr):  # An agent may print when it is seeded.
        header = header_of(env, player, run.seed)
    config = folders.config_of(
        env.spec.id if env.spec else env.source.name,
        env.spec.kwargs if env.spec else {},
        header,
        options,
        policy=run.policy,
        fingerprint=getattr(player, "fingerprint", ""),
        tasks=run.tasks,
        samples=run.samples,
        seed=run.seed,
        slots=run.slots,
        command=shlex.join(["hopgym", *command_without_secrets(ctx.find_root().obj or [])]),
    )
    path = out or folders.default_path(config["id"], run.policy, header)
    return folders.open_folder(path, config, fresh=fresh, moved=_say_moved)


def _say_moved(path: Path) -> None:
    say(f"The run so far is {path} now.")


def _runs(run: RunPlan, folder: Folder) -> dict[str, RunPlan]:
    """Return the runs of the policy and of the floors, which are deterministic: one attempt."""
    floors = [name for name in FLOORS if name != run.policy]
    return {run.policy: replace(run, out=folder.episodes)} | {
        name: replace(run, policy=name, samples=1, out=folder.floor(name)) for name in floors
    }


def _play(env: "HopEnv", player: "Policy", runs: Mapping[str, RunPlan], table: LiveTable) -> bool:
    """Play the missing episodes; return whether all of them finished before Ctrl-C."""
    try:
        with table:
            for name, run in runs.items():
                if not table.rows:
                    play(env, player, run, table, restart_option="--fresh")
                else:
                    play(env, policy_named(name, env), run, table)
    except KeyboardInterrupt:
        say("Stopped; the finished episodes are kept.")
        return False
    return True


def _measure(env: "HopEnv", runs: Mapping[str, RunPlan]) -> dict[str, Results]:
    """Return the results of each run that has an episode."""
    episodes = {name: StoredEpisodes(run) for name, run in runs.items()}
    return {
        name: measure(items, env.source, len(items), progress)
        for name, items in episodes.items()
        if len(items)
    }


def _write(
    env: "HopEnv",
    folder: Folder,
    runs: Mapping[str, RunPlan],
    results: Mapping[str, Results],
    table: LiveTable,
) -> dict[str, Any]:
    """Write summary and report; return the summary."""
    plain = {name: result.to_dict() for name, result in results.items()}
    policy = next(iter(runs))
    timing = _timing(folders.read_summary(folder).get("timing"), table)
    floors = {name: plain[name] for name in FLOORS if name in plain}
    summary = {"policy": policy} | plain.get(policy, {}) | {"timing": timing, "floors": floors}
    write_json(folder.summary, summary)
    with progress("report"):
        episodes = {name: StoredEpisodes(runs[name]) for name in results}
        about = {policy: about_folder(folder.path)}
        known = {name: result.overall for name, result in results.items()}
        write_report(episodes, env.source, folder.report, about=about, known=known)
    return summary


def _timing(earlier: Any, table: LiveTable) -> dict[str, float]:
    """Return seconds of playing, the episodes played in them, and the rate.

    Earlier sessions of the run are added, except those that were killed before they wrote theirs.
    """
    earlier = earlier if isinstance(earlier, dict) else {}
    row = table.rows[0]
    seconds = row.seconds + float(earlier.get("seconds", 0.0))
    episodes = row.played + int(earlier.get("episodes", 0))
    rate = episodes / seconds if seconds else 0.0
    return {"seconds": seconds, "episodes": episodes, "episodes_per_second": rate}


def _say_end(
    ctx: typer.Context, folder: Folder, table: LiveTable, *, stopped: bool, has_results: bool
) -> None:
    row = table.rows[0] if table.rows else None
    if stopped and row is not None:
        say(f"{row.progress.episodes:,} of {row.total:,} episodes of {row.name} are there.")
    paths = {"run": folder.path}
    next_commands: dict[str, str] = {}
    if has_results:
        paths |= {"figures": folder.summary, "report": folder.report}
        next_commands["read it"] = shlex.join(["hopgym", "view", str(folder.path)])
    hint = "" if stopped else "  (a larger -n adds tasks)"
    args = [arg for arg in command_without_secrets(ctx.find_root().obj or []) if arg != "--fresh"]
    next_commands["resume"] = f"{shlex.join(['hopgym', *args])}{hint}"
    say_wrote(paths, next_commands)


_EMPTY = GroupResults({}, {})
"""Results of a policy whose episodes all ended in an error."""


def policies_table(results: Mapping[str, Results]) -> "Table":
    """Return the table of metrics by policy."""
    return results_table({name: result.overall for name, result in results.items()})


def kinds_table(name: str, result: Results, floors: Mapping[str, Results]) -> "Table":
    """Return the results by kind of question, with the floors' F1.

    Questions with one answer and questions with a set of answers are kept apart.

    Args:
        name: Name of the policy.
        result: Results of the policy.
        floors: Results of the floors by name.
    """
    headings = [f"{name} success", f"{name} F1", *(f"{floor} F1" for floor in floors)]
    table = new_table("By kind of question", "asks for", "n", *headings)
    for form, label in ANSWER_FORMS.items():
        groups = [item.by_answers.get(form, _EMPTY) for item in (result, *floors.values())]
        kinds = sorted({kind for group in groups for kind in group.by_kind})
        if not kinds:
            continue
        if table.row_count:
            table.add_section()
        table.add_row(label, *_cells([group.metrics for group in groups]), style="bold")
        for kind in kinds:
            metrics = [group.by_kind.get(kind, {}) for group in groups]
            table.add_row(f"  {kind or 'any kind'}", *_cells(metrics))
    return table


def print_results(
    env: "HopEnv",
    results: Mapping[str, Results],
    run: RunPlan,
    timing: Mapping[str, float],
    total: Mapping[str, float],
) -> None:
    """Print the results of a policy and of the floors on stdout.

    Args:
        env: The environment.
        results: Results by name of the run; those of the policy may be missing.
        run: The policy's run.
        timing: ``seconds``, ``episodes`` and ``episodes_per_second`` of this session.
        total: The same, with all earlier sessions of the run.
    """
    arguments = write_arguments(env.spec.kwargs if env.spec else {})
    title = shlex.join([env.spec.id if env.spec else "", *arguments])
    out = console(markup=False)  # A path or a kind may contain brackets.
    available = len(env.source)
    part = (
        f" of {available:,} (the first)" if env.source.has_script and run.tasks < available else ""
    )
    out.print(f"{title}: {run.tasks:,}{part} tasks", style="bold", soft_wrap=True)
    out.print(policies_table(results))
    out.print()
    result = results.get(run.policy)
    if result is None:
        return
    floors = {name: results[name] for name in FLOORS if name in results and name != run.policy}
    out.print(kinds_table(run.policy, result, floors))
    out.print()
    if official := official_table(result.overall, env.source):
        heading = f"{run.policy}: official metrics, {official.unit} ({official.scoring})"
        out.print(heading, style="bold", soft_wrap=True)
        for table in official_text(official, out.width):
            out.print(table)
            out.print()
    for line in (
        *_lines(result),
        _time_line(result, run, timing, total),
        *env.source.remarks,
        *unjudged_line(result.overall),
    ):
        out.print(line, soft_wrap=True)


def _lines(result: Results) -> list[str]:
    """Return one line each on stop reasons, pass@k and tokens."""
    overall = result.overall
    reasons = (f"{name} {count:,}" for name, count in result.progress.reasons.most_common())
    lines = [f"reasons: {', '.join(reasons)}"]
    if len(overall.pass_at) > 1:
        # Powers of two and the last k are enough to see the curve.
        ks = [k for k in map(int, overall.pass_at) if not k & (k - 1) or k == len(overall.pass_at)]
        cells = {f"pass@{k}": cell(overall.pass_at[str(k)]) for k in ks}
        cells |= {"majority": cell(overall.majority)}
        lines.append(", ".join(f"{n} {c.value} ({c.interval})" for n, c in cells.items()))
    if overall.tokens:
        kinds = (("generated", overall.tokens.generated), ("in prompts", overall.tokens.prompt))
        sums = (f"{t.sum:,} {n} in all, {t.mean:,.1f} per episode" for n, t in kinds if t)
        lines.append(f"tokens: {'; '.join(sums)}")
    return lines


def _time_line(
    result: Results, run: RunPlan, timing: Mapping[str, float], total: Mapping[str, float]
) -> str:
    """Return how long playing took in this session, and in all sessions if there were others."""
    if timing["episodes"]:
        text = _time(timing)
    else:
        complete = result.progress.episodes >= run.episodes
        text = "nothing was left to play" if complete else "nothing was played"
    has_earlier = total["episodes"] > timing["episodes"]
    return f"time: {text}; in all {_time(total)}" if has_earlier else f"time: {text}"


def _time(timing: Mapping[str, float]) -> str:
    rate = timing["episodes_per_second"]
    return f"{timing['seconds']:,.1f} s for {timing['episodes']:,} episodes, {rate:,.1f} a second"


def _cells(metrics: Sequence["Estimates"]) -> list[Any]:
    """Return the cells of a row: count, success and F1 of the policy, and F1 of each floor."""
    success = metrics[0].get("success")
    cells = [cell(success), *(cell(estimates.get("f1")) for estimates in metrics)]
    texts = [Text.assemble(item.value, " ", (f"{item.interval:>9}", "dim")) for item in cells]
    return [str(success.n if success else 0), *texts]
