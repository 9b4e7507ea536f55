"""Removing what nothing needs any more. `retention` decides; everything is looked at again under its lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from headrace_servicekit.clock import Clock

from headrace_registry.artifacts.blobs import Blobs
from headrace_registry.catalog import composition, writes
from headrace_registry.catalog.writes import Entry, Write
from headrace_registry.decisions import retention
from headrace_registry.decisions.files import ContentUse
from headrace_registry.decisions.models import Action, ModelState, Stage, VersionRef
from headrace_registry.decisions.retention import Policy, Retirement
from headrace_registry.storage.store import Store

log = structlog.get_logger()

PAGE = 200
# Client that the history names for automatic changes.
CLIENT = "registry"


@dataclass(slots=True)
class Report:
    """What a pass did, or would do: versions archived, versions whose files were given up, bytes removed by SHA-256."""

    archived: list[VersionRef] = field(default_factory=list)
    collected: list[VersionRef] = field(default_factory=list)
    removed: dict[str, int] = field(default_factory=dict)


class GarbageCollector:
    """Passes over models and bytes. Several processes may run them at once: each step is checked under its lock."""

    def __init__(self, store: Store, blobs: Blobs, policy: Policy, clock: Clock) -> None:
        self._store, self._blobs, self._policy, self._clock = store, blobs, policy, clock

    async def run(self, *, dry_run: bool = False) -> Report:
        """Make one pass and return its report; a dry run changes nothing. Raises Unavailable; the next pass
        continues."""
        report = Report()
        await self._retire_versions(report, dry_run)
        await self._remove_contents(report, dry_run)
        await self._remove_strays(report, dry_run)
        if report.archived or report.collected or report.removed:
            log.info(
                "collected" if not dry_run else "would collect",
                archived=len(report.archived),
                collected=len(report.collected),
                removed=len(report.removed),
                bytes=sum(report.removed.values()),
            )
        return report

    async def _retire_versions(self, report: Report, dry_run: bool) -> None:
        if self._policy.archive_after is None and self._policy.collect_after is None:
            return  # nothing can be due, and reading all models takes long
        after = ""
        while states := await self._store.states(after=after, limit=PAGE):
            after = states[-1].model.name
            for state in states:
                found = await self._due(state)
                if found and not dry_run:
                    found = await self._retire(state.model.name)
                name = state.model.name
                report.archived += [VersionRef(name, version) for version in found.archive]
                report.collected += [VersionRef(name, version) for version in found.collect]

    async def _due(self, state: ModelState) -> Retirement:
        """Return what of a model has had its time."""
        name, now = state.model.name, self._clock.now()
        # Our clock may be behind the store's: without its last word a version would be as old as in the stage before.
        words = await self._store.last_words(name, max(now, state.model.update_time))
        since = {event.version: event.create_time for event in words if event.to_stage is not None}
        held = [hold.ref for hold in await self._store.holds(name, now, after=("", ""), limit=10**6)]
        return retention.retirement(state, since, held, self._policy, now)

    async def _retire(self, name: str) -> Retirement:
        """Archive and give up what is due, as it is under the model's lock; return what was."""
        async with self._store.transaction() as transaction:
            state = await transaction.state(name)
            found = Retirement() if state is None else await self._due(state)
            if state is None or not found:
                return found
            stages = {version.ref.version: version.stage for version in state.versions}
            now = self._clock.now()
            entries = [Entry(Action.VERSION_COLLECTED, version) for version in found.collect]
            for version in found.archive:
                await transaction.move(VersionRef(name, version), Stage.ARCHIVED)
                entries.append(Entry(Action.STAGE_CHANGED, version, stages[version], Stage.ARCHIVED))
            for version in state.versions:
                if version.ref.version in found.collect:
                    await composition.release_members(transaction, version)
            await transaction.collect_versions(name, found.collect, now)
            await writes.save(transaction, state.model, Write(CLIENT, self._reason(found)), entries)
            return found

    def _reason(self, found: Retirement) -> str:
        reasons = []
        if found.archive and self._policy.archive_after is not None:
            reasons.append(f"archived: not moved for {_days(self._policy.archive_after)}")
        if found.collect and self._policy.collect_after is not None:
            reasons.append(f"files given up: archived for {_days(self._policy.collect_after)} and needed by nothing")
        return "; ".join(reasons)

    async def _remove_contents(self, report: Report, dry_run: bool) -> None:
        after = ""
        while uses := await self._store.contents(self._clock.now(), after=after, limit=PAGE):
            after = uses[-1].sha256
            for use in uses:
                if not retention.is_expendable(use, self._policy, self._clock.now()):
                    continue
                if dry_run or (await self._forget(use.sha256) and await self._remove(use.sha256)):
                    report.removed[use.sha256] = use.size_bytes

    async def _forget(self, sha256: str) -> bool:
        """Record that bytes are gone, if they still may go: after the commit versions cannot name them, and an upload
        stores them again. The removal follows: if its answer is lost, no record claims bytes that are not there."""
        now = self._clock.now()
        async with self._store.transaction() as transaction:
            use = await transaction.content_use(sha256, now)
            if not retention.is_expendable(use, self._policy, now):
                return False
            await transaction.delete_content(sha256, now)
        return True

    async def _remove(self, sha256: str) -> bool:
        """Remove bytes of which nothing is recorded; uploads of the same bytes wait meanwhile."""
        async with self._store.transaction() as transaction:
            if not retention.is_forgotten(await transaction.content_use(sha256, self._clock.now())):
                return False
            await self._blobs.remove(sha256)
        return True

    async def _remove_strays(self, report: Report, dry_run: bool) -> None:
        """Remove bytes that a crash left between their upload and its record, or between `_forget` and `_remove`."""
        begin_time = await self._store.begin_time()
        async for page in self._blobs.pages():
            stored = await self._store.stored([item.sha256 for item in page])
            for item in page:
                now = self._clock.now()
                if item.sha256 in stored or not retention.is_stray(
                    ContentUse(item.sha256), item.modify_time, begin_time, self._policy, now
                ):
                    continue
                if dry_run or await self._remove(item.sha256):
                    report.removed[item.sha256] = item.size_bytes


def _days(period: timedelta) -> str:
    return f"{period / timedelta(days=1):g} days"
