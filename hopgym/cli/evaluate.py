"""``hopgym eval``: a policy's figures with 95% intervals, and the floors on the same tasks.

In: an id, a policy, a number of tasks. Out: the folder of a run (`hopgym.runs.folder`), and tables.
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.arguments import policy_options, write_arguments
from hopgym.cli.display import console, held_back, new_table, print_json, progress, say, say_wrote
from hopgym.cli.options import make_env, takes_arguments
from hopgym.evaluation.results import ANSWER_FORMS, GroupResults, Results
from hopgym.policies.registry import FLOORS, HELP, policy_named

if TYPE_CHECKING:
    from rich.table import Table

    from hopgym.cli.live import Board
    from hopgym.env import HopEnv
    from hopgym.evaluation import Estimates
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
    from hopgym.cli.live import first_tasks, say_one_at_a_time
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
    from hopgym.cli.live import say_errors

    own = next(iter(results.values())).progress
    say_errors(own.errors, own.first_error, own.evaluated, own.oversized)


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
    from hopgym.cli.live import play

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
        known = {name: result.overall for name, result in results.items()}
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


_EMPTY = GroupResults({}, {})
"""Of a policy all of whose episodes ended in an error."""


def policies_table(results: Mapping[str, Results]) -> "Table":
    """Return the table of policies by metrics."""
    from hopgym.report import results_table

    return results_table({name: result.overall for name, result in results.items()})


def kinds_table(name: str, result: Results, floors: Mapping[str, Results]) -> "Table":
    """Return the table of kinds of question, one answer and sets apart, with the floors' F1.

    Args:
        name: Of the policy.
        result: What it comes to.
        floors: What the floors come to, by name.
    """
    headings = [f"{name} success", f"{name} F1", *(f"{floor} F1" for floor in floors)]
    table = new_table("By kind of question", "asks for", "n", *headings)
    for form, words in ANSWER_FORMS.items():
        own, *others = (each.by_answers.get(form, _EMPTY) for each in (result, *floors.values()))
        kinds = sorted({kind for part in (own, *others) for kind in part.by_kind})
        if not kinds:
            continue
        if table.row_count:
            table.add_section()
        table.add_row(
            words, *_figures(own.metrics, [each.metrics for each in others]), style="bold"
        )
        for kind in kinds:
            figures, *references = (part.by_kind.get(kind, {}) for part in (own, *others))
            table.add_row(f"  {kind or 'any kind'}", *_figures(figures, references))
    return table


def print_results(
    env: "HopEnv",
    results: Mapping[str, Results],
    run: "Run",
    now: Mapping[str, float],
    in_all: Mapping[str, float],
) -> None:
    """Print what a policy comes to, with the floors, on stdout.

    Args:
        env: What was played.
        results: By the names of the runs; that of the policy may be missing.
        run: The policy's.
        now: The ``seconds`` of playing in this call, its ``episodes`` and
            ``episodes_per_second``.
        in_all: The same of this call and those before it.
    """
    from hopgym.policies.registry import FLOORS
    from hopgym.report.table import official_table, official_text, unjudged_line

    arguments = write_arguments(env.spec.kwargs if env.spec else {})
    title = shlex.join([env.spec.id if env.spec else "", *arguments])
    out = console(markup=False)  # A path or a kind may hold brackets.
    available = len(env.source)
    part = (
        f" of {available:,} (the first)" if env.source.has_script and run.tasks < available else ""
    )
    out.print(f"{title}: {run.tasks:,}{part} tasks", style="bold", soft_wrap=True)
    out.print(policies_table(results))
    out.print()
    own = results.get(run.policy)
    if own is None:
        return
    floors = {name: results[name] for name in FLOORS if name in results and name != run.policy}
    out.print(kinds_table(run.policy, own, floors))
    out.print()
    if official := official_table(own.overall, env.source):
        heading = f"{run.policy}: official metrics, {official.unit} ({official.scoring})"
        out.print(heading, style="bold", soft_wrap=True)
        for table in official_text(official, out.width):
            out.print(table)
            out.print()
    for line in (
        *_lines(own),
        _time_line(own, run, now, in_all),
        *env.source.remarks,
        *unjudged_line(own.overall),
    ):
        out.print(line, soft_wrap=True)


def _lines(own: Results) -> list[str]:
    """Return reasons, figures over attempts and tokens in words, a line each."""
    from hopgym.report.table import cell

    whole = own.overall
    reasons = (f"{name} {count:,}" for name, count in own.progress.reasons.most_common())
    lines = [f"reasons: {', '.join(reasons)}"]
    if len(whole.pass_at) > 1:
        # Powers of two, and the last: in between little happens.
        ks = [k for k in map(int, whole.pass_at) if not k & (k - 1) or k == len(whole.pass_at)]
        shown = {f"pass@{k}": cell(whole.pass_at[str(k)]) for k in ks}
        shown |= {"majority": cell(whole.majority)}
        lines.append(", ".join(f"{n} {c.value} ({c.interval})" for n, c in shown.items()))
    if whole.tokens:
        kinds = (("generated", whole.tokens.generated), ("in prompts", whole.tokens.prompt))
        told = (f"{t.sum:,} {n} in all, {t.mean:,.1f} per episode" for n, t in kinds if t)
        lines.append(f"tokens: {'; '.join(told)}")
    return lines


def _time_line(
    own: Results, run: "Run", now: Mapping[str, float], in_all: Mapping[str, float]
) -> str:
    """Return in words how long playing took, in this call and in all where there were others."""
    if now["episodes"]:
        told = _time(now)
    else:
        complete = own.progress.episodes >= run.episodes
        told = "nothing was left to play" if complete else "nothing was played"
    earlier = in_all["episodes"] > now["episodes"]
    return f"time: {told}; in all {_time(in_all)}" if earlier else f"time: {told}"


def _time(timing: Mapping[str, float]) -> str:
    rate = timing["episodes_per_second"]
    return f"{timing['seconds']:,.1f} s for {timing['episodes']:,} episodes, {rate:,.1f} a second"


def _figures(own: "Estimates", floors: Sequence["Estimates"]) -> list[Any]:
    from rich.text import Text

    from hopgym.report.table import cell

    success = own.get("success")
    shown = [cell(success), *(cell(each.get("f1")) for each in (own, *floors))]
    texts = [Text.assemble(each.value, " ", (f"{each.interval:>9}", "dim")) for each in shown]
    return [str(success.n if success else 0), *texts]
