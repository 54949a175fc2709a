"""What the page is made from: its template, style and script, and what it lets a browser do.

Out: texts that stand in the page as they are, and the content security policy that allows them by
their hashes.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any


def style() -> str:
    """Return the page's style."""
    return _asset("report.css")


def script() -> str:
    """Return the page's script: what the graph of an episode needs, then the browser of them."""
    return _asset("report.graph.js") + _asset("report.js")


@cache
def template() -> Any:
    """Return the page's template, which escapes all that is put into it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("hopgym", "data"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def content_policy(*, remote: bool) -> str:
    """Return the page's content security policy; only a served page may ask its own server."""
    allowed = "; connect-src 'self'" if remote else ""
    return (
        f"default-src 'none'; script-src {_digest(script())}; "
        f"style-src {_digest(style())}{allowed}; base-uri 'none'; form-action 'none'"
    )


@cache
def _asset(name: str) -> str:
    return files("hopgym.data").joinpath(name).read_text(encoding="utf-8").replace("\r\n", "\n")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
