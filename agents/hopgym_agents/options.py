"""The options of a language model, as ``--llm.model NAME`` gives them, and the generator they name.

In: options by name. Out: checked ones; a generator. Nothing is loaded, and no server asked, before
they have been checked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any

from msgspec import Meta, ValidationError, convert

from hopgym.errors import ArgumentError, did_you_mean
from hopgym.runs.secrets import is_secret
from hopgym_agents.generate import Generate, Sampling

_FromZero = Annotated[int, Meta(ge=0)]
_FromOne = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, slots=True)
class LLMOptions:
    """Options of the policy ``llm``; `TAKEN_BY` says which are those of one generator."""

    model: str
    """Name on the server, or folder or Hub id of a model."""
    generator: str = "openai"
    """``openai`` (any server of that API), ``local`` (transformers) or ``vllm`` (its engine)."""
    style: str = "plain"
    """``plain``, ``system``, ``swirl`` or ``native``."""
    template: str | None = None
    """A Jinja2 file with one's own words."""
    temperature: Annotated[float, Meta(ge=0)] = 1.0
    """Sampling temperature; 0 is greedy."""
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """Sample from the most likely tokens with this total probability."""
    top_k: _FromZero = 0
    """0 sets no bound."""
    max_tokens: _FromOne = 512
    """Most tokens of one completion."""
    stop: bool = True
    """Whether generation stops at the end of a call."""
    seed: _FromZero = 0
    """Added to the run's."""
    max_context: _FromOne | None = None
    """Most tokens of prefix and completion."""
    drop_middle: bool = False
    """Whether early turns are left out of a prefix that is too long; needs ``max_context``."""
    base_url: str = "http://127.0.0.1:8000/v1"
    """Address of the server."""
    api_key_env: str | None = None
    """Environment variable that holds the key; none is sent without it."""
    concurrency: _FromOne = 16
    """Most requests under way at a time."""
    timeout: Annotated[float, Meta(gt=0)] = 60.0
    """Seconds that one request may take."""
    retries: _FromZero = 5
    """How often a failed request is sent again."""
    extra: dict[str, Any] | None = None
    """Further fields of a request's body, as a JSON object; null takes a field out."""
    tokenizer: str | None = None
    """Folder or Hub id, where it is not the model's."""
    adapter: str | None = None
    """Folder or Hub id of a LoRA adapter."""
    load_in_4bit: bool = False
    """Load the model's weights in 4 bits."""
    batch_size: _FromOne = 32
    """Most requests decoded together."""
    device: str | None = None
    """``cuda``, ``cpu`` and the like; the first GPU, or the CPU where there is none."""
    dtype: str = "auto"
    """Of the weights."""
    cached_tokens: _FromZero = 65_536
    """Most tokens whose states are kept between turns."""
    threads: _FromOne | None = None
    """How many threads torch uses; None: ``OMP_NUM_THREADS``, else one."""
    chat_settings: dict[str, Any] | None = None
    """Arguments of the chat template, as a JSON object such as {"enable_thinking": false}."""
    engine: dict[str, Any] | None = None
    """Options of `vllm.LLM`, as a JSON object."""


EPISODE_OPTIONS = ("stop", "drop_middle")
_SERVERS = ("base_url", "api_key_env", "concurrency", "timeout", "retries", "extra")
_OWN = ("tokenizer", "adapter", "load_in_4bit", "batch_size", "device", "dtype", "cached_tokens")
TAKEN_BY: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_SERVERS, ("openai",)),
    **dict.fromkeys((*_OWN, "threads"), ("local",)),
    "chat_settings": ("local", "vllm"),
    "engine": ("vllm",),
}
"""The generators that take an option, where not all do."""


_FREE = ("extra", "chat_settings", "engine")


