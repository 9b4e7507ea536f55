"""Forgetting what is old, while this process leads."""

from __future__ import annotations

from datetime import timedelta

from headrace_servicekit.coordination.leases import LeaderLease
from headrace_servicekit.errors import Aborted, Unavailable

from headrace_autoscaler.storage.rounds import Rounds

EXPIRE_EVERY_S = 30.0


class Expiry:
    """whole, changes: how long decisions are kept, and those that changed something. history: of demand."""

    def __init__(self, lease: LeaderLease, *, whole: timedelta, changes: timedelta, history: timedelta) -> None:
        self._lease, self._rounds = lease, Rounds(lease)
        self._whole, self._changes, self._history = whole, changes, history

    async def step(self) -> None:
        """Forget some of it. By the database's clock: one of ours that runs ahead must not take history away."""
        if self._lease.fence is None:
            return
        try:
            now, _ = await self._rounds.in_force()
            await self._rounds.expire(now - self._whole, now - self._changes, now - self._history)
        except (Aborted, Unavailable):
            pass  # another one leads, or the database is away: there is time
