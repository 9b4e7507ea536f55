"""Admission control: a bound on the requests in progress, of which no client may take so much that others wait."""

from __future__ import annotations

from collections.abc import Hashable

from headrace_router.data.answer.refusals import too_many_requests

# As in `Window` of `batchers/decisions/balance.py`: a client may have this many times what is free.
SHARE = 8


class AdmissionControl:
    """The bound on requests in progress, and each client's share of it.

    Clients are distinguished only while more than half of the bound is in use: before, a request pays for a comparison.
    What came earlier is not counted, so a client that fills the bound may have its share and that half.
    """

    def __init__(self, most: int) -> None:
        self.threshold = most // 2
        """With more requests than this in progress, `admit` is to be called."""
        self.counted: dict[Hashable, str] = {}
        """The client of each request that was let in by `admit`."""
        self._most = most
        self._held: dict[str, int] = {}

    def admit(self, request: Hashable, client: str, active: int) -> None:
        """Let a request in, or what stands for it. active: in progress, this one included. Raises ResourceExhausted."""
        left, held = self._most - active, self._held.get(client, 0)
        if left < 0 or held > SHARE * left:
            raise too_many_requests(self._most)
        self.counted[request] = client
        self._held[client] = held + 1

    def release(self, request: Hashable) -> None:
        """Note that a request is over, if it was counted."""
        client = self.counted.pop(request, None)
        if client is None:
            return
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]
