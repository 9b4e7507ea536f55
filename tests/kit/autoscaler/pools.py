"""Pools, batchers and policies for tests of the autoscaler."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from headrace.autoscaler.v1 import policy_pb2
from headrace_autoscaler.acting.leader import Leader
from headrace_autoscaler.actuators.actuator import ActuatorError
from headrace_autoscaler.decisions.actuation import Acting
from headrace_autoscaler.decisions.members import Condition, Fleet, Held, Member, Work
from headrace_autoscaler.metrics import AutoscalerMetrics
from headrace_autoscaler.policies.convert import policy_of
from headrace_autoscaler.policies.declared import DeclaredPolicy
from headrace_autoscaler.signals.observer import Observer
from headrace_autoscaler.storage.database import Database
from headrace_autoscaler.storage.decisions import Decisions
from headrace_autoscaler.storage.pools import Pools
from headrace_autoscaler.storage.values import DecisionRow, Outcome
from headrace_scaling.documents import from_json
from headrace_servicekit.clock import Clock, SystemClock
from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.postgres.connections import Address
from prometheus_client import CollectorRegistry

from tests.kit.rollout.checkpoints import CheckedLease, Checkpoints, Through


def batcher(
    process: str,
    *conditions: Condition,
    at_s: float = 0.0,
    draining: bool = False,
    rows: int = 0,
    answered: int = 0,
    shed: int = 0,
    compute_s: float = 0.0,
    model: str = "digits",
) -> Member:
    """Return a batcher that holds one version for each condition; what it was asked is of the first."""
    work = Work(rows=rows, answered=answered, shed=shed, compute_s=compute_s)
    versions = {
        f"d{at}": Held(model, condition, work=work if at == 0 else Work()) for at, condition in enumerate(conditions)
    }
    return Member(process, f"{process}:1", at_s, draining, versions)


def message(pool: str = "default", **fields: Any) -> policy_pb2.ScalingPolicy:
    """Return a policy of 100 requests/s for each replica, and what else is given."""
    told: dict[str, object] = {"targets": [policy_pb2.Target(metric="requests_per_s", value=100.0)], **fields}
    return policy_pb2.ScalingPolicy(name=f"pools/{pool}/policy", **told)  # pyright: ignore[reportArgumentType]


def policy(**fields: Any) -> DeclaredPolicy:
    """Return that policy as it decides."""
    return policy_of(message(**fields))


class FixedFleet:
    """A fleet that tests set. away: the control plane cannot be reached."""

    def __init__(self, *members: Member, pool: str = "default", read_s: float = 0.0) -> None:
        self.fleet = Fleet(read_s, {pool: members} if members else {})
        self.away = False

    async def read(self) -> Fleet:
        if self.away:
            raise ConnectionRefusedError("the control plane is away")
        return self.fleet


class FakeActuator:
    """Keeps counts in memory, and obeys as it is told to. lies: acknowledges and does nothing."""

    name = "fake"
    acts = True

    def __init__(self, **kept: int) -> None:
        self.kept, self.asked = dict(kept), list[tuple[str, int]]()
        self.refuses, self.lies = "", False

    async def targets(self, pools: Collection[str]) -> Mapping[str, int | ActuatorError]:
        return {pool: self.kept[pool] for pool in pools if pool in self.kept}

    async def scale(self, pool: str, replicas: int, first: Sequence[str]) -> None:
        self.asked.append((pool, replicas))
        if self.refuses:
            raise ActuatorError(self.refuses)
        if not self.lies:
            self.kept[pool] = replicas


@dataclass(slots=True)
class ScaledPools:
    """A leader on a real database, over a fleet and an actuator that tests hold in their hand."""

    database: Database
    lease: LeaderLease
    pools: Pools
    decisions: Decisions
    fleet: FixedFleet
    actuator: FakeActuator
    observer: Observer
    leader: Leader

    async def round(self) -> None:
        """Look, and do one round in which every pool is due."""
        await self.observer.look()
        for pool in self.leader.pools:
            pool.decided_s = -math.inf
        await self.leader.step()
        await asyncio.sleep(0)  # the actuator answers

    async def latest(self, pool: str = "default") -> DecisionRow:
        """Return the latest decision."""
        return await self.decisions.decision(pool, None)

    async def acting(self, pool: str = "default") -> Acting:
        """Return what is kept of acting."""
        return from_json(Acting, (await self.pools.pool(pool)).acting or "")

    async def acted(self, *, only_changes: bool = True) -> list[tuple[int, Outcome]]:
        """Return what was wanted, and what became of it, in the order of decisions."""
        rows = await self.decisions.decisions(
            "default", before=None, only_changes=only_changes, start=None, end=None, limit=1000
        )
        return [(row.desired, row.outcome) for row in reversed(rows)]


@asynccontextmanager
async def scaled_pools(
    url: str,
    fleet: FixedFleet,
    actuator: Any,
    *,
    lease: timedelta = timedelta(seconds=10),
    clock: Clock | None = None,
    points: Checkpoints | None = None,
) -> AsyncIterator[ScaledPools]:
    """Lend a leader that has the lease, unless another one has. points: that its calls to the outside pass."""
    clock, points = clock or SystemClock(), points or Checkpoints()
    async with Database(Address(url), size=4) as database:
        await database.migrate()
        pools, observer = Pools(database, most=1000), Observer(fleet, clock)
        leading = CheckedLease(database, "scale pools", clock, lease=lease, points=points)
        metrics = AutoscalerMetrics(CollectorRegistry())
        acting: Any = Through(actuator, points)
        leader = Leader(leading, pools, observer, acting, clock, metrics, actuator_timeout_s=5.0)
        await leading.acquire()
        yield ScaledPools(database, leading, pools, Decisions(database), fleet, actuator, observer, leader)
