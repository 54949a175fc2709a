"""Batched decoding: sequences of any lengths, continued token by token.

Sequences are padded on the left: each one ends in the last column, and nothing attends to the
padding. Every sequence has its own positions and its own random numbers, so it is continued as it
would be alone, up to rounding.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

from hopgym.errors import HopgymError
from hopgym_agents.generate import Sampling
from hopgym_agents.generate.cache import CachedPrefix, StateCache

ENCODED_AT_ONCE = 16_384
"""Maximum columns times rows of one pass over new tokens, if it has more than one row."""


@dataclass(slots=True)
class DecodingSlot:
    """A sequence that is being continued."""

    episode: tuple[int, int]
    """Key of its states in the cache."""
    ids: list[int]
    """The prompt and the generated tokens."""
    prompt_tokens: int
    limit: int
    """Maximum number of tokens to generate, at least 1."""
    rng: np.random.Generator
    logprobs: list[float] = field(default_factory=list)
    processed_tokens: int = 0
    """Number of tokens fed through the model for this sequence, without padding."""
    finish_reason: str = ""
    """``stop`` or ``length`` once the sequence is complete."""

    @property
    def generated(self) -> list[int]:
        """The tokens generated so far."""
        return self.ids[self.prompt_tokens :]


class StopCondition:
    """Decides where a completion ends.

    Args:
        tokenizer: Tokenizer of the model.
        stop: Texts that end a completion; they remain part of it.
        end_ids: Ids of the tokens that end a turn.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str], end_ids: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._stop = [text for text in stop if text]
        self._end_ids = frozenset(end_ids)
        # A token stands for at least one byte, so a stop text is within this many last tokens; a
        # few more make up for the blank that some tokenizers strip at the start.
        self._tail = 4 + max((len(text.encode()) for text in self._stop), default=0)

    def is_met(self, tokens: Sequence[int]) -> bool:
        """Return whether the last token ends the turn or completes a stop text."""
        if tokens[-1] in self._end_ids:
            return True
        if not self._stop:
            return False
        tail = self._decode(tokens[-self._tail :])
        return any(text in tail for text in self._stop)

    def text(self, tokens: Sequence[int]) -> str:
        """Return the text of the tokens, up to the end of the first stop text."""
        text = self._decode(tokens)
        places = [(text.find(stop), len(stop)) for stop in self._stop]
        ends = [start + length for start, length in places if start >= 0]
        return text[: min(ends, default=len(text))]

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text


