"""The batchers of a pool, as they reported last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Condition(StrEnum):
    """How far a batcher is with one version, or altogether."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a batcher on one version: counters since its start, and its queue.

    rows: waiting or executing. queued: waiting. compute_s: time in executions. variation: coefficient of variation
    (standard deviation over mean) of the execution times of equal batch sizes.
    """

    rows: int = 0
    queued: int = 0
    predicted_wait_s: float = 0.0
    answered: int = 0
    shed: int = 0
    compute_s: float = 0.0
    variation: float = 0.0


@dataclass(frozen=True, slots=True)
class Held:
    """One version in a batcher. wanted: whether a route or hold needs it here. load_s: duration of its latest load."""

    model: str
    condition: Condition
    wanted: bool = True
    work: Work | None = None
    load_s: float | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One batcher. process: id that changes with each start. reported_s: report time by the control plane's clock.

    gpu_utilisation, gpu_memory: shares from 0 to 1; None without a GPU or if it cannot be measured.
    """

    process: str
    address: str
    reported_s: float
    draining: bool = False
    versions: Mapping[str, Held] = field(default_factory=dict)
    gpu_utilisation: float | None = None
    gpu_memory: float | None = None

    @property
    def condition(self) -> Condition:
        """Whether it adds to the pool's capacity: it is ready if any wanted version is, or if no version is wanted."""
        if self.draining:
            return Condition.DRAINING
        wanted = [one.condition for one in self.versions.values() if one.wanted]
        if not wanted or Condition.READY in wanted:
            return Condition.READY
        return Condition.LOADING if Condition.LOADING in wanted else Condition.FAILED

    @property
    def rows(self) -> int:
        """The rows that wait or execute, which it finishes before it stops."""
        return sum(one.work.rows for one in self.versions.values() if one.work is not None)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Every batcher that lives, by pool. read_s: when the control plane was asked, by its own clock."""

    read_s: float
    pools: Mapping[str, tuple[Member, ...]]

    def of(self, pool: str) -> tuple[Member, ...]:
        """Return the batchers of a pool."""
        return self.pools.get(pool, ())
