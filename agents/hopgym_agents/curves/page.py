"""The page of a study: tables and charts as one self-contained HTML file.

In: a title, tables, sections of charts. Out: UTF-8. It wears the style of hopgym's report, light
and dark, and has no script.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from hopgym import __version__
from hopgym.report.wording import visible
from hopgym_agents.curves.drawing import HEIGHT, WIDTH, Chart


@dataclass(frozen=True, slots=True)
class Table:
    """A table in words."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    """What stands below it."""


@dataclass(frozen=True, slots=True)
class Section:
    """Charts under one heading."""

    title: str
    charts: tuple[Chart, ...]
    note: str = ""
    wide: bool = False
    """Whether its charts are large."""


def render_page(
    title: str,
    tables: Sequence[Table],
    sections: Sequence[Section],
    tones: Mapping[str, str],
    *,
    lead: str = "",
    below: Sequence[Table] = (),
) -> bytes:
    """Return the page.

    Args:
        title: Of the page.
        tables: What stands first.
        sections: The charts below.
        tones: Classes of the runs' colours, for the legend.
        lead: What stands below the title.
        below: Tables below the charts.
    """
    from markupsafe import Markup

    style = _style()
    policy = f"default-src 'none'; style-src {_digest(style)}; base-uri 'none'; form-action 'none'"
    html = _template().render(
        title=title,
        lead=lead,
        tables=tables,
        sections=sections,
        below=below,
        tones=tones,
        box=f"0 0 {WIDTH} {HEIGHT}",
        style=Markup(style),
        policy=policy,
        version=__version__,
    )
    return visible(html).encode()


@cache
def _style() -> str:
    report = files("hopgym.data").joinpath("report.css").read_text(encoding="utf-8")
    own = files("hopgym_agents.curves").joinpath("page.css").read_text(encoding="utf-8")
    return (report + own).replace("\r\n", "\n")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


@cache
def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    text = files("hopgym_agents.curves").joinpath("page.html.j2").read_text(encoding="utf-8")
    made = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return made.from_string(text)
