"""How many processes of data planes are remembered: one that makes up new ids all the time must not fill the database.

A process is remembered so that nothing it repeats counts twice. Which of them are gone for certain is known late, so
when there is no room it is the new one that waits: it sends its totals again, and nothing is lost while it lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from headrace_servicekit.errors import FieldViolation, ResourceExhausted

# A slot that restarts all the time has this share at most, so that the others go on.
SHARE_OF_ONE = 10
# A process whose slot has another one, begun after it fell silent, is gone. It is remembered for so long all the same.
REPLACED_AFTER = timedelta(days=1)
RETRY_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Known:
    """Processes that are remembered, the one that asks left out. of_slot: of its data plane."""

    of_slot: int
    in_all: int


def admit(known: Known, data_plane: str, most: int) -> None:
    """Take one more process. most: in all. Raises ResourceExhausted that names `process`."""
    of_slot = max(1, most // SHARE_OF_ONE)
    if known.of_slot >= of_slot:
        told = f"data plane '{data_plane}' has had {known.of_slot} processes that are not forgotten yet"
        raise _too_many("process", f"{told}; at most {of_slot}", "TOO_MANY_PROCESSES")
    if known.in_all >= most:
        told = f"{known.in_all} processes of data planes are not forgotten yet; at most {most}"
        raise _too_many("process", told, "TOO_MANY_PROCESSES")


def admit_series(known: int, new: int, most: int) -> None:
    """Take more series. known: of all processes. Raises ResourceExhausted that names `series`."""
    if known + new > most:
        told = f"{new} are new, and all data planes together have {known} already; at most {most}"
        raise _too_many("series", told, "TOO_MANY_SERIES")


def _too_many(field: str, told: str, reason: str) -> ResourceExhausted:
    violations = [FieldViolation(field, told)]
    return ResourceExhausted(f"{field}: {told}", reason=reason, violations=violations, retry_after_s=RETRY_AFTER_S)
