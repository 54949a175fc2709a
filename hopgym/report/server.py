"""A server for this machine alone: fixed paths, each answered by a function.

In: requests from a browser on this machine. Out: pages and JSON; nothing of the file system.
"""

import socketserver
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from hopgym.errors import ArgumentError

_LOOPBACK = "127.0.0.1"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to a request."""

    content: bytes
    type: str = "application/json"
    policy: str = "default-src 'none'; frame-ancestors 'none'"
    """Its content security policy."""


Route = Callable[[Mapping[str, str]], Reply]
"""From the query of a request to its answer."""


def html_reply(page: bytes, policy: str = "") -> Reply:
    """Return the answer that a page is.

    Args:
        page: UTF-8 HTML.
        policy: Its content security policy, beside what the page says itself.
    """
    parts = filter(None, (policy, "frame-ancestors 'none'"))
    return Reply(page, "text/html; charset=utf-8", "; ".join(parts))


class PageServer(ThreadingHTTPServer):
    """Serves some paths to this machine, and nothing else to nobody else.

    Args:
        routes: Path to what answers it, as in ``/``.
        port: In [0, 65535]; 0 takes a free one.

    Raises:
        ArgumentError: When the port is not to be had.
    """

    daemon_threads = True

    def __init__(self, routes: Mapping[str, Route], port: int) -> None:
        self.routes = dict(routes)
        try:
            super().__init__((_LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ArgumentError(
                f"--port must be a free port in [0, 65535], got {port} ({error}); 0 takes any"
            ) from error

    def server_bind(self) -> None:
        """Bind without the look-up of a host name that `http.server` does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = _LOOPBACK, int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that went away before its answer."""

    @property
    def url(self) -> str:
        """Where the page is to be had."""
        return f"http://{_LOOPBACK}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "hopgym", ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, with_body: bool) -> None:
        # A web page elsewhere may point its own name at this machine; it must not read the runs.
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in (_LOOPBACK, "localhost"):
            self.send_error(403)
            return
        try:
            url = urlsplit(self.path)
            route = cast(PageServer, self.server).routes.get(url.path)
            if route is None:
                self.send_error(404)
                return
            reply = route(dict(parse_qsl(url.query, max_num_fields=20)))
        except ValueError:
            self.send_error(400)
            return
        self.send_response(200)
        headers = {
            "Content-Type": reply.type,
            "Content-Length": str(len(reply.content)),
            "Content-Security-Policy": reply.policy,
        }
        for name, value in (headers | _HEADERS).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(reply.content)
