"""Whether the steps of a pipeline begin at all: what cannot end in time is refused before the first of them. Pure."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

from headrace_router.data.pipelines.decisions.schedule import Chosen, earliest_end_s


class Verdict(enum.Enum):
    """What becomes of a request. NO_BACKEND: nobody can run a step that it needs. TIME_SHORT: it would be too late."""

    GO = "go"
    NO_BACKEND = "no backend"
    TIME_SHORT = "time short"


def admit(chosen: Chosen, needs_s: Sequence[float], left_s: float) -> tuple[Verdict, float]:
    """Return the verdict, and how long the answer probably takes.

    needs_s: by step, how long it probably takes with its wait, infinite where nobody can run it. left_s: until the
    deadline.
    """
    takes_s = earliest_end_s(chosen, needs_s)
    if takes_s == math.inf:
        return Verdict.NO_BACKEND, takes_s
    return (Verdict.GO if takes_s <= left_s else Verdict.TIME_SHORT), takes_s
