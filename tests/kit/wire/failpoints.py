"""Failpoints on the wire: something is struck in the very moment in which certain bytes pass a forwarder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from headrace_servicekit.testing import eventually

from tests.kit.wire.forwarder import Forwarder


class Failpoint:
    """Strikes when the last of several marks passes a forwarder, after those before it have passed in their order.

    The bytes that have the mark are forwarded: whoever is struck then may have done what it was asked, and nobody is
    told of it. mend: called so many seconds later.
    """

    def __init__(
        self,
        on: Forwarder,
        marks: Sequence[bytes],
        strike: Callable[[], object],
        mend: Callable[[], object],
        *,
        after_s: float,
    ) -> None:
        self._marks, self._strike, self._mend, self._after_s = list(marks), strike, mend, after_s
        on.change = self._change

    async def struck(self, within: float = 120.0) -> None:
        """Return once it has struck."""
        await eventually(lambda: not self._marks, within=within)

    def _change(self, data: bytes) -> bytes:
        rest = data
        while self._marks and self._marks[0] in rest:
            _, _, rest = rest.partition(self._marks.pop(0))
            if not self._marks:
                self._strike()
                asyncio.get_running_loop().call_later(self._after_s, self._mend)
        return data
