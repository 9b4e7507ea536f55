"""What comes of files: rows with their numbers, and those that are rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from headrace_servicekit.columns import UnsoundColumnError

# What is read of a file that does not declare its types, to find them.
SAMPLE_BYTES = 1 << 20
_LONGEST_TEXT = 100
# Types of files that do not declare them, by the name under which a job keeps them.
TYPES: Mapping[str, pa.DataType] = {
    str(one): one
    for one in (
        *(pa.int64(), pa.float64(), pa.bool_(), pa.string()),
        *(pa.list_(pa.int64()), pa.list_(pa.float64()), pa.list_(pa.bool_()), pa.list_(pa.string())),
    )
}

# What Arrow raises of a value that a column cannot have: a number of 30 digits, half of a surrogate pair.
NO_VALUE = (pa.ArrowException, OverflowError, TypeError, UnicodeEncodeError)
# What Arrow raises of damaged bytes. S3's own errors are none of these.
DAMAGE = (pa.ArrowException, OSError, UnicodeDecodeError, UnsoundColumnError)


class Unreadable(Exception):
    """A file cannot be read as what it is said to be; the message names neither the file nor what to do."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is held at once. size_bytes: of the columns that are read, as Arrow has them."""

    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is not scored. row: its number in its object, from 0. column: empty when none is to blame."""

    row: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows. numbers: of the rows of the table, in the object. rejected: rows that are not in the table."""

    numbers: np.ndarray
    table: pa.Table
    rejected: list[Rejected] = field(default_factory=list)


def shown(value: object) -> str:
    """Return a value for people."""
    text = repr(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
