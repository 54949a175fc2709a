"""Prints what a training step of Qwen3-shaped models takes on this machine's GPU; not a test.

Run from the checkout as ``python scripts/gpu_steps.py``, on a machine with CUDA and 20 GB of disk;
``--tiny`` runs all of it at a tiny size on a CPU. Weights are random, as neither time nor memory
depends on their values. A step is forward, backward and optimiser on rows of one length, one row at
a time, loaded and adapted as ``hopgym train`` does it. ``sft`` has a loss on every token of a row,
``grpo`` on an action at its end.
"""

import argparse
import gc
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACTION = 256
SHAPES: dict[str, dict[str, Any]] = {
    "Qwen3-0.6B": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28},
    "Qwen3-1.7B": {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28},
    "Qwen3-4B": {
        **{"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36},
        "num_attention_heads": 32,
    },
    "Qwen3-8B": {
        **{"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36},
        **{"num_attention_heads": 32, "tie_word_embeddings": False},
    },
}
TINY: dict[str, dict[str, Any]] = {
    "tiny": {
        **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2},
        **{"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32},
        "vocab_size": 2048,
    },
}
COMMON = {
    **{"vocab_size": 151_936, "num_attention_heads": 16, "num_key_value_heads": 8},
    **{"head_dim": 128, "max_position_embeddings": 40_960, "tie_word_embeddings": True},
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
}


@dataclass(frozen=True)
class Measured:
    """A row of the table."""

    shape: str
    kind: str
    step: str
    context: int
    seconds: float | None
    """Of a step, the median; None when memory ran out."""
    tokens: float
    """Of the rows of a step."""
    peak: float
    """GiB: of the GPU, or of the process where there is none."""

    def to_markdown(self) -> str:
        """Return the row as Markdown."""
        name = {"qlora": "QLoRA", "lora": "LoRA"}[self.kind]
        if self.seconds is None:
            return f"| {self.shape} | {name} | {self.step} | {self.context:,} | out of memory | | |"
        rate = self.tokens / self.seconds
        return (
            f"| {self.shape} | {name} | {self.step} | {self.context:,} | {self.seconds:.3f} | "
            f"{rate:,.0f} | {self.peak:.1f} |"
        )


def make_model(folder: Path, shape: dict[str, Any], device: str) -> None:
    """Write random weights of a shape, with a tokenizer that training accepts."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from hopgym_agents.modeling.tiny import make_tiny

    make_tiny(folder, hidden=32, layers=1)  # The tokenizer's sake: its weights are replaced.
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device.startswith("cuda") else torch.float32)
    try:
        with torch.device(device):
            model = Qwen3ForCausalLM(Qwen3Config(**{**COMMON, **shape}))
    finally:
        torch.set_default_dtype(before)
    model.save_pretrained(folder)


def measure(
    name: str, folder: Path, kind: str, contexts: Sequence[int], rows: int, steps: int
) -> Iterator[Measured]:
    """Yield the costs of both steps of a model at each context."""
    import torch

    from hopgym_agents.modeling import Precision, load_trainable

    device = _device()
    precision = Precision(kind, gradient_checkpointing=True)
    trainable = load_trainable(folder, precision, device=device)
    optimiser = _optimiser(trainable)
    vocabulary = trainable.model.config.vocab_size
    for context in contexts:
        for step, learnt in (("sft", context - 1), ("grpo", min(ACTION, context - 1))):
            drawn = torch.randint(vocabulary, (rows, context), device=device)
            try:
                seconds = [_step(trainable.model, optimiser, drawn, learnt) for _ in range(steps)]
            except torch.OutOfMemoryError:
                optimiser.zero_grad()
                _free()
                yield Measured(name, kind, step, context, None, 0, 0)
                continue
            # The first one allocates and compiles.
            taken = statistics.median(seconds[1:] or seconds)
            yield Measured(name, kind, step, context, taken, rows * context, _peak())


def _step(model: Any, optimiser: Any, drawn: Any, learnt: int) -> float:
    """Return the seconds of a step with a loss on the last tokens of each row."""
    import torch

    cuda = drawn.is_cuda
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    start = time.perf_counter()
    for row in drawn.split(1):
        with torch.autocast("cuda" if cuda else "cpu", torch.bfloat16, enabled=cuda):
            logits = model(input_ids=row, logits_to_keep=learnt + 1, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[0, :-1].float(), row[0, -learnt:])
        (loss / len(drawn)).backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    optimiser.zero_grad()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _optimiser(trainable: Any) -> Any:
    """Return the optimiser that training takes for a model."""
    import torch

    moved = [weight for weight in trainable.model.parameters() if weight.requires_grad]
    if trainable.optimizer == "paged_adamw_8bit":
        from bitsandbytes.optim import PagedAdamW8bit  # type: ignore[attr-defined]

        return PagedAdamW8bit(moved, lr=1e-5)  # type: ignore[no-untyped-call]
    return torch.optim.AdamW(moved, lr=1e-5)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _peak() -> float:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(words: Sequence[str] | None = None) -> None:
    """Print the table as Markdown, row by row."""
    import torch

    from hopgym_agents.training.loop import silence_libraries

    parser = argparse.ArgumentParser(description="Measure training steps.")
    parser.add_argument("--tiny", action="store_true", help="a tiny shape, for a CPU")
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--kinds", nargs="+", default=["qlora", "lora"], choices=["qlora", "lora"])
    parser.add_argument("--contexts", nargs="+", type=int, default=[2048, 4096, 8192])
    parser.add_argument("--rows", type=int, default=4, help="rows of a step")
    parser.add_argument("--steps", type=int, default=6, help="steps; the first does not count")
    given = parser.parse_args(words)
    silence_libraries()
    cuda = torch.cuda.is_available()
    if not (cuda or given.tiny):
        parser.error("a GPU is needed, and torch sees no CUDA; --tiny runs on a CPU")
    shapes = TINY if given.tiny else {name: SHAPES[name] for name in given.shapes}
    contexts = [32, 64] if given.tiny else given.contexts
    print(f"On {torch.cuda.get_device_name() if cuda else 'a CPU'}, {given.rows} rows a step:\n")
    print("| shape | weights | step | context | seconds a step | tokens/s | peak GiB |")
    print("|---|---|---|---|---|---|---|")
    for name, shape in shapes.items():
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "model"
            make_model(folder, shape, _device())
            for kind in given.kinds:
                _free()
                for row in measure(name, folder, kind, contexts, given.rows, given.steps):
                    print(row.to_markdown(), flush=True)


if __name__ == "__main__":
    main()
