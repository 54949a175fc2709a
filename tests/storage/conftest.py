"""A cache folder and a paragraph file for every test of storage."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOPGYM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(data: list[dict[str, str]], settled: bool = True) -> Path:
        path = tmp_path / "pages.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in data), encoding="utf-8")
        if settled:
            os.utime(path, ns=(0, time.time_ns() - 10**10))
        return path

    return write
