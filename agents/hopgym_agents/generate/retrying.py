"""Retrying: JSON posted to one URL of a server that may be slow, busy or broken.

In: bodies, from any number of threads. Out: what a reader makes of the reply, or `RequestFailed`.
Knows HTTP and patience, and nothing of what is asked.
"""

import json
import math
import threading
import time
import weakref
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import numpy as np

from hopgym.errors import ArgumentError, HopgymError
from hopgym_agents.generate.deadlines import Deadlines

CONNECT_SECONDS = 10.0
"""Longest wait for a connection, in seconds, where the whole request may take longer."""
LARGEST_REPLY = 16 << 20
"""Most bytes of a reply, unpacked; what is longer is no completion."""
LONGEST_PAUSE = 60.0
"""Longest wait that a server can ask for, and longest random one, in seconds."""

_PASSING = frozenset({408, 409, 425, 429})
# Waiting does not fill an account.
_FINAL = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_READ_BYTES, _TOLD_CHARS = 16_384, 500

_T = TypeVar("_T")


class RequestFailed(HopgymError):
    """A request without a usable reply, after all its tries or at once."""


class UnusableReply(HopgymError):
    """A reply with a good status that is not what was asked for; a reader raises it."""


class _Trouble(Exception):
    """A try that failed and may do better later."""

    def __init__(self, message: str, asked: float = 0.0, mend: str = "") -> None:
        super().__init__(message)
        self.asked = asked
        self.mend = mend


class RetryingClient:
    """Posts to one URL with a cap on the requests in flight, deadlines and retries.

    All its threads share one pool of kept-alive connections. Redirects are not followed. `close`
    ends it; one that is forgotten closes its connections by itself.

    Args:
        url: Where to post, http or https.
        place: What a server that cannot be reached is called in messages; by default the URL.
        option: What names the server, told with them.
        key: Sent as a bearer token; taken out of every message that a failure carries.
        trust_env: Whether proxies and certificates named in the environment are used.
        concurrency: Most requests in flight, over all threads. A request that waits for its next
            try is not in flight.
        timeout: Seconds that one try may take, from connecting to the reply's last byte.
        retries: Further tries after the first.
        backoff: Seconds that the first pause takes at most. Each pause is drawn evenly between
            nothing and a bound that doubles from try to try, up to `LONGEST_PAUSE`.

    Raises:
        HopgymError: Where httpx is not installed.
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
        except ModuleNotFoundError as error:
            message = "asking a server needs httpx: pip install 'hopgym[llm]'"
            raise HopgymError(message) from error
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {_usable(key)}"
        self._client = httpx.Client(
            headers=headers,
            trust_env=trust_env,
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS), pool=None),
            # The pool is the cap: a connection carries one request at a time.
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        )
        self._url, self._key = httpx.URL(url), key
        self._place, self._mend = place or url, f" ({option})" if option else ""
        self._retries, self._backoff = retries, backoff
        self._deadlines = Deadlines(timeout)
        self._deadlines.watch(self._client)
        self._closed = threading.Event()
        # Not seeded: processes that share a server must not pause in step.
        self._rng = np.random.default_rng()
        weakref.finalize(self, self._client.close)

    def post(self, body: bytes, read: Callable[[bytes], _T]) -> _T:
        """Return what ``read`` makes of the reply to a body.

        Tried again are timeouts, broken connections, replies that ``read`` calls unusable, and the
        statuses 408, 409, 425, 429 and from 500; a ``Retry-After`` is waited for.

        Raises:
            RequestFailed: After the last try, at once on any other status, and once closed.
        """
        for tries in range(1, self._retries + 2):
            try:
                return self._try(body, read)
            except _Trouble as trouble:
                pause = pause_after(tries, trouble.asked, self._backoff, self._rng.random())
                if tries <= self._retries and not self._closed.wait(pause):
                    continue
                after = "1 try" if tries == 1 else f"{tries} tries"
                raise self._failure(f"{trouble}, after {after}{trouble.mend}") from None
        raise AssertionError("unreachable: the last try returns or raises")

    def close(self) -> None:
        """End pauses and requests under way, which fail, and close the connections."""
        self._closed.set()
        self._deadlines.cut_all()
        self._client.close()

    def _try(self, body: bytes, read: Callable[[bytes], _T]) -> _T:
        import httpx

        if self._closed.is_set():
            raise self._failure("the generator is closed")
        self._deadlines.begin()
        try:
            with self._client.stream("POST", self._url, content=body) as response:
                content = self._whole(response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            message = f"{self._place}: {_no_connection(error)}"
            raise _Trouble(message, mend=self._mend) from error
        except (httpx.RequestError, RuntimeError) as error:  # the latter from a closed client
            raise _Trouble(f"{self._place}: {type(error).__name__}: {error}") from error
        if response.is_success:
            try:
                return read(content)
            except UnusableReply as error:
                raise _Trouble(str(error)) from error
        raise self._refusal(response, content)

    def _whole(self, response: Any) -> bytes:
        """Return a reply's body; of one without end, no more is read than fits into memory."""
        content = bytearray()
        for part in response.iter_bytes():
            content += part
            if len(content) > LARGEST_REPLY:
                mebibytes = LARGEST_REPLY >> 20
                raise _Trouble(f"{self._place}: a reply of more than {mebibytes} MiB")
        # Before anything cuts a message, and with it a key that a server repeats.
        return bytes(content).replace(self._key.encode(), b"***") if self._key else bytes(content)

    def _refusal(self, response: Any, content: bytes) -> Exception:
        status = response.status_code
        message, codes = told_by(content)
        if not message:
            message = response.headers.get("location", "") or response.reason_phrase
        named = "".join(f" [{code}]" for code in sorted(codes))
        message = f"HTTP {status}: {message}{named}"
        if (status in _PASSING or status >= 500) and not codes & _FINAL:
            asked = seconds_asked(response.headers.get("retry-after", ""), time.time())
            return _Trouble(message, asked)
        return self._failure(message)

    def _failure(self, message: str) -> RequestFailed:
        return RequestFailed(message.replace(self._key, "***") if self._key else message)


