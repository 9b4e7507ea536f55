"""What this process knows and shows: read from the store in order, served from memory whatever happens to the store."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import replace

import structlog
from headrace.router.v1 import control_pb2
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.errors import Unavailable

from headrace_router.control.decisions.acks import oldest_in_use, remembered_since
from headrace_router.control.decisions.demand import Lease, Wanted, demand
from headrace_router.control.decisions.readiness import Fleet, Needed
from headrace_router.control.decisions.states import Announcement, RouteState
from headrace_router.control.decisions.status import Status, status_of
from headrace_router.control.messages import lookups, watches
from headrace_router.control.state.feeds import DemandFeed, TableFeed
from headrace_router.control.state.mirror import Mirror
from headrace_router.control.state.time_limits import Timing
from headrace_router.control.storage.store import Entry, News, Store

log = structlog.get_logger()

# How long a caller waits for what the store has now; then what is known here counts.
FRESH_WITHIN_S = 0.5
# Beyond every number: asks a store only who it is and how far.
_NOTHING = 2**62


class View:
    """`read` brings it up to the store. `changed` wakes after every change of what is known here."""

    def __init__(self, store: Store, clock: Clock, timing: Timing) -> None:
        self.timing = timing
        self.mirror = Mirror()
        self.tables = TableFeed()
        self.demand = DemandFeed(self._demand, self._demand_message)
        self.changed = Wakeup()
        self.vanished: frozenset[str] = frozenset()
        self._left_out: dict[str, str] = {}
        self._store, self._clock = store, clock
        self._reading = asyncio.Lock()
        self._begun = 0
        """Reads of the store that have begun."""
        self._readings: set[asyncio.Task[None]] = set()
        self._late = False
        """Whether the store did not respond in time; it is not waited for until it responds."""

    async def read(self, *, unless_begun: int | None = None) -> None:
        """Bring the mirror up to the store, in order, and tell the watchers. Raises Unavailable and changes nothing.

        unless_begun: if so many reads have begun by then, the last of them will do.
        """
        async with self._reading:
            if unless_begun is not None and self._begun >= unless_begun:
                return
            self._begun += 1
            try:
                await self._catch_up()
            except asyncio.CancelledError:
                # Its caller is gone: others that would have shared this read have to read.
                self._begun -= 1
                raise
        self.changed.wake()

    async def freshen(self) -> None:
        """Know what was written before, through whichever control plane; without the store what is known here counts.

        Who has written a route and reads it again may be given another control plane, which hears of writes a moment
        later: of an older route's etag the next write would be refused.
        """
        if self._late:
            return
        # Not cancelled when it takes too long: it is of use to those after it.
        reading = asyncio.create_task(self.read(unless_begun=self._begun + 1), name="read the store")
        self._readings.add(reading)
        reading.add_done_callback(self._read_ended)
        done, _ = await asyncio.wait({reading}, timeout=FRESH_WITHIN_S)
        self._late = not done
        if done and not isinstance(reading.exception(), Unavailable):
            reading.result()

    def _read_ended(self, reading: asyncio.Task[None]) -> None:
        self._readings.discard(reading)
        if not reading.cancelled():
            reading.exception()  # those that still waited have it; the controller's reads say that the store is away

    def fleet(self) -> Fleet:
        """Return the batchers whose reports are valid now."""
        return Fleet(self.mirror.reports.values(), self._clock.now())

    def names(self, digests: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return model and version of those of the digests that are known here."""
        found = {digest: encoded for digest in digests if (encoded := self.mirror.versions.get(digest)) is not None}
        versions = {digest: control_pb2.ResolvedVersion.FromString(encoded) for digest, encoded in found.items()}
        return {digest: (one.model, one.version) for digest, one in versions.items()}

    def status(self, state: RouteState) -> Status:
        """Return what is in force for a route."""
        now = self._clock.now()
        return status_of(
            state,
            self.fleet(),
            self.mirror.planes.values(),
            watching=self.tables.watching,
            vanished=state.model in self.vanished,
            left_out=self._left_out.get(state.model, ""),
            now=now,
            remembered_since=remembered_since(now, self.timing.forget_after),
            limits=self.timing.limits,
        )

    def serves(self, model: str, needed: Needed) -> bool:
        """Return whether the generation in force of a model serves a version in a pool."""
        state = self.mirror.state(model)
        return state is not None and state.active is not None and needed in state.active.table.needs

    async def _catch_up(self) -> None:
        """Read what the store has beyond the mirror; one reader at a time."""
        mirror = self.mirror
        news = await self._store.news(mirror.revision, mirror.newest_generation) if mirror.loaded else None
        if news is None or news.incarnation != mirror.incarnation:
            mirror, news = Mirror(), await self._everything()
        now = self._clock.now()
        planes, reports = await self._store.data_planes(now), await self._store.reports(now)
        leases = await self._store.leases(now)
        await self._read_versions(mirror, news, leases)
        if mirror is not self.mirror:
            self._take_over(mirror, news.incarnation)
        mirror.take_planes(planes, self.tables.watching)
        mirror.leases = leases
        mirror.take_reports(reports, now)
        for entry in mirror.take(news):
            self._publish(entry)
        self._late = False

    async def _everything(self) -> News:
        """Return what a store has that was not read before: every record, and the entries in use."""
        now = self._clock.now()
        since = remembered_since(now, self.timing.forget_after)
        oldest = oldest_in_use(await self._store.data_planes(now), since)
        if oldest is None:
            oldest = (await self._store.news(_NOTHING, _NOTHING)).newest_generation
        entries = await self._store.entries_in_use(oldest)
        # The records after the entries: they may be newer, and the entries that belong to them come with them.
        news = await self._store.news(0, max((entry.number for entry in entries), default=0))
        return replace(news, entries=(*entries, *news.entries))

    def _take_over(self, mirror: Mirror, incarnation: str) -> None:
        """Show what another store says from now on; every watcher begins again."""
        if self.mirror.loaded:
            log.warning("another store has taken over", incarnation=incarnation, before=self.mirror.incarnation)
        mirror.incarnation, mirror.loaded = incarnation, True
        # What batchers said here still counts; what data planes acknowledged was said to the other store.
        mirror.reports = self.mirror.reports
        self.mirror = mirror
        self.tables.reset(incarnation)
        self.demand.reset()

    async def _read_versions(self, mirror: Mirror, news: News, leases: tuple[Lease, ...]) -> None:
        """Read the versions that are named and not known here: tables are only ever served whole."""
        states = [record.state for record in news.records]
        tables = [entry.generation.table for entry in news.entries if entry.generation is not None]
        tables += [state.pending.table for state in states if state.pending is not None]
        digests = {digest for table in tables for digest in (*table.digests, *table.loaded_digests)}
        digests |= {state.previous.digest for state in states if state.previous is not None}
        digests |= {one for state in states if state.previous for one in state.loaded_for(state.previous.digest)}
        known = {state.model: state for state in (*mirror.states(), *states)}
        leased = {
            one for lease in leases if lease.model in known for one in known[lease.model].loaded_for(lease.digest)
        }
        missing = (digests | leased) - mirror.versions.keys()
        if missing:
            mirror.add_versions(await self._store.versions(sorted(missing)))
        if unknown := digests - mirror.versions.keys():
            # Versions are written before what names them, and stay: this was damaged on its way.
            raise Unavailable(f"the store names versions that it does not have: {sorted(unknown)[:3]}")

    def _publish(self, entry: Entry) -> None:
        message = control_pb2.WatchTablesResponse(incarnation=self.mirror.incarnation, newest_generation=entry.number)
        match entry.announcement:
            case Announcement.TABLE:
                unfit = self._unfit(entry)
                message.table.CopyFrom(watches.table_to_proto(entry, self.mirror.versions, unfit))
            case Announcement.NOT_SERVING:
                message.not_serving_model = entry.model
            case Announcement.REMOVED:
                message.removed_model = entry.model
        self.tables.publish(entry.model, message)

    def _unfit(self, entry: Entry) -> Collection[str]:
        """Return the steps that data planes do not receive, and note for the status why."""
        assert entry.generation is not None
        unfit = lookups.unfit(entry.generation.table, self.mirror.versions)
        self._left_out.pop(entry.model, None)
        if unfit:
            log.warning("fallbacks do not fit", model=entry.model, generation=entry.number, steps=sorted(unfit))
            reasons = [f"fallback '{name}' is left out: {why}" for name, why in unfit.items()]
            self._left_out[entry.model] = "; ".join(reasons)
        return unfit

    def _demand(self, pool: str) -> tuple[Wanted, ...]:
        now = self._clock.now()
        in_use = self.mirror.tables_in_use(remembered_since(now, self.timing.forget_after))
        models = {state.model: state for state in self.mirror.states()}
        leases = [
            one
            for one in self.mirror.leases
            if one.model in models and self.mirror.versions.keys() >= set(models[one.model].loaded_for(one.digest))
        ]
        wanted = demand(pool, self.mirror.states(), in_use, leases, now)
        revisions = self.mirror.serving_revisions
        return tuple(replace(one, serving_revision=revisions.get(one.digest, 0)) for one in wanted)

    def _demand_message(self, wanted: tuple[Wanted, ...]) -> control_pb2.WatchDemandResponse:
        return watches.demand_to_proto(wanted, self.mirror.versions, self.mirror.incarnation)
