"""Fixtures of tests of the scorer."""

from tests.kit.scorer.service import scoring
from tests.kit.stores.servers import postgres_url_with

postgres_url = postgres_url_with("headrace_scorer.sql")

__all__ = ["scoring"]
