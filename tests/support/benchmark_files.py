"""The official benchmark files, and the marker of tests that read them."""

import pytest

from tests.support.paths import SHARED

BENCHMARKS = SHARED / "benchmarks"
"""One folder per benchmark, and ``reference`` with the output of the official scripts."""

needs_files = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="real records: ../shared/benchmarks is not beside this checkout"
)
