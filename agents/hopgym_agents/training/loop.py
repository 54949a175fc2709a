"""A session of training: begin or go on, keep the books, and leave a model behind; for any method.

In: a run of which everything has been checked. Out: its folder with model, card and result. Killed
at any point, the same call goes on from the last whole checkpoint.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hopgym_agents.generate import Sampling
from hopgym_agents.modeling import Trainable, save_trained, widen_adapter
from hopgym_agents.prompts import STYLES
from hopgym_agents.training.actor import Player
from hopgym_agents.training.budget import DEV_SUCCESS, Meter, Spent
from hopgym_agents.training.callback import Books, agreed, ledger
from hopgym_agents.training.config import TrainConfig
from hopgym_agents.training.environments import dev_env
from hopgym_agents.training.heldout import HeldOut
from hopgym_agents.training.model_card import write_card
from hopgym_agents.training.result import Checked, Trained
from hopgym_agents.training.run_folder import Checkpoint, RunFolder, is_leader

Show = Callable[[int, int], Callable[[int], None]]
"""Called with the number of steps (0: not known) and how many are done; returns what is told of
each further one."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run of which everything has been checked that can be before it begins."""

    checked: Checked
    trainable: Trainable
    arguments: Any
    """TRL's configuration."""
    make_trainer: Callable[[Books, Player], Any]
    """Makes TRL's trainer, which adds to the books what it spends."""
    sampling: Sampling
    """How actions are drawn while it learns."""
    spent: Spent = field(default_factory=Spent)
    """Before the first step."""

    @property
    def config(self) -> TrainConfig:
        """The run's options."""
        return self.checked.config


def train(run: Prepared, show: Show | None = None) -> Trained:
    """Train a model, or go on where a killed run of the same configuration was.

    A run that has ended within the same limits is not done again. With larger ones it goes on.

    Args:
        run: Of a method's ``prepare``; it serves once.
        show: Shows the steps.

    Raises:
        RunFileError: When another process has the folder open.
        ArgumentError: When limits are smaller than what the run has spent already.
    """
    folder, limits = RunFolder(Path(run.config.out)), asdict(run.config.limits)
    with folder.opened(run.checked.identity):
        done = folder.result(limits)
        if done is not None:
            return Trained.from_dict({**done, "model": str(folder.model)})  # which may have moved
        folder.check_limits(run.config.limits)
        trained = _run(run, folder, show)
        if is_leader():
            folder.reopen()
            save_trained(run.trainable, folder.model)
            write_card(folder.model, run.checked, trained)
            folder.finish(limits, trained.to_dict())
    return trained


def _run(run: Prepared, folder: RunFolder, show: Show | None) -> Trained:
    start = folder.last()
    if is_leader():
        folder.go_back(start)
    player = Player(
        run.trainable, STYLES[run.config.style], run.sampling, run.config.play.chat_settings
    )
    books = _books(run, folder, player, start)
    trainer = run.make_trainer(books, player)
    done = start.step if start else 0
    trainer.add_callback(ledger(books, show(run.checked.steps, done) if show else _unseen))
    widen_adapter(run.trainable)  # which TRL has narrowed
    if start is None:
        books.evaluate(done)
    # Given worlds count before anything is learnt from them, and end no run by themselves.
    there = books.reached if start else books.reached == DEV_SUCCESS
    reached = agreed(bool(there), run.arguments.world_size)
    if start and (reached or start.step >= run.checked.steps > 0):
        # Killed between its last checkpoint and its end: a further batch would be one too many.
        trainer._load_from_checkpoint(str(start.path))
    elif not reached:
        trainer.train(resume_from_checkpoint=str(start.path) if start else None)
        done = trainer.state.global_step
    books.evaluate(done, last=True)
    ended = books.reached or "steps"
    return Trained.of(folder, books.meter.spent, ended, done)


def _books(run: Prepared, folder: RunFolder, player: Player, start: Checkpoint | None) -> Books:
    play, data = run.config.play, run.checked.data
    gpus = run.arguments.world_size * run.arguments.n_gpu
    meter = Meter(start.spent if start else run.spent, gpus)
    books = Books(folder, run.config.limits, meter, state=dict(start.state if start else {}))
    if play.dev:
        env = dev_env(play, data.env_id, data.env_kwargs)
        books.held_out, books.every = HeldOut(env, play.dev, player), play.every
        _remember(books, folder.points())
    return books


def _remember(books: Books, points: Sequence[Mapping[str, Any]]) -> None:
    """Take over what the log tells of the last evaluation."""
    for point in points:
        if "dev" in point:
            books.evaluated = point["generated_tokens"] or point["gradient_tokens"]
            books.dev_success = point["dev"]["success"]


def _unseen(steps: int) -> None:
    """Tell nobody of a step."""
