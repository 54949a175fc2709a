"""``hopgym data``: which benchmarks there are, whether a file can be used, files from the Hub."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.arguments import write_arguments
from hopgym.benchmarks.catalogue import find_dataset
from hopgym.benchmarks.lookup import source_class
from hopgym.cli.display import console, new_table, print_json, progress, say, say_wrote
from hopgym.cli.options import single_positional
from hopgym.errors import ArgumentError, DataError, did_you_mean
from hopgym.runs.line_file import whole_file

if TYPE_CHECKING:
    from rich.table import Table

    from hopgym.benchmarks.catalogue import Dataset, HubForm
    from hopgym.benchmarks.detection import FileReport

_SHOWN_IDS = 5
_SHOWN_PROBLEMS = 20
_SHORT = 7
_ADVANCE_EVERY = 500

data = typer.Typer(
    help="List benchmarks, check their files, fetch them from the Hub.",
    no_args_is_help=True,
    add_completion=False,
)


@data.command("list")
def list_data(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """List the benchmarks: files, licences, and where their data are."""
    from hopgym.benchmarks.catalogue import DATASETS

    if as_json:
        print_json([_described(dataset) for dataset in DATASETS])
        return
    table = new_table("", "benchmark", "needs, and where it is")
    table.columns[0].no_wrap = True
    table.columns[1].justify, table.columns[1].overflow = "left", "fold"
    for dataset in DATASETS:
        name = f"[bold]{dataset.name}[/]\n{dataset.env_id or 'scored only'}\n{dataset.licence}"
        table.add_row(name, "\n".join(_needs(dataset)), end_section=True)
    console().print(table)
    say("fetch from the Hub: hopgym data fetch NAME --out FILE    "
        "check a file: hopgym data check FILE", style="quiet")  # fmt: skip


def _described(dataset: "Dataset") -> dict[str, Any]:
    return {
        "name": dataset.name,
        "title": dataset.title,
        "id": dataset.env_id,
        "files": {split: list(names) for split, names in dataset.files.items()},
        "licence": dataset.licence,
        "origin": dataset.origin,
        "hub": {
            variant: {
                "repo": form.repo,
                "config": form.config,
                "revision": form.revision,
                "splits": list(form.splits),
            }
            for variant, form in dataset.hub.items()
        },
        "note": dataset.note,
    }


def _needs(dataset: "Dataset") -> Iterator[str]:
    """Yield in lines which files are needed, where they are, and what one has to know."""
    for split, names in dataset.files.items():
        yield f"{split}: {' or '.join(names)}"
    if not dataset.files:
        yield "a file of its records"
    yield dataset.origin if dataset.hub else f"by hand from {dataset.origin}"
    for repo, revision in dict.fromkeys((f.repo, f.revision) for f in dataset.hub.values()):
        yield f"on the Hub: {repo} at {revision[:_SHORT]}"
    if dataset.note:
        yield dataset.note


@data.command("check", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def check(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A file of records.")],
    benchmark: Annotated[
        str | None, typer.Option(help="What it is of; by default this is found out.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Check a benchmark's file: what is in it, and all that is wrong with it.

    A file of your own (jsonl) and a folder of PhantomWiki can be checked as well. The benchmark's
    own arguments may follow, as in hopgym score. Exit code 1 where there are problems.
    """
    from hopgym.benchmarks.detection import check_file

    word, own = single_positional(path, ctx.args, "the path of a file")
    findings = check_file(word, benchmark, own, progress)
    if as_json:
        print_json(_plain(word, findings))
    else:
        _print(word, findings)
    raise typer.Exit(1 if findings.problems else 0)


def _plain(path: str, findings: "FileReport") -> dict[str, Any]:
    return {
        "benchmark": findings.benchmark,
        "arguments": dict(findings.arguments),
        "path": path,
        "records": findings.records,
        "judged": findings.judged,
        "unjudged": findings.records - findings.judged,
        "unjudged_ids": findings.unjudged,
        "remarks": list(findings.remarks),
        "kinds": dict(sorted(findings.kinds.items())),
        "hops": {str(count): n for count, n in sorted(findings.hops.items())},
        "repeated": findings.repeated,
        "problems": findings.problems,
    }


def _print(path: str, findings: "FileReport") -> None:
    out = console(markup=False)  # A path or a kind may hold brackets.
    how = ", ".join(f"{name} {value}" for name, value in findings.arguments.items())
    read_as = f"{findings.benchmark}, {how}" if how else findings.benchmark
    out.print(f"{path}: read as {read_as}", style="bold", soft_wrap=True)
    out.print(_table(findings))
    for remark in findings.remarks:
        out.print(remark, soft_wrap=True)
    if not findings.problems:
        out.print("No problems.")
        return
    count = len(findings.problems)
    out.print(f"{count:,} problem{'s' if count > 1 else ''}:", style="bold")
    for problem in findings.problems[:_SHOWN_PROBLEMS]:
        out.print(f"  {problem}", soft_wrap=True)
    if count > _SHOWN_PROBLEMS:
        out.print(f"  and {count - _SHOWN_PROBLEMS:,} more; --json prints all")


