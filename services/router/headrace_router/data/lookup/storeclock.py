"""The store's clock, as seen from here: ages are told by one clock, however wrong that of a data plane is."""

from __future__ import annotations

from collections.abc import Callable

# A reading that took longer than this says less than the one before.
GOOD_ROUND_TRIP_S = 0.02
# Readings older than this are replaced by any newer one.
KEEP_S = 60.0


class StoreClock:
    """Unix time in milliseconds by the clock of the store; until that was read, by this machine's.

    loop_time: the loop's clock, whose advance is trusted. wall_s: this machine's Unix time.
    """

    def __init__(self, loop_time: Callable[[], float], wall_s: Callable[[], float]) -> None:
        self._loop_time = loop_time
        self._offset_ms = (wall_s() - loop_time()) * 1000
        self._read_at: float | None = None

    def now_ms(self) -> float:
        """Return the present."""
        return self._loop_time() * 1000 + self._offset_ms

    def read(self, told_ms: float, asked_at: float, answered_at: float) -> None:
        """Take a reading of the store's clock, made between two times of the loop's clock."""
        round_trip_s = answered_at - asked_at
        known = self._read_at is not None and answered_at - self._read_at < KEEP_S
        if known and round_trip_s > GOOD_ROUND_TRIP_S:
            return
        self._offset_ms = told_ms - (asked_at + round_trip_s / 2) * 1000
        self._read_at = answered_at
