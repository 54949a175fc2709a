"""Compact batches: rows that differ are computed once each, beside rows of like length.

In: a padded batch of a GRPO step. Out: the very log-probabilities that it has as a whole, for less
work: a sure policy samples the same action of a state again and again, and states of an episode's
begin and end stand side by side, so that most of a batch is repetition and padding.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_GROUPS = 4
_LEAST = 8
"""Rows of a group, below which it is not worth a pass of its own."""

Scores = tuple["Tensor", "Tensor | None", "Tensor | None"]
"""Log-probabilities and entropies, each of shape (rows, completion columns), and TRL's third."""


def compacted(
    compute: Callable[..., Scores],
    model: Any,
    input_ids: "Tensor",
    attention_mask: "Tensor",
    logits_to_keep: int,
    **settings: Any,
) -> Scores:
    """Return what TRL's method for log-probabilities and entropies gives.

    Args:
        compute: That method.
        model: The model.
        input_ids: Of shape (rows, columns), the completion's columns last.
        attention_mask: Of the same shape.
        logits_to_keep: Columns of the completions.
        settings: Further arguments of the method.
    """
    import torch
    from torch.nn.functional import pad

    columns = input_ids.shape[1]
    both = torch.cat([input_ids, attention_mask], dim=1)
    unique, place = torch.unique(both, dim=0, return_inverse=True)
    ids, mask = unique[:, :columns], unique[:, columns:]
    order, found = [], []
    for rows, first, last in _groups(mask):
        cut = columns - last
        own = (each[rows][:, first:last] for each in (ids, mask))
        part = compute(model, *own, logits_to_keep - cut, **settings)
        order.append(rows)
        found.append((pad(part[0], (0, cut)), None if part[1] is None else pad(part[1], (0, cut))))
    back = torch.argsort(torch.cat(order))[place]
    logps = torch.cat([each for each, _ in found])[back]
    entropies = [each for _, each in found if each is not None]
    return logps, torch.cat(entropies)[back] if entropies else None, None


def _groups(mask: "Tensor") -> Iterator[tuple["Tensor", int, int]]:
    """Yield rows of like length, with the first column that one of them uses and the last."""
    import torch

    columns = mask.shape[1]
    first = mask.argmax(dim=1)
    last = columns - mask.flip(1).argmax(dim=1)
    by_length = torch.argsort(last - first, stable=True)
    count = max(1, min(_GROUPS, len(by_length) // _LEAST))
    for rows in torch.tensor_split(by_length, count):
        yield rows, int(first[rows].min()), int(last[rows].max())
