"""Who reads from the systems of each type."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import pyarrow as pa

from headrace_scorer.engine.messages import PlanOrder
from headrace_scorer.engine.protocol import Failed
from headrace_scorer.engine.sources import iceberg, postgresql
from headrace_scorer.engine.sources.streams import Stream


class Reader(Protocol):
    """A module that reads from systems of one type."""

    def schema(self, order: PlanOrder) -> pa.Schema:
        """Return what columns there are. Raises Failed."""
        ...

    def rows(self, order: PlanOrder, columns: Sequence[str]) -> AbstractContextManager[Stream]:
        """Yield the rows, as they are at one moment; these columns at least. Raises Failed."""
        ...


_READERS: dict[str, Reader] = {"postgresql": postgresql, "iceberg": iceberg}


def reader_of(order: PlanOrder) -> Reader:
    """Return who reads from the source of an order."""
    assert order.source is not None
    return _READERS[order.source.type]


def distinct(schema: pa.Schema) -> pa.Schema:
    """Return a schema. Raises Failed where two columns have one name."""
    twice = next((name for name in schema.names if schema.names.count(name) > 1), None)
    if twice is not None:
        raise Failed("SOURCE_UNUSABLE", f"two columns are called '{twice}': give each a name of its own")
    return schema
