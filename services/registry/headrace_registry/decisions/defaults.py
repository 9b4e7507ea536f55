"""Serving settings of a version: defaults and bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrace_servicekit.errors import FieldViolation

from headrace_registry.decisions import padded_sizes
from headrace_registry.decisions.models import Device, Padding, ServingSettings

DEFAULT_MAX_BATCH_ROWS = 32
DEFAULT_PREFERRED_BATCH_ROWS = (8, 16, 32)
DEFAULT_MAX_WAIT_MS = 5.0
DEFAULT_INSTANCES = 1

MAX_BATCH_ROWS = 4096
MAX_PREFERRED = 16
MAX_WAIT_MS = 1000.0
MAX_INSTANCES = 64


@dataclass(frozen=True, slots=True)
class Declared:
    """What a caller declares of serving settings; 0, empty, None and ANY are unset. A padding without sizes is none."""

    max_batch_rows: int = 0
    preferred_batch_rows: tuple[int, ...] = ()
    max_wait_ms: float | None = None
    instances: int = 0
    device: Device = Device.ANY
    warm: bool | None = None
    padding: Padding | None = None


def changed(settings: ServingSettings, declared: Declared) -> ServingSettings:
    """Return settings with what is declared. Preferred sizes that a smaller `max_batch_rows` no longer allows go."""
    rows = declared.max_batch_rows or settings.max_batch_rows
    kept = tuple(size for size in settings.preferred_batch_rows if size <= rows)
    return ServingSettings(
        max_batch_rows=rows,
        preferred_batch_rows=declared.preferred_batch_rows or kept,
        max_wait_ms=settings.max_wait_ms if declared.max_wait_ms is None else declared.max_wait_ms,
        instances=declared.instances or settings.instances,
        device=settings.device if declared.device is Device.ANY else declared.device,
        warm=settings.warm if declared.warm is None else declared.warm,
        padding=settings.padding if declared.padding is None else _given(declared.padding),
    )


def _given(declared: Padding) -> Padding | None:
    return declared if declared.sizes else None


UNSET = Declared()
DEFAULTS = ServingSettings(DEFAULT_MAX_BATCH_ROWS, DEFAULT_PREFERRED_BATCH_ROWS, DEFAULT_MAX_WAIT_MS, DEFAULT_INSTANCES)


def filled(declared: Declared = UNSET) -> ServingSettings:
    """Return settings in which what is unset has its default: a default that changes later does not change versions
    that exist."""
    return changed(DEFAULTS, declared)


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
    return found + padded_sizes.violations(settings, field)
