"""The tiny random model of the examples, which are no package."""

import runpy
from collections.abc import Callable

from tests.support.paths import ROOT

make_tiny_model: Callable[..., str] = runpy.run_path(str(ROOT / "examples" / "tiny_model.py"))[
    "make_tiny_model"
]
