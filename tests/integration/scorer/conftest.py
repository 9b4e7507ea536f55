"""Fixtures of tests of the scorer."""

from tests.kit.scoring import scoring

__all__ = ["scoring"]
