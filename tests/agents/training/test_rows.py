"""Training: which tokens are learnt, what `--dry-run` shows, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from hopgym.errors import ArgumentError, DataError, HopgymError, RunFileError
from hopgym.policies import OraclePolicy
from hopgym.rollout import run_episodes
from hopgym.runs.trajectory_file import Header, RunEnvironment
from hopgym.runs.writer import TrajectoryWriter
from hopgym.trajectory import Completion, Trajectory
from hopgym.verdicts import GOOD_VERDICTS as GOOD
from hopgym.wrappers import hop_env
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.noisy_oracle import noisy_oracle
from hopgym_agents.training.rewards import Rewards
from tests.support.training_runs import typed

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def tokenizer(blank: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(blank)


@pytest.fixture(scope="module")
def episodes() -> list[Trajectory]:
    from hopgym_agents.modeling.tiny import DEMO, DEMO_ID

    env = hop_env(gymnasium.make(DEMO_ID, **{**DEMO, "hops": 2}))
    noisy = noisy_oracle(env, {"p": 0.4})
    return [
        *run_episodes(env, noisy, range(12)),
        *run_episodes(env, OraclePolicy(env.source), [99]),
    ]


@pytest.fixture
def run(episodes: list[Trajectory], tmp_path: Path) -> str:
    with TrajectoryWriter(tmp_path / "run.jsonl", Header.of({}, [RunEnvironment("tasks")])) as file:
        for each in episodes:
            file.write(each)
    return str(tmp_path / "run.jsonl")


def refused(kind: type[HopgymError], said: str, *words: str) -> None:
    found = typed(*words)
    assert isinstance(found.exception, kind), found.output
    assert said in str(found.exception)


def learnt(row: Any, tokenizer: Any) -> list[str]:
    """The parts of a row that are learnt."""
    from hopgym_agents.training.rows import marked_text

    parts = marked_text(row, tokenizer, "\x01", "\x02").split("\x01")[1:]
    return [part.partition("\x02")[0] for part in parts]


def test_actions_and_the_ends_of_their_turns_are_learnt(
    episodes: list[Trajectory], tokenizer: Any
) -> None:
    from hopgym_agents.training.rows import IGNORED, imitation_rows

    encoder = ChatEncoder(tokenizer)
    for episode, row in zip(
        episodes, imitation_rows(episodes, encoder, Rewards({"one": 1.0})), strict=True
    ):
        assert learnt(row, tokenizer) == [f"{step.text}<|im_end|>" for step in episode.steps]
        # The very tokens that the model saw and would have had to write.
        acting = encoder.encode(episode)
        assert list(row.input_ids) == acting[: len(row.input_ids)]
        pairs = zip(row.labels, row.input_ids, row.trained, strict=True)
        assert all(label == (token if on else IGNORED) for label, token, on in pairs)


def test_rewards_choose_actions(episodes: list[Trajectory], tokenizer: Any) -> None:
    from hopgym_agents.training.rows import imitation_rows

    encoder = ChatEncoder(tokenizer)
    for episode in episodes:
        good = [f"{s.text}<|im_end|>" for s in episode.steps if s.verdict in GOOD]
        rows = list(imitation_rows([episode], encoder, Rewards({"good": 1.0})))
        assert [part for row in rows for part in learnt(row, tokenizer)] == good
        answers = list(imitation_rows([episode], encoder, Rewards({"outcome": 1.0})))
        assert bool(answers) == episode.is_success


def test_sampled_tokens_are_learnt_as_they_were_sampled(
    episodes: list[Trajectory], tokenizer: Any
) -> None:
    from hopgym_agents.training.rows import imitation_rows

    step = episodes[-1].steps[0]
    ids = [tokenizer.convert_tokens_to_ids(piece) for piece in ("<", "l")]
    rest = tokenizer(step.text.removeprefix("<l"), add_special_tokens=False)["input_ids"]
    sampled = (*ids, *rest)
    assert tokenizer.decode(list(sampled)) == step.text
    told = replace(step, completion=Completion(step.text, token_ids=sampled))
    episode = replace(episodes[-1], steps=(told, *episodes[-1].steps[1:]))
    row = next(imitation_rows([episode], ChatEncoder(tokenizer), Rewards({"one": 1.0})))
    first = row.trained.index(True)
    assert row.input_ids[first : first + len(sampled)] == sampled
    assert row.input_ids[first + len(sampled)] == tokenizer.eos_token_id


def test_a_template_without_an_end_of_turn_is_refused(
    episodes: list[Trajectory], blank: str
) -> None:
    from transformers import AutoTokenizer

    from hopgym_agents.training.rows import imitation_rows

    made = AutoTokenizer.from_pretrained(blank)
    made.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    with pytest.raises(ArgumentError, match="end the assistant's turn"):
        list(imitation_rows(episodes, ChatEncoder(made), Rewards({"one": 1.0})))


def test_dry_run_shows_a_row_and_trains_nothing(run: str, blank: str, tmp_path: Path) -> None:
    words = ("sft", "--run", run, "--model", blank, "--out", str(tmp_path / "out"), "--dry-run")
    found = typed(*words)
    assert found.exit_code == 0, found.output
    assert "[[<" in found.stdout and "<|im_end|>]]" in found.stdout
    assert "tokens with a loss" in found.stdout and "GiB" in found.stdout
    assert not (tmp_path / "out").exists()
    told = json.loads(typed(*words, "--json").stdout)
    counts = told["data"]["counts"]
    assert counts["rows"] == counts["episodes that pass the filter"] >= 1
    assert told["memory_bytes"] > 4 * 4 * told["trained_parameters"]


def test_the_command_line_comes_before_the_recipe(run: str, blank: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f'model = "{blank}"\nbatch = 8\nseed = 3\n[trl]\nmax_steps = 2\nlogging_steps = 1'
    )
    out = tmp_path / "out"
    words = ("sft", "--run", run, "--out", str(out), "--recipe", str(recipe))
    found = typed(*words, "--batch", "2", "--trl.learning_rate", "1e-3", "--json")
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["steps"] == 2
    kept = json.loads((out / "run.json").read_text())
    assert (kept["batch"], kept["seed"]) == (2, 3)
    assert kept["trl"] == {"max_steps": 2, "logging_steps": 1, "learning_rate": 1e-3}
    assert "hopgym eval hopgym/People-v0 --policy llm" in found.stderr
    card = (out / "model" / "README.md").read_text()
    assert "base_model" in card and kept["rows"] in card and "gradient tokens" in card
    # Another configuration may not go on there.
    refused(RunFileError, "seed 3, not 4", *words, "--batch", "2", "--seed", "4")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("stf",), "did you mean 'sft'"),
        (("sft", "--trl.learning_rat", "1"), "did you mean 'learning_rate'"),
        (("sft", "--trl.output_dir", "x"), "--out"),
        (("sft", "--trl.packing", "true"), "set by the method"),
        (("sft", "--trl.optim", "paged_adamw_8bit", "--trl.use_cpu"), "without CUDA"),
        (("sft", "--trl.fp16", "--trl.use_cpu"), "needs CUDA"),
        (("sft", "--gpu-seconds", "9", "--trl.use_cpu"), "limits.gpu_seconds must be left out"),
        (("sft", "--trl.gradient_accumulation_steps", "3"), "multiple"),
        (("sft", "--trl.gradient_accumulation_steps", "0"), "at least 1, got 0"),
        (("sft", "--trl.gradient_accumulation_steps", "-1"), "at least 1, got -1"),
        (("sft", "--trl.gradient_accumulation_steps", "two"), "expected int, got str"),
        (
            ("sft", "--trl.learning_rate", "abc"),
            "trl.learning_rate cannot be taken: expected float",
        ),
        (("sft", "--trl.max_steps", "abc"), "trl.max_steps cannot be taken: expected int, got str"),
        (("sft", "--trl.max_steps", "1.5"), "trl.max_steps cannot be taken: expected int"),
        (("sft", "--trl.num_train_epochs", "abc"), "trl.num_train_epochs cannot be taken"),
        (("sft", "--filter", "proces"), "did you mean 'process'"),
        (("sft", "--reward", "succes"), "one, good, process, outcome, format"),
        (("sft", "--reward", "good=0"), "above 0"),
        (("sft", "--reward", "good=much"), "NAME=WEIGHT"),
        (("sft", "--reward", "judge"), "play.judge"),
        (("sft", "--reward", "judge", "--play.judge.model", "m"), "exact one"),
        (("sft", "--precision", "fulll"), "did you mean 'full'"),
        (("sft", "--batch", "0"), "batch"),
        (("sft", "--gradient-tokens", "0"), "gradient_tokens"),
        (("sft", "--stray", "1"), "got --stray"),
        (("sft", "--size", "25"), "entries of tables are --trl.NAME, --env.NAME"),
        (("sft", "--env.stray", "1"), "'stray': 1"),
        (("sft", "--limits.cpu-second", "9"), "did you mean 'limits.cpu_seconds'"),
        (("sft", "--env", "hopgym/People-v0"), "--dev N"),
        (("sft", "--model", ""), "model"),
    ],
)
def test_bad_options(
    run: str, blank: str, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    given = ("--run", run, "--model", blank, "--out", str(tmp_path / "out"))
    refused(ArgumentError, said, words[0], *given, *words[1:])
    assert not (tmp_path / "out").exists()


def test_what_is_not_there_to_learn_from(
    episodes: list[Trajectory], run: str, blank: str, tmp_path: Path
) -> None:
    failed = [each for each in episodes if not each.is_success]
    file = tmp_path / "failed.jsonl"
    with TrajectoryWriter(file, Header.of({}, [RunEnvironment("tasks")])) as writer:
        for each in failed:
            writer.write(each)
    given = ("sft", "--model", blank, "--out", str(tmp_path / "out"))
    refused(DataError, "filter outcome", *given, "--run", str(file), "--filter", "outcome")
    refused(DataError, "no such file", *given, "--run", str(tmp_path / "none"))
    refused(ArgumentError, "8 tokens", *given, "--run", run, "--trl.max_length", "8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    refused(RunFileError, "mine.txt", *given[:-1], str(tmp_path / "full"), "--run", run)


def test_a_recipe_with_unknown_names(blank: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("[limits]\ngradient_token = 3")
    refused(ArgumentError, "limits.gradient_token", "sft", "--recipe", str(recipe))
    recipe.write_text("= 3")
    refused(DataError, "TOML", "sft", "--recipe", str(recipe))
    recipe.write_text('run = "r"\nmodel = "m"\nout = "o"\n[limits]\ngenerated_tokens = 3')
    refused(ArgumentError, "plays nothing", "sft", "--recipe", str(recipe))
