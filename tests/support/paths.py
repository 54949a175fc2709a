"""Where the checkout and the folders beside it are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
SHARED = ROOT.parent / "shared"
"""Real benchmark records; tests that read them are skipped without it."""
SUPPORT = ROOT / "tests" / "support"
"""Set-up that several test modules share."""
