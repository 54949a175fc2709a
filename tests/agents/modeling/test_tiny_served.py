"""The tiny model behind the real ``transformers serve``, with the Hub switched off."""

from pathlib import Path

import pytest

from hopgym.rollout import run_episodes
from hopgym_agents.generate import Sampling
from hopgym_agents.policy import LLMPolicy
from tests.support import transformers_serve

pytestmark = transformers_serve.MARKS


@pytest.fixture
def folder(tmp_path: Path) -> str:
    from hopgym_agents.modeling.tiny import make_tiny

    return make_tiny(tmp_path / "tiny", hidden=32, layers=1).path


@pytest.mark.slow
def test_it_is_served_and_plays(folder: str, tmp_path: Path) -> None:
    from hopgym_agents.generate.openai import OpenAIGenerator
    from hopgym_agents.modeling.tiny import DEMO, DEMO_ID

    kwargs = {**DEMO, "max_steps": 2}
    with transformers_serve.serve(folder, tmp_path) as url:
        policy = LLMPolicy(OpenAIGenerator(folder, url, Sampling(max_tokens=8), retries=1))
        (played,) = run_episodes(DEMO_ID, policy, [0], env_kwargs=kwargs)
    assert not played.error
    assert [step.completion.generated_tokens > 0 for step in played.steps if step.completion] == [
        True
    ] * 2
