"""Fixtures of the end-to-end tests."""

from collections.abc import Iterator

import pytest

from tests.kit.clients.headrace_cli import headrace
from tests.kit.front_door.edge import Edge, edge
from tests.kit.stack.served_models import served, unharmed

__all__ = ["headrace", "served", "unharmed"]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """A front door of these tests, as it is unless it is told otherwise."""
    with edge(tmp_path_factory.mktemp("edge")) as running:
        yield running
