"""What RL puts a loss on: tokens that the model drew, and rewards that its actions earned there."""

from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from hopgym_agents.data.decomposition import decompose, judge_actions
from hopgym_agents.prompts import PLAIN
from tests.support.training_runs import LATE, playing, prepared, with_trainer

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings(LATE)]


class Rollouts:
    """A run's rollouts, made without training, and all that its player was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str, given: dict[str, Any]) -> None:
        from hopgym_agents.training.actor import Actor
        from hopgym_agents.training.budget import Limits
        from hopgym_agents.training.callback import RunState
        from hopgym_agents.training.loop import sampling_of
        from hopgym_agents.training.run_folder import RunFolder
        from hopgym_agents.training.setup import TrainingRun

        Path(given["out"]).mkdir()
        prepared_run = prepared(method, given)
        setup = prepared_run.setup
        self.books = RunState(RunFolder(Path(given["out"])), Limits())
        self.player = Actor(setup.trainable, PLAIN, sampling_of(setup))
        run = TrainingRun(setup, prepared_run.data, self.books, self.player)
        self.trainer = prepared_run.method(run).make_trainer()
        self.played: list[Any] = []
        self.completed: list[Any] = []
        play, complete = self.player.play, self.player.complete

        def watched_play(*args: Any, **kwargs: Any) -> Any:
            self.played += play(*args, **kwargs)
            return self.played

        def watched_complete(env: Any, requests: Any, seed: int) -> Any:
            made = complete(env, requests, seed)
            self.completed += zip(requests, made, strict=True)
            return made

        monkeypatch.setattr(self.player, "play", watched_play)
        monkeypatch.setattr(self.player, "complete", watched_complete)

    def __call__(self, rows: list[int]) -> dict[str, Any]:
        found: dict[str, Any] = self.trainer.rollout_func([str(row) for row in rows], self.trainer)
        return found


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 1.6])
@pytest.mark.parametrize("method", ["trajectory", "one_turn"])
def test_a_loss_is_put_on_drawn_tokens_alone(
    method: str,
    temperature: float,
    trained: bool,
    blank: str,
    taught: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = f"{taught['out']}/model" if trained else blank
    given = playing(method, model, tmp_path / "out")
    # A taught model is sure of its actions: only wilder sampling reaches control tokens.
    sure = trained and temperature > 1
    given["play"]["temperature"] = 3.0 if sure else temperature
    rollouts = Rollouts(monkeypatch, method, given)
    # One answer has few tokens: more of them are needed to see a control token among them.
    rows = ([0] * 16 + [3] * 16) * (3 if method == "one_turn" else 1)
    rows.sort()
    found = rollouts(rows)
    # A random model writes bytes and control tokens, which are read back as others.
    strange = 0
    assert [each.index for each in rollouts.played] == rows
    for at, episode in enumerate(rollouts.played):
        pieces = rollouts.player.encoder.pieces(episode)
        drawn: list[int] = []
        for step, piece, reply in zip(episode.steps, pieces[1::2], pieces[2::2], strict=True):
            ids = step.completion.token_ids
            strange += piece not in (ids, ids[:-1])
            both = zip(ids, [*piece, *reply], strict=False)
            drawn += [a for a, _ in takewhile(lambda two: two[0] == two[1], both)]
        prompt, completion = found["prompt_ids"][at], found["completion_ids"][at]
        mask = found["env_mask"][at]
        assert len(mask) == len(completion) >= 1
        pairs = zip(completion, mask, strict=True)
        assert [token for token, on in pairs if on] == drawn
        whole = [token for piece in pieces for token in piece]
        assert prompt + completion == whole[: len(prompt) + len(completion)]
        assert found["reward_outcome"][at] == sum(step.outcome_reward for step in episode.steps)
    # Sampled wildly, a model that was taught writes them too.
    if trained or temperature > 1 or method == "trajectory":
        assert (strange > 0) == (temperature > 1 or not trained)
    spent = rollouts.books.meter.spent
    steps = [step for episode in rollouts.played for step in episode.steps]
    assert spent.generated_tokens == sum(step.completion.generated_tokens for step in steps)
    assert spent.gradient_tokens == sum(map(sum, found["env_mask"]))
    assert spent.environment_steps == len(steps)
    assert spent.distinct_worlds == 4


def test_actions_are_single_and_judged_where_they_are_taken(
    taught: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = playing("stepwise", f"{taught['out']}/model", tmp_path / "out")
    given["reward"] = {"good": 1.0, "process": 0.5, "outcome": 0.5}
    rollouts = Rollouts(monkeypatch, "stepwise", given)
    found = rollouts([0] * 8)
    states = {
        tuple(rollouts.player.encoder.encode(sub.prefix)): sub.state
        for episode in rollouts.played
        for sub in decompose(episode)
    }
    assert [list(made.token_ids) for _, made in rollouts.completed] == found["completion_ids"]
    assert all(all(mask) for mask in found["env_mask"])
    prompts = [tuple(prompt) for prompt in found["prompt_ids"]]
    # Two groups of four, each in one state that the model came to.
    assert len(set(prompts[:4])) == len(set(prompts[4:])) == 1
    texts = [made.text for _, made in rollouts.completed]
    assert all(text.count("</") <= 1 for text in texts)
    outcomes = judge_actions([states[prompt] for prompt in prompts], texts)
    assert found["reward_good"] == [float(each.is_good) for each in outcomes]
    assert found["reward_process"] == [each.process_reward for each in outcomes]
    before = rollouts.books.meter.spent
    rounds = sum(
        step.completion.generated_tokens for each in rollouts.played for step in each.steps
    )
    assert before.generated_tokens == rounds + sum(map(len, found["completion_ids"]))
    assert before.gradient_tokens == sum(map(len, found["completion_ids"]))
    # The next states are others of the round, and no task is played for them.
    played = len(rollouts.played)
    again = rollouts([0] * 8)
    assert len(rollouts.played) == played
    assert again["completion_ids"] != found["completion_ids"]


def test_a_compact_batch_has_the_same_gradients(
    blank: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from trl.trainer.grpo_trainer import GRPOTrainer

    rollouts = Rollouts(monkeypatch, "trajectory", playing("trajectory", blank, tmp_path / "out"))
    trainer = rollouts.trainer
    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 30, (40, 2), generator=random)
    ids = torch.randint(0, 200, (40, 60), generator=random)
    columns = torch.arange(60)
    before, behind = 30 - lengths[:, :1], 30 + lengths[:, 1:]
    mask = ((columns >= before) & (columns < behind)).long()
    again = torch.randint(0, 40, (90,), generator=random)
    ids, mask = (ids * mask)[again], mask[again]
    kept = mask[:, 30:].bool()

    def computed(compute: Any) -> tuple[Any, Any, Any]:
        model = trainer.model
        model.zero_grad()
        logps, entropies, _ = compute(model, ids, mask, 30, compute_entropy=True)
        (logps * kept).square().sum().backward()
        gradients = [weight.grad.clone() for weight in model.parameters()]
        return logps[kept], entropies[kept], gradients

    compact = computed(trainer._get_per_token_logps_and_entropies)
    whole = computed(partial(GRPOTrainer._get_per_token_logps_and_entropies, trainer))
    torch.testing.assert_close(compact[0], whole[0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(compact[1], whole[1], rtol=1e-4, atol=1e-4)
    for one, other in zip(compact[2], whole[2], strict=True):
        largest = float(other.abs().max())
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("method", ["stepwise", "trajectory", "one_turn"])
def test_the_gradient_is_that_of_the_formula(
    method: str, taught: dict[str, Any], tmp_path: Path
) -> None:
    """The mean over all drawn tokens of what their group's mean leaves of a reward, times logp."""
    import torch

    from hopgym_agents.modeling import Precision, load_trainable
    from hopgym_agents.training.loop import run as run_prepared
    from tests.support.train_step import Keeping

    model = f"{taught['out']}/model"
    given = playing(method, model, tmp_path / "out")
    temperature = given["play"]["temperature"] = 2.0  # Some actions of a group are malformed.
    given["trl"] |= {"max_steps": 1, "max_grad_norm": 0}
    given["reward"] = {"outcome": 1.0, "format": 0.7, "one": 3.0}
    keeping, seen, run = Keeping(), list[dict[str, Any]](), prepared(method, given)

    def watch(trainer: Any) -> None:
        sample = trainer.rollout_func

        def watched(prompts: Any, trainer: Any) -> Any:
            seen.append(sample(prompts, trainer))
            return dict(seen[-1])

        trainer.rollout_func = watched
        trainer.add_callback(keeping)

    run_prepared(with_trainer(run, watch))
    (found,) = seen
    rewards = torch.tensor(found["reward_outcome"]) + 0.7 * torch.tensor(found["reward_format"])
    groups = rewards.view(2, 4)
    advantages = (groups - groups.mean(dim=1, keepdim=True)).flatten()
    assert advantages.abs().max() > 0.1
    by_hand = load_trainable(model, Precision(), device="cpu").model
    loss = torch.zeros(())
    for row, advantage in enumerate(advantages):
        prompt, completion = found["prompt_ids"][row], found["completion_ids"][row]
        logits = by_hand(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
        logps = (
            (logits / temperature)
            .log_softmax(-1)
            .gather(1, torch.tensor(completion)[:, None])[:, 0]
        )
        loss = loss - advantage * (logps * torch.tensor(found["env_mask"][row])).sum()
    (loss / sum(map(sum, found["env_mask"]))).backward()
    for name, weight in by_hand.named_parameters():
        largest = float(weight.grad.abs().max())
        torch.testing.assert_close(keeping.kept[name], weight.grad, rtol=0, atol=1e-4 * largest)
