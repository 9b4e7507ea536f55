"""How long an execution takes."""

from __future__ import annotations

import random

from pydantic import BaseModel, ConfigDict, Field

_LONGEST_MS = 3_600_000.0


class Latency(BaseModel):
    """A time for each execution and one for each of its rows, and of each up to `jitter_ms` more."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    base_ms: float = Field(default=0.0, ge=0, le=_LONGEST_MS)
    per_row_ms: float = Field(default=0.0, ge=0, le=_LONGEST_MS)
    jitter_ms: float = Field(default=0.0, ge=0, le=_LONGEST_MS)


def seconds(latency: Latency, rows: int, seed: int, number: int) -> float:
    """Return how long an execution takes. number: of the execution; the same seed gives it the same jitter."""
    jitter = latency.jitter_ms * random.Random(f"{seed}:{number}:jitter").random() if latency.jitter_ms else 0.0
    return (latency.base_ms + latency.per_row_ms * rows + jitter) / 1000
