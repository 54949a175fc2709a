"""Rows: episodes as the very tokens of acting, with the loss on chosen actions alone.

In: trajectories and a tokenizer. Out: token ids, and which of them are learnt. The sub-trajectories
of an episode are one row: a later one only adds tokens to an earlier one, so that one pass over the
longest gives each action the same loss as a row of its own would, for a fraction of the work.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hopgym.errors import ArgumentError
from hopgym.trajectory import Trajectory
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.data.decomposition import decompose
from hopgym_agents.training.environments import world_of
from hopgym_agents.training.rewards import Part, Rewards

NOT_LEARNT = -100
"""The label of a token without a loss."""


@dataclass(frozen=True, slots=True)
class Row:
    """Some actions of an episode with all that stood before them."""

    input_ids: tuple[int, ...]
    learnt: tuple[bool, ...]
    """For each token, whether a loss is put on it: those of the chosen actions, and those that end
    the turn behind them."""
    actions: int
    """How many were chosen."""
    world: str = ""
    """What tells the world of its task from others."""

    @property
    def labels(self) -> list[int]:
        """The tokens that are learnt, and `NOT_LEARNT` for the others."""
        pairs = zip(self.input_ids, self.learnt, strict=True)
        return [token if learnt else NOT_LEARNT for token, learnt in pairs]


def rows_of(
    episodes: Iterable[Trajectory], encoder: ChatEncoder, rewards: Rewards
) -> Iterator[Row]:
    """Yield a row for each episode that has an action to learn.

    Actions that were sampled as known tokens are learnt as those tokens.

    Args:
        episodes: Finished ones.
        encoder: That of acting.
        rewards: Actions whose reward is 0 are not learnt.

    Raises:
        ArgumentError: When the chat template does not end the assistant's turn with a special
            token, or cannot be used at all.
    """
    ends = special_tokens(encoder.tokenizer)
    for episode in episodes:
        own = [len(sub.prefix.steps) for sub in decompose(episode)]
        totals = rewards.totals([Part(episode, (position,)) for position in own])
        chosen = {position for position, total in zip(own, totals, strict=True) if total > 0}
        if chosen:
            row = row_of(encoder.pieces(episode), chosen, ends)
            yield replace(row, world=world_of(episode.env_id, episode.task_id))


def special_tokens(tokenizer: Any) -> frozenset[int]:
    """Return the ids of a tokenizer's special tokens."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | {key for key, each in added if each.special}


def digest_of_rows(rows: Iterable[Row]) -> str:
    """Return 16 hex digits that tell rows from others, in their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr((row.input_ids, row.learnt)).encode())
    return digest.hexdigest()[:16]


def shown(row: Row, tokenizer: Any, opens: str = "[[", closes: str = "]]") -> str:
    """Return a row's text with marks around what is learnt."""
    text, start = "", 0
    for stop in range(1, len(row.learnt) + 1):
        if stop == len(row.learnt) or row.learnt[stop] != row.learnt[start]:
            part = tokenizer.decode(list(row.input_ids[start:stop]))
            text += f"{opens}{part}{closes}" if row.learnt[start] else part
            start = stop
    return text


def row_of(
    pieces: Sequence[Sequence[int]],
    chosen: Collection[int],
    ends: frozenset[int],
    drawn: Mapping[int, Sequence[int]] | None = None,
) -> Row:
    """Return the row of an episode up to its last chosen action.

    Args:
        pieces: Tokens of the opening, then of actions and replies by turns.
        chosen: Positions of actions, at least one.
        ends: Ids of the tokens that may end a turn.
        drawn: What a model drew at those chosen, of which no more is learnt than it drew: an action
            that spells a control token is read back as other tokens. None: all is learnt, and each
            end of turn.

    Raises:
        ArgumentError: When none of them stands behind an action.
    """
    ids, learnt = [*pieces[0]], [False] * len(pieces[0])
    last = max(chosen)
    for number in range(last + 1):
        action, reply = pieces[1 + 2 * number], pieces[2 + 2 * number]
        ending = _ending(reply, ends)
        said = [*action, *reply[:ending]]
        ids += said if number == last else [*action, *reply]
        count = len(said) if drawn is None else _alike(said, drawn.get(number, ()))
        learnt += [number in chosen] * count
        learnt += [False] * (len(ids) - len(learnt))
    return Row(tuple(ids), tuple(learnt), len(chosen))


def _alike(one: Sequence[int], other: Sequence[int]) -> int:
    """Return with how many of the same tokens two sequences begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _ending(reply: Sequence[int], ends: frozenset[int]) -> int:
    """Return how many tokens behind an action end its turn: up to the first special one."""
    for position, token in enumerate(reply):
        if token in ends:
            return position + 1
    raise ArgumentError(
        "the chat template must end the assistant's turn with a special token, got none behind "
        "an action; give the tokenizer a template that does"
    )
