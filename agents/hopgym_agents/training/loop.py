"""The training loop, the same for every method.

`prepare` checks everything that can be checked before training and loads the model. `run` trains,
resumes after a kill from the last complete checkpoint, and leaves model, card and result behind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hopgym.env import HopEnv
from hopgym.errors import require
from hopgym_agents.generate import Generator, Sampling
from hopgym_agents.generate.loading import set_threads
from hopgym_agents.modeling.saving import save_trained
from hopgym_agents.modeling.trainable import Trainable, load_trainable, widen_adapter
from hopgym_agents.options import create_generator
from hopgym_agents.prompts import STYLES
from hopgym_agents.training.actor import Actor
from hopgym_agents.training.budget import DEV_SUCCESS, Meter
from hopgym_agents.training.callback import RunState, leader_decides, make_callback
from hopgym_agents.training.config import TrainConfig, trl_arguments
from hopgym_agents.training.environments import (
    HeldOutTasks,
    check_held_out,
    dev_env,
    train_env,
)
from hopgym_agents.training.episodes import SelectedEpisodes, load_episodes
from hopgym_agents.training.method import Method, method_named
from hopgym_agents.training.model_card import write_card
from hopgym_agents.training.result import TrainingPlan, TrainResult
from hopgym_agents.training.rewards import JUDGE, Rewards
from hopgym_agents.training.run_folder import Checkpoint, RunFolder, is_leader
from hopgym_agents.training.setup import TrainingData, TrainingRun, TrainingSetup

_ENDLESS = 1_000.0
"""Passes over the data when only a limit ends a run."""
_ENDLESS_DEFAULTS: Mapping[str, Any] = {"lr_scheduler_type": "constant", "logging_steps": 5}
"""TRL settings of methods that play, whose number of steps is not known beforehand."""

ShowSteps = Callable[[int, int], Callable[[int], None]]
"""Called with the total number of steps (0 if unknown) and those done before; returns a function
that is called with the number of further steps."""


@dataclass(frozen=True, slots=True)
class PreparedRun:
    """A run that has passed every check and can start. It can be run once."""

    method: type[Method]
    setup: TrainingSetup
    data: TrainingData
    plan: TrainingPlan

    @property
    def config(self) -> TrainConfig:
        """The resolved configuration."""
        return self.setup.config


def prepare(method: str | type[Method], config: TrainConfig) -> PreparedRun:
    """Return a run that is ready to start, with its model loaded.

    Args:
        method: Name of a method, as in `method_named`, or its class.
        config: Options of the run; the method's defaults are filled in.

    Raises:
        HopgymError: On anything known to keep the run from finishing.
    """
    chosen = method_named(method) if isinstance(method, str) else method
    set_threads()
    config = chosen.resolve(config)
    folder = RunFolder(Path(config.out))
    defaults = _trl_defaults(chosen, config)
    fixed = chosen.trl_fixed(config)
    arguments = trl_arguments(config, chosen.trl_config(), folder.checkpoints, defaults, **fixed)
    episodes = load_episodes(config.run, config.filter) if config.run else None
    if episodes is not None and (chosen.plays or config.play.dev):
        config = _with_environment_of(episodes, config)
    env = train_env(config.play) if chosen.plays else None
    check_held_out(config.play, episodes.source if episodes else "")
    if env is not None:
        _check_rewards(config, env)
    setup = TrainingSetup(
        config, arguments, _load(config, arguments), _rewards(config), env, episodes
    )
    data = chosen.data(setup)
    steps = _step_count(chosen, setup, data)
    rows_at_once = arguments.per_device_train_batch_size
    plan = TrainingPlan.of(chosen, config, setup.trainable, data, steps, rows_at_once)
    folder.check(plan.identity)
    return PreparedRun(chosen, setup, data, plan)


def run(prepared: PreparedRun, show: ShowSteps | None = None) -> TrainResult:
    """Train a model, or resume where a killed run with the same configuration stopped.

    A run that has finished within the same limits is not repeated. With larger limits it continues.

    Args:
        prepared: From `prepare`.
        show: Displays the steps.

    Raises:
        RunFileError: When another process has the folder open.
        ArgumentError: When a limit is smaller than what the run has spent already.
    """
    folder = RunFolder(Path(prepared.config.out))
    limits = prepared.config.limits
    with folder.opened(prepared.plan.identity):
        finished = folder.result(limits)
        if finished is not None:
            # The folder may have been moved since.
            return TrainResult.from_dict({**finished, "model": str(folder.model)})
        start = folder.last_checkpoint()
        folder.check_limits(limits, start)
        result = _train(prepared, folder, start, show or (lambda total, done: lambda count: None))
        if is_leader():
            folder.discard_result()
            save_trained(prepared.setup.trainable, folder.model)
            write_card(folder.model, prepared.plan, result)
            folder.finish(limits, result.to_dict())
    return result


def _train(
    prepared: PreparedRun, folder: RunFolder, start: Checkpoint | None, show: ShowSteps
) -> TrainResult:
    if is_leader():
        folder.rewind(start)
    training = _start(prepared, folder, start)
    state = training.state
    trainer = prepared.method(training).make_trainer()
    steps = start.step if start else 0
    trainer.add_callback(make_callback(state, show(prepared.plan.steps, steps)))
    widen_adapter(prepared.setup.trainable)  # TRL narrows it.
    if start is None:
        state.evaluate(steps)
    # Worlds of a recorded run count before anything is trained on, and alone end no run.
    limit = state.limit_reached
    done = leader_decides(
        bool(limit if start else limit == DEV_SUCCESS), prepared.setup.arguments.world_size
    )
    if start and (done or start.step >= prepared.plan.steps > 0):
        # Killed between its last checkpoint and its end: one more batch would be one too many.
        trainer._load_from_checkpoint(str(start.path))
    elif not done:
        trainer.train(resume_from_checkpoint=str(start.path) if start else None)
        steps = trainer.state.global_step
    state.evaluate(steps, last=True)
    return TrainResult.of(folder, state.meter.spent, state.limit_reached or "steps", steps)


def _start(prepared: PreparedRun, folder: RunFolder, start: Checkpoint | None) -> TrainingRun:
    """Return the run at its start or at a checkpoint."""
    setup = prepared.setup
    config = setup.config
    play = config.play
    actor = Actor(setup.trainable, STYLES[config.style], sampling_of(setup), play.chat_settings)
    gpus = setup.arguments.world_size * setup.arguments.n_gpu
    meter = Meter(start.spent if start else prepared.method.spent_before(setup), gpus)
    state = RunState(folder, config.limits, meter, method=dict(start.state if start else {}))
    if play.dev:
        state.held_out = HeldOutTasks(dev_env(play), play.dev, actor)
        state.evaluation_interval = play.every
        state.restore_evaluation(folder.points())
    return TrainingRun(setup, prepared.data, state, actor)


def _trl_defaults(method: type[Method], config: TrainConfig) -> dict[str, Any]:
    if not method.plays:
        return method.all_trl_defaults()
    defaults = {**_ENDLESS_DEFAULTS, **method.all_trl_defaults()}
    if config.limits.is_set and not {"max_steps", "num_train_epochs"} & set(config.trl):
        defaults["num_train_epochs"] = _ENDLESS
    return defaults


def _with_environment_of(episodes: SelectedEpisodes, config: TrainConfig) -> TrainConfig:
    """Return a configuration that names the environment of a recorded run, unless it names one."""
    if config.play.env:
        return config
    kwargs = {**episodes.env_kwargs, **config.play.kwargs}
    return replace(config, play=replace(config.play, env=episodes.env_id, kwargs=kwargs))


def _check_rewards(config: TrainConfig, env: HopEnv) -> None:
    """Refuse rewards that are 0 where no step is judged, and inverted verdicts without use."""
    exact = sorted({"good", "process"} & set(config.reward))
    judged = env.settings.mode == "tools" or not exact
    expected = f"others than {' and '.join(exact)} where steps are not judged (one_turn)"
    require(judged, "reward", expected, config.reward)
    flip = config.play.flip
    expected = "0 without the reward good, whose verdicts it inverts"
    require("good" in config.reward or not flip, "play.flip", expected, flip)


def _rewards(config: TrainConfig) -> Rewards:
    judge: Generator | None = None
    if JUDGE in config.reward:
        judge = create_generator(config.play.judge)
    return Rewards(config.reward, config.play.flip, config.seed, judge, STYLES[config.style])


def _load(config: TrainConfig, arguments: Any) -> Trainable:
    """Return the start model on the device of TRL's arguments."""
    trainable = load_trainable(
        config.model,
        config.precision,
        device="cpu" if arguments.use_cpu else "auto",
        seed=config.seed,
        chat_settings=config.play.chat_settings,
    )
    if not config.trl.get("optim"):
        arguments.optim = trainable.optimizer
    return trainable


def _step_count(method: type[Method], setup: TrainingSetup, data: TrainingData) -> int:
    """Return the number of optimizer steps; 0 when only a limit ends the run."""
    arguments = setup.arguments
    if arguments.max_steps > 0:
        return int(arguments.max_steps)
    if arguments.num_train_epochs == _ENDLESS:
        return 0
    rows = data.row_count * method.rows_per_sample(arguments)
    per_pass = -(-rows // setup.config.batch)
    return -int(-per_pass * arguments.num_train_epochs // 1)


def sampling_of(setup: TrainingSetup) -> Sampling:
    """Return how actions are sampled: as TRL assumes when it recomputes probabilities."""
    play = setup.config.play
    return Sampling(
        temperature=play.temperature,
        top_p=getattr(setup.arguments, "top_p", 1.0),
        top_k=max(getattr(setup.arguments, "top_k", 0), 0),
        max_tokens=play.max_tokens,
    )


def silence_libraries() -> None:
    """Turn off the progress bars and log lines of transformers and bitsandbytes."""
    import logging

    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
