"""The store in memory: what unit tests run on, and the contract in its shortest form."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from headrace_router.control.decisions.acks import DataPlane
from headrace_router.control.decisions.demand import Lease
from headrace_router.control.decisions.readiness import Report
from headrace_router.control.decisions.states import Announcement, Outcome, Step
from headrace_router.control.storage.store import (
    ChangeRecord,
    Conflict,
    Entry,
    News,
    Record,
    Request,
    RequestUsed,
    StoredVersion,
)
from headrace_servicekit.clock import Clock, SystemClock
from headrace_servicekit.coordination.wakeup import Wakeup


class MemoryStore:
    """Several control planes may share one instance, as they share a database."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.incarnation = str(uuid4())
        self._clock = clock or SystemClock()
        self._revision = 0
        self._records: dict[str, Record] = {}
        self._entries: list[Entry] = []
        self._changes: dict[UUID, ChangeRecord] = {}
        self._requests: dict[tuple[str, str], tuple[Request, datetime]] = {}
        self._versions: dict[str, StoredVersion] = {}
        self._reports: dict[str, Report] = {}
        self._planes: dict[str, DataPlane] = {}
        self._leases: dict[tuple[str, str, str], Lease] = {}
        self._changed = Wakeup()

    async def news(self, revision: int, generation: int) -> News:
        records = sorted((r for r in self._records.values() if r.revision > revision), key=lambda r: r.revision)
        return News(self.incarnation, len(self._entries), tuple(records), tuple(self._entries[generation:]))

    async def entries_in_use(self, oldest: int) -> tuple[Entry, ...]:
        in_force = {entry.model: entry for entry in self._entries[:oldest]}
        return (*sorted(in_force.values(), key=lambda entry: entry.number), *self._entries[oldest:])

    async def commit(self, revision: int | None, step: Step, now: datetime, request: Request | None = None) -> Record:
        model = step.state.model
        known = self._records.get(model)
        if revision != (known.revision if known else None):
            raise Conflict(model)
        if request is not None:
            key = (request.client, request.request_id)
            if key in self._requests:
                raise RequestUsed(request.request_id)
            self._requests[key] = (request, self._clock.now())
        state, number = step.state, None
        if step.announcement is not None:
            number = len(self._entries) + 1
            if step.announcement is Announcement.TABLE and state.active is not None:
                state = replace(state, active=replace(state.active, number=number))
            generation = state.active if step.announcement is Announcement.TABLE else None
            self._entries.append(Entry(number, model, step.announcement, state.salt, generation))
        for change in step.began:
            self._changes[change.id] = ChangeRecord(change, model, number=len(self._changes) + 1)
        for ended in step.ended:
            self._changes[ended.change.id] = replace(
                self._changes.get(ended.change.id) or ChangeRecord(ended.change, model, number=len(self._changes) + 1),
                change=ended.change,
                outcome=ended.outcome,
                outcome_reason=ended.reason,
                generation=number if ended.outcome is Outcome.ACTIVE else None,
                ended_at=now,
            )
        self._revision += 1
        self._records[model] = Record(self._revision, state)
        self._changed.wake()
        return self._records[model]

    async def change(self, change_id: UUID) -> ChangeRecord | None:
        return self._changes.get(change_id)

    async def changes(self, model: str, limit: int, before: int | None = None) -> tuple[ChangeRecord, ...]:
        of_model = [record for record in self._changes.values() if record.model == model]
        wanted = [record for record in of_model if before is None or record.number < before]
        return tuple(sorted(wanted, key=lambda record: record.number, reverse=True)[:limit])

    async def request(self, client: str, request_id: str) -> Request | None:
        found = self._requests.get((client, request_id))
        return found[0] if found else None

    async def put_versions(self, versions: Sequence[StoredVersion]) -> None:
        for version in versions:
            self._versions[version.digest] = version

    async def versions(self, digests: Iterable[str]) -> tuple[StoredVersion, ...]:
        return tuple(self._versions[digest] for digest in digests if digest in self._versions)

    async def put_report(self, report: Report, lease: timedelta) -> None:
        address = report.address
        self._reports = {name: one for name, one in self._reports.items() if not address or one.address != address}
        self._reports[report.process] = replace(report, expires_at=self._clock.now() + lease)
        self._changed.wake()

    async def reports(self, now: datetime) -> tuple[Report, ...]:
        return tuple(report for report in self._reports.values() if report.expires_at > self._clock.now())

    async def acknowledge(self, incarnation: str, data_plane: str, generation: int) -> None:
        if incarnation != self.incarnation:
            raise Conflict(incarnation)
        known = self._planes.get(data_plane) or DataPlane(data_plane, 0, len(self._entries), self._clock.now())
        acknowledged = max(known.acknowledged, generation)
        self._planes[data_plane] = replace(known, acknowledged=acknowledged, seen_at=self._clock.now())
        self._changed.wake()

    async def data_planes(self, now: datetime) -> tuple[DataPlane, ...]:
        return tuple(self._planes.values())

    async def touch(self, data_planes: Iterable[str]) -> None:
        for name in data_planes:
            await self.acknowledge(self.incarnation, name, 0)

    async def put_lease(self, lease: Lease, ttl: timedelta) -> None:
        key = (lease.pool, lease.digest, lease.holder)
        self._leases.pop(key, None)
        if ttl > timedelta(0):
            self._leases[key] = replace(lease, expires_at=self._clock.now() + ttl)
        self._changed.wake()

    async def leases(self, now: datetime) -> tuple[Lease, ...]:
        return tuple(lease for lease in self._leases.values() if lease.expires_at > self._clock.now())

    async def sweep(self, reports: timedelta, requests: timedelta, data_planes: timedelta) -> None:
        now = self._clock.now()
        self._reports = {k: v for k, v in self._reports.items() if v.expires_at + reports > now}
        self._leases = {k: v for k, v in self._leases.items() if v.expires_at + reports > now}
        self._requests = {k: v for k, v in self._requests.items() if v[1] + requests > now}
        self._planes = {k: v for k, v in self._planes.items() if v.seen_at + data_planes > now}

    async def wakes(self) -> AsyncIterator[None]:
        while True:
            count = self._changed.count
            yield None
            await self._changed.after(count)

    async def renew_incarnation(self) -> str:
        self.incarnation = str(uuid4())
        now = self._clock.now()
        self._planes = {k: replace(v, acknowledged=0, seen_at=now) for k, v in self._planes.items()}
        self._changed.wake()
        return self.incarnation

    async def ping(self) -> None:
        return None
