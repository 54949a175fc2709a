"""A chat-completions server on loopback that fails on request, and what asks it.

`serve()` yields a running `FaultyServer`.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hopgym.trajectory import Completion
from hopgym_agents.generate import Request, Sampling
from hopgym_agents.generate.openai import OpenAIGenerator

Answer = Callable[["Handler"], None]

SLOW_SECONDS = 60.0
"""Duration of a slow answer, longer than any client waits; see ``outlasted``."""

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


def chat(content: Any = "<answer>blue</answer>", finish: str | None = "stop", **more: Any) -> bytes:
    """Return the body of a completion; ``more`` has further fields of its message or choice."""
    choice_fields = ("stop_reason", "matched_stop", "logprobs", "token_ids", "error")
    choice = {name: more.pop(name) for name in choice_fields if name in more}
    choice |= {"index": 0, "finish_reason": finish}
    choice["message"] = {"role": "assistant", "content": content, **more}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "FaultyServer"

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.counted = True
        server = self.server
        with server.lock:
            server.bodies.append(self.body)
            server.headers.append(dict(self.headers))
            server.paths.append(self.path)
            server.peers.add(self.client_address)
            server.in_flight += 1
            server.most_in_flight = max(server.most_in_flight, server.in_flight)
            answer = server.script.pop(0) if server.script else server.otherwise
        try:
            answer(self)
        finally:
            self.uncount()

    def uncount(self) -> None:
        with self.server.lock:
            self.server.in_flight -= self.counted
            self.counted = False

    def send(self, status: int, body: bytes, length: int | None = None, **headers: Any) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        # After the last byte, the next request may arrive before this thread continues.
        self.uncount()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class FaultyServer(ThreadingHTTPServer):
    """Answers each request with the next entry of ``script``, and then with ``otherwise``."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.script: list[Answer] = []
        self.otherwise: Answer = good()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.peers: set[Any] = set()
        self.in_flight = 0
        self.most_in_flight = 0
        self.outlasted = 0
        """Number of slow answers that finished before the client or the test gave up."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hung up


@contextmanager
def serve() -> Iterator[FaultyServer]:
    """Run a server in a thread."""
    server = FaultyServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.done.set()
        server.shutdown()
        server.server_close()
        thread.join()


def good(body: bytes | None = None, after: float = 0.0) -> Answer:
    def answer(handler: Handler) -> None:
        handler.server.done.wait(after)
        handler.send(200, chat() if body is None else body)

    return answer


def status(code: int, error: Any = None, **headers: Any) -> Answer:
    body = b"" if error is None else json.dumps(error).encode()
    return lambda handler: handler.send(code, body, **headers)


def stall(handler: Handler) -> None:
    """Read the request and send nothing."""
    handler.close_connection = True
    if not handler.server.done.wait(SLOW_SECONDS):
        handler.server.outlasted += 1


def hang_up(handler: Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


def cut_body(handler: Handler) -> None:
    """Close the connection in the middle of a body."""
    handler.close_connection = True
    body = chat()
    handler.send(200, body[:40], length=len(body))


def drip_body(handler: Handler) -> None:
    """Send a body blank by blank, forever."""
    handler.send(200, b"", length=10**6)
    _drip(handler, b" ")


def drip_headers(handler: Handler) -> None:
    """Send a header letter by letter, forever."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    _drip(handler, b"x")


def _drip(handler: Handler, data: bytes) -> None:
    handler.close_connection = True
    until = time.monotonic() + SLOW_SECONDS
    with suppress(OSError):
        while time.monotonic() < until:
            if handler.server.done.wait(0.02):
                return
            handler.wfile.write(data)
            handler.wfile.flush()
        handler.server.outlasted += 1


def user_request(text: str = "What colour is the sky?", **more: Any) -> Request:
    """Return a request of one user message."""
    return Request(({"role": "user", "content": text},), **more)


def complete(generate: OpenAIGenerator, request: Request | None = None) -> Completion:
    """Return the completion of a single request."""
    (completion,) = generate([request or user_request()])
    return completion


def client_of(
    server: FaultyServer, sampling: Sampling | None = None, **options: Any
) -> OpenAIGenerator:
    """Return a generator for the server."""
    return OpenAIGenerator("tiny", server.url, sampling or Sampling(), **options)