class Decoder:
    """Continues sequences with one model.

    Args:
        model: A causal language model of transformers, in eval mode.
        cache: States of earlier turns.
    """

    def __init__(self, model: Any, cache: StateCache) -> None:
        self._model = model
        self._cache = cache
        self.encoded = 0
        """Number of tokens fed through the model so far, without padding."""

    @torch.inference_mode()
    def run(
        self, slots: Sequence[DecodingSlot], sampling: Sampling, stop_condition: StopCondition
    ) -> None:
        """Generate until every slot is complete, and cache their states.

        Raises:
            HopgymError: If the model's output is infinite or not a number.
        """
        slots, logits, past = self._encode(slots)
        while slots:
            tokens, logprobs = sample_tokens(
                logits, sampling, [slot.rng.random() for slot in slots]
            )
            for slot, token, logprob in zip(slots, tokens, logprobs, strict=True):
                _append(slot, token, logprob, stop_condition)
            running = [row for row, slot in enumerate(slots) if not slot.finish_reason]
            if len(running) < len(slots):
                self._store_finished(slots, past)
                slots = [slots[row] for row in running]
                past.batch_select_indices(_tensor(running, logits.device))
            if slots:
                last_tokens = _tensor([slot.ids[-1:] for slot in slots], logits.device)
                logits = self._feed(last_tokens, slots, past)

    def _encode(
        self, slots: Sequence[DecodingSlot]
    ) -> tuple[list[DecodingSlot], Tensor, DynamicCache]:
        """Encode the new tokens of each slot; return the slots reordered, logits and states."""
        prefixes = [self._cache.find(slot.episode, slot.ids) for slot in slots]
        new = [len(slot.ids) - prefix.tokens for slot, prefix in zip(slots, prefixes, strict=True)]
        groups = _group_by_length(new)
        outputs = []
        pasts = []
        for rows in groups:
            columns = max(new[row] for row in rows)
            group = [slots[row] for row in rows]
            # All rows are fed the same number of last tokens, that of the row with the most new
            # ones, so that no gap opens between cached and new tokens: a gap would be padding.
            past = _right_aligned(
                [prefixes[row] for row in rows], [len(slot.ids) - columns for slot in group]
            )
            ids = [[0] * (columns - len(slot.ids)) + slot.ids[-columns:] for slot in group]
            outputs.append(self._feed(_tensor(ids, self._model.device), group, past))
            pasts.append(past)
        order = [slots[row] for rows in groups for row in rows]
        return order, torch.cat(outputs), _concatenate(pasts)

    def _feed(self, input_ids: Tensor, slots: Sequence[DecodingSlot], past: DynamicCache) -> Tensor:
        """Run the model over the last tokens of each slot; return the logits of the next token.

        Args:
            input_ids: Token ids of shape (slots, columns), the last ones of each slot.
            slots: The sequences, those tokens included.
            past: States of all columns before; those of ``input_ids`` are appended.

        Returns:
            Logits of shape (slots, vocabulary).
        """
        columns = past.get_seq_length() + input_ids.shape[1]
        for slot in slots:
            processed = min(len(slot.ids), input_ids.shape[1])
            slot.processed_tokens += processed
            self.encoded += processed
        first = columns - _tensor([len(slot.ids) for slot in slots], input_ids.device)[:, None]
        index = torch.arange(columns, device=input_ids.device)[None]
        output = self._model(
            input_ids=input_ids,
            attention_mask=(index >= first).long(),
            position_ids=(index[:, -input_ids.shape[1] :] - first).clamp(min=0),
            past_key_values=past,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1]
        return logits

    def _store_finished(self, slots: Sequence[DecodingSlot], past: DynamicCache) -> None:
        """Cache the states of complete slots; their last token was never fed to the model."""
        for row, slot in enumerate(slots):
            if slot.finish_reason and len(slot.ids) <= self._cache.capacity:
                first = 1 - len(slot.ids)
                # Copied: a view would keep the whole batch in memory.
                states = tuple(
                    (keys[row, :, first:].clone(), values[row, :, first:].clone())
                    for keys, values in _layers(past)
                )
                self._cache.put(slot.episode, slot.ids[:-1], states)


def sample_tokens(
    logits: Tensor, sampling: Sampling, randoms: Sequence[float]
) -> tuple[list[int], list[float]]:
    """Return the next token of each row and its natural-log probability.

    The probability is the model's at the sampling temperature (at 1 if that is 0), over the whole
    vocabulary, before ``top_k`` and ``top_p`` are applied: trainers recompute the same quantity.

    Args:
        logits: Tensor of shape (rows, vocabulary); converted to float32.
        sampling: Temperature, ``top_k`` and ``top_p``.
        randoms: One number in [0, 1) per row, which decides its token.
    """
    scaled = logits.float() / (sampling.temperature or 1.0)
    logprobs = torch.log_softmax(scaled, dim=-1)
    if sampling.temperature == 0:
        tokens = logprobs.argmax(dim=-1, keepdim=True)
    else:
        # The sums run in the order of the vocabulary: rounding can move a boundary between two
        # tokens a little, but never make likely tokens change places, as sorting them would.
        sums = _truncate(logprobs, sampling).exp().double().cumsum(dim=-1)
        total = sums[:, -1:].contiguous()
        targets = torch.tensor(randoms, dtype=sums.dtype, device=sums.device)[:, None] * total
        # Clamped for sums that are not numbers: an index out of range would end all GPU work.
        last = torch.searchsorted(sums, total).clamp(max=sums.shape[-1] - 1)
        tokens = torch.minimum(torch.searchsorted(sums, targets, right=True), last)
    return tokens[:, 0].tolist(), logprobs.gather(1, tokens)[:, 0].tolist()


