"""The actor: the model in training, playing with its current weights."""

import copy
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopgym.env import HopEnv
from hopgym.errors import HopgymError
from hopgym.rollout import run_episodes
from hopgym.runs.trajectory_file import read_trajectories
from hopgym.trajectory import ERROR_REASONS, Completion, Trajectory
from hopgym_agents.generate import Request, Sampling
from hopgym_agents.modeling.trainable import Trainable
from hopgym_agents.policy import LLMPolicy
from hopgym_agents.prompts import Style, stop_texts

if TYPE_CHECKING:
    from hopgym_agents.generate.local import LocalGenerator

_SLOTS = 128


class Actor:
    """Plays with a model between two steps of its training.

    Episodes and actions come from the same cached generator that plays a finished model.

    Args:
        trainable: The model; its training mode is restored after each call.
        style: How prefixes are rendered.
        sampling: How actions are sampled during training.
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
        from hopgym_agents.generate.local import LocalGenerator  # It imports torch.

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
        env: HopEnv,
        jobs: Iterable[tuple[int, int]],
        seed: int,
        *,
        greedy: bool = False,
        out: Path | None = None,
    ) -> list[Trajectory]:
        """Return finished episodes in the order of their tasks.

        Args:
            env: The environment.
            jobs: Task indices, each once, with the number of episodes of each.
            seed: Of the sampling.
            greedy: Take the most likely token each time.
            out: A trajectory file. Episodes that it already holds are not played again.

        Raises:
            HopgymError: When the model fails to act.
        """
        policy = LLMPolicy(self._generator(env, 0, greedy), self.style)
        by_samples: dict[int, list[int]] = {}
        for index, samples in jobs:
            by_samples.setdefault(samples, []).append(index)
        episodes: list[Trajectory] = []
        with self._inference():
            for samples, indices in by_samples.items():
                episodes += run_episodes(
                    env, policy, indices, samples=samples, seed=seed, slots=_SLOTS, out=out
                )
        if out is not None:
            episodes = list(read_trajectories(out))
        for episode in episodes:
            if episode.stop_reason in ERROR_REASONS:
                raise HopgymError(f"expected an action from the model, got {episode.error}")
        return sorted(episodes, key=lambda episode: (episode.index, episode.sample))

    def complete(self, env: HopEnv, requests: Sequence[Request], seed: int) -> list[Completion]:
        """Return one sampled completion per request, in the same order.

        Requests whose keys share their first two numbers share the states of their prefix.

        Raises:
            HopgymError: When the model fails to act.
        """
        generate = self._generator(env, seed)
        with self._inference():
            # The second call finds the states of the first: a prefix is encoded once per group.
            first, repeated = _split_repeated(requests)
            completions = dict(zip(first, generate([requests[at] for at in first]), strict=True))
            more = generate([requests[at] for at in repeated])
            completions |= dict(zip(repeated, more, strict=True))
        for completion in completions.values():
            if completion.error:
                raise HopgymError(f"expected an action from the model, got {completion.error}")
        return [completions[at] for at in range(len(requests))]

    def _generator(self, env: HopEnv, seed: int, greedy: bool = False) -> "LocalGenerator":
        """Return the generator for an environment, whose dialect tells where an action ends."""
        default = self._generate.sampling
        stop = stop_texts(env.settings.dialect, (tool.name for tool in env.tools))
        generate = copy.copy(self._generate)
        generate.sampling = (
            Sampling(temperature=0.0, max_tokens=default.max_tokens, stop=stop)
            if greedy
            else replace(default, stop=stop, seed=default.seed + seed)
        )
        return generate

    @contextmanager
    def _inference(self) -> Iterator[None]:
        training = self._model.training
        # Cached states belong to the weights they were computed with.
        self._generate.forget()
        self._model.eval()
        try:
            yield
        finally:
            self._model.train(training)
            self._generate.forget()


def _split_repeated(requests: Sequence[Request]) -> tuple[list[int], list[int]]:
    """Return the positions of the first request of each state, and those of the rest."""
    seen: Counter[Any] = Counter()
    first: list[int] = []
    repeated: list[int] = []
    for at, request in enumerate(requests):
        (repeated if seen[request.key[:2]] else first).append(at)
        seen[request.key[:2]] += 1
    return first, repeated
