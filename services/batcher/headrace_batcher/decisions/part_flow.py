"""Flow control of one streamed answer: how many parts and bytes may be in flight to the caller."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

# Whatever a data plane asks for. A part that is larger by itself goes when no other one is on its way.
MAX_AT_ONCE = 64
MAX_UNTAKEN_BYTES = 1024 * 1024


class PartFlow:
    """The parts of one answer.

    at_once: window, in parts. parts, size_bytes: sent so far. roused: called when the window opens or the caller
    leaves. stop: ends the producer of the parts, None while there is none. whole: whether the last part was sent
    without an error.
    """

    __slots__ = (
        "_at_once", "_untaken", "_untaken_bytes", "abandoned", "parts", "roused", "size_bytes", "stop", "whole",
    )  # fmt: skip

    def __init__(self, at_once: int) -> None:
        self._at_once = min(max(at_once, 1), MAX_AT_ONCE)
        self._untaken: deque[int] = deque()
        self._untaken_bytes = 0
        self.parts = self.size_bytes = 0
        self.abandoned = self.whole = False
        self.roused: Callable[[], object] = lambda: None
        self.stop: Callable[[], object] | None = None

    @property
    def has_room(self) -> bool:
        """Return whether another part may be sent."""
        untaken = self._untaken
        return not untaken or (len(untaken) < self._at_once and self._untaken_bytes < MAX_UNTAKEN_BYTES)

    def sent(self, size_bytes: int) -> None:
        """Note a part that was sent."""
        self._untaken.append(size_bytes)
        self._untaken_bytes += size_bytes
        self.parts += 1
        self.size_bytes += size_bytes

    def taken(self, count: int) -> None:
        """Note that so many of the oldest ones were taken; of more than there are, all."""
        for _ in range(min(count, len(self._untaken))):
            self._untaken_bytes -= self._untaken.popleft()
        self.roused()

    def abandon(self) -> None:
        """Note that the caller left, and stop the producer."""
        self.abandoned = True
        if self.stop is not None:
            self.stop()
