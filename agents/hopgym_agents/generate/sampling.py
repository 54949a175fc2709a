"""Drawing: from logits to the next token of each row, and the texts that end a completion.

Each row's randomness is its own, one number a token, so that what is drawn does not depend on the
rows beside it.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from hopgym_agents.generate import Sampling

if TYPE_CHECKING:
    from torch import Tensor


def draw(
    logits: "Tensor", sampling: Sampling, chances: Sequence[float]
) -> tuple[list[int], list[float]]:
    """Return the next token of each row and its natural-log probability.

    The probability is the model's at the sampling temperature (at 1 where that is 0), over the
    whole vocabulary, before ``top_k`` and ``top_p`` cut it: what a trainer computes again.

    Args:
        logits: Of shape (rows, vocabulary); computed with in float32.
        sampling: Temperature and cuts.
        chances: One number in [0, 1) a row, which decides its token.
    """
    import torch

    scaled = logits.float() / (sampling.temperature or 1.0)
    logprobs = torch.log_softmax(scaled, dim=-1)
    if sampling.temperature == 0:
        tokens = logprobs.argmax(dim=-1, keepdim=True)
    else:
        # The sums run in the vocabulary's order: rounding can then move a boundary between two
        # tokens a little, but never make likely tokens change places, as sorting them would.
        sums = _cut(logprobs, sampling).exp().double().cumsum(dim=-1)
        total = sums[:, -1:].contiguous()
        wanted = torch.tensor(chances, dtype=sums.dtype, device=sums.device)[:, None] * total
        # Clamped for sums that are not numbers: an index out of range would end all GPU work.
        last = torch.searchsorted(sums, total).clamp(max=sums.shape[-1] - 1)
        tokens = torch.minimum(torch.searchsorted(sums, wanted, right=True), last)
    return tokens[:, 0].tolist(), logprobs.gather(1, tokens)[:, 0].tolist()


def _cut(logprobs: "Tensor", sampling: Sampling) -> "Tensor":
    """Return the log-probabilities with those outside ``top_k``, then ``top_p``, at -inf."""
    import torch

    nothing = float("-inf")
    if 0 < sampling.top_k < logprobs.shape[-1]:
        least = logprobs.topk(sampling.top_k, dim=-1).values[:, -1:]
        logprobs = logprobs.masked_fill(logprobs < least, nothing)
    if sampling.top_p < 1:
        ordered = torch.softmax(logprobs, dim=-1).sort(dim=-1, descending=True)
        # A token stays while those before it make less than top_p, so the first one always does.
        before = ordered.values.cumsum(dim=-1) - ordered.values
        beyond = before >= sampling.top_p
        logprobs = logprobs.masked_fill(beyond.scatter(1, ordered.indices, beyond), nothing)
    return logprobs


class Ending:
    """Where a completion ends.

    Args:
        tokenizer: Of the model.
        stop: Texts behind which a completion ends; they stay in it.
        ends: Ids of the tokens that end a turn.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str], ends: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._stop = [text for text in stop if text]
        self._ends = frozenset(ends)
        # A token spells a byte or more, so a stop text lies in this many last tokens; a few more
        # make up for the blank that some tokenizers take off at the start.
        self._tail = 4 + max((len(text.encode()) for text in self._stop), default=0)

    def ends(self, tokens: Sequence[int]) -> bool:
        """Return whether the last token, or a stop text that it completes, ends a completion."""
        if tokens[-1] in self._ends:
            return True
        if not self._stop:
            return False
        tail = self._spell(tokens[-self._tail :])
        return any(text in tail for text in self._stop)

    def text(self, tokens: Sequence[int]) -> str:
        """Return what the tokens say, up to the end of the first stop text."""
        text = self._spell(tokens)
        places = [(text.find(each), len(each)) for each in self._stop]
        return text[: min((at + length for at, length in places if at >= 0), default=len(text))]

    def _spell(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text
