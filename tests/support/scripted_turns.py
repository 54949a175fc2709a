"""Scripted episodes for a local generator: their observations depend on their place alone."""

import random
from collections.abc import Sequence
from typing import Any

from hopgym.trajectory import Completion
from hopgym_agents.generate import Request, Turn

TEXT = """the mother of Ada Brook is Cleo Dunn who works as a baker and lives in Elmstead her
brother was born in 1950 friends are Gil Hart and Ivo Jay keep bees é Łódź results 12 <b> [1]"""


def words_at(*place: int, least: int = 5, most: int = 60) -> str:
    """Return random words, seeded by the place."""
    rng = random.Random(str(place))
    return " ".join(rng.choices(TEXT.split(), k=rng.randint(least, most)))


def request_at(episode: int, turns: Sequence[Turn], sample: int = 0, **size: int) -> Request:
    """Return the request for the next turn of an episode."""
    opening = (
        {"role": "system", "content": words_at(episode, **size)},
        {"role": "user", "content": words_at(episode, 1)},
    )
    later = tuple(
        message
        for turn in turns
        for message in (
            {"role": "assistant", "content": turn.text},
            {"role": "user", "content": turn.observation},
        )
    )
    key = (episode, sample, len(turns))
    return Request((*opening, *later), opening=2, turns=tuple(turns), key=key)


def play(
    generator: Any, episodes: int, turns: int, order: int | None = None, **size: int
) -> dict[tuple[int, int], Completion]:
    """Play scripted episodes of unequal lengths; return completions by (episode, turn).

    With an ``order``, episodes start at different times, in shuffled, partial batches.
    """
    histories: dict[int, list[Turn]] = {episode: [] for episode in range(episodes)}
    completions: dict[tuple[int, int], Completion] = {}
    rng = random.Random(order)
    while waiting := [episode for episode in histories if len(histories[episode]) < turns]:
        if order is not None:
            waiting = rng.sample(waiting, rng.randint(1, len(waiting)))
        requests = [request_at(episode, histories[episode], **size) for episode in waiting]
        for episode, reply in zip(waiting, generator(requests), strict=True):
            assert not reply.error
            t = len(histories[episode])
            completions[episode, t] = reply
            observation = words_at(episode, t, 2, **size)
            # The text has all tokens but the end of the turn: the next prompt repeats them exactly.
            ids = reply.token_ids[: -1 if _ends_turn(generator, reply) else None]
            text = generator.encoder.tokenizer.decode(ids, skip_special_tokens=False)
            histories[episode].append(Turn(text, reply.token_ids, observation))
    return completions


def _ends_turn(generator: Any, reply: Completion) -> bool:
    return bool(reply.token_ids[-1] == generator.encoder.tokenizer.eos_token_id)
