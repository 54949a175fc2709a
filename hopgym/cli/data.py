"""``hopgym data``: lists benchmarks, checks their files, and fetches them from the Hub."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from hopgym.arguments import write_arguments
from hopgym.benchmarks import hub
from hopgym.benchmarks.catalogue import DATASETS, find_dataset
from hopgym.benchmarks.detection import check_file
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
_REVISION_LENGTH = 7
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
    """List the benchmarks: files, licences, and where the data are."""
    if as_json:
        print_json([_describe(dataset) for dataset in DATASETS])
        return
    table = new_table("", "benchmark", "needs, and where it is")
    table.columns[0].no_wrap = True
    table.columns[1].justify = "left"
    table.columns[1].overflow = "fold"
    for dataset in DATASETS:
        name = f"[bold]{dataset.name}[/]\n{dataset.env_id or 'scored only'}\n{dataset.licence}"
        table.add_row(name, "\n".join(_needs(dataset)), end_section=True)
    console().print(table)
    say(
        "fetch from the Hub: hopgym data fetch NAME --out FILE    "
        "check a file: hopgym data check FILE",
        style="quiet",
    )


def _describe(dataset: "Dataset") -> dict[str, Any]:
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
    """Yield lines: which files are needed, where they are, and a note."""
    for split, names in dataset.files.items():
        yield f"{split}: {' or '.join(names)}"
    if not dataset.files:
        yield "a file of its records"
    yield dataset.origin if dataset.hub else f"by hand from {dataset.origin}"
    for repo, revision in dict.fromkeys((f.repo, f.revision) for f in dataset.hub.values()):
        yield f"on the Hub: {repo} at {revision[:_REVISION_LENGTH]}"
    if dataset.note:
        yield dataset.note


@data.command("check", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def check(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A file of records.")],
    benchmark: Annotated[
        str | None, typer.Option(help="Name of the benchmark; detected by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Check a benchmark's file: print a summary of it, and all its problems.

    A file of your own (jsonl) and a folder of PhantomWiki can be checked as
    well. Arguments of the benchmark may follow, as in hopgym score. The exit
    code is 1 if there are problems.
    """
    file, arguments = single_positional(path, ctx.args, "the path of a file")
    findings = check_file(file, benchmark, arguments, progress)
    if as_json:
        print_json(_plain(file, findings))
    else:
        _print(file, findings)
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
    out = console(markup=False)  # A path or a kind may contain brackets.
    arguments = ", ".join(f"{name} {value}" for name, value in findings.arguments.items())
    read_as = f"{findings.benchmark}, {arguments}" if arguments else findings.benchmark
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
        reason = f" (their evidence is not known, or not in the record): {ids}{more}"
        table.add_row("not judged", f"{unjudged:,}{reason if unjudged else ''}")
        table.add_row("by kind", ", ".join(kinds))
        table.add_row("by hops", ", ".join(hops))
        if findings.repeated:
            table.add_row("same question twice", f"{findings.repeated:,}")
    return table


@data.command("fetch")
def fetch(
    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="As in hopgym data list.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The JSONL file to write.")],
    split: Annotated[str | None, typer.Option(help="By default the split that is scored.")] = None,
    variant: Annotated[
        str | None, typer.Option(help="Variant, such as fullwiki or full; by default the first.")
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
    arguments = {source.variant_argument: variant} if source.variant_argument else {}
    if source.second_file_config:
        name = source.second_file_argument
        files[name] = out.with_name(f"{out.stem}.{name}.jsonl")
        further = replace(form, config=source.second_file_config.format(variant))
        _fetch(dataset, further, split, files[name])
        arguments[name] = str(files[name])
    say(f"Wrote {count:,} records of {dataset.title} ({split}), {dataset.licence}.")
    say_wrote(files, dict(_commands(dataset, out, arguments)))


def _form(dataset: "Dataset", variant: str | None) -> "tuple[str, HubForm]":
    """Return a variant of a benchmark, by default the first, and its place on the Hub.

    Raises:
        DataError: When the benchmark is not on the Hub.
        ArgumentError: When it has no such variant.
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
    name = names[0] if variant is None else variant
    return name, dataset.hub[name]


def _fetch(dataset: "Dataset", form: "HubForm", split: str, out: Path) -> int:
    """Write the rows of a split as JSON lines; return their number."""
    count = 0
    encode = msgspec.json.Encoder(enc_hook=str).encode
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


def _commands(dataset: "Dataset", out: Path, arguments: Mapping[str, str]) -> list[tuple[str, str]]:
    args = write_arguments(arguments)
    check = ["hopgym", "data", "check", str(out), "--benchmark", dataset.name, *args]
    play = ["hopgym", "eval", dataset.env_id, "--path", str(out), *args, "--policy", "oracle"]
    return [("check it", shlex.join(check)), ("play it", shlex.join(play))]
