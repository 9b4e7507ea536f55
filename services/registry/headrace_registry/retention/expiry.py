"""What the service removes every so often, by itself. While a store is away nothing is: health tells, and the next pass
does it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from headrace_servicekit.clock import Clock
from headrace_servicekit.errors import Unavailable

from headrace_registry.artifacts.s3 import S3Blobs
from headrace_registry.artifacts.signed_uploads import StagedUploads
from headrace_registry.artifacts.uploads import ABANDONED_AFTER
from headrace_registry.decisions.retention import Policy
from headrace_registry.metrics import Metrics
from headrace_registry.retention.garbage_collection import GarbageCollector
from headrace_registry.settings import RegistrySettings
from headrace_registry.storage.store import Store

EXPIRE_EVERY_S = 600.0
_BATCH = 1000


def policy_of(settings: RegistrySettings) -> Policy:
    """Return for how long things are kept that nothing needs."""

    def days(value: float | None) -> timedelta | None:
        return None if value is None else timedelta(days=value)

    grace = timedelta(hours=settings.unnamed_grace_h)
    return Policy(grace, days(settings.archive_after_d), days(settings.collect_after_d))


async def expire(store: Store, blobs: S3Blobs, clock: Clock, *, remember: timedelta) -> None:
    """Remove request ids and holds that have expired, and parts of uploads whose process died."""
    now = clock.now()
    with suppress(Unavailable):
        while await store.expire_requests(now - remember, limit=_BATCH) == _BATCH:
            pass
        await store.expire_holds(now)
        await blobs.abort_abandoned(now - ABANDONED_AFTER)


async def expire_uploads(staged: StagedUploads) -> None:
    """Remove what expired uploads by URL have left."""
    with suppress(Unavailable):
        await staged.sweep()


async def collect(collector: GarbageCollector, metrics: Metrics) -> None:
    """Remove what nothing needs any more, and count it."""
    with suppress(Unavailable):
        report = await collector.run()
        metrics.collected(
            len(report.archived), len(report.collected), len(report.removed), sum(report.removed.values())
        )
