"""Deadlines: an end for each HTTP request as a whole, however slowly its bytes drip in.

httpx bounds every single wait, so a server that sends a byte now and then would hold a request
forever. Here all waits of a request share one deadline, from connecting to the last byte.
"""

import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from typing import Any


class Deadlines:
    """Deadlines of the requests of one `httpx.Client`, each request waiting in its own thread.

    A request's time starts when it gets a connection or opens one: waiting for a free one is not
    the server's doing.

    Args:
        seconds: That a request may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._of_thread = threading.local()
        self._lock = threading.Lock()
        self._streams: weakref.WeakSet[_Stream] = weakref.WeakSet()
        self._is_cut = False

    def watch(self, client: Any) -> None:
        """Put every connection that a client will open under deadlines."""
        # Network backends are httpcore's public way of doing this, but httpx hands none through.
        for transport in (client._transport, *client._mounts.values()):
            if transport is not None:
                pool = transport._pool
                pool._network_backend = _Backend(pool._network_backend, self)

    def begin(self) -> None:
        """Announce this thread's next request."""
        self._of_thread.end = None

    def left(self, timeout: float | None) -> float:
        """Return the seconds that this thread's request may wait, at most ``timeout``.

        Raises:
            httpcore.ReadTimeout: When its time is over.
            httpcore.ReadError: When all connections were cut.
        """
        import httpcore

        if self._is_cut:
            raise httpcore.ReadError("the connection was cut on this side")
        now = time.monotonic()
        if getattr(self._of_thread, "end", None) is None:
            self._of_thread.end = now + self._seconds
        left: float = self._of_thread.end - now
        if left <= 0:
            raise httpcore.ReadTimeout(f"no whole reply within {self._seconds:g} s")
        return left if timeout is None else min(left, timeout)

    def cut_all(self) -> None:
        """Shut all connections for good, so that whoever waits on one wakes up and fails."""
        self._is_cut = True
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.cut()

    def add(self, stream: "_Stream") -> "_Stream":
        """Remember an open connection, for `cut_all`, and return it."""
        with self._lock:
            self._streams.add(stream)
        return stream


class _Backend:
    """Opens connections, as `httpcore.NetworkBackend` asks for."""

    def __init__(self, inner: Any, deadlines: Deadlines) -> None:
        self._inner = inner
        self._deadlines = deadlines

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> "_Stream":
        left = self._deadlines.left(timeout)
        opened = self._inner.connect_tcp(host, port, left, local_address, socket_options)
        return self._deadlines.add(_Stream(opened, self._deadlines))


class _Stream:
    """A connection, as `httpcore.NetworkStream` asks for."""

    def __init__(self, inner: Any, deadlines: Deadlines) -> None:
        self._inner = inner
        self._deadlines = deadlines
        self._unsent = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._deadlines.left(timeout)
        if self._unsent:
            unsent, self._unsent = self._unsent, b""
            self._inner.write(unsent, left)
        data: bytes = self._inner.read(max_bytes, left)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Head and body leave together when the reply is waited for: with many threads, every
        # system call less is a fight less over the interpreter's lock.
        self._unsent += buffer

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> "_Stream":
        left = self._deadlines.left(timeout)
        inner = self._inner.start_tls(ssl_context, server_hostname, left)
        return self._deadlines.add(_Stream(inner, self._deadlines))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def cut(self) -> None:
        import socket

        with suppress(OSError):
            self._inner.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
