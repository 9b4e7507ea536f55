"""What one control plane knows, in memory: everything is served from here, whatever happens to the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from headrace.router.v1 import control_pb2

from headrace_router.control.decisions.acks import DataPlane, oldest_in_use
from headrace_router.control.decisions.demand import Lease
from headrace_router.control.decisions.readiness import Report
from headrace_router.control.decisions.states import RouteState, Table
from headrace_router.control.storage.store import Entry, News, Record, StoredVersion

# Tables per model that are remembered for data planes that do not acknowledge; a bound, not a promise.
MAX_ENTRIES_IN_USE = 64


class Mirror:
    """Records by model, encoded versions by digest, reports by process, data planes by id, leases, entries in use."""

    def __init__(self) -> None:
        self.loaded = False
        self.incarnation = ""
        self.revision = 0
        self.newest_generation = 0
        self.records: dict[str, Record] = {}
        self.versions: dict[str, bytes] = {}
        self.serving_revisions: dict[str, int] = {}
        self.reports: dict[str, Report] = {}
        self.planes: dict[str, DataPlane] = {}
        self.leases: tuple[Lease, ...] = ()
        self._entries: dict[str, list[Entry]] = {}

    def state(self, model: str) -> RouteState | None:
        """Return the state of a model that exists."""
        record = self.records.get(model)
        return None if record is None or record.state.removed else record.state

    def pending(self) -> int:
        """Return the number of changes that wait."""
        return sum(state.pending is not None for state in self.states())

    def states(self) -> Iterator[RouteState]:
        """Yield the states of all models that exist."""
        return (record.state for record in self.records.values() if not record.state.removed)

    def take(self, news: News) -> tuple[Entry, ...]:
        """Take in what the store has beyond what is known here; return the entries that are new."""
        for record in news.records:
            if record.revision > self.revision:
                self.records[record.state.model] = record
                self.revision = record.revision
        fresh = tuple(entry for entry in news.entries if entry.number > self.newest_generation)
        for entry in fresh:
            self.remember(entry)
        self.newest_generation = max([self.newest_generation, *(entry.number for entry in fresh)])
        return fresh

    def remember(self, entry: Entry) -> None:
        """Keep an entry until every data plane has acknowledged a later one of its model."""
        kept = self._entries.setdefault(entry.model, [])
        kept.append(entry)
        del kept[:-MAX_ENTRIES_IN_USE]

    def is_news(self, version: StoredVersion) -> bool:
        """Return whether a version is not known, or has later serving settings than are known under its digest."""
        known, revision = self.versions.get(version.digest), self.serving_revisions.get(version.digest, 0)
        return known != version.resolved and version.serving_revision >= revision

    def add_versions(self, versions: Iterable[StoredVersion]) -> None:
        """Keep versions for tables and demand, with the serving settings that they have now."""
        for version in versions:
            self.versions[version.digest] = version.resolved
            resolved = control_pb2.ResolvedVersion.FromString(version.resolved)
            self.serving_revisions[version.digest] = resolved.serving_revision

    def tables_in_use(self, remembered_since: datetime) -> Iterator[tuple[str, Table]]:
        """Yield the tables that some data plane may still serve, and forget those that none can."""
        oldest = oldest_in_use(self.planes.values(), remembered_since)
        oldest = self.newest_generation if oldest is None else oldest
        for model, kept in self._entries.items():
            while len(kept) > 1 and kept[1].number <= oldest:
                kept.pop(0)
            for entry in kept[:-1] if len(kept) > 1 else ():
                if entry.generation is not None:
                    yield model, entry.generation.table

    def take_planes(self, planes: Iterable[DataPlane], watching: Iterable[str]) -> None:
        """Take in the data planes of the store; what was acknowledged here while they were read is not taken back.

        watching: those that watch here. One that came a moment ago is not in the store yet, and counts.
        """
        taken = {name: self.planes[name] for name in watching if name in self.planes}
        for plane in planes:
            known = self.planes.get(plane.id, plane)
            taken[plane.id] = replace(
                plane,
                acknowledged=max(plane.acknowledged, known.acknowledged),
                seen_at=max(plane.seen_at, known.seen_at),
            )
        self.planes = taken

    def note_report(self, report: Report) -> bool:
        """Keep a batcher's report; return whether it says anything new."""
        known = self.reports.get(report.process)
        self.reports[report.process] = report
        for process in self._replaced_by(report):
            del self.reports[process]
        return known is None or known.versions != report.versions or known.pool != report.pool

    def take_reports(self, reports: Iterable[Report], now: datetime) -> None:
        """Take in the reports of the store; those made here and not yet in the store count while they are valid."""
        merged = {process: report for process, report in self.reports.items() if report.expires_at > now}
        for report in reports:
            known = merged.get(report.process)
            if known is None or report.expires_at >= known.expires_at:
                merged[report.process] = report
        self.reports = merged
        for report in sorted(merged.values(), key=lambda one: one.expires_at):
            for process in self._replaced_by(report):
                self.reports.pop(process, None)

    def _replaced_by(self, report: Report) -> list[str]:
        """Return the processes that reported from the same address before: a restart replaces its predecessor."""
        return [
            other.process
            for other in self.reports.values()
            if other.address == report.address != "" and other.process != report.process
            if other.expires_at <= report.expires_at
        ]

    def note_acknowledged(self, data_plane: str, generation: int, now: datetime) -> None:
        """Note how far a data plane is, before the store's answer is read back."""
        known = self.planes.get(data_plane) or DataPlane(data_plane, 0, self.newest_generation, now)
        acknowledged = max(known.acknowledged, generation)
        self.planes[data_plane] = replace(known, acknowledged=acknowledged, seen_at=now)