def _truncate(logprobs: Tensor, sampling: Sampling) -> Tensor:
    """Return the log-probabilities with those outside ``top_k``, then ``top_p``, set to -inf."""
    if 0 < sampling.top_k < logprobs.shape[-1]:
        least = logprobs.topk(sampling.top_k, dim=-1).values[:, -1:]
        logprobs = logprobs.masked_fill(logprobs < least, -math.inf)
    if sampling.top_p < 1:
        ordered = torch.softmax(logprobs, dim=-1).sort(dim=-1, descending=True)
        # A token remains while those before it sum to less than top_p: the first one always does.
        before = ordered.values.cumsum(dim=-1) - ordered.values
        beyond = before >= sampling.top_p
        logprobs = logprobs.masked_fill(beyond.scatter(1, ordered.indices, beyond), -math.inf)
    return logprobs


def _append(slot: DecodingSlot, token: int, logprob: float, stop_condition: StopCondition) -> None:
    if not math.isfinite(logprob):
        raise HopgymError(f"expected finite numbers from the model, got {logprob}")
    slot.ids.append(token)
    slot.logprobs.append(logprob)
    generated = slot.generated
    if stop_condition.is_met(generated):
        slot.finish_reason = "stop"
    elif len(generated) == slot.limit:
        slot.finish_reason = "length"


def _group_by_length(lengths: Sequence[int]) -> list[list[int]]:
    """Return row numbers in groups to encode together, of lengths within a factor of 2."""
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        length = lengths[row]
        similar = groups and length <= 2 * lengths[groups[-1][0]]
        if similar and (len(groups[-1]) + 1) * length <= ENCODED_AT_ONCE:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _right_aligned(prefixes: Sequence[CachedPrefix], lengths: Sequence[int]) -> DynamicCache:
    """Return the states of the first ``lengths`` tokens of each prefix, padded on the left."""
    past = DynamicCache()
    columns = max(lengths)
    if columns < 1:
        return past
    layers = next(prefix.states for prefix in prefixes if prefix.states)
    for layer, states in enumerate(layers):
        keys, values = (
            state.new_zeros(len(prefixes), len(state), columns, state.shape[-1]) for state in states
        )
        for row, (prefix, tokens) in enumerate(zip(prefixes, lengths, strict=True)):
            if tokens > 0:
                keys[row, :, -tokens:] = prefix.states[layer][0][:, :tokens]
                values[row, :, -tokens:] = prefix.states[layer][1][:, :tokens]
        past.update(keys, values, layer)
    return past


def _concatenate(pasts: Sequence[DynamicCache]) -> DynamicCache:
    """Return the states of several batches as one, the shorter ones padded on the left."""
    if len(pasts) == 1:
        return pasts[0]
    joined = DynamicCache()
    columns = max(past.get_seq_length() for past in pasts)
    for layer, states in enumerate(zip(*map(_layers, pasts), strict=True)):
        keys, values = (
            torch.cat([pad(state, (0, 0, columns - state.shape[-2], 0)) for state in side])
            for side in zip(*states, strict=True)
        )
        joined.update(keys, values, layer)
    return joined


def _layers(past: DynamicCache) -> list[tuple[Tensor, Tensor]]:
    return [(keys, values) for keys, values, _ in past]


def _tensor(numbers: Sequence[Any], device: Any) -> Tensor:
    return torch.tensor(numbers, dtype=torch.long, device=device)