def read_options(options: Mapping[str, Any]) -> LLMOptions:
    """Return options by name as checked ones.

    Raises:
        ArgumentError: As `llm` does, for all that does not depend on the environment.
    """
    known = [each.name for each in fields(LLMOptions)]
    for name in options:
        if name not in known:
            hint = did_you_mean(str(name), known)
            raise ArgumentError(f"llm takes {', '.join(known)}, got {name!r}{hint}")
    if not options.get("model"):
        raise ArgumentError("llm needs a model, got none; give its name (--llm.model NAME)")
    for name in _FREE:
        _refuse_secrets(name, options.get(name))
    try:
        chosen = convert(dict(options), LLMOptions)
    except ValidationError as error:
        what, _, name = str(error).partition(" - at `$.")
        name = name.rstrip("`")
        # What was to be an object may hold a key all the same: it is not shown.
        told = name if name in _FREE else f"{name} = {options.get(name)!r}"
        raise ArgumentError(f"llm cannot take {told}: {what[0].lower()}{what[1:]}") from error
    if chosen.generator not in GENERATORS:
        hint = did_you_mean(chosen.generator, GENERATORS)
        among = ", ".join(GENERATORS)
        raise ArgumentError(f"llm.generator must be one of {among}, got {chosen.generator!r}{hint}")
    for name in options:
        only = TAKEN_BY.get(name, (chosen.generator,))
        if chosen.generator not in only:
            raise ArgumentError(
                f"llm.{name} is for the generator {' or '.join(only)}, got it with "
                f"{chosen.generator}; leave it out, or give --llm.generator {only[0]}"
            )
    return chosen


def generator_from(options: LLMOptions | Mapping[str, Any], stop: tuple[str, ...] = ()) -> Generate:
    """Return the generator that options name.

    Args:
        options: Checked ones, or those of a caller that plays no episodes, by name.
        stop: Texts behind which a completion ends.

    Raises:
        ArgumentError: As `read_options`, and on options that only playing episodes has a use for.
    """
    if isinstance(options, LLMOptions):
        chosen = options
    else:
        chosen = read_options(options)
        _refuse_idle(chosen, options)
    sampling = Sampling(
        chosen.temperature, chosen.top_p, chosen.top_k, chosen.max_tokens, stop, chosen.seed
    )
    return GENERATORS[chosen.generator](chosen, sampling)


def _refuse_secrets(option: str, value: object) -> None:
    """Refuse keys and passwords, which would be kept with the run and printed."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if is_secret(str(name)):
                raise ArgumentError(
                    f"llm.{option} is kept with the run and must hold no secret, got one under "
                    f"{name!r}; put the key into an environment variable and give the variable's "
                    "name as --llm.api_key_env VARIABLE"
                )
            _refuse_secrets(option, inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _refuse_secrets(option, inner)


def _refuse_idle(chosen: LLMOptions, options: Mapping[str, Any]) -> None:
    idle = [name for name in EPISODE_OPTIONS if name in options]
    if "max_context" in options and chosen.generator != "local":
        idle.append("max_context")
    if idle:
        raise ArgumentError(
            f"llm.{idle[0]} is for playing episodes, got it where nothing is played; leave it out"
        )


def _openai(chosen: LLMOptions, sampling: Sampling) -> Generate:
    from hopgym_agents.generate.openai import OpenAIGenerator

    return OpenAIGenerator(
        chosen.model,
        chosen.base_url,
        sampling,
        api_key_env=chosen.api_key_env,
        concurrency=chosen.concurrency,
        timeout=chosen.timeout,
        retries=chosen.retries,
        extra=chosen.extra,
    )


def _local(chosen: LLMOptions, sampling: Sampling) -> Generate:
    from hopgym_agents.generate.local import LocalGenerator

    return LocalGenerator(
        chosen.model,
        sampling,
        tokenizer=chosen.tokenizer,
        max_context=chosen.max_context,
        batch_size=chosen.batch_size,
        device=chosen.device,
        dtype=chosen.dtype,
        adapter=chosen.adapter,
        load_in_4bit=chosen.load_in_4bit,
        cached_tokens=chosen.cached_tokens,
        threads=chosen.threads,
        chat_settings=chosen.chat_settings,
    )


def _vllm(chosen: LLMOptions, sampling: Sampling) -> Generate:
    from hopgym_agents.generate.vllm import VLLMGenerator

    return VLLMGenerator(
        chosen.model,
        sampling,
        chat_template_kwargs=chosen.chat_settings,
        **(chosen.engine or {}),
    )


GENERATORS: Mapping[str, Callable[[LLMOptions, Sampling], Generate]] = {
    "openai": _openai,
    "local": _local,
    "vllm": _vllm,
}
"""Name to what makes the generator from checked options."""
