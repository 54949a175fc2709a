"""Training rows: episodes as the tokens the model acted with, and which of them are trained on.

All sub-trajectories of an episode share one row. A later one only appends tokens to an earlier one,
so a single pass over the longest gives every action the same loss as a row of its own would.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hopgym.errors import ArgumentError
from hopgym.trajectory import Trajectory
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.data.decomposition import decompose
from hopgym_agents.training.rewards import ActionGroup, Rewards

IGNORED = -100
"""The label of a token without a loss."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """Tokens of an episode up to its last chosen action."""

    input_ids: tuple[int, ...]
    trained: tuple[bool, ...]
    """For each token, whether it has a loss: the chosen actions and the ends of their turns."""
    actions: int
    """Number of chosen actions."""
    world: str = ""
    """World of the episode's task."""

    @property
    def labels(self) -> list[int]:
        """The tokens that are trained on, and `IGNORED` for all others."""
        pairs = zip(self.input_ids, self.trained, strict=True)
        return [token if trained else IGNORED for token, trained in pairs]

    @property
    def gradient_tokens(self) -> int:
        """Number of tokens with a loss; the first token of a row is never predicted."""
        return sum(self.trained[1:])


def imitation_rows(
    episodes: Iterable[Trajectory], encoder: ChatEncoder, rewards: Rewards
) -> Iterator[TrainingRow]:
    """Yield a row for each episode that has an action worth imitating.

    Args:
        episodes: Finished episodes.
        encoder: The encoder the model acts with. Actions sampled as known token ids keep them.
        rewards: Actions with a total reward of 0 or less are not trained on.

    Raises:
        ArgumentError: When the chat template does not end the assistant's turn with a special
            token, or cannot be used at all.
    """
    turn_ends = special_tokens(encoder.tokenizer)
    for episode in episodes:
        positions = [len(sub.prefix.steps) for sub in decompose(episode)]
        totals = rewards.totals([ActionGroup(episode, (position,)) for position in positions])
        chosen = {at for at, total in zip(positions, totals, strict=True) if total > 0}
        if chosen:
            row = training_row(encoder.pieces(episode), chosen, turn_ends)
            yield replace(row, world=episode.world)


def episode_row(encoder: ChatEncoder, episode: Trajectory, sampled: bool = False) -> TrainingRow:
    """Return an episode as a row in which all actions of its policy are trained on.

    Args:
        encoder: The encoder the model acts with.
        episode: An episode with at least one action of its policy.
        sampled: Train only on tokens that the model sampled. The end of a turn is not among them
            when generation stops at the end of a call.

    Raises:
        ArgumentError: When the policy took no action.
    """
    positions = [at for at, step in enumerate(episode.steps) if not step.from_prefix]
    if not positions:
        raise ArgumentError(
            f"the model's context must leave room for an action at {episode.task_id!r}, got none; "
            "take a model with a longer one, or shorter prompts"
        )
    samples = None
    if sampled:
        completions = {at: episode.steps[at].completion for at in positions}
        samples = {at: c.token_ids if c else () for at, c in completions.items()}
    return training_row(
        encoder.pieces(episode), positions, special_tokens(encoder.tokenizer), samples
    )


def training_row(
    pieces: Sequence[Sequence[int]],
    chosen: Collection[int],
    turn_ends: frozenset[int],
    samples: Mapping[int, Sequence[int]] | None = None,
) -> TrainingRow:
    """Return the row of an episode up to its last chosen action.

    Args:
        pieces: Token ids of the opening, then of each action and the reply to it.
        chosen: Positions of the actions to train on, at least one.
        turn_ends: Ids of the tokens that may end a turn.
        samples: Token ids the model sampled at the chosen positions. Only these are trained on: an
            action that spells a control token is encoded as other tokens than were sampled. None
            trains on every token of the action and on the end of its turn.

    Raises:
        ArgumentError: When no special token follows an action.
    """
    ids = [*pieces[0]]
    trained = [False] * len(ids)
    last = max(chosen)
    for number in range(last + 1):
        action = pieces[1 + 2 * number]
        reply = pieces[2 + 2 * number]
        turn = [*action, *reply[: _turn_end(reply, turn_ends)]]
        ids += turn if number == last else [*action, *reply]
        count = len(turn) if samples is None else _common_prefix(turn, samples.get(number, ()))
        trained += [number in chosen] * count
        trained += [False] * (len(ids) - len(trained))
    return TrainingRow(tuple(ids), tuple(trained), len(chosen))


def last_action_only(row: TrainingRow) -> TrainingRow:
    """Return a row that trains on the last of its actions alone."""
    stop = max(at for at, trained in enumerate(row.trained) if trained)
    start = stop
    while row.trained[start - 1]:
        start -= 1
    trained = tuple(start <= at <= stop for at in range(len(row.trained)))
    return replace(row, trained=trained, actions=1)


def special_tokens(tokenizer: Any) -> frozenset[int]:
    """Return the ids of a tokenizer's special tokens."""
    added = tokenizer.added_tokens_decoder.items()
    return frozenset(tokenizer.all_special_ids) | {key for key, token in added if token.special}


def rows_digest(rows: Iterable[TrainingRow]) -> str:
    """Return 16 hex digits that identify rows and their order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr((row.input_ids, row.trained)).encode())
    return digest.hexdigest()[:16]


def marked_text(row: TrainingRow, tokenizer: Any, start: str = "[[", stop: str = "]]") -> str:
    """Return a row's text with marks around the tokens that are trained on."""
    text = ""
    first = 0
    for end in range(1, len(row.trained) + 1):
        if end == len(row.trained) or row.trained[end] != row.trained[first]:
            part = tokenizer.decode(list(row.input_ids[first:end]))
            text += f"{start}{part}{stop}" if row.trained[first] else part
            first = end
    return text


def _common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Return the length of the longest common prefix."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(left), len(right)))


def _turn_end(reply: Sequence[int], turn_ends: frozenset[int]) -> int:
    """Return how many tokens after an action end its turn: up to the first special token."""
    for position, token in enumerate(reply):
        if token in turn_ends:
            return position + 1
    raise ArgumentError(
        "the chat template must end the assistant's turn with a special token, got none after "
        "an action; give the tokenizer a template that does"
    )
