"""Pools, policies and decisions as they are kept. Documents are JSON as `headrace_scaling.documents` writes it."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from headrace_autoscaler.decisions.actuation import Acting


class Outcome(enum.IntEnum):
    """How far acting on a decision is, with the numbers of the API."""

    NOTHING_TO_DO = 1
    NOT_ACTED = 2
    ASKED = 3
    ACKNOWLEDGED = 4
    DONE = 5
    FAILED = 6
    SUPERSEDED = 7


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A current or former policy of a pool. document: the scaling policy and `ready_deadline_s`."""

    pool: str
    revision: int
    document: str
    create_time: datetime
    client: str

    @property
    def etag(self) -> str:
        """Return what a writer has read: another one in a store that was restored, even of the same revision."""
        return hashlib.sha256(f"{self.pool}/{self.revision}/{self.create_time.isoformat()}".encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class Pause:
    """A pool is held at what it has."""

    time: datetime
    reason: str
    client: str


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool that has a policy. memory, acting: documents; None before the first decision."""

    pool: str
    policy: PolicyRow
    pause: Pause | None
    memory: str | None
    acting: str | None
    decision: int | None
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision. desired: what it wants, or the overflow of other pools, whichever is more. number: None before it
    is kept. memory: before it; None for a pool's first one.
    """

    pool: str
    create_time: datetime
    revision: int
    desired: int
    changed: bool
    memory: str | None
    observation: str
    decision: str
    outcome: Outcome
    detail: str
    outcome_time: datetime
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """The rows that a round writes for one pool. asks: whether this decision leads to a call of the actuator."""

    decision: DecisionRow
    memory: str
    acting: Acting
    asks: bool
    problems: tuple[str, ...]

    def acting_as(self, number: int) -> Acting:
        """Return what is kept of acting, once the decision has its number."""
        return replace(self.acting, decision=number) if self.asks else self.acting


@dataclass(frozen=True, slots=True)
class OutcomeUpdate:
    """What became of a decision that was made earlier."""

    number: int
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class DemandMinute:
    """The demand of a pool in one minute, in the unit of the metric. ready: replicas, on average."""

    pool: str
    minute: datetime
    metric: str
    peak: float
    mean: float
    ready: float
    samples: int


@dataclass(frozen=True, slots=True)
class PoolChange:
    """A pool changed. sequence: of its last change."""

    pool: str
    sequence: int
