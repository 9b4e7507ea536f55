"""Fixtures of tests of the scorer."""

from tests.kit.scorer.service import scoring

__all__ = ["scoring"]