def pause_after(tries: int, asked: float, backoff: float, chance: float) -> float:
    """Return the seconds to wait after a failed try.

    Args:
        tries: Made so far, at least 1.
        asked: Seconds that the server asked for; no more than `LONGEST_PAUSE` of them count.
        backoff: Bound of the first random part, in seconds.
        chance: In [0, 1), which decides the random part.
    """
    # The random part comes on top: those who were told the same time must not return together.
    bound = min(LONGEST_PAUSE, backoff * 2.0 ** min(tries - 1, 60))
    return min(asked, LONGEST_PAUSE) + chance * bound


def seconds_asked(retry_after: str, now: float) -> float:
    """Return the seconds that a ``Retry-After`` header asks for, 0 where it cannot be read.

    Args:
        retry_after: Seconds, or a date as HTTP writes it.
        now: Seconds since the epoch.
    """
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - now
        except (ValueError, OverflowError):
            return 0.0
    return max(0.0, seconds) if math.isfinite(seconds) else 0.0


def told_by(content: bytes) -> tuple[str, frozenset[str]]:
    """Return the message of an error's body, shortened, and the codes that it names."""
    text = content[:_READ_BYTES].decode(errors="replace").strip()
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return text[:_TOLD_CHARS], frozenset()
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return str(error)[:_TOLD_CHARS], frozenset()
    message = error.get("message") or error.get("detail") or text
    codes = (error.get("code"), error.get("type"))
    return str(message)[:_TOLD_CHARS], frozenset(code for code in codes if isinstance(code, str))


def _no_connection(error: Exception) -> str:
    told = str(error)
    if "refused" in told.lower():  # Its number and words are each system's own.
        return "connection refused"
    return f"no connection ({told or type(error).__name__})"


def _usable(key: str) -> str:
    # What is wrong with a key is told without showing it.
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ArgumentError("api_key must be printable ASCII without blanks; check how it was set")
    return key
