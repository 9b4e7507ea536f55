"""Bounds that publishes obey."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from headrace_router.control.settings import ControlSettings

MAX_CHUNK_ROWS = 8192
MAX_CHUNK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PublishLimits:
    """share: of the store's memory that all precomputed answers may take. most_open: publishes at a time.

    durable: a commit waits until the store has it on disk, at most `disk_wait`. revert: how long the generation before
    is kept. abandoned: how long an open publish may be silent. settle: how long after its end a publish may still be
    written to by a process that has not heard of it. clocks_differ: how long expired answers stay, for data planes with
    wrong clocks.
    """

    share: float = 0.8
    most_open: int = 16
    durable: bool = True
    disk_wait: timedelta = timedelta(seconds=10)
    revert: timedelta = timedelta(hours=24)
    abandoned: timedelta = timedelta(hours=1)
    settle: timedelta = timedelta(minutes=1)
    clocks_differ: timedelta = timedelta(hours=2)

    @classmethod
    def of(cls, settings: ControlSettings) -> PublishLimits:
        """Return the bounds of publishes that the settings state."""
        return cls(
            share=settings.precomputed_share,
            most_open=settings.max_open_publishes,
            durable=settings.precomputed_durable,
            disk_wait=timedelta(seconds=settings.precomputed_disk_wait_s),
            revert=timedelta(seconds=settings.precomputed_revert_window_s),
            abandoned=timedelta(seconds=settings.precomputed_abandoned_s),
            settle=timedelta(seconds=settings.precomputed_settle_s),
        )
