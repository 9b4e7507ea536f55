"""Time as an argument: what loops and decisions get instead of the machine's clock."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of time. `headrace_servicekit.testing.FakeClock` is the one that tests move."""

    def monotonic(self) -> float:
        """Return seconds that never go back; for durations only."""
        ...

    def now(self) -> datetime:
        """Return the present as an aware UTC time; for stamps only."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds of this clock; zero or less yields once to other tasks."""
        ...


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
