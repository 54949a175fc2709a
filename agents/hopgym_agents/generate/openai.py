"""Generation by any server that speaks OpenAI's chat completions."""

import ipaddress
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec

from hopgym.errors import ArgumentError, require
from hopgym.trajectory import Completion, StopReason
from hopgym_agents.generate import Request, Sampling
from hopgym_agents.generate.http import RequestFailed, RetryingClient
from hopgym_agents.generate.replies import completion_of, is_about_context
from hopgym_agents.generate.seeding import seed_of

_SAMPLING = Sampling()


class OpenAIGenerator:
    """A model behind a server: OpenAI's, vLLM, SGLang, llama.cpp, Ollama, ``transformers serve``.

    Called with one request from many threads, or with many requests at once: at most
    ``concurrency`` are in flight at any time, over all calls. Busy and broken servers are tried
    again (`RetryingClient.post`); what still fails comes back as an API_ERROR, a prompt too long
    for the model with the finish reason ``context``. `close` ends it, also while it is called.

    Each request is sent a seed of its own, by ``sampling.seed`` and its key, so runs repeat as far
    as the server keeps to it; for a server that refuses seeds, ``extra`` takes ``{"seed": None}``.
    ``top_k`` is sent above 0 only, since some refuse it. ``transformers serve`` samples only where
    the model's generation config says ``do_sample``. Stop texts are sent and put back, see
    `hopgym_agents.generate.replies`. A copy (`copy.copy`) with another ``sampling`` shares
    connections and the cap.

    Args:
        model: Its name at the server.
        base_url: Up to the version, as in ``http://localhost:8000/v1``.
        sampling: How completions are sampled.
        api_key: Sent as a bearer token, kept out of `fingerprint` and errors.
        api_key_env: Name of the environment variable with the key, where it is not given.
        concurrency: Most requests in flight, at least 1.
        timeout: Seconds for one try of a request as a whole.
        retries: Further tries after the first.
        backoff: Bound of the first random pause between tries, in seconds; it doubles each time.
        extra: Further fields of the request's body; None takes a field out. What a reasoning model
            at OpenAI wants is ``{"max_tokens": None, "max_completion_tokens": 4096}``; token ids
            and log-probabilities from vLLM ``{"logprobs": True, "return_token_ids": True}``.

    Raises:
        ArgumentError: On arguments out of range, or a variable that is not set.
        HopgymError: Where httpx is not installed.
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
        whole = isinstance(concurrency, int) and concurrency >= 1
        require(whole, "concurrency", "a whole number from 1", concurrency)
        require(timeout > 0, "timeout", "seconds above 0", timeout)
        require(isinstance(retries, int) and retries >= 0, "retries", "0 or more", retries)
        require(backoff >= 0, "backoff", "seconds from 0", backoff)
        host = _host_of(base_url)
        self.model = model
        self.sampling = sampling
        self.concurrency = concurrency
        self._extra = dict(extra or {})
        # All of it: two ports of a machine may serve two models under one name.
        self._place = base_url.rstrip("/")
        self._client = RetryingClient(
            f"{self._place}/chat/completions",
            place=self._place,
            option="--llm.base_url",
            key=_key(api_key, api_key_env),
            trust_env=not _is_loopback(host),  # no proxy stands between a machine and itself
            concurrency=concurrency,
            timeout=timeout,
            retries=retries,
            backoff=backoff,
        )

    @property
    def fingerprint(self) -> str:
        """Model, address, sampling and extra fields, without the key."""
        extra = f" {json.dumps(self._extra, sort_keys=True)}" if self._extra else ""
        return f"openai {self.model} at {self._place}, {self.sampling}{extra}"

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion for each request, in their order."""
        if len(requests) <= 1:
            return [self._complete(request) for request in requests]
        threads = min(self.concurrency, len(requests))
        with ThreadPoolExecutor(threads, thread_name_prefix="hopgym-openai") as pool:
            return list(pool.map(self._complete, requests))

    def close(self) -> None:
        """Let every call under way fail at once, and close the connections."""
        self._client.close()

    def body(self, request: Request) -> dict[str, Any]:
        """Return what is posted for a request."""
        sampling = self.sampling
        body: dict[str, Any] = {
            "model": self.model,
            "messages": request.messages,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": seed_of(sampling, request),
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
            return self._client.post(body, partial(completion_of, stop=self.sampling.stop))
        except RequestFailed as failure:
            if is_about_context(str(failure)):
                return Completion("", finish_reason="context", error=str(failure))
            return Completion("", error=str(failure), error_reason=StopReason.API_ERROR)


def _key(api_key: str | None, variable: str | None) -> str:
    if api_key is not None or variable is None:
        return api_key or ""
    if not os.environ.get(variable):
        raise ArgumentError(f"api_key_env must name a variable that is set, got {variable!r}")
    return os.environ[variable].strip()


def _host_of(base_url: str) -> str:
    # What is wrong may hold a password: it is not shown.
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
