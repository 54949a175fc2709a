"""Decoding: a batch of sequences of any lengths, continued token by token.

Rows are set flush right: every row ends in the last column, what stands before its first token is
padding that nothing attends to. Each row keeps its own positions, so it comes out as it would
alone, up to rounding.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hopgym.errors import HopgymError
from hopgym_agents.generate import Sampling
from hopgym_agents.generate.cache import Kept, StateCache
from hopgym_agents.generate.sampling import Ending, draw

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import DynamicCache

ENCODED_AT_ONCE = 16_384
"""Most columns times rows of one pass over new tokens, where they are more than one row's."""


@dataclass(slots=True)
class Row:
    """A sequence under way."""

    episode: tuple[int, int]
    """Under which its states are kept."""
    ids: list[int]
    """The prompt, and what was drawn since."""
    prompt: int
    """Tokens of the prompt."""
    limit: int
    """Most tokens to draw, at least 1."""
    rng: np.random.Generator
    logprobs: list[float] = field(default_factory=list)
    finish: str = ""
    """``stop`` or ``length`` once it has ended."""

    @property
    def drawn(self) -> list[int]:
        """The tokens drawn so far."""
        return self.ids[self.prompt :]


class Decoder:
    """Continues rows with one model.

    Args:
        model: A causal language model of transformers, in eval mode.
        cache: States of earlier turns.
    """

    def __init__(self, model: Any, cache: StateCache) -> None:
        self._model = model
        self._cache = cache
        self.encoded = 0
        """Tokens fed through the model so far, without padding."""

    def run(self, rows: Sequence[Row], sampling: Sampling, ending: Ending) -> None:
        """Draw until each row has ended; their states are kept.

        Raises:
            HopgymError: When the model gives infinities or what is not a number.
        """
        rows, logits, past = self._begin(rows)
        while rows:
            tokens, logprobs = draw(logits, sampling, [row.rng.random() for row in rows])
            for row, token, logprob in zip(rows, tokens, logprobs, strict=True):
                _take(row, token, logprob, ending)
            going = [at for at, row in enumerate(rows) if not row.finish]
            if len(going) < len(rows):
                self._keep([(at, row) for at, row in enumerate(rows) if row.finish], past)
                rows = [rows[at] for at in going]
                past.batch_select_indices(_tensor(going, logits.device))
            if rows:
                fed = _tensor([row.ids[-1:] for row in rows], logits.device)
                logits = self._feed(fed, [len(row.ids) for row in rows], past)

    def _begin(self, rows: Sequence[Row]) -> tuple[list[Row], "Tensor", "DynamicCache"]:
        """Encode what is new in each row; return rows in a new order, logits and states."""
        import torch

        kept = [self._cache.find(row.episode, row.ids) for row in rows]
        new = [len(row.ids) - each.tokens for row, each in zip(rows, kept, strict=True)]
        groups = _alike(new)
        outputs, pasts = [], []
        for group in groups:
            columns = max(new[at] for at in group)
            ids = [rows[at].ids for at in group]
            # All rows are fed as many of their last tokens as the one with the most new ones, so
            # that no hole opens between old and new: it would cost a column of padding anyway.
            past = _set_right([kept[at] for at in group], [len(row) - columns for row in ids])
            fed = [[0] * (columns - len(row)) + row[-columns:] for row in ids]
            fed_ids = _tensor(fed, self._model.device)
            outputs.append(self._feed(fed_ids, [len(row) for row in ids], past))
            pasts.append(past)
        order = [rows[at] for group in groups for at in group]
        return order, torch.cat(outputs), _joined(pasts)

    def _feed(self, fed: "Tensor", lengths: Sequence[int], past: "DynamicCache") -> "Tensor":
        """Run the model over the rows' last tokens; return the logits behind the last one.

        Args:
            fed: Token ids, of shape (rows, columns).
            lengths: Tokens of each row, those fed among them.
            past: States of all columns before; those of the fed ones come to it.
        """
        import torch

        columns = past.get_seq_length() + fed.shape[1]
        first = columns - _tensor(lengths, fed.device)[:, None]
        index = torch.arange(columns, device=fed.device)[None]
        self.encoded += sum(min(length, fed.shape[1]) for length in lengths)
        output = self._model(
            input_ids=fed,
            attention_mask=(index >= first).long(),
            position_ids=(index[:, -fed.shape[1] :] - first).clamp(min=0),
            past_key_values=past,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = output.logits[:, -1]
        return logits

    def _keep(self, ended: Sequence[tuple[int, Row]], past: "DynamicCache") -> None:
        """Keep the states of ended rows; the last token drawn was never fed."""
        for at, row in ended:
            if len(row.ids) <= self._cache.capacity:
                # A copy: a view would hold on to the whole batch.
                states = tuple(
                    (
                        keys[at, :, 1 - len(row.ids) :].clone(),
                        values[at, :, 1 - len(row.ids) :].clone(),
                    )
                    for keys, values in _layers(past)
                )
                self._cache.put(row.episode, row.ids[:-1], states)


def _take(row: Row, token: int, logprob: float, ending: Ending) -> None:
    """Add a drawn token to its row."""
    if not math.isfinite(logprob):
        raise HopgymError(f"expected finite numbers from the model, got {logprob}")
    row.ids.append(token)
    row.logprobs.append(logprob)
    drawn = row.drawn
    if ending.ends(drawn):
        row.finish = "stop"
    elif len(drawn) == row.limit:
        row.finish = "length"


def _alike(new: Sequence[int]) -> list[list[int]]:
    """Return the rows' numbers in groups to encode together, of lengths within a factor of 2."""
    groups: list[list[int]] = []
    for at in sorted(range(len(new)), key=new.__getitem__):
        fits = groups and new[at] <= 2 * new[groups[-1][0]]
        if fits and (len(groups[-1]) + 1) * new[at] <= ENCODED_AT_ONCE:
            groups[-1].append(at)
        else:
            groups.append([at])
    return groups


def _set_right(kept: Sequence[Kept], used: Sequence[int]) -> "DynamicCache":
    """Return the first ``used`` tokens' states of each row, none where that is below 1."""
    from transformers import DynamicCache

    past, columns = DynamicCache(), max(used)
    if columns < 1:
        return past
    for layer, parts in enumerate(next(each.states for each in kept if each.states)):
        keys, values = (
            part.new_zeros(len(kept), len(part), columns, part.shape[-1]) for part in parts
        )
        for at, (each, tokens) in enumerate(zip(kept, used, strict=True)):
            if tokens > 0:
                keys[at, :, -tokens:] = each.states[layer][0][:, :tokens]
                values[at, :, -tokens:] = each.states[layer][1][:, :tokens]
        past.update(keys, values, layer)
    return past


def _joined(pasts: Sequence["DynamicCache"]) -> "DynamicCache":
    """Return batches as one, the shorter ones padded on the left."""
    import torch
    from torch.nn.functional import pad
    from transformers import DynamicCache

    if len(pasts) == 1:
        return pasts[0]
    whole, columns = DynamicCache(), max(past.get_seq_length() for past in pasts)
    for layer, parts in enumerate(zip(*map(_layers, pasts), strict=True)):
        keys, values = (
            torch.cat([pad(part, (0, 0, columns - part.shape[-2], 0)) for part in side])
            for side in zip(*parts, strict=True)
        )
        whole.update(keys, values, layer)
    return whole


def _layers(past: "DynamicCache") -> list[tuple["Tensor", "Tensor"]]:
    return [(keys, values) for keys, values, _ in past]


def _tensor(numbers: Sequence[Any], device: Any) -> "Tensor":
    import torch

    return torch.tensor(numbers, dtype=torch.long, device=device)
