"""``hopgym list``: the ids, what each needs, and how far its verdicts can be trusted.

In: the registry. Out: a table; for one id its documentation.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from hopgym.cli.display import console, new_table, print_json, say

if TYPE_CHECKING:
    from hopgym.registry import EnvironmentFactory

JSONL_EXAMPLE = """\
{"title": "Ada Brook", "text": "Ada Brook was born in 1950. Her mother is Cleo Dunn."}
{"id": "q1", "question": "Who is the mother of Ada Brook?", "answer": "Cleo Dunn"}
"""
"""A page and a question in the format of ``hopgym/Jsonl-v0``."""

_EXAMPLE_OF = "hopgym/Jsonl-v0"


def list_ids(
    env_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Print the documentation of this one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """List the environments, or print the documentation of one."""
    from hopgym.registry import FACTORIES

    if env_id is not None:
        _print_documentation(env_id)
        return
    rows = [describe(factory) for factory in FACTORIES.values()]
    if as_json:
        print_json(rows)
        return
    table = new_table("", "id", "needs", "evidence", "what")
    for column in table.columns:
        column.justify = "left"
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(f"[bold]{row['id']}[/]", row["needs"] or "–", row["evidence"], row["what"])
    console().print(table)
    say("play one: hopgym play hopgym/People-v0    read on: hopgym list ID", style="quiet")


def describe(factory: "EnvironmentFactory") -> dict[str, str]:
    """Return ``id``, ``needs`` (an argument, or nothing), ``evidence`` and ``what`` of an id."""
    needs = "path" if "`path` (required" in factory.documentation else ""
    what = factory.documentation.partition("\n")[0].replace("`", "")
    evidence = factory.source_class().evidence_source
    return {"id": factory.env_id, "needs": needs, "evidence": evidence, "what": what}


def _print_documentation(env_id: str) -> None:
    from rich.markdown import Markdown

    from hopgym.registry import FACTORIES
    from hopgym.registry.lookup import resolve_id

    known = resolve_id(env_id)
    documentation = FACTORIES[known].documentation
    if known == _EXAMPLE_OF:
        example = f"## Example File\n```\n{JSONL_EXAMPLE}```\n\n"
        documentation = documentation.replace("## Arguments", f"{example}## Arguments", 1)
    out = console()
    text = f"# {known}\n\n{documentation}"
    if out.is_terminal:
        out.print(Markdown(text), width=min(out.width, 100))
    else:
        print(text)
