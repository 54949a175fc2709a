"""The local generator: a transformers model in this process, with batches and cached states.

The states that a model computes for an episode are cached until the episode's next turn, whose
tokens begin with those of the last one: only new tokens are encoded. Neither the cache nor the
composition of a batch changes a completion, up to the rounding of sums: tokens sampled in float32
are identical, while in half precision a near-tie occasionally resolves the other way.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hopgym.errors import require
from hopgym.trajectory import Completion, StopReason
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.generate import Request, Sampling, seed_sequence
from hopgym_agents.generate.cache import StateCache
from hopgym_agents.generate.decoding import Decoder, DecodingSlot, StopCondition
from hopgym_agents.generate.loading import (
    WeightOptions,
    load_model,
    load_tokenizer,
    weights_digest,
)

if TYPE_CHECKING:
    from hopgym_agents.options import LLMOptions


class LocalGenerator:
    """Generates with a model of transformers.

    The ``token_ids`` of a completion include the token that ends the turn. Its ``logprobs`` are
    the model's at the sampling temperature (at 1 if that is 0), before ``top_k`` and ``top_p``.
    Its ``finish_reason`` is ``stop``, ``length``, or ``context`` if the prompt leaves no room for
    a token.

    Args:
        model: A folder, a Hub id, or a loaded model, which is set to eval mode.
        sampling: Sampling settings; the defaults of `Sampling` if None.
        tokenizer: A folder, a Hub id or a loaded tokenizer; required with a loaded model.
        max_context: Maximum number of tokens of prompt and completion; the model's limit if None.
        batch_size: Maximum number of requests decoded together; halved while memory is short.
        cached_tokens: Maximum number of tokens whose states are cached between turns; 0 disables
            the cache. A token takes 2 x layers x key-value heads x head size x bytes per number
            (0.14 MB for Qwen3-4B in bfloat16). The cache pays off while it can hold the tokens of
            all running episodes.
        threads: Number of torch's threads. None: ``OMP_NUM_THREADS``, else one, and torch's own
            setting with a loaded model. One is fastest for a tiny model on a CPU.
        chat_settings: Further arguments of the chat template, such as
            ``{"enable_thinking": False}``.
        device: See `WeightOptions`, as for the three arguments that follow.
        dtype: Data type of the weights.
        load_in_4bit: Whether to quantize the weights to 4 bits.
        adapter: Folder or Hub id of a LoRA adapter.

    Attributes:
        encoder: The `ChatEncoder` that turns requests into tokens.
        sampling: The sampling settings.
        max_context: Maximum number of tokens of prompt and completion.

    Raises:
        ArgumentError: If an argument is out of range, the chat template is missing or unsuitable,
            or the model's cache holds more than keys and values of every token.
        DataError: If something cannot be loaded.
    """

    concurrency = 1

    def __init__(
        self,
        model: Any,
        sampling: Sampling | None = None,
        *,
        tokenizer: Any = None,
        max_context: int | None = None,
        batch_size: int = 32,
        cached_tokens: int = 65_536,
        threads: int | None = None,
        chat_settings: Mapping[str, Any] | None = None,
        device: str | None = None,
        dtype: str = "auto",
        load_in_4bit: bool = False,
        adapter: str | None = None,
    ) -> None:
        numbers = (("batch_size", batch_size), ("max_context", max_context), ("threads", threads))
        for argument, number in numbers:
            require(number is None or number >= 1, argument, "a whole number from 1", number)
        require(cached_tokens >= 0, "cached_tokens", "a whole number from 0", cached_tokens)
        incomplete = tokenizer is None and not isinstance(model, str)
        require(not incomplete, "tokenizer", "given with a loaded model", tokenizer)
        self._tokenizer = load_tokenizer(tokenizer, model)
        # Before the weights, which may take long: an unsuitable template is reported at once.
        self.encoder = ChatEncoder(self._tokenizer, settings=chat_settings)
        loaded = load_model(model, WeightOptions(device, dtype, load_in_4bit, adapter), threads)
        self.sampling = sampling or Sampling()
        self.max_context = max_context or _context_length(loaded, self._tokenizer)
        # Folders can be moved: the digest identifies their content.
        names = [
            name
            for name in (loaded.config.name_or_path, adapter)
            if name and not Path(name).is_dir()
        ]
        description = (*names, weights_digest(loaded), _compute_dtype(loaded), chat_settings)
        self._description = " ".join(["local", *map(str, description)])
        self._batch_size = batch_size
        self._end_ids = _end_token_ids(loaded, self._tokenizer)
        self._cache = StateCache(cached_tokens)
        self._decoder = Decoder(loaded, self._cache)

    @classmethod
    def from_options(cls, options: "LLMOptions", sampling: Sampling) -> "LocalGenerator":
        """Return a generator for the options of the policy ``llm``."""
        return cls(
            options.model,
            sampling,
            tokenizer=options.tokenizer,
            max_context=options.max_context,
            batch_size=options.batch_size,
            device=options.device,
            dtype=options.dtype,
            adapter=options.adapter,
            load_in_4bit=options.load_in_4bit,
            cached_tokens=options.cached_tokens,
            threads=options.threads,
            chat_settings=options.chat_settings,
        )

    @property
    def fingerprint(self) -> str:
        """Description of model and settings; runs with different ones are kept apart."""
        return f"{self._description} {self.sampling} max_context={self.max_context}"

    @property
    def encoded_tokens(self) -> int:
        """Number of tokens fed through the model so far, without padding."""
        return self._decoder.encoded

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion per request, in order; failures are returned as ``error``."""
        replies: dict[int, Completion] = {}
        prompts: dict[int, list[int]] = {}
        for index, request in enumerate(requests):
            try:
                prompt = self.encoder.encode(request)
            except Exception as problem:
                replies[index] = _failed(problem)
                continue
            if len(prompt) < self.max_context:
                prompts[index] = prompt
            else:
                replies[index] = Completion("", prompt_tokens=len(prompt), finish_reason="context")
        # Requests of similar length together, so that little is spent on padding.
        order = sorted(prompts, key=lambda index: len(prompts[index]))
        for first in range(0, len(order), self._batch_size):
            batch = order[first : first + self._batch_size]
            completions = self._complete([(requests[index], prompts[index]) for index in batch])
            replies.update(zip(batch, completions, strict=True))
        return [replies[index] for index in range(len(requests))]

    def forget(self) -> None:
        """Clear the cached states; required after the model's weights have changed."""
        self._cache.clear()

    def _complete(self, batch: Sequence[tuple[Request, list[int]]]) -> list[Completion]:
        """Return the completions of a batch; one that fails is retried in halves."""
        slots = [self._slot(request, prompt) for request, prompt in batch]
        try:
            self._decoder.run(slots, self.sampling, self._stop_condition())
        except Exception as problem:
            if len(slots) == 1:
                return [_failed(problem)]
        else:
            return [self._completion(slot) for slot in slots]
        # Only here, once the exception has released the batch, is its memory free again.
        self._cache.clear()
        half = len(batch) // 2
        return self._complete(batch[:half]) + self._complete(batch[half:])

    def _stop_condition(self) -> StopCondition:
        return StopCondition(self._tokenizer, self.sampling.stop, self._end_ids)

    def _slot(self, request: Request, prompt: list[int]) -> DecodingSlot:
        return DecodingSlot(
            episode=request.key[:2],
            ids=list(prompt),
            prompt_tokens=len(prompt),
            limit=min(self.sampling.max_tokens, self.max_context - len(prompt)),
            rng=np.random.default_rng(seed_sequence(self.sampling, request)),
        )

    def _completion(self, slot: DecodingSlot) -> Completion:
        generated = slot.generated
        return Completion(
            text=self._stop_condition().text(generated),
            token_ids=tuple(generated),
            logprobs=tuple(slot.logprobs),
            generated_tokens=len(generated),
            prompt_tokens=slot.prompt_tokens,
            processed_tokens=slot.processed_tokens,
            finish_reason=slot.finish_reason,
        )


def _failed(problem: Exception) -> Completion:
    message = f"{type(problem).__name__}: {problem}"
    return Completion("", error=message, error_reason=StopReason.AGENT_ERROR)


def _compute_dtype(model: Any) -> str:
    """Return the type that a model computes in: near-ties resolve differently in another one."""
    bits = " 4-bit" if getattr(model, "is_loaded_in_4bit", False) else ""
    return str(model.dtype).removeprefix("torch.") + bits


def _context_length(model: Any, tokenizer: Any) -> int:
    config = model.config.get_text_config(decoder=True)
    return int(getattr(config, "max_position_embeddings", 0) or tokenizer.model_max_length)


def _end_token_ids(model: Any, tokenizer: Any) -> set[int]:
    ends = model.generation_config.eos_token_id
    listed = ends if isinstance(ends, list) else [ends]
    return {token for token in (*listed, tokenizer.eos_token_id) if token is not None}
