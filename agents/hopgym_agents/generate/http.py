"""JSON posted to one URL of a server that may be slow, busy or broken.

Failed requests are retried with pauses. Each try has one deadline, from connecting to the last byte
of the reply: httpx limits single waits only, so a server that sends a byte now and then could hold
a request forever.
"""

import math
import socket
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from queue import LifoQueue
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.request import getproxies, proxy_bypass

import numpy as np

from hopgym.errors import ArgumentError, HopgymError
from hopgym_agents.generate.replies import UnusableReply, error_details

if TYPE_CHECKING:
    import httpx
    import tenacity

CONNECT_SECONDS = 10.0
"""Longest wait for a connection, in seconds."""
LARGEST_REPLY = 16 << 20
"""Largest reply in bytes, decompressed; no completion is longer."""
LONGEST_PAUSE = 60.0
"""Upper bound of a pause that a server asks for, and of a random pause, in seconds."""

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate",
    "Content-Type": "application/json",
    "User-Agent": "hopgym",
}
_RETRIED_STATUSES = frozenset({408, 409, 425, 429})
# Waiting does not fill an account.
_FINAL_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})

_T = TypeVar("_T")


class RequestFailed(HopgymError):
    """No try of a request brought a usable reply."""


class _RetryableError(Exception):
    """A try failed, and a later one may succeed.

    Args:
        message: What went wrong.
        retry_after: Seconds to wait that the server asked for.
        hint: Follows the message once no try is left.
    """

    def __init__(self, message: str, retry_after: float = 0.0, hint: str = "") -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.hint = hint


class _Connection:
    """A kept-alive connection for one request at a time, which another thread can abort."""

    def __init__(self, open_transport: "Callable[[], httpx.HTTPTransport]") -> None:
        self._open_transport = open_transport
        self._transport: httpx.HTTPTransport | None = None
        self._network_stream: Any = None
        self.deadline = math.inf
        """Monotonic time at which the request under way is overdue; infinity without one."""

    def send(self, request: "httpx.Request") -> "httpx.Response":
        """Send a request; return the response with its body unread."""
        if self._transport is None:
            self._transport = self._open_transport()
        request.extensions = {**request.extensions, "trace": self._trace}
        return self._transport.handle_request(request)

    def abort(self) -> None:
        """Shut the network stream down: a thread that waits on it fails at once."""
        if self._network_stream is not None:
            with suppress(OSError):
                self._network_stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._network_stream = info["return_value"]


