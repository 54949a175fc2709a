"""Fixtures of the generators: a server that fails on request, and a tiny random model."""

from collections.abc import Iterator

import pytest

from tests.support import faulty_server
from tests.support.example_model import make_tiny_model


@pytest.fixture
def server() -> Iterator[faulty_server.FaultyServer]:
    """Return a running server."""
    pytest.importorskip("httpx")
    with faulty_server.serve() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of the example's model."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))
