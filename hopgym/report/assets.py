"""Renders pages from their templates, with the style, the script and the security policy."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hopgym.report.charts import AREA
from hopgym.report.text import visible
from hopgym.version import __version__


def render(name: str, *, script: str = "", remote: bool = False, **values: Any) -> bytes:
    """Render a self-contained page as UTF-8 HTML.

    Args:
        name: The file name of a template that extends ``page.html.j2``.
        script: JavaScript of the page; no other script may run.
        remote: Whether the page may send requests to the server that it came from.
        values: Values for the template, which escapes all texts.
    """
    html = (
        _environment()
        .get_template(name)
        .render(
            style=Markup(style()),
            script=Markup(script),
            policy=content_policy(script, remote=remote),
            version=__version__,
            area=AREA,
            remote=remote,
            **values,
        )
    )
    return visible(html).encode()


def style() -> str:
    """Return the style of all pages."""
    return _asset("report.css")


def browser_script() -> str:
    """Return the script of the episode browser."""
    return _asset("report.graph.js") + _asset("report.js")


def content_policy(script: str = "", *, remote: bool = False) -> str:
    """Return a content security policy that allows only our style and the given script.

    Args:
        script: The only script that may run; none if empty.
        remote: Whether the page may send requests to the server that it came from.
    """
    scripts = f"script-src {_digest(script)}; " if script else ""
    requests = "; connect-src 'self'" if remote else ""
    return (
        f"default-src 'none'; {scripts}style-src {_digest(style())}{requests}; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("hopgym", "data"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _asset(name: str) -> str:
    # Hashes in the policy are over LF line ends, which a checkout on Windows may have converted.
    return files("hopgym.data").joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