class RetryingClient:
    """Posts to one URL with a limit on concurrent requests, deadlines and retries.

    All threads share the kept-alive connections. Redirects are not followed. `close` ends the
    client; one that is garbage-collected closes its connections, too.

    Args:
        url: Where to post, http or https.
        place: Name of the server in messages about connections; the URL by default.
        option: Name of the option that holds the address, for those messages.
        key: Sent as a bearer token, and removed from every error message.
        trust_env: Whether to use proxies and certificates from environment variables.
        concurrency: Maximum number of requests in flight, over all threads. A request that waits
            for its next try is not in flight.
        timeout: Seconds for one try, from connecting to the last byte of the reply. A slow reply is
            aborted up to a tenth of that later, at most one second.
        retries: Number of further tries after the first.
        backoff: Upper bound of the first pause in seconds. Each pause is uniform between 0 and a
            bound that doubles with every try, up to `LONGEST_PAUSE`.

    Raises:
        HopgymError: If httpx or tenacity is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        place: str = "",
        option: str = "",
        key: str = "",
        trust_env: bool = True,
        concurrency: int = 16,
        timeout: float = 60.0,
        retries: int = 5,
        backoff: float = 1.0,
    ) -> None:
        try:
            import httpx
            import tenacity
        except ModuleNotFoundError as error:
            message = f"asking a server needs {error.name}: pip install 'hopgym[llm]'"
            raise HopgymError(message) from error
        self._url = httpx.URL(url)
        self._headers = httpx.Headers(_HEADERS)
        if key:
            self._headers["Authorization"] = f"Bearer {_checked_key(key)}"
        waits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
        self._timeouts = {"timeout": waits.as_dict()}
        certificates = httpx.create_ssl_context(trust_env=trust_env)
        proxy = _environment_proxy(self._url) if trust_env else None

        # Not a client, whose cookies, redirects and authentication take a sixth of the time.
        def open_transport() -> httpx.HTTPTransport:
            return httpx.HTTPTransport(verify=certificates, proxy=proxy)

        self._key = key
        self._place = place or url
        self._hint = f" ({option})" if option else ""
        self._timeout = timeout
        self._backoff = backoff
        self._connections = [_Connection(open_transport) for _ in range(concurrency)]
        # Last in, first out: no more connections are opened than are needed at a time.
        self._idle: LifoQueue[_Connection] = LifoQueue()
        for connection in self._connections:
            self._idle.put(connection)
        self._closed = threading.Event()
        # Not seeded: processes that share a server must not pause in step.
        self._rng = np.random.default_rng()
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_RetryableError),
            stop=lambda state: state.attempt_number > retries or self._closed.is_set(),
            wait=self._pause,
            sleep=self._sleep,
            retry_error_callback=self._give_up,
        )
        self._watchdog: threading.Thread | None = None
        self._watchdog_lock = threading.Lock()
        self._finished = threading.Event()
        self._finish = weakref.finalize(self, _close_all, self._connections, self._finished)

    def post(self, body: bytes, read: Callable[[bytes], _T]) -> _T:
        """Return what ``read`` makes of the reply to a body.

        Timeouts, broken connections, replies that ``read`` calls unusable and the statuses 408,
        409, 425, 429 and 5xx are retried, after the time of a ``Retry-After`` header if there is
        one.

        Raises:
            RequestFailed: After the last try, at once on any other status, and after `close`.
        """
        result: _T = self._retrying(self._try, body, read)
        return result

    def close(self) -> None:
        """End pauses and requests under way, which fail, and close the connections."""
        self._closed.set()
        self._finish()

    def _try(self, body: bytes, read: Callable[[bytes], _T]) -> _T:
        connection = self._idle.get()
        try:
            if self._closed.is_set():
                raise self._failure("the generator is closed")
            response, content = self._exchange(connection, body)
        finally:
            self._idle.put(connection)
        if not response.is_success:
            raise self._refusal(response, content)
        try:
            return read(content)
        except UnusableReply as error:
            raise _RetryableError(str(error)) from error

    def _exchange(self, connection: _Connection, body: bytes) -> "tuple[httpx.Response, bytes]":
        """Post a body on a connection; return the response with its complete content."""
        import httpx

        self._start_watchdog()
        request = httpx.Request(
            "POST", self._url, headers=self._headers, content=body, extensions=self._timeouts
        )
        deadline = time.monotonic() + self._timeout
        connection.deadline = deadline
        try:
            response = connection.send(request)
            with closing(response):
                return response, self._content(response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            message = f"{self._place}: {_connection_problem(error)}"
            raise _RetryableError(message, hint=self._hint) from error
        except (httpx.RequestError, RuntimeError) as error:  # the latter from a closed stream
            problem = f"{type(error).__name__}: {error}"
            if time.monotonic() >= deadline:
                problem = f"ReadTimeout: no complete reply within {self._timeout:g} s"
            raise _RetryableError(f"{self._place}: {problem}") from error
        finally:
            connection.deadline = math.inf
            if self._closed.is_set():  # it may have been opened after `close`
                connection.close()

    def _start_watchdog(self) -> None:
        # One thread for all requests: a timer for each would cost as much as the request.
        with self._watchdog_lock:
            # A forked process has the object, but not the thread.
            if self._watchdog is None or not self._watchdog.is_alive():
                self._watchdog = threading.Thread(
                    target=_abort_overdue,
                    args=(self._connections, min(1.0, self._timeout / 10), self._finished),
                    name="hopgym-deadlines",
                    daemon=True,
                )
                self._watchdog.start()

    def _content(self, response: "httpx.Response") -> bytes:
        """Return the body of a response, without the key.

        Raises:
            _RetryableError: If it is longer than `LARGEST_REPLY`; the rest is not read.
        """
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > LARGEST_REPLY:
                mebibytes = LARGEST_REPLY >> 20
                raise _RetryableError(f"{self._place}: a reply of more than {mebibytes} MiB")
        # Before a message is shortened: a part of a repeated key would not be recognized.
        return bytes(content).replace(self._key.encode(), b"***") if self._key else bytes(content)

    def _refusal(self, response: "httpx.Response", content: bytes) -> Exception:
        status = response.status_code
        message, codes = error_details(content)
        if not message:
            message = response.headers.get("location", "") or response.reason_phrase
        suffix = "".join(f" [{code}]" for code in sorted(codes))
        message = f"HTTP {status}: {message}{suffix}"
        if (status in _RETRIED_STATUSES or status >= 500) and not codes & _FINAL_CODES:
            header = response.headers.get("retry-after", "")
            return _RetryableError(message, retry_after_seconds(header, time.time()))
        return self._failure(message)

    def _pause(self, state: "tenacity.RetryCallState") -> float:
        error = _error_of(state)
        return pause_after(
            state.attempt_number, error.retry_after, self._backoff, self._rng.random()
        )

    def _sleep(self, seconds: float) -> None:
        self._closed.wait(seconds)

    def _give_up(self, state: "tenacity.RetryCallState") -> Any:
        error = _error_of(state)
        tries = state.attempt_number
        after = "1 try" if tries == 1 else f"{tries} tries"
        raise self._failure(f"{error}, after {after}{error.hint}") from error

    def _failure(self, message: str) -> RequestFailed:
        return RequestFailed(message.replace(self._key, "***") if self._key else message)


def pause_after(tries: int, retry_after: float, backoff: float, random: float) -> float:
    """Return the seconds to wait after a failed try.

    Args:
        tries: Number of tries so far, at least 1.
        retry_after: Seconds that the server asked for; limited to `LONGEST_PAUSE`.
        backoff: Upper bound of the random part after the first try, in seconds.
        random: Number in [0, 1), which decides the random part.
    """
    # The random part is added: clients that were sent the same time must not return together.
    bound = min(LONGEST_PAUSE, backoff * 2.0 ** min(tries - 1, 60))
    return min(retry_after, LONGEST_PAUSE) + random * bound


def retry_after_seconds(header: str, now: float) -> float:
    """Return the seconds that a ``Retry-After`` header asks for, 0 if it cannot be read.

    Args:
        header: Seconds or an HTTP date.
        now: Seconds since the epoch.
    """
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - now
        except (ValueError, OverflowError):
            return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def _environment_proxy(url: "httpx.URL") -> str | None:
    """Return the proxy for a URL from environment variables such as ``https_proxy``."""
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(url.netloc.decode("ascii")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _abort_overdue(
    connections: Sequence[_Connection], interval: float, finished: threading.Event
) -> None:
    """Abort requests past their deadline, looking every ``interval`` seconds, until finished."""
    while not finished.wait(interval):
        now = time.monotonic()
        for connection in connections:
            if connection.deadline <= now:
                connection.abort()


def _close_all(connections: Sequence[_Connection], finished: threading.Event) -> None:
    finished.set()
    for connection in connections:
        connection.abort()
        connection.close()


def _error_of(state: "tenacity.RetryCallState") -> _RetryableError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, _RetryableError)
    return error


def _connection_problem(error: Exception) -> str:
    message = str(error)
    if "refused" in message.lower():  # number and wording differ between systems
        return "connection refused"
    return f"no connection ({message or type(error).__name__})"


def _checked_key(key: str) -> str:
    # The message must not show the key.
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ArgumentError("api_key must be printable ASCII without blanks; check how it was set")
    return key
