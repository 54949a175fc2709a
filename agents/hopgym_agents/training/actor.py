"""The player: the model that is being trained, acting as it stands at the moment.

In: the weights in memory. Out: episodes and single actions, sampled by the same generator with
kept keys and values that plays a finished model; and success on held-out tasks.
"""

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopgym.errors import HopgymError
from hopgym.rollout import run_episodes
from hopgym.trajectory import ERROR_REASONS, Completion, Trajectory
from hopgym_agents.generate import Request, Sampling
from hopgym_agents.modeling import Trainable
from hopgym_agents.policy import LLMPolicy
from hopgym_agents.prompts import Style, stop_texts

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym_agents.generate.local import LocalGenerator

_SLOTS = 128


class Player:
    """Acts with a model between two steps of its training.

    Args:
        trainable: The model; it is left in the mode that it was in.
        style: How prefixes are rendered.
        sampling: How actions are drawn while it learns.
        chat_settings: Further arguments of the chat template.
        batch_size: Most requests decoded together.
    """

    def __init__(
        self,
        trainable: Trainable,
        style: Style,
        sampling: Sampling,
        chat_settings: Mapping[str, Any] | None = None,
        batch_size: int = 128,
    ) -> None:
        from hopgym_agents.generate.local import LocalGenerator  # it imports torch

        self._model = trainable.model
        training = self._model.training
        self._generate = LocalGenerator(
            self._model,
            sampling,
            tokenizer=trainable.tokenizer,
            batch_size=batch_size,
            chat_settings=chat_settings,
        )
        self._model.train(training)
        self.style = style
        self.encoder = self._generate.encoder
        self.max_context = self._generate.max_context

    def play(
        self,
        env: "HopEnv",
        jobs: Iterable[tuple[int, int]],
        seed: int,
        *,
        greedy: bool = False,
        out: Path | None = None,
    ) -> list[Trajectory]:
        """Return finished episodes, in the order of their tasks.

        Args:
            env: Where they are played.
            jobs: Task indices, each once, with how many episodes each gets.
            seed: Of this play; another one draws others.
            greedy: Whether the most likely token is taken each time.
            out: A trajectory file; what it already holds is not played again.

        Raises:
            HopgymError: When the model could not act.
        """
        policy = LLMPolicy(self._drawing(env, 0, greedy), self.style)
        by_samples: dict[int, list[int]] = {}
        for index, samples in jobs:
            by_samples.setdefault(samples, []).append(index)
        found: list[Trajectory] = []
        with self._acting():
            for samples, indices in by_samples.items():
                found += run_episodes(
                    env, policy, indices, samples=samples, seed=seed, slots=_SLOTS, out=out
                )
        if out is not None:
            from hopgym.runs.trajectory_file import read_trajectories

            found = list(read_trajectories(out))
        for each in found:
            if each.stop_reason in ERROR_REASONS:
                raise HopgymError(f"expected an action from the model, got {each.error}")
        return sorted(found, key=lambda each: (each.index, each.sample))

    def complete(self, env: "HopEnv", requests: Sequence[Request], seed: int) -> list[Completion]:
        """Return one sampled completion for each request, in the same order.

        Requests whose keys share the first two numbers may share what has been computed.

        Raises:
            HopgymError: When the model could not act.
        """
        generate = self._drawing(env, seed)
        with self._acting():
            first, rest = _first_of_each(requests)
            made = dict(zip(first, generate([requests[at] for at in first]), strict=True))
            made |= dict(zip(rest, generate([requests[at] for at in rest]), strict=True))
        for each in made.values():
            if each.error:
                raise HopgymError(f"expected an action from the model, got {each.error}")
        return [made[at] for at in range(len(requests))]

    def _drawing(self, env: "HopEnv", seed: int, greedy: bool = False) -> "LocalGenerator":
        """Return the generator for an environment, whose dialect tells where an action ends."""
        usual = self._generate.sampling
        stop = stop_texts(env.settings.dialect, (tool.name for tool in env.tools))
        generate = copy.copy(self._generate)
        generate.sampling = (
            Sampling(temperature=0.0, max_tokens=usual.max_tokens, stop=stop)
            if greedy
            else replace(usual, stop=stop, seed=usual.seed + seed)
        )
        return generate

    @contextmanager
    def _acting(self) -> Iterator[None]:
        training = self._model.training
        # Kept states belong to the weights of their time.
        self._generate.forget()
        self._model.eval()
        try:
            yield
        finally:
            self._model.train(training)
            self._generate.forget()


def _first_of_each(requests: Sequence[Request]) -> tuple[list[int], list[int]]:
    """Return where each state comes first, and where it comes again.

    Those of the second call find the states of the first: a prefix is encoded once a group.
    """
    seen: Counter[Any] = Counter()
    first, rest = list[int](), list[int]()
    for at, request in enumerate(requests):
        (rest if seen[request.key[:2]] else first).append(at)
        seen[request.key[:2]] += 1
    return first, rest