def _table(findings: "FileReport") -> "Table":
    table = new_table("", "", "")
    table.show_header = False
    table.columns[1].justify = "left"
    table.add_row("records", f"{findings.records:,}")
    if findings.kinds:
        kinds = (f"{kind}: {count:,}" for kind, count in sorted(findings.kinds.items()))
        counted = sorted(findings.hops.items())
        hops = (f"{count or 'unknown'}: {number:,}" for count, number in counted)
        table.add_row("steps judged", f"{findings.judged:,}")
        unjudged = findings.records - findings.judged
        ids = ", ".join(findings.unjudged[:_SHOWN_IDS])
        more = ", ..." if unjudged > _SHOWN_IDS else ""
        why = f" (their evidence is not known, or not in the record): {ids}{more}"
        table.add_row("not judged", f"{unjudged:,}{why if unjudged else ''}")
        table.add_row("by kind", ", ".join(kinds))
        table.add_row("by hops", ", ".join(hops))
        if findings.repeated:
            table.add_row("same question twice", f"{findings.repeated:,}")
    return table


@data.command("fetch")
def fetch(
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="As in hopgym data list.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The JSONL file to write.")],
    split: Annotated[str | None, typer.Option(help="By default the one that is scored.")] = None,
    variant: Annotated[
        str | None, typer.Option(help="The form, such as fullwiki or full; by default the first.")
    ] = None,
) -> None:
    """Fetch a benchmark's pinned revision from the Hub as a JSONL file."""
    dataset = find_dataset(benchmark)
    variant, form = _form(dataset, variant)
    split = split or dataset.split
    if split not in form.splits:
        raise ArgumentError(
            f"--split must be one of {', '.join(form.splits)}, got {split!r}"
            f"{did_you_mean(split, form.splits)}"
        )
    source = source_class(dataset)
    files = {"records": out}
    count = _fetch(dataset, form, split, out)
    own = {source.variant_argument: variant} if source.variant_argument else {}
    if source.second_file_config:
        name = source.second_file_argument
        files[name] = out.with_name(f"{out.stem}.{name}.jsonl")
        further = replace(form, config=source.second_file_config.format(variant))
        _fetch(dataset, further, split, files[name])
        own[name] = str(files[name])
    say(f"Wrote {count:,} records of {dataset.title} ({split}), {dataset.licence}.")
    say_wrote(files, dict(_commands(dataset, out, own)))


def _form(dataset: "Dataset", variant: str | None) -> "tuple[str, HubForm]":
    """Return a variant of a benchmark, by default the first, and where it is on the Hub.

    Raises:
        DataError: When the benchmark is not there.
        ArgumentError: When there is no such variant.
    """
    if not dataset.hub:
        raise DataError(f"{dataset.title} is not on the Hub: {dataset.by_hand}")
    names = list(dataset.hub)
    if variant is not None and variant not in names:
        expected = f"one of {', '.join(names)}" if any(names) else "left out"
        raise ArgumentError(
            f"--variant must be {expected} for {dataset.name}, got {variant!r}"
            f"{did_you_mean(variant, names)}"
        )
    chosen = names[0] if variant is None else variant
    return chosen, dataset.hub[chosen]


def _fetch(dataset: "Dataset", form: "HubForm", split: str, out: Path) -> int:
    """Write the rows of a split, one a line; return their number."""
    import msgspec

    from hopgym.benchmarks import hub

    count, encode = 0, msgspec.json.Encoder(enc_hook=str).encode
    with whole_file(out, "--out") as file:
        try:
            rows = hub.load_rows(form, split)
        except DataError as error:
            raise DataError(f"{error}: {dataset.by_hand}") from error
        with progress("rows") as advance:
            for row in rows:
                file.write(encode(row) + b"\n")
                count += 1
                if not count % _ADVANCE_EVERY:
                    advance(_ADVANCE_EVERY)
        if not count:
            raise DataError(f"{form.url} ({split}): expected rows, got none; take another split")
    return count


def _commands(dataset: "Dataset", out: Path, own: Mapping[str, str]) -> list[tuple[str, str]]:
    words = write_arguments(own)
    check = ["hopgym", "data", "check", str(out), "--benchmark", dataset.name, *words]
    play = ["hopgym", "eval", dataset.env_id, "--path", str(out), *words, "--policy", "oracle"]
    return [("check it", shlex.join(check)), ("play it", shlex.join(play))]
