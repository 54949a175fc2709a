"""Options of a language model, as in ``--llm.model NAME``, and the generators that they name.

All options are checked before a model is loaded or a server is asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Annotated, Any, Protocol

from msgspec import Meta, ValidationError, convert

from hopgym.errors import ArgumentError, did_you_mean
from hopgym.runs.secrets import is_secret
from hopgym_agents.generate import Generator, Sampling

_FromZero = Annotated[int, Meta(ge=0)]
_FromOne = Annotated[int, Meta(ge=1)]


@dataclass(frozen=True, slots=True)
class LLMOptions:
    """Options of the policy ``llm``; `OPTION_GENERATORS` lists those of a single generator."""

    model: str
    """Name on the server, or folder or Hub id of a model."""
    generator: str = "openai"
    """``openai`` (any server of that API), ``local`` (transformers) or ``vllm`` (its engine)."""
    style: str = "plain"
    """``plain``, ``system``, ``swirl`` or ``native``."""
    template: str | None = None
    """Jinja2 file with a custom prompt."""
    temperature: Annotated[float, Meta(ge=0)] = 1.0
    """0 selects the most likely token."""
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """Share of the probability to sample from."""
    top_k: _FromZero = 0
    """Number of tokens to sample from; 0 disables the limit."""
    max_tokens: _FromOne = 512
    """Maximum number of tokens of a completion."""
    stop: bool = True
    """Whether generation stops at the end of a call."""
    seed: _FromZero = 0
    """Added to the seed of the run."""
    max_context: _FromOne | None = None
    """Maximum number of tokens of prefix and completion."""
    drop_middle: bool = False
    """Whether to leave early turns out of a prefix that is too long; needs ``max_context``."""
    base_url: str = "http://127.0.0.1:8000/v1"
    """Address of the server, up to the version."""
    api_key_env: str | None = None
    """Environment variable that holds the key; without it no key is sent."""
    concurrency: _FromOne = 16
    """Maximum number of requests in flight."""
    timeout: Annotated[float, Meta(gt=0)] = 60.0
    """Seconds for one try of a request."""
    retries: _FromZero = 5
    """Number of further tries of a request."""
    extra: dict[str, Any] | None = None
    """Further fields of the request's body, as a JSON object; null removes a field."""
    tokenizer: str | None = None
    """Folder or Hub id of a tokenizer; the model's by default."""
    adapter: str | None = None
    """Folder or Hub id of a LoRA adapter."""
    load_in_4bit: bool = False
    """Whether to quantize the weights to 4 bits."""
    batch_size: _FromOne = 32
    """Maximum number of requests decoded together."""
    device: str | None = None
    """``cuda``, ``cpu`` and the like; by default the first GPU, or the CPU without one."""
    dtype: str = "auto"
    """Data type of the weights."""
    cached_tokens: _FromZero = 65_536
    """Maximum number of tokens whose states are cached between turns."""
    threads: _FromOne | None = None
    """Number of torch's threads; by default ``OMP_NUM_THREADS``, else one."""
    chat_settings: dict[str, Any] | None = None
    """Arguments of the chat template, as a JSON object such as {"enable_thinking": false}."""
    engine: dict[str, Any] | None = None
    """Options of `vllm.LLM`, as a JSON object."""


_SERVER_OPTIONS = ("base_url", "api_key_env", "concurrency", "timeout", "retries", "extra")
_LOCAL_OPTIONS = (
    *("tokenizer", "adapter", "load_in_4bit", "batch_size", "device", "dtype", "cached_tokens"),
    "threads",
)
OPTION_GENERATORS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_SERVER_OPTIONS, ("openai",)),
    **dict.fromkeys(_LOCAL_OPTIONS, ("local",)),
    "chat_settings": ("local", "vllm"),
    "engine": ("vllm",),
}
"""The generators of options that not every generator has."""

GENERATORS: Mapping[str, str] = {
    "openai": "hopgym_agents.generate.openai:OpenAIGenerator",
    "local": "hopgym_agents.generate.local:LocalGenerator",
    "vllm": "hopgym_agents.generate.vllm:VLLMGenerator",
}
"""``module:Name`` of each generator class, which is imported when it is used."""

