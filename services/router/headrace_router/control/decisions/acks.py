"""Which data planes still answer by an older table."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

# A data plane seen this lately is worth waiting for; one that lost its watch is only named.
CONNECTED = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class DataPlane:
    """A data plane by its id. acknowledged: newest generation; every request that it answers was admitted under it or
    a later one. first_seen: newest generation when it first came; it cannot serve an older one."""

    id: str
    acknowledged: int
    first_seen: int
    seen_at: datetime

    @property
    def oldest_in_use(self) -> int:
        """Return the oldest generation that it may still serve."""
        return max(self.acknowledged, self.first_seen)


def connected(plane: DataPlane, watching: Collection[str], now: datetime) -> bool:
    """Return whether a data plane is there. watching: ids of those that watch this control plane."""
    return plane.id in watching or plane.seen_at >= now - CONNECTED


def oldest_in_use(planes: Iterable[DataPlane], remembered_since: datetime) -> int | None:
    """Return the oldest generation that any data plane may still serve; None when there is no data plane."""
    return min((plane.oldest_in_use for plane in planes if plane.seen_at >= remembered_since), default=None)


def remembered_since(now: datetime, forget_after: timedelta) -> datetime:
    """Return since when a data plane must have been seen to count."""
    return now - forget_after
