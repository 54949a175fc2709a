"""``hopgym list``: the environments, the documentation of one, or the options of a policy."""

import inspect
from dataclasses import MISSING
from typing import TYPE_CHECKING, Annotated

import typer

from hopgym.cli.display import console, new_table, print_json, say
from hopgym.registry import FACTORIES, EnvironmentFactory

if TYPE_CHECKING:
    from hopgym.cli.options import Option

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
    policy: Annotated[
        str | None, typer.Option(help="Print the options of this policy, such as llm.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """List the environments, or print the documentation of one.

    hopgym list --policy llm prints the options of a policy, which hopgym eval,
    rollout and collect take as --llm.NAME.
    """
    if policy is not None:
        _print_policy(policy, as_json)
    elif env_id is not None:
        _print_documentation(env_id)
    else:
        _print_ids(as_json)


def _print_ids(as_json: bool) -> None:
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


def _print_policy(name: str, as_json: bool) -> None:
    # Imported here, as listing the ids has to be quick.
    from hopgym.cli.options import options_of
    from hopgym.policies.registry import policy_function

    function = policy_function(name)
    kind = getattr(function, "options", None)
    options = options_of(kind, name) if kind else []
    if as_json:
        print_json([_describe_option(option) for option in options])
        return
    if not options:
        documentation = inspect.getdoc(function) or f"The built-in policy {name} has no options."
        console(markup=False).print(documentation)
        return
    table = new_table(f"Options of the policy {name}", "option", "type", "default", "what")
    for column in table.columns:
        column.justify = "left"
    table.columns[0].no_wrap = True
    for option in options:
        row = _describe_option(option)
        table.add_row(row["option"], row["type"], row["default"] or "–", row["what"])
    console(markup=False).print(table)


def _describe_option(option: "Option") -> dict[str, str]:
    default = "required" if option.default is MISSING else option.shown_default or ""
    return {
        "option": option.flag,
        "type": option.metavar.strip("<>"),
        "default": default,
        "what": option.help,
    }


def describe(factory: EnvironmentFactory) -> dict[str, str]:
    """Return ``id``, ``needs`` (a required argument or nothing), ``evidence`` and ``what``."""
    needs = "path" if "`path` (required" in factory.documentation else ""
    what = factory.documentation.partition("\n")[0].replace("`", "")
    evidence = factory.source_class().evidence_source
    return {"id": factory.env_id, "needs": needs, "evidence": evidence, "what": what}


def _print_documentation(env_id: str) -> None:
    from rich.markdown import Markdown

    from hopgym.registry.lookup import resolve_id

    resolved = resolve_id(env_id)
    documentation = FACTORIES[resolved].documentation
    if resolved == _EXAMPLE_OF:
        example = f"## Example File\n```\n{JSONL_EXAMPLE}```\n\n"
        documentation = documentation.replace("## Arguments", f"{example}## Arguments", 1)
    out = console()
    text = f"# {resolved}\n\n{documentation}"
    if out.is_terminal:
        out.print(Markdown(text), width=min(out.width, 100))
    else:
        print(text)