EPISODE_OPTIONS = ("stop", "drop_middle")
"""Options that only episodes use."""
_OBJECT_OPTIONS = ("extra", "chat_settings", "engine")


class GeneratorClass(Protocol):
    """A generator class that can be constructed from options."""

    def from_options(self, options: LLMOptions, sampling: Sampling) -> Generator:
        """Return a generator."""


def read_options(options: Mapping[str, Any]) -> LLMOptions:
    """Return checked options from values by name.

    Raises:
        ArgumentError: If an option is unknown, missing, out of range, or belongs to another
            generator; see `hopgym_agents.policy.llm` for what depends on the environment.
    """
    known = [option.name for option in fields(LLMOptions)]
    for name in options:
        if name not in known:
            hint = did_you_mean(str(name), known)
            raise ArgumentError(f"llm takes {', '.join(known)}, got {name!r}{hint}")
    if not options.get("model"):
        raise ArgumentError("llm needs a model, got none; give its name (--llm.model NAME)")
    for name in _OBJECT_OPTIONS:
        _refuse_secrets(name, options.get(name))
    try:
        checked = convert(dict(options), LLMOptions)
    except ValidationError as error:
        problem, _, name = str(error).partition(" - at `$.")
        name = name.rstrip("`")
        # A malformed object may still hold a key: its value is not shown.
        value = name if name in _OBJECT_OPTIONS else f"{name} = {options.get(name)!r}"
        raise ArgumentError(
            f"llm cannot take {value}: {problem[0].lower()}{problem[1:]}"
        ) from error
    if checked.generator not in GENERATORS:
        hint = did_you_mean(checked.generator, GENERATORS)
        choices = ", ".join(GENERATORS)
        raise ArgumentError(
            f"llm.generator must be one of {choices}, got {checked.generator!r}{hint}"
        )
    for name in options:
        accepted = OPTION_GENERATORS.get(name, (checked.generator,))
        if checked.generator not in accepted:
            raise ArgumentError(
                f"llm.{name} is for the generator {' or '.join(accepted)}, got it with "
                f"{checked.generator}; leave it out, or give --llm.generator {accepted[0]}"
            )
    return checked


def create_generator(
    options: LLMOptions | Mapping[str, Any], stop: tuple[str, ...] = ()
) -> Generator:
    """Return the generator that options name.

    Args:
        options: Checked options; or values by name, from a caller that plays no episodes.
        stop: Texts that end a completion.

    Raises:
        ArgumentError: As `read_options`, and on values by name that only episodes use.
    """
    if isinstance(options, LLMOptions):
        checked = options
    else:
        checked = read_options(options)
        _refuse_episode_options(checked, options)
    sampling = Sampling(
        checked.temperature, checked.top_p, checked.top_k, checked.max_tokens, stop, checked.seed
    )
    return load_generator_class(checked.generator).from_options(checked, sampling)


def load_generator_class(name: str) -> GeneratorClass:
    """Return the class of a generator, by its name in `GENERATORS`.

    Raises:
        ArgumentError: If a package that it needs is not installed.
    """
    module, _, attribute = GENERATORS[name].partition(":")
    try:
        generator_class: GeneratorClass = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise ArgumentError(
            f"the generator {name} needs the package {error.name}; "
            "pip install 'hopgym[train]' brings it"
        ) from error
    return generator_class


def _refuse_secrets(option: str, value: object) -> None:
    """Refuse keys and passwords, which would be stored with the run and printed."""
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


def _refuse_episode_options(checked: LLMOptions, options: Mapping[str, Any]) -> None:
    unused = [name for name in EPISODE_OPTIONS if name in options]
    if "max_context" in options and checked.generator != "local":
        unused.append("max_context")
    if unused:
        raise ArgumentError(
            f"llm.{unused[0]} is for playing episodes, got it where nothing is played; leave it out"
        )
