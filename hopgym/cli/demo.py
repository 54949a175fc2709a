"""``hopgym demo``: plays held-out questions with every scripted policy and compares them."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hopgym.cli.display import console, print_json, progress, say, say_wrote, this_command
from hopgym.cli.evaluate import kinds_table, policies_table
from hopgym.cli.live import LiveTable, play
from hopgym.cli.options import make
from hopgym.evaluation.results import Results, measure
from hopgym.policies.registry import FLOORS, POLICIES
from hopgym.report import write_report
from hopgym.runs.reader import RunPlan, StoredEpisodes

if TYPE_CHECKING:
    from hopgym.env import HopEnv

_ID = "hopgym/People-v0"
_SPLIT = "test"
_TASKS = 200
_QUICK_TASKS = 20


def demo(
    ctx: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="20 questions in place of 200.")] = False,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("runs/demo"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Play held-out questions with every scripted policy and compare them.

    The oracle knows which pages matter, greedy follows the question's words, exhaustive reads
    page after page and then guesses, random calls anything; guess and unknown read nothing.
    """
    env = make(_ID, {"split": _SPLIT})
    tasks = _QUICK_TASKS if quick else _TASKS
    try:
        results = _results(env, tasks, out)
        report = _write_report(env, out)
    except KeyboardInterrupt:
        say("Stopped; the finished episodes are kept.")
        say_wrote({"trajectories": out}, {"resume": this_command(ctx)})
        raise typer.Exit(130) from None
    plain = {name: result.to_dict() for name, result in results.items()}
    summary = out / "summary.json"
    text = json.dumps(plain, ensure_ascii=False, indent=1)
    summary.write_text(f"{text}\n", encoding="utf-8")
    if as_json:
        print_json(plain)
    else:
        _print_table(results, tasks)
    say_wrote({"trajectories": out, "figures": summary} | report, _next_commands(out))


def _results(env: "HopEnv", tasks: int, out: Path) -> dict[str, Results]:
    """Play the missing episodes; return the results of each policy."""
    runs = {name: RunPlan(name, tasks, _file(out, name)) for name in POLICIES}
    with LiveTable() as table:
        for name, run in runs.items():
            play(env, POLICIES[name](env), run, table)
    return {
        name: measure(StoredEpisodes(run), env.source, tasks, progress)
        for name, run in runs.items()
    }


def _write_report(env: "HopEnv", out: Path) -> dict[str, Path]:
    path = out / "report.html"
    with progress("report"):
        write_report({name: _file(out, name) for name in POLICIES}, env.source, path)
    return {"report": path}


def _print_table(results: dict[str, Results], tasks: int) -> None:
    title = f"{_ID} --split {_SPLIT}: {tasks} questions, none of them in the training split"
    out = console(markup=False)
    out.print(title, style="bold")
    out.print(policies_table(results))
    out.print()
    out.print(kinds_table("greedy", results["greedy"], {name: results[name] for name in FLOORS}))
    out.print()


def _next_commands(out: Path) -> dict[str, str]:
    return {
        "read it": shlex.join(["hopgym", "view", str(out / "report.html")]),
        "play yourself": f"hopgym play {_ID}",
        "one policy": f"hopgym eval {_ID} --policy greedy -n 400 --split test",
        "make data": f"hopgym generate {_ID} --size 1000 --questions 500 --out runs/data",
        "what there is": "hopgym list",
    }


def _file(out: Path, policy: str) -> Path:
    return out / f"{policy}.jsonl"
