"""How the results of a job become answers that online requests find. scorer.proto says what each means."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import timedelta

DEFAULT_PARITY_ROWS = 200
MAX_PARITY_ROWS = 10_000
DEFAULT_KEEP_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two floating-point numbers may differ: by `absolute`, or by `relative` of the larger one.

    Everything else, such as labels, has to be the same. One in ten thousand is more than two kernels of one operator
    differ by in FP32, and less than any difference that a model's user would see.
    """

    absolute: float = 1e-5
    relative: float = 1e-4


class Disappeared(enum.StrEnum):
    """What becomes of an entity that the generation before has, and this one lacks."""

    ABSENT = "absent"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class PublishSpec:
    """How answers are published. entity: column of the output. ttl: None is for ever. keep_for: how old kept answers
    may become. drift_tolerance: of the stability index; None is the library's own, 0 does not look.
    """

    entity: str
    ttl: timedelta | None = None
    disappeared: Disappeared = Disappeared.ABSENT
    keep_for: timedelta = DEFAULT_KEEP_FOR
    parity_rows: int = DEFAULT_PARITY_ROWS
    tolerance: Tolerance = Tolerance()
    drift_tolerance: float | None = None
