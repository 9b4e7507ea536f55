"""Where the checkout is that is measured, and what is said when it cannot be."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]


class BenchmarkError(Exception):
    """The benchmark cannot run; the message says what to do."""
