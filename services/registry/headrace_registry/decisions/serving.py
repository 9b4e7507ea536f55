"""Serving settings of a version: defaults and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from headrace_servicekit.errors import FieldViolation

from headrace_registry.decisions.models import Device, ServingSettings

DEFAULT_MAX_BATCH_ROWS = 32
DEFAULT_PREFERRED_BATCH_ROWS = (8, 16, 32)
DEFAULT_MAX_WAIT_MS = 5.0
DEFAULT_INSTANCES = 1

MAX_BATCH_ROWS = 4096
MAX_PREFERRED = 16
MAX_WAIT_MS = 1000.0
MAX_INSTANCES = 64


def filled(
    *,
    max_batch_rows: int = 0,
    preferred_batch_rows: Sequence[int] = (),
    max_wait_ms: float | None = None,
    instances: int = 0,
    device: Device = Device.ANY,
) -> ServingSettings:
    """Return settings in which what is unset (0, empty, None) has its default: a default that changes later does not
    change versions that exist."""
    rows = max_batch_rows or DEFAULT_MAX_BATCH_ROWS
    preferred = tuple(preferred_batch_rows) or tuple(size for size in DEFAULT_PREFERRED_BATCH_ROWS if size <= rows)
    return ServingSettings(
        max_batch_rows=rows,
        preferred_batch_rows=preferred,
        max_wait_ms=DEFAULT_MAX_WAIT_MS if max_wait_ms is None else max_wait_ms,
        instances=instances or DEFAULT_INSTANCES,
        device=device,
    )


def row_by_row(settings: ServingSettings) -> ServingSettings:
    """Return settings for a version of which one row is executed at a time."""
    return replace(settings, max_batch_rows=1, preferred_batch_rows=(1,))


def violations(settings: ServingSettings, field: str) -> list[FieldViolation]:
    """Return what is wrong with settings, fields named below `field`."""
    found = []
    rows, preferred = settings.max_batch_rows, settings.preferred_batch_rows
    if not 1 <= rows <= MAX_BATCH_ROWS:
        found.append(FieldViolation(f"{field}.max_batch_rows", f"{rows} is not between 1 and {MAX_BATCH_ROWS}"))
    if len(preferred) > MAX_PREFERRED:
        found.append(
            FieldViolation(f"{field}.preferred_batch_rows", f"{len(preferred)} sizes; at most {MAX_PREFERRED}")
        )
    for index, size in enumerate(preferred[:MAX_PREFERRED]):
        place = f"{field}.preferred_batch_rows[{index}]"
        if size < 1:
            found.append(FieldViolation(place, f"{size} is less than 1"))
        elif size > rows:
            found.append(FieldViolation(place, f"{size} is more than max_batch_rows, which is {rows}"))
        elif index > 0 and size <= preferred[index - 1]:
            found.append(FieldViolation(place, f"{size} does not rise after {preferred[index - 1]}"))
    if not 0 <= settings.max_wait_ms <= MAX_WAIT_MS:
        found.append(FieldViolation(f"{field}.max_wait", f"{settings.max_wait_ms:g} ms is not between 0 and 1 s"))
    if not 1 <= settings.instances <= MAX_INSTANCES:
        found.append(FieldViolation(f"{field}.instances", f"{settings.instances} is not between 1 and {MAX_INSTANCES}"))
    return found
