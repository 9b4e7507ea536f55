"""The window of one stream: how many requests may be unanswered there, and how much of it one client may have."""

from __future__ import annotations

# A client may have this many times what nobody has: alone it fills eight ninths, and whoever comes next finds room. The
# classes below ONLINE may have as much as nobody has, so one of their clients fills half at most.
SHARE, SHARE_BELOW_ONLINE = 8, 1


class Window:
    """Counts what is in flight by client. requests, size_bytes: the bounds; one request alone may be of any size.

    The rule is Choudhury's and Hahne's dynamic threshold (IEEE/ACM Transactions on Networking, 1998): what a client may
    have shrinks as the window fills, so that some of it always stays free for others, and no client has to be asked or
    known before.
    """

    __slots__ = ("_held", "_left", "_left_bytes", "_limit", "_limit_bytes")

    def __init__(self, requests: int, size_bytes: int) -> None:
        self._limit, self._limit_bytes = requests, size_bytes
        self._left, self._left_bytes = requests, size_bytes
        self._held: dict[tuple[str, bool], list[int]] = {}

    def held(self, client: str, *, online: bool) -> int:
        """Return how many requests of a client are in flight."""
        held = self._held.get((client, online))
        return 0 if held is None else held[0]

    def has_room(self, client: str, size_bytes: int, *, online: bool) -> bool:
        """Return whether one more request of a client may go."""
        if not self._held:
            return True
        left, left_bytes = self._left, self._left_bytes
        if left <= 0 or size_bytes > left_bytes:
            return False
        held = self._held.get((client, online))
        if held is None:
            return True
        share = SHARE if online else SHARE_BELOW_ONLINE
        return held[0] < share * left and held[1] + size_bytes <= share * left_bytes

    def add(self, client: str, size_bytes: int, *, online: bool) -> None:
        """Count a request that goes."""
        self._left -= 1
        self._left_bytes -= size_bytes
        held = self._held.get((client, online))
        if held is None:
            self._held[client, online] = [1, size_bytes]
        else:
            held[0] += 1
            held[1] += size_bytes

    def remove(self, client: str, size_bytes: int, *, online: bool) -> None:
        """Count a request that was answered or given up."""
        self._left += 1
        self._left_bytes += size_bytes
        held = self._held[client, online]
        held[0] -= 1
        held[1] -= size_bytes
        if not held[0]:
            del self._held[client, online]

    def clear(self) -> None:
        """Forget all that is in flight."""
        self._held.clear()
        self._left, self._left_bytes = self._limit, self._limit_bytes
