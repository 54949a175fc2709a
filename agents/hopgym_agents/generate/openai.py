"""Generation by any server with OpenAI's chat completions API."""

import ipaddress
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from hopgym.errors import ArgumentError, require
from hopgym.trajectory import Completion, StopReason
from hopgym_agents.generate import Request, Sampling, request_seed
from hopgym_agents.generate.http import RequestFailed, RetryingClient
from hopgym_agents.generate.replies import is_context_error, parse_completion

if TYPE_CHECKING:
    from hopgym_agents.options import LLMOptions

_SAMPLING = Sampling()


class OpenAIGenerator:
    """A model on a server: OpenAI, vLLM, SGLang, llama.cpp, Ollama or ``transformers serve``.

    It can be called from many threads, or with many requests at once: over all calls, at most
    ``concurrency`` requests are in flight. Requests to a busy or broken server are retried
    (`RetryingClient.post`). The final failure is returned as an API_ERROR, and a prompt that
    is too long for the model has the finish reason ``context``. `close` ends the generator,
    also while calls are under way.

    Every request has its own seed, from ``sampling.seed`` and its key, so that runs repeat as far
    as the server respects seeds; if it refuses them, set ``extra`` to ``{"seed": None}``.
    ``top_k`` is sent only if it is above 0, since some servers refuse it. ``transformers serve``
    samples only if the model's generation config sets ``do_sample``. Stop texts that the server
    removes are restored, see `hopgym_agents.generate.replies`. A copy (`copy.copy`) with another
    ``sampling`` shares the connections and the limit.

    Args:
        model: Name of the model on the server.
        base_url: Address up to the version, such as ``http://localhost:8000/v1``.
        sampling: Sampling settings.
        api_key: Sent as a bearer token; not part of `fingerprint` and error messages.
        api_key_env: Environment variable that holds the key, used without ``api_key``.
        concurrency: Maximum number of requests in flight, at least 1.
        timeout: Seconds for one complete try of a request.
        retries: Number of further tries after the first.
        backoff: Upper bound of the first random pause between tries, in seconds; it doubles with
            every try.
        extra: Further fields of the request's body; None removes a field. Reasoning models at
            OpenAI need ``{"max_tokens": None, "max_completion_tokens": 4096}``; vLLM returns token
            ids and log-probabilities with ``{"logprobs": True, "return_token_ids": True}``.

    Raises:
        ArgumentError: If an argument is out of range, or the environment variable is not set.
        HopgymError: If httpx or tenacity is not installed.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        sampling: Sampling = _SAMPLING,
        *,
        api_key: str | None = None,
        api_key_env: str | None = None,
        concurrency: int = 16,
        timeout: float = 60.0,
        retries: int = 5,
        backoff: float = 1.0,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        require(bool(model), "model", "the name of a model at the server", model)
        valid = isinstance(concurrency, int) and concurrency >= 1
        require(valid, "concurrency", "a whole number from 1", concurrency)
        require(timeout > 0, "timeout", "seconds above 0", timeout)
        require(isinstance(retries, int) and retries >= 0, "retries", "0 or more", retries)
        require(backoff >= 0, "backoff", "seconds from 0", backoff)
        host = _host(base_url)
        self.model = model
        self.sampling = sampling
        self.concurrency = concurrency
        self._extra = dict(extra or {})
        # With the port: two ports of a machine may serve two models under one name.
        self._place = base_url.rstrip("/")
        self._client = RetryingClient(
            f"{self._place}/chat/completions",
            place=self._place,
            option="--llm.base_url",
            key=_key(api_key, api_key_env),
            trust_env=not _is_loopback(host),  # no proxy for requests to this machine
            concurrency=concurrency,
            timeout=timeout,
            retries=retries,
            backoff=backoff,
        )

    @classmethod
    def from_options(cls, options: "LLMOptions", sampling: Sampling) -> "OpenAIGenerator":
        """Return a generator for the options of the policy ``llm``."""
        return cls(
            options.model,
            options.base_url,
            sampling,
            api_key_env=options.api_key_env,
            concurrency=options.concurrency,
            timeout=options.timeout,
            retries=options.retries,
            extra=options.extra,
        )

    @property
    def fingerprint(self) -> str:
        """Model, address, sampling and extra fields; the key is left out."""
        extra = f" {json.dumps(self._extra, sort_keys=True)}" if self._extra else ""
        return f"openai {self.model} at {self._place}, {self.sampling}{extra}"

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion per request, in order; failures are returned as ``error``."""
        if len(requests) <= 1:
            return [self._complete(request) for request in requests]
        threads = min(self.concurrency, len(requests))
        with ThreadPoolExecutor(threads, thread_name_prefix="hopgym-openai") as pool:
            return list(pool.map(self._complete, requests))

    def close(self) -> None:
        """Close the connections; calls under way fail at once."""
        self._client.close()

    def body(self, request: Request) -> dict[str, Any]:
        """Return the JSON body of a request."""
        sampling = self.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "messages": request.messages,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": request_seed(sampling, request),
        }
        if sampling.top_k:
            body["top_k"] = sampling.top_k
        if sampling.stop:
            body["stop"] = sampling.stop
        if request.tools:
            body["tools"] = request.tools
        body |= self._extra
        return {name: value for name, value in body.items() if value is not None}

    def _complete(self, request: Request) -> Completion:
        body = msgspec.json.encode(self.body(request))
        try:
            return self._client.post(body, partial(parse_completion, stop=self.sampling.stop))
        except RequestFailed as failure:
            if is_context_error(str(failure)):
                return Completion("", finish_reason="context", error=str(failure))
            return Completion("", error=str(failure), error_reason=StopReason.API_ERROR)


def _key(api_key: str | None, variable: str | None) -> str:
    if api_key is not None or variable is None:
        return api_key or ""
    if not os.environ.get(variable):
        raise ArgumentError(f"api_key_env must name a variable that is set, got {variable!r}")
    return os.environ[variable].strip()


def _host(base_url: str) -> str:
    # The messages do not show the value: it may hold a password.
    if not base_url.lower().startswith(("http://", "https://")):
        raise ArgumentError("base_url needs http:// or https:// in front: http://localhost:8000/v1")
    if "@" in base_url:
        raise ArgumentError(
            "base_url must have no user and password in it; put the key into an environment "
            "variable and give the key as --llm.api_key_env VARIABLE"
        )
    with suppress(ValueError):
        parts = urlsplit(base_url)
        if parts.hostname and parts.port != 0 and not parts.query:
            return parts.hostname
    raise ArgumentError("base_url must look like http://localhost:8000/v1, without a query")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
