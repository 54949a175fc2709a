"""Write docs/benchmarks.md: run the scripted policies on official files.

Usage: ``python scripts/baselines.py FOLDER``. FOLDER contains official files at any depth. Files
of no benchmark are skipped, and so are files whose name starts with DERIVED, SYNTHETIC or extra.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hopgym import HopEnv, HopgymError, evaluate, run_episodes
from hopgym.benchmarks.detection import DetectedBenchmark, detect_benchmark
from hopgym.benchmarks.records import read_content
from hopgym.evaluation import Evaluation
from hopgym.policies.registry import policy_named
from hopgym.registry.lookup import make
from hopgym.report.table import cell, privileged_steps
from hopgym.scoring import normalize_answer
from hopgym.tasks import TaskSource, gold_documents

DOCS = Path(__file__).parents[1] / "docs"
INTRODUCTION = Path(__file__).with_suffix(".txt")
NOT_OFFICIAL = ("DERIVED", "SYNTHETIC", "extra")
CLOSED = ("oracle", "guess", "unknown")
POLICIES = {
    "tools": ("oracle", "greedy", "exhaustive", "first", "random", "guess"),
    "one_turn": ("oracle", "first", "guess"),
    "closed_book": CLOSED,
}
RECALL_AT = (2, 5, 10, 20)
HEADINGS = (
    *("mode", "corpus", "policy", "success", "F1", "support", "supported"),
    *("process accuracy", "steps", "privileged steps"),
)


def files_in(folder: Path) -> Iterator[tuple[Path, str, dict[str, Any]]]:
    """Yield each official file with its environment id and the arguments that read it."""
    for path in sorted(folder.rglob("*.json*")):
        if path.name.startswith(NOT_OFFICIAL):
            continue
        try:
            match = detect_benchmark(read_content(str(path)))
            if match and match.dataset.env_id:
                arguments = {"path": str(path), **_variant(match, path)}
                make(match.dataset.env_id, arguments)
                yield path, match.dataset.env_id, arguments
        except HopgymError as error:
            print(f"skipped: {error}", file=sys.stderr)


def _variant(match: DetectedBenchmark, path: Path) -> dict[str, str]:
    if match.dataset.name == "hotpotqa":
        return {"setting": "fullwiki" if "fullwiki" in path.name else "distractor"}
    if match.dataset.name == "gsm8k":
        return {"config": "socratic" if "socratic" in path.name else "main"}
    if match.dataset.name == "musique" and match.variant:
        return {"variant": match.variant}
    return {}


def section(path: Path, env_id: str, arguments: dict[str, Any]) -> str:
    """Return the section on a file: the results of the policies in every mode and corpus."""
    plain = make(env_id, arguments)
    corpora = ("record", "split") if "search" in plain.source.tools else ("record",)
    rows = []
    for mode, policies in POLICIES.items():
        for corpus in corpora if mode == "tools" else ("record",):
            env = make(env_id, arguments | {"mode": mode, "corpus": corpus})
            known_policies = (
                policies if "search" in plain.source.tools else ("oracle", "random", "guess")
            )
            for policy in known_policies if mode == "tools" else policies:
                rows.append(_policy_cells(env, mode, policy))
    options = "".join(f"`{name}={value}`, " for name, value in arguments.items() if name != "path")
    unjudged = plain.source.unjudged
    judged = f", {unjudged:,} of them not judged" if unjudged else ""
    title = f"## {env_id.removeprefix('hopgym/')}: {path.name}"
    summary = f"{options}{len(plain.source):,} records{judged}.{_empty_golds(plain.source)}"
    tables = [_table(HEADINGS, rows), *_recall(env_id, arguments, corpora)]
    return "\n\n".join([title, summary, *tables])


def _empty_golds(source: TaskSource) -> str:
    """Return a note on golds that are empty after normalization; any answer to them has F1 0."""
    questions = (source[index].question for index in range(len(source)))
    ids = [q.id for q in questions if not normalize_answer(q.answers[0])]
    return f" Golds that normalise to nothing: {', '.join(ids)}." if ids else ""


def _policy_cells(env: HopEnv, mode: str, policy: str) -> tuple[str, ...]:
    print(f"{env.source.name} {mode} {env.corpus.description} {policy}", file=sys.stderr)
    episodes = run_episodes(env, policy_named(policy, env), range(len(env.source)), slots=64)
    evaluation = evaluate(sorted(episodes, key=lambda episode: episode.index), env.source)
    names = ("success", "f1", "supported", "process_accuracy", "steps")
    cells = {name: cell(evaluation.metrics[name], name != "steps") for name in names}
    figures = {n: f"{c.value} {c.interval}".strip() for n, c in cells.items()}
    support = _support(evaluation) if mode == "tools" else None
    corpus = env.corpus.description if mode == "tools" else "–"
    return (
        *(mode, corpus, policy, figures["success"], figures["f1"]),
        *("–" if support is None else f"{100 * support:.1f}%", figures["supported"]),
        *(figures["process_accuracy"], cells["steps"].value, str(privileged_steps(evaluation))),
    )


def _support(evaluation: Evaluation) -> float | None:
    names = ("sp_read_f1", "support_read_f1")
    return next((evaluation.official[name] for name in names if name in evaluation.official), None)


def _recall(env_id: str, arguments: dict[str, Any], corpora: tuple[str, ...]) -> Iterator[str]:
    """Yield a table of how often a search for the question finds all gold pages, if searchable."""
    if "search" not in make(env_id, arguments).source.tools:
        return
    rows = []
    for corpus in corpora:
        source = make(env_id, arguments | {"corpus": corpus}).source
        last_ranks = (_last_gold_rank(source[index]) for index in range(len(source)))
        ranks = [rank for rank in last_ranks if rank is not None]
        shares = (sum(rank <= k for rank in ranks) / len(ranks) for k in RECALL_AT if ranks)
        rows.append((corpus, str(len(ranks)), *(f"{100 * share:.1f}%" for share in shares)))
    headings = ("corpus", "judged questions", *(f"recall@{k}" for k in RECALL_AT))
    yield _table(headings, rows)


def _last_gold_rank(task: Any) -> float | None:
    """Return the rank, from 1, of the last gold page in a search for the question.

    It is infinite if the search misses a gold page, and None if steps are not judged.
    """
    gold = {task.corpus.pages.position(document) for document in gold_documents(task.question)}
    if not gold:
        return None
    results = task.corpus.search(task.question.text, max(RECALL_AT))
    ranks = {position: rank for rank, position in enumerate(results, start=1)}
    return max(ranks.get(position, math.inf) for position in gold)


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headings, ("---",) * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="holds official files, at any depth")
    parser.add_argument("--out", type=Path, default=DOCS / "benchmarks.md")
    arguments = parser.parse_args()
    sections = [section(*file) for file in files_in(arguments.folder)]
    if not sections:
        parser.error(f"folder must hold official files, got none in {arguments.folder}")
    text = "\n\n".join([INTRODUCTION.read_text(encoding="utf-8").strip(), *sections])
    arguments.out.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
