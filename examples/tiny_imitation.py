"""Train a tiny transformer from scratch to imitate the oracle, then let it act in new worlds.

Behaviour cloning on oracle episodes of `hopgym/People-v0` with brief pages and the small name pool:
0.65 million parameters, one thread, 100 CPU seconds including task generation. The model then
writes its own `<lookup>...</lookup>` and `<answer>...</answer>` calls, greedily, in worlds that it
never saw. Results, and what did not work: docs/results/tiny_imitation.md.

    python examples/tiny_imitation.py --seed 0
    python examples/tiny_imitation.py --hops 2 --relations mother father husband wife

Prints one line per evaluation on the dev split, then one JSON line for the test split.
"""

import argparse
import itertools
import json
import math
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean
from typing import Any

import gymnasium
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3Model

from hopgym.env import HopEnv
from hopgym.policies import GuessPolicy, OraclePolicy
from hopgym.rollout import Policy, run_episodes
from hopgym.trajectory import Trajectory, transcript
from hopgym.worlds.people.name_pools import load_name_pool
from hopgym.worlds.people.vocabulary import LEADS
from hopgym.wrappers import hop_env

RELATIONS = ("mother", "father", "husband", "wife", "home_town", "employer")
BATCH = 16
LEARNING_RATE = 3e-3
WARMUP_STEPS = 50
DECAY_FROM = 0.7
QUESTIONS_PER_WORLD = 20
SHUFFLE_BUFFER = 640
POINT_TASKS = 100
ACTION_TOKENS = 8
ENV: dict[str, Any] = {
    "size": 100,
    "page_style": "brief",
    "name_pool": "small",
    "kinds": ("chain",),
    "instructions": False,
}

Row = tuple[list[int], list[bool]]
"""Tokens of an episode, and which of them the model has to write."""


class Tokens:
    """A tokenizer of whole words: markup, question words, and the small name pool.

    Names of towns and employers have two parts ("Alder" + "haven") and become two tokens, the
    second marked with a plus. Spaces are not tokens: decoding joins words with one space.
    """

    MARKUP = ("<pad>", "<unk>", "<lookup>", "</lookup>", "<answer>", "</answer>")
    SIGNS = (":", ".", "?", "'s", "\n", "\n\n")
    QUESTION = "Question Who What Which Name Tell me who what is the of person town employer"
    PATTERN = re.compile(r"</?\w+>|'s|[\w-]+|[^\w\s]|\n+")

    def __init__(self, relations: Sequence[str]) -> None:
        pool = load_name_pool("small")
        self._pieces = _in_two((*pool.towns, *pool.employers))
        names = (*pool.first[0], *pool.first[1], *pool.last)
        nouns = [word for relation in relations for word in relation.split("_")]
        pieces = [piece for pair in self._pieces.values() for piece in pair]
        fixed = (*self.MARKUP, *self.SIGNS, *self.QUESTION.split())
        self.vocabulary = list(dict.fromkeys((*fixed, *nouns, *names, *pieces)))
        self._ids = {word: number for number, word in enumerate(self.vocabulary)}
        self.ends = frozenset((self._ids["</lookup>"], self._ids["</answer>"]))

    def encode(self, text: str) -> list[int]:
        text_words: list[str] = self.PATTERN.findall(text)
        pieces = (piece for word in text_words for piece in self._pieces.get(word, (word,)))
        return [self._ids.get(piece, 1) for piece in pieces]

    def decode(self, ids: Iterable[int]) -> str:
        text = " ".join(self.vocabulary[number] for number in ids).replace(" +", "")
        return re.sub(r"(?<=>) | (?=</)", "", text)


