"""The local generator: a transformers model in this process, batched, with kept states.

What a model has computed for an episode is kept until the episode's next turn, whose tokens begin
with those of the last one: only what is new is encoded. What comes out depends neither on that nor
on which requests come together, up to the rounding of sums: tokens drawn in float32 are the same,
while in half precision now and then a near-tie falls the other way.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hopgym.errors import require
from hopgym.trajectory import Completion, StopReason
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.generate import Request, Sampling
from hopgym_agents.generate.cache import StateCache
from hopgym_agents.generate.decoding import Decoder, Row
from hopgym_agents.generate.loading import Weights, digest_of, load_model, load_tokenizer
from hopgym_agents.generate.sampling import Ending


class LocalGenerator:
    """Generates with a model of transformers.

    A completion's ``token_ids`` are those drawn, the one that ends the turn among them; its
    ``logprobs`` are under the model at the sampling temperature (at 1 where that is 0) before
    ``top_k`` and ``top_p``; its ``finish_reason`` is ``stop``, ``length``, or ``context`` when the
    prompt leaves no room for a token.

    Args:
        model: A folder, an id of the Hub, or a loaded model, which is put into eval mode.
        sampling: How tokens are drawn; the defaults of `Sampling` where it is None.
        tokenizer: A folder, an id or a loaded tokenizer; needed with a loaded model.
        max_context: Most tokens of prompt and completion; the model's own bound by default.
        batch_size: Most requests decoded together; halved while memory does not suffice.
        cached_tokens: Most tokens whose states are kept between turns, 0 for none. A token takes
            2 x layers x key-value heads x head size x bytes a number (0.14 MB for Qwen3-4B in
            bfloat16). It pays as long as it is no less than the tokens of all episodes under way.
        threads: How many threads torch uses in this process. None: ``OMP_NUM_THREADS``, else one,
            and torch's own setting with a loaded model. With a tiny model on a CPU, 1 is fastest.
        chat_settings: Further arguments of the chat template, such as
            ``{"enable_thinking": False}``.
        device: Where the weights go, as `Weights` says, like the three that follow.
        dtype: Their type.
        load_in_4bit: Whether they are held in 4 bits.
        adapter: Folder or id of a LoRA adapter.

    Raises:
        ArgumentError: On arguments out of range, a chat template that is missing or cannot be
            used, or a model whose layers keep other states than keys and values.
        DataError: When something cannot be loaded.
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
        alone = tokenizer is None and not isinstance(model, str)
        require(not alone, "tokenizer", "given with a loaded model", tokenizer)
        self._tokenizer = load_tokenizer(tokenizer, model)
        # Before the weights, which may take long: a template that cannot be used is told at once.
        self.encoder = ChatEncoder(self._tokenizer, settings=chat_settings)
        loaded = load_model(model, Weights(device, dtype, load_in_4bit, adapter), threads)
        self.sampling = sampling or Sampling()
        self.max_context = max_context or _context_of(loaded, self._tokenizer)
        # Folders can be moved: the digest tells what lies in them.
        named = (loaded.config.name_or_path, adapter)
        names = [each for each in named if each and not Path(each).is_dir()]
        told = (*names, digest_of(loaded), _type_of(loaded), chat_settings)
        self._described = " ".join(["local", *map(str, told)])
        self._batch_size = batch_size
        self._ends = _ends_of(loaded, self._tokenizer)
        self._cache = StateCache(cached_tokens)
        self._decoder = Decoder(loaded, self._cache)

    @property
    def fingerprint(self) -> str:
        """Model and settings in words: what tells its runs from others."""
        return f"{self._described} {self.sampling} max_context={self.max_context}"

    @property
    def encoded_tokens(self) -> int:
        """Tokens fed through the model so far, prompts and completions, without padding."""
        return self._decoder.encoded

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion for each request, in order; failures come as ``error``."""
        import torch

        replies: dict[int, Completion] = {}
        prompts: dict[int, list[int]] = {}
        for at, request in enumerate(requests):
            try:
                prompts[at] = self.encoder.encode(request)
            except Exception as problem:
                replies[at] = _failed(problem)
                continue
            if len(prompts[at]) >= self.max_context:
                tokens = len(prompts.pop(at))
                replies[at] = Completion("", prompt_tokens=tokens, finish_reason="context")
        # Rows of like length together, so that little is spent on padding.
        order = sorted(prompts, key=lambda at: len(prompts[at]))
        with torch.inference_mode():
            for first in range(0, len(order), self._batch_size):
                batch = order[first : first + self._batch_size]
                made = self._complete([(requests[at], prompts[at]) for at in batch])
                replies.update(zip(batch, made, strict=True))
        return [replies[at] for at in range(len(requests))]

    def forget(self) -> None:
        """Drop all kept states; needed after the model's weights have changed."""
        self._cache.clear()

    def _complete(self, asked: Sequence[tuple[Request, list[int]]]) -> list[Completion]:
        """Return the completions of a batch; what fails together is tried again in halves."""
        rows = [self._row(request, prompt) for request, prompt in asked]
        try:
            self._decoder.run(rows, self.sampling, self._ending())
        except Exception as problem:
            if len(rows) == 1:
                return [_failed(problem)]
        else:
            return [self._completion(row) for row in rows]
        # Only here, after the exception has let go of the batch, is its memory free again.
        self._cache.clear()
        half = len(asked) // 2
        return self._complete(asked[:half]) + self._complete(asked[half:])

    def _ending(self) -> Ending:
        return Ending(self._tokenizer, self.sampling.stop, self._ends)

    def _row(self, request: Request, prompt: list[int]) -> Row:
        seeds = np.random.SeedSequence(self.sampling.seed, spawn_key=request.key)
        return Row(
            episode=request.key[:2],
            ids=list(prompt),
            prompt=len(prompt),
            limit=min(self.sampling.max_tokens, self.max_context - len(prompt)),
            rng=np.random.default_rng(seeds),
        )

    def _completion(self, row: Row) -> Completion:
        drawn = row.drawn
        return Completion(
            text=self._ending().text(drawn),
            token_ids=tuple(drawn),
            logprobs=tuple(row.logprobs),
            generated_tokens=len(drawn),
            prompt_tokens=row.prompt,
            finish_reason=row.finish,
        )


def _failed(problem: Exception) -> Completion:
    message = f"{type(problem).__name__}: {problem}"
    return Completion("", error=message, error_reason=StopReason.AGENT_ERROR)


def _type_of(model: Any) -> str:
    """Return the type that a model computes in: another one draws other tokens now and then."""
    bits = " 4-bit" if getattr(model, "is_loaded_in_4bit", False) else ""
    return str(model.dtype).removeprefix("torch.") + bits


def _context_of(model: Any, tokenizer: Any) -> int:
    """Return the most tokens a model can read."""
    config = model.config.get_text_config(decoder=True)
    return int(getattr(config, "max_position_embeddings", 0) or tokenizer.model_max_length)


def _ends_of(model: Any, tokenizer: Any) -> set[int]:
    """Return the ids of the tokens that end a turn."""
    ends = model.generation_config.eos_token_id
    listed = ends if isinstance(ends, list) else [ends]
    return {token for token in (*listed, tokenizer.eos_token_id) if token is not None}
