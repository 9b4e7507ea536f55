"""Where generations lie in the store of answers, how far they are, and what came of writing to them."""

from __future__ import annotations

import enum
from typing import NamedTuple

from headrace_router import stored_answers

# What Valkey takes for a key beside its bytes and those of its value, as measured: table, headers, rounding.
KEY_OVERHEAD_BYTES = 80


class Place(NamedTuple):
    """Where a generation lies."""

    incarnation: str
    digest: str
    generation: int

    @property
    def prefix(self) -> bytes:
        """Return what the key of every entity begins with."""
        return stored_answers.precomputed_prefix(*self)

    @property
    def marker(self) -> bytes:
        """Return the key of the row count."""
        return stored_answers.marker_key(*self)

    @property
    def progress(self) -> bytes:
        """Return the key that says how far the publish is."""
        return stored_answers.progress_key(*self)


class Progress(NamedTuple):
    """How far a publish is. bytes: of keys and entries. closed: no more rows are taken."""

    rows: int = 0
    entities: int = 0
    bytes: int = 0
    closed: bool = False


class Memory(NamedTuple):
    """What Valkey may use. limit_bytes: 0 for no limit. policy: what it does at the limit."""

    limit_bytes: int
    policy: str


class Wrote(enum.Enum):
    """What came of writing rows."""

    WRITTEN = 1
    NOT_NEXT = 0
    UNKNOWN = -1
    CLOSED = -2


class Sealed(enum.Enum):
    """What came of sealing a publish."""

    SEALED = 1
    OTHER_ROWS = 0
    UNKNOWN = -1