def _in_two(compounds: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Split each word where both halves are most frequent among the words."""
    cuts = {word: [(word[:i], word[i:]) for i in range(1, len(word))] for word in compounds}
    starts = Counter(start for pairs in cuts.values() for start, _ in pairs)
    ends = Counter(end for pairs in cuts.values() for _, end in pairs)
    best = {w: max(pairs, key=lambda p: starts[p[0]] * ends[p[1]]) for w, pairs in cuts.items()}
    return {word: (start, f"+{end}") for word, (start, end) in best.items()}


def tiny_model(vocabulary: int) -> Qwen3Model:
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        initializer_range=0.09,  # about 1 / sqrt(128)
        rope_parameters={"rope_type": "default", "rope_theta": 100.0},
        use_cache=False,
    )
    return Qwen3Model(config)


def _logits(model: Qwen3Model, ids: Tensor, where: Any) -> Tensor:
    """Return the logits at some places, with tied embeddings, of shape (places, vocabulary)."""
    hidden: Tensor = model(input_ids=ids).last_hidden_state[where]
    return hidden @ model.embed_tokens.weight.T


class Imitator:
    """The model as a policy: greedy, up to the end of a call."""

    def __init__(self, model: Qwen3Model, tokens: Tokens) -> None:
        self._model = model
        self._tokens = tokens

    @torch.no_grad()
    def __call__(self, prefixes: Sequence[Trajectory]) -> list[str]:
        rows = [self._tokens.encode(f"{transcript(p.prompt, p.steps)}\n\n") for p in prefixes]
        starts = [len(row) for row in rows]
        for _ in range(ACTION_TOKENS):
            last = (torch.arange(len(rows)), torch.tensor([len(row) - 1 for row in rows]))
            best = _logits(self._model, _padded(rows), last).argmax(-1).tolist()
            for row, token in zip(rows, best, strict=True):
                if row[-1] not in self._tokens.ends:
                    row.append(token)
        return [self._tokens.decode(row[n:]) for row, n in zip(rows, starts, strict=True)]


def make_env(args: argparse.Namespace, **kwargs: Any) -> HopEnv:
    defaults: dict[str, Any] = {
        "relations": tuple(args.relations),
        "hops": (1, args.hops),
        "max_steps": args.hops + 4,
        "questions_per_world": 1,
        "names_split": "train",
    }
    return hop_env(gymnasium.make("hopgym/People-v0", **ENV | defaults | kwargs))


def oracle_rows(env: HopEnv, tokens: Tokens, seed: int) -> Iterator[Row]:
    """Yield oracle episodes of ever new worlds, shuffled within a buffer."""
    rng = random.Random(seed)
    for first in itertools.count(0, SHUFFLE_BUFFER):
        rows = [_oracle_row(env, tokens, index) for index in range(first, first + SHUFFLE_BUFFER)]
        rng.shuffle(rows)
        yield from rows


def _oracle_row(env: HopEnv, tokens: Tokens, index: int) -> Row:
    text, info = env.reset(options={"index": index})
    ids = tokens.encode(f"{text}\n\n")
    written = [False] * len(ids)
    over = False
    while not over:
        action = json.loads(info["gold"])["oracle"]
        text, _, over, _, info = env.step(action)
        for part, by_model in ((action, True), ("" if over else f"\n\n{text}\n\n", False)):
            ids += tokens.encode(part)
            written += [by_model] * (len(ids) - len(written))
    return ids, written


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])  # (B, T)


def train(args: argparse.Namespace, model: Qwen3Model, tokens: Tokens) -> dict[str, Any]:
    """Train for a number of steps or CPU seconds, including task generation; return the cost."""
    start = time.process_time()
    point = args.every
    budget = args.steps or args.seconds
    env = make_env(args, world_seed=args.seed, questions_per_world=QUESTIONS_PER_WORLD, reveal=True)
    rows = oracle_rows(env, tokens, args.seed)
    dev = make_env(args, split="dev")
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), weight_decay=0.0)
    losses: list[float] = []
    n_tokens = 0
    seconds = 0.0
    done = 0.0
    while done < budget:
        if done >= point:
            success = fmean(_successes(dev, Imitator(model, tokens), min(args.eval, POINT_TASKS)))
            report = f"step {len(losses)}, loss {fmean(losses[-50:]):.3f}, success {success:.2f}"
            print(f"{seconds:.0f} CPU s: {report}", flush=True)
            point += args.every
            start = time.process_time() - seconds
        batch = [next(rows) for _ in range(BATCH)]
        n_tokens += sum(len(ids) for ids, _ in batch)
        decay = (1.05 - done / budget) / (1.05 - DECAY_FROM)
        rate = min(1.0, (len(losses) + 1) / WARMUP_STEPS, decay)
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * rate
        losses.append(_learn(model, optimizer, batch))
        seconds = time.process_time() - start
        done = len(losses) if args.steps else seconds
    return {
        "cpu_seconds": round(seconds, 1),
        "steps": len(losses),
        "trajectories": len(losses) * BATCH,
        "tokens": n_tokens,
        "first_loss": round(fmean(losses[:10]), 4),
        "last_loss": round(fmean(losses[-10:]), 4),
    }


def _learn(model: Qwen3Model, optimizer: torch.optim.Optimizer, batch: list[Row]) -> float:
    """Take one step on the tokens that the oracle wrote; return the loss in nats per token."""
    ids = _padded([ids for ids, _ in batch])
    written = _padded([flags for _, flags in batch])[:, 1:].bool()
    loss = F.cross_entropy(_logits(model, ids[:, :-1], written), ids[:, 1:][written])
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def _successes(env: HopEnv, policy: Policy, tasks: int) -> list[bool]:
    """Return for each task, in order, whether the policy answers it correctly."""
    done = {t.index: t.is_success for t in run_episodes(env, policy, range(tasks), slots=50)}
    return [done[index] for index in range(tasks)]


def report(args: argparse.Namespace, policy: Policy) -> dict[str, Any]:
    """Return the success in new worlds, one task each, and the floors on the same tasks."""
    env = make_env(args, split="test")
    n = args.eval
    heldout = make_env(args, split="test", names_split="heldout")
    right = _successes(env, policy, n)
    groups: dict[str, list[bool]] = {}
    for index, success in enumerate(right):
        for group in (f"{len(env.source[index].question.hops)} hop", _last_relation(env, index)):
            groups.setdefault(group, []).append(success)
    of_page, of_kind = zip(*_page_floors(env, n), strict=True)
    return {
        "tasks": n,
        "success": round(fmean(right), 3),
        "interval": wilson(sum(right), n),
        "success_by_group": {name: round(fmean(groups[name]), 3) for name in sorted(groups)},
        "success_heldout_names": round(fmean(_successes(heldout, policy, n)), 3),
        "floors": {
            "guess": round(fmean(_successes(env, GuessPolicy(env.source), n)), 3),
            "value of the page": round(fmean(of_page), 3),
            "value of its kind": round(fmean(of_kind), 3),
        },
    }


def _last_relation(env: HopEnv, index: int) -> str:
    """Return the last relation of a question."""
    return str(env.source[index].question.metadata["query"].split("'")[1])


def _page_floors(env: HopEnv, tasks: int) -> Iterator[tuple[float, float]]:
    """Yield the chance of guessing a random value of the last page, and one of the right kind.

    The first floor still needs the right page; the second also distinguishes people, towns and
    employers.
    """
    for episode in run_episodes(env, OraclePolicy(env.source), range(tasks)):
        listed = re.findall(r"(?:^|\. )([a-z ]+):", episode.steps[-2].observation, re.MULTILINE)
        kinds = [LEADS[name.replace(" ", "_")][1] for name in listed]
        yield 1 / len(kinds), 1 / kinds.count(LEADS[_last_relation(env, episode.index)][1])


def wilson(right: int, tasks: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    share = right / tasks
    spread = z * z / tasks
    half = z * math.sqrt(share * (1 - share) / tasks + spread / tasks / 4)
    middle = share + spread / 2
    return round((middle - half) / (1 + spread), 3), round((middle + half) / (1 + spread), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of weights, worlds and order")
    parser.add_argument("--seconds", type=float, default=100.0, help="CPU seconds of training")
    parser.add_argument("--steps", type=int, default=0, help="of training, instead of seconds")
    parser.add_argument("--hops", type=int, default=1, help="most hops of a question")
    parser.add_argument("--eval", type=int, default=400, help="test tasks, each of its own world")
    parser.add_argument("--every", type=float, default=20.0, help="seconds or steps between points")
    parser.add_argument("--relations", nargs="+", default=RELATIONS, help="single-valued ones")
    parser.add_argument("--dry-run", action="store_true", help="make the model, train nothing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    tokens = Tokens(args.relations)
    model = tiny_model(len(tokens.vocabulary))
    result: dict[str, Any] = {"seed": args.seed, "hops": args.hops, "relations": args.relations}
    result["parameters"] = sum(weights.numel() for weights in model.parameters())
    result["vocabulary"] = len(tokens.vocabulary)
    if not args.dry_run:
        result |= train(args, model, tokens) | report(args, Imitator(model, tokens))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
