"""Fixtures of the end-to-end tests."""

from tests.kit.headrace_cli import headrace
from tests.kit.served import served

__all__ = ["headrace", "served"]
