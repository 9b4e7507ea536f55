"""Files of the log, as PostgreSQL lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

# A partition of answers that no version gave: values of the route. No version can be called so.
NO_VERSION = "_"

# What a column was called in files that an earlier code wrote, and what it is called.
FORMER_COLUMNS = {"rung": "fallback_step"}

PREFIX = "log/"
_KEY = re.compile(rf"{PREFIX}model=[^/]+/version=[^/]+/hour=(\d{{4}}-\d\d-\d\dT\d\d)/[^/]+\.parquet")


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file: records of one version and hour.

    id: never comes back. rows: records; predictions: of which they are. merged: whether its records come from other
    files of the hour, which who derives something has taken already.
    """

    id: int
    model: str
    version: str
    hour: datetime
    object_key: str
    size_bytes: int
    rows: int
    predictions: int
    min_answer_time: datetime
    max_answer_time: datetime
    merged: bool


class LogPosition(NamedTuple):
    """How far the log and the outcomes have come. database: of which numbers are. changes: transactions below it have
    ended. files: the last file. time: of the database's clock.
    """

    database: str
    changes: int
    files: int
    time: datetime


def file_of(row: Any) -> LogFile:
    """Return a row of `log_files`."""
    return LogFile(
        *(row["id"], row["model"], row["version"], row["hour"], row["object_key"], row["size_bytes"]),
        *(row["row_count"], row["prediction_count"], row["min_answer_time"], row["max_answer_time"], row["merged"]),
    )


def object_key(model: str, version: str, hour: datetime, name: str) -> str:
    """Return the key of a file: partitions in the form that engines read from a path."""
    return f"{PREFIX}model={model}/version={version or NO_VERSION}/hour={hour:%Y-%m-%dT%H}/{name}.parquet"


def hour_of(key: str) -> datetime | None:
    """Return the hour of a file by its key; None for what is no key of a file."""
    found = _KEY.fullmatch(key)
    try:
        return datetime.strptime(found[1], "%Y-%m-%dT%H").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None
