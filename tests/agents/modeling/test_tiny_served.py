"""The tiny model behind the real ``transformers serve``, with the Hub switched off."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from hopgym.rollout import run_episodes
from hopgym_agents.generate import Sampling
from hopgym_agents.policy import LLMPolicy

NEEDED = ("httpx", "torch", "transformers", "fastapi", "uvicorn", "openai")
MISSING = [package for package in NEEDED if find_spec(package) is None]
pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    from hopgym_agents.modeling.tiny import make_tiny

    return make_tiny(tmp_path / "tiny", hidden=32, layers=1).path


@pytest.fixture
def url(folder: str, tmp_path: Path) -> Iterator[str]:
    import httpx

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = "from transformers.cli.transformers import main; main()"
    words = ["serve", folder, "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    alone = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    with (tmp_path / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-c", program, *words],
            env=os.environ | alone,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + 90
        with httpx.Client(trust_env=False) as client:
            while server.poll() is None and time.monotonic() < until:
                try:
                    if client.get(f"http://127.0.0.1:{port}/health").is_success:
                        break
                except httpx.TransportError:
                    time.sleep(0.1)
            else:
                pytest.fail(f"it did not come up: {(tmp_path / 'serve.log').read_text()[-2000:]}")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
def test_it_is_served_and_plays(folder: str, url: str) -> None:
    from hopgym_agents.generate.openai import OpenAIGenerator
    from hopgym_agents.modeling.tiny import DEMO, DEMO_ID

    policy = LLMPolicy(OpenAIGenerator(folder, url, Sampling(max_tokens=8), retries=1))
    kwargs = {**DEMO, "max_steps": 2}
    (played,) = run_episodes(DEMO_ID, policy, [0], env_kwargs=kwargs)
    assert not played.error
    assert [step.completion.generated_tokens > 0 for step in played.steps if step.completion] == [
        True
    ] * 2
