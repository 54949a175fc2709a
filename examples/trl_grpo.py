"""GRPO with TRL's own trainer on hopgym/PeopleEasy-v0: tool episodes, rewarded for their answers.

    python examples/trl_grpo.py MODEL --steps 200 --out trained

MODEL is a folder or an id of the Hub; its chat template must support tools, like Qwen3's. A model
from ``hopgym tiny MODEL`` runs on a CPU, but earns no reward until it was trained to write calls.
The script prints one JSON line per step with the reward and the number of tool calls per episode.
``--dry-run`` prepares everything and prints the first prompt instead.
"""

import argparse
import json
import os
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from hopgym_agents.trl_env import environment_factory, task_rows

ENV_ID = "hopgym/PeopleEasy-v0"
LOGGED = ("reward", "reward_std", "tools/call_frequency", "completions/mean_length", "loss")


class Report(TrainerCallback):
    """Prints the metrics of each step."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "reward" in (logs or {}):
            metrics = {name: round(float(logs[name]), 4) for name in LOGGED if name in logs}
            print(json.dumps({"step": state.global_step} | metrics), flush=True)


def config(args: argparse.Namespace) -> GRPOConfig:
    on_gpu = torch.cuda.is_available()
    return GRPOConfig(
        output_dir=args.out,
        max_steps=args.steps,
        learning_rate=args.lr,
        num_generations=args.group,
        per_device_train_batch_size=args.group,
        gradient_accumulation_steps=args.questions,
        max_completion_length=args.tokens,
        # Rewards are mostly 0 or 1: dividing by their spread would favour near-solved questions.
        scale_rewards="none",
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=not on_gpu,
        bf16=on_gpu,
        seed=args.seed,
    )


def main(argv: list[str] | None = None) -> GRPOTrainer:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="folder or id of the Hub")
    parser.add_argument("--out", default="grpo", help="folder of the trained model")
    parser.add_argument("--steps", type=int, default=200, help="optimiser steps")
    parser.add_argument("--tasks", type=int, default=1_000, help="questions to draw from")
    parser.add_argument("--questions", type=int, default=4, help="questions a step")
    parser.add_argument("--group", type=int, default=8, help="episodes of each question")
    parser.add_argument("--tokens", type=int, default=1_024, help="of an episode, with results")
    parser.add_argument("--lr", type=float, default=1e-5, help="learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--env", type=json.loads, default={}, help="environment arguments, as JSON")
    parser.add_argument("--dry-run", action="store_true", help="print a prompt, train nothing")
    args = parser.parse_args(argv)
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    factory = environment_factory(ENV_ID, **args.env)
    rows = task_rows(ENV_ID, args.env, range(args.tasks))
    trainer = GRPOTrainer(
        model=args.model,
        args=config(args),
        train_dataset=Dataset.from_list(rows),
        environment_factory=factory,
        callbacks=[Report()],
    )
    trainer.remove_callback(PrinterCallback)
    if args.dry_run:
        first = [{"role": "user", "content": factory().reset(**rows[0])}]
        options = {"tools": trainer.tools, "add_generation_prompt": True, "tokenize": False}
        print(trainer.processing_class.apply_chat_template(first, **options))
        return trainer
    trainer.train()
    trainer.save_model(args.out)
    return trainer


if __name__ == "__main__":
    main()
