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
    """What a batcher has done with one version since it started, and what it has at hand.

    rows: that wait or execute. queued: of them, those that wait. compute_s: in executions. variation: of what those of
    the same size take, standard deviation over mean.
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
    """One version in a batcher. wanted: whether anything needs it here. load_s: how long its last load took."""

    model: str
    condition: Condition
    wanted: bool = True
    work: Work | None = None
    load_s: float | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One batcher. process: another one after each start. reported_s: when, by the control plane's clock.

    gpu_utilisation, gpu_memory: shares between 0 and 1; None where there is no GPU or nobody can see it.
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
        """Return whether it adds to what the pool can do. One that holds some of its versions answers already, and one
        that is asked to hold none is ready for any.
        """
        if self.draining:
            return Condition.DRAINING
        wanted = [held.condition for held in self.versions.values() if held.wanted]
        if not wanted or Condition.READY in wanted:
            return Condition.READY
        return Condition.LOADING if Condition.LOADING in wanted else Condition.FAILED

    @property
    def rows(self) -> int:
        """Return the rows that it has at hand: what it has to finish before it can go."""
        return sum(held.work.rows for held in self.versions.values() if held.work is not None)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Every batcher that lives, by pool. read_s: when the control plane was asked, by its own clock."""

    read_s: float
    pools: Mapping[str, tuple[Member, ...]]

    def of(self, pool: str) -> tuple[Member, ...]:
        """Return the batchers of a pool."""
        return self.pools.get(pool, ())
