"""Observes every pool: polls the fleet, and answers counts and signals of any pool from the latest sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headrace_scaling.decisions.observations import Metric, ModelLoad, Signal
from headrace_servicekit.clock import Clock
from headrace_servicekit.peers import Peer

from headrace_autoscaler.decisions import measures, replica_counts
from headrace_autoscaler.decisions.measures import Reports
from headrace_autoscaler.decisions.members import Condition, Fleet, Member
from headrace_autoscaler.decisions.replica_counts import Appearances, Counts
from headrace_autoscaler.signals.fleet import FleetSource

LOOK_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A sample of the fleet. time_s: by our monotonic clock. known: when each batcher appeared, by the same clock."""

    time_s: float
    fleet: Fleet
    reports: Reports = field(default_factory=dict)
    known: Appearances = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool in the latest sample. age_s: age of the sample."""

    members: tuple[Member, ...]
    signals: Mapping[Metric, Signal]
    models: tuple[ModelLoad, ...]
    age_s: float


class Observer:
    """Holds the latest sample. While the control plane is unavailable the sample stays and its age grows."""

    def __init__(self, source: FleetSource, clock: Clock) -> None:
        self._source, self._clock = source, clock
        self._peer = Peer("control", every_s=LOOK_EVERY_S, max_backoff_s=LOOK_EVERY_S, clock=clock, call="batchers")
        self._look: Snapshot | None = None

    async def look(self) -> None:
        """Poll once. Raises nothing: a failed poll shows in the age of the previous sample."""

        async def read() -> None:
            fleet = await self._source.read()
            before, now_s = self._look, self._clock.monotonic()
            everybody = [member for members in fleet.pools.values() for member in members]
            self._look = Snapshot(
                now_s,
                fleet,
                measures.keep(before.reports, everybody, before.fleet.read_s)
                if before
                else measures.keep({}, everybody),
                replica_counts.appearances(before.known if before else {}, everybody, now_s),
            )

        await self._peer.call(read)

    @property
    def age_s(self) -> float | None:
        """Return how old the last look is; None before the first."""
        return None if self._look is None else self._clock.monotonic() - self._look.time_s

    @property
    def pools(self) -> Sequence[str]:
        """Return the pools that have batchers, by name."""
        return () if self._look is None else sorted(self._look.fleet.pools)

    def view(self, pool: str) -> PoolView | None:
        """Return a pool in the latest sample; None before the first sample."""
        look, age_s = self._look, self.age_s
        if look is None or age_s is None:
            return None
        members = look.fleet.of(pool)
        signals = measures.signals(members, look.reports, age_s, look.fleet.read_s)
        ages = [signal.age_s for signal in signals.values()]
        return PoolView(members, signals, measures.model_loads(members, look.reports, max(ages, default=age_s)), age_s)

    def count(self, pool: str, *, target: int | None, target_age_s: float, deadline_s: float) -> Counts | None:
        """Return the replica counts of a pool; None before the first sample."""
        if self._look is None:
            return None
        return replica_counts.count(
            self._look.fleet.of(pool),
            self._look.known,
            target=target,
            target_age_s=target_age_s,
            now_s=self._clock.monotonic(),
            deadline_s=deadline_s,
        )

    def cheapest_first(self, pool: str) -> list[str]:
        """Return the addresses of a pool's batchers in the order in which they should go."""
        return [] if self._look is None else replica_counts.cheapest_first(self._look.fleet.of(pool), self._look.known)

    def processes(self, pool: str) -> list[str]:
        """Return the processes of a pool's batchers."""
        return [] if self._look is None else [member.process for member in self._look.fleet.of(pool)]

    def ready_since(self, pool: str) -> Mapping[str, float]:
        """Return when each process of a pool that is ready was first seen so, by our monotonic clock."""
        if self._look is None:
            return {}
        return {
            member.process: ready_s
            for member in self._look.fleet.of(pool)
            if member.condition is Condition.READY and (ready_s := self._look.known[member.process].ready_s) is not None
        }
