"""Bound the number of remembered data plane processes: one that keeps inventing ids must not fill the database.

A process is remembered so that nothing it repeats counts twice. Which of them are gone for certain is known late, so
when there is no room it is the new one that waits: it sends its totals again, and nothing is lost while it lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from headrace_servicekit.errors import FieldViolation, ResourceExhausted

# Limit of one data plane's share, so that one that restarts all the time does not block the others.
SHARE_OF_ONE = 10
# A silent process whose data plane has a newer one is gone. It is remembered for this long all the same.
REPLACED_AFTER = timedelta(days=1)
RETRY_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class ProcessCounts:
    """Processes that are remembered, the one that asks left out. of_data_plane: of its data plane."""

    of_data_plane: int
    in_all: int


def admit(known: ProcessCounts, data_plane: str, most: int) -> None:
    """Take one more process. most: in all. Raises ResourceExhausted that names `process`."""
    of_data_plane = max(1, most // SHARE_OF_ONE)
    if known.of_data_plane >= of_data_plane:
        description = f"data plane '{data_plane}' has had {known.of_data_plane} processes that are not forgotten yet"
        raise _too_many("process", f"{description}; at most {of_data_plane}", "TOO_MANY_PROCESSES")
    if known.in_all >= most:
        description = f"{known.in_all} processes of data planes are not forgotten yet; at most {most}"
        raise _too_many("process", description, "TOO_MANY_PROCESSES")


def admit_series(known: int, new: int, most: int) -> None:
    """Take more series. known: of all processes. Raises ResourceExhausted that names `series`."""
    if known + new > most:
        description = f"{new} are new, and all data planes together have {known} already; at most {most}"
        raise _too_many("series", description, "TOO_MANY_SERIES")


def _too_many(field: str, description: str, reason: str) -> ResourceExhausted:
    violations = [FieldViolation(field, description)]
    return ResourceExhausted(
        f"{field}: {description}", reason=reason, violations=violations, retry_after_s=RETRY_AFTER_S
    )
