"""The tiny model: its words, its template, what loads it, and that it can learn."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from hopgym.errors import ArgumentError
from hopgym.policies import OraclePolicy, RandomPolicy
from hopgym.rollout import run_episodes
from hopgym.trajectory import Trajectory
from hopgym.worlds.people.name_pools import load_name_pool
from hopgym.wrappers import hop_env
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.prompts import NATIVE, PLAIN, STYLES, Style, render

pytestmark = pytest.mark.torch

WORLDS: dict[str, dict[str, Any]] = {
    "train": {},
    "dev": {"split": "dev"},
    "test": {"split": "test"},
    "unseen names": {"split": "test", "names_split": "heldout"},
    "one hop more": {"split": "test", "hops": (4, 4)},
}
"""All worlds that the demo trains and tests in."""
EACH = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    from hopgym_agents.modeling.tiny import make_tiny

    return make_tiny(tmp_path_factory.mktemp("models") / "tiny", hidden=64, layers=2).path


@pytest.fixture(scope="module")
def tokenizer(folder: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def episodes(policy: Any = OraclePolicy, n: int = EACH, **kwargs: Any) -> list[Trajectory]:
    from hopgym_agents.modeling.tiny import DEMO, DEMO_ID

    env = hop_env(gymnasium.make(DEMO_ID, **{**DEMO, **kwargs}))
    return sorted(run_episodes(env, policy(env.source), range(n)), key=lambda each: each.index)


def at_random(source: Any) -> RandomPolicy:
    return RandomPolicy()


def spelled(tokenizer: Any, ids: Sequence[int]) -> set[str]:
    """The bytes among some tokens."""
    from hopgym_agents.modeling.tiny_tokenizer import byte_tokens

    return set(tokenizer.convert_ids_to_tokens(list(byte_tokens(tokenizer) & set(ids))))


@pytest.mark.parametrize("name", WORLDS)
def test_no_demo_episode_is_spelled_in_bytes(tokenizer: Any, name: str) -> None:
    encoder, tried = ChatEncoder(tokenizer), episodes(**WORLDS[name])
    assert len(tried) == EACH and all(each.is_success for each in tried)
    for each in tried:
        assert not spelled(tokenizer, encoder.encode(each))


@pytest.mark.parametrize(
    ("style", "dialect"),
    [(name, dialect) for name in STYLES for dialect in ("json", "tags")[: 2 - (name == "native")]],
)
def test_no_prompt_is_spelled_in_bytes(tokenizer: Any, style: str, dialect: str) -> None:
    encoder = ChatEncoder(tokenizer, STYLES[style])
    for each in episodes(n=4, instructions=True, dialect=dialect, max_steps=16):
        assert not spelled(tokenizer, encoder.encode(each))
    for each in episodes(at_random, n=8, instructions=True, dialect=dialect):
        assert not spelled(tokenizer, encoder.encode(each))


def test_questions_and_pages_of_all_kinds_are_words(tokenizer: Any) -> None:
    kinds = {"kinds": ("chain", "attribute", "count", "comparison", "superlative", "yesno")}
    for style in ("brief", "prose"):
        wide = {**kinds, "relations": "all", "page_style": style, "questions_per_world": 50}
        for each in episodes(n=50, instructions=True, max_steps=16, **wide):
            assert not spelled(tokenizer, ChatEncoder(tokenizer).encode(each)), each.question


def test_a_name_is_the_same_tokens_wherever_it_stands(tokenizer: Any) -> None:
    words = load_name_pool("small")
    for first, last in zip((*words.first[0], *words.first[1]), words.last, strict=True):
        ids = tokenizer(f"{first} {last}")["input_ids"]
        assert len(ids) == 3 and tokenizer.convert_ids_to_tokens(ids)[0] == "⁀"
        for text in ("<lookup>{}</lookup>", "mother: {}.", "Who is {}'s wife?", "of {}?", "({})"):
            within = tokenizer(text.format(f"{first} {last}"))["input_ids"]
            at = within.index(ids[1])
            assert within[at : at + 2] == ids[1:]


@settings(max_examples=300, deadline=None)
@given(text=st.text() | st.text("aA sS'<>/_-(\n\t\"⁀Ġ0é<|im_end|>") | st.text("Mira lookup><'s ."))
def test_any_text_comes_back(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@given(ids=st.lists(st.integers(256, 1_000)))
def test_any_tokens_can_be_read(tokenizer: Any, ids: list[int]) -> None:
    assert not {"Ġ", "Ċ", "⁀"} & set(tokenizer.decode(ids))


@pytest.mark.parametrize(("style", "dialect"), [(PLAIN, "tags"), (PLAIN, "json"), (NATIVE, "json")])
def test_rendering_a_step_more_only_adds_tokens(tokenizer: Any, style: Style, dialect: str) -> None:
    encoder = ChatEncoder(tokenizer, style)
    for each in episodes(at_random, n=6, dialect=dialect, instructions=True):
        plain: list[int] = []
        pieces: list[int] = []
        for steps in range(len(each.steps) + 1):
            shown = render(each.prefix(steps), style)
            longer = tokenizer.apply_chat_template(
                list(shown.messages),
                tools=list(shown.tools) or None,
                add_generation_prompt=True,
                return_dict=False,
            )
            encoded = encoder.encode(each.prefix(steps))
            assert longer[: len(plain)] == plain and encoded[: len(pieces)] == pieces
            assert style.native or longer == encoded
            plain, pieces = longer, encoded


def test_trainers_find_what_the_assistant_wrote(tokenizer: Any) -> None:
    from trl.chat_template_utils import is_chat_template_prefix_preserving, supports_tool_calling

    assert supports_tool_calling(tokenizer) and is_chat_template_prefix_preserving(tokenizer)
    (each,) = episodes(n=1)
    rendered = tokenizer.apply_chat_template(
        list(render(each).messages), return_dict=True, return_assistant_tokens_mask=True
    )
    marked = zip(rendered["input_ids"], rendered["assistant_masks"], strict=True)
    said = tokenizer.decode([token for token, by_model in marked if by_model])
    assert said == "".join(f"{step.text}<|im_end|>" for step in each.steps)


def test_calls_of_tools_are_read_back(tokenizer: Any) -> None:
    call = {"name": "lookup", "arguments": {"title": 'Mira "x" é'}}
    asked = [{"role": "user", "content": "Who?"}]
    said = {"role": "assistant", "content": "So", "tool_calls": [{"function": call}]}
    whole = tokenizer.apply_chat_template([*asked, said], tokenize=False)
    text = whole.partition("assistant\n")[2]
    assert json.loads(text.partition("<tool_call>")[2].partition("</tool_call>")[0]) == call
    parsed = tokenizer.parse_response(text, prefix="<|im_start|>assistant\n")
    assert [each["function"] for each in parsed["tool_calls"]] == [call]
    assert parsed["content"].strip() == "So"


def test_the_local_generator_plays_it(folder: str) -> None:
    from hopgym_agents.generate import Sampling
    from hopgym_agents.generate.local import LocalGenerator
    from hopgym_agents.policy import LLMPolicy

    generator = LocalGenerator(folder, Sampling(max_tokens=8), threads=1)
    for each in episodes(lambda source: LLMPolicy(generator), n=4, max_steps=2):
        assert each.stop_reason and all(step.completion.generated_tokens for step in each.steps)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")
def test_peft_puts_adapters_on_it(folder: str) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear"))
    trained, all_of_them = adapted.get_nb_trainable_parameters()
    assert 0 < trained < all_of_them


def actions_of(tokenizer: Any, each: Trajectory) -> tuple[list[int], list[int]]:
    """The tokens of an episode, and the labels of its actions alone."""
    shown = tokenizer.apply_chat_template(
        list(render(each).messages), return_dict=True, return_assistant_tokens_mask=True
    )
    ids, said = shown["input_ids"], shown["assistant_masks"]
    return ids, [token if mask else -100 for token, mask in zip(ids, said, strict=True)]


@pytest.mark.slow
def test_it_learns_the_next_token_of_oracle_actions(tokenizer: Any, folder: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    rows = [actions_of(tokenizer, each) for each in episodes(n=400, hops=(1, 1))]
    model = AutoModelForCausalLM.from_pretrained(folder).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    rng, losses = random.Random(0), list[float]()
    for _ in range(200):
        batch = rng.sample(rows, 8)
        longest = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([row + [0] * (longest - len(row)) for row, _ in batch])
        labels = torch.tensor([row + [-100] * (longest - len(row)) for _, row in batch])
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-20:]) / 20 < 0.25 * sum(losses[:5]) / 5


def test_the_same_arguments_give_the_same_files(tmp_path: Path) -> None:
    from hopgym_agents.modeling.tiny import make_tiny

    small = {"hidden": 32, "layers": 1}
    made = [make_tiny(tmp_path / name, **small, seed=int(name == "c")) for name in "abc"]
    one, same, other = (Path(each.path) for each in made)
    for file in ("model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json"):
        assert (one / file).read_bytes() == (same / file).read_bytes()
    weights = "model.safetensors"
    assert (one / weights).read_bytes() != (other / weights).read_bytes()


@pytest.mark.parametrize(("hidden", "layers"), [(128, 2), (128, 3), (256, 3), (256, 4)])
def test_sizes(tmp_path: Path, hidden: int, layers: int) -> None:
    from hopgym_agents.modeling.tiny import make_tiny

    made = make_tiny(tmp_path, hidden=hidden, layers=layers)
    assert 500_000 <= made.parameters <= 4_000_000
    assert made.tokens < 1_500


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"hidden": 100}, "hidden must be a multiple of 32 from 32, got 100"),
        ({"layers": 0}, "layers must be a whole number from 1, got 0"),
        ({"seed": -1}, "seed must be a whole number from 0, got -1"),
        ({"env_kwargs": {"sizes": 3}}, "arguments must be among"),
    ],
)
def test_wrong_arguments_are_told(tmp_path: Path, wrong: dict[str, Any], told: str) -> None:
    from hopgym_agents.modeling.tiny import make_tiny

    with pytest.raises(ArgumentError, match=told):
        make_tiny(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    from hopgym_agents.modeling.tiny import make_tiny

    (tmp_path / "mine").write_text("trained", encoding="utf-8")
    with pytest.raises(ArgumentError, match="path must be a folder that is new or empty"):
        make_tiny(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


def test_the_verb(tmp_path: Path) -> None:
    from hopgym_agents.cli.tiny import tiny

    app = typer.Typer()
    app.command(context_settings=tiny.context_settings)(tiny)
    words = [str(tmp_path / "m"), "--hidden", "32", "--layers", "1", "--size", "10", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert made["path"] == str(tmp_path / "m") and made["tokens"] > 1_000
    assert "hopgym eval hopgym/People-v0 --policy llm" in result.stderr
    assert "--size 10" in result.stderr
