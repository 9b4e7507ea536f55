"""The incarnations of a version on its backend, and whether an execution was lost because one ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from headrace_runtime.backends.backend import BackendLost, ModelCrashed

# A lost execution is a crash if its backend is known to be gone within this; a neighbour is asked once a second.
CONFIRM_S = 3.0


class Incarnations:
    """The incarnations of one version on its backend: each begins when the version is loaded.

    crashed: told when only this version is gone, so that it is loaded again. ours: whether nobody else uses what runs
    it; the end of a server that others use too says nothing of what was executing for us.
    """

    def __init__(self, crashed: Callable[[str], None], *, ours: bool = True) -> None:
        self.number = 0
        self.ours = ours
        self._crashed = crashed
        self._gone = asyncio.Event()

    def begin(self) -> None:
        """Note that the version is loaded; does nothing while it is."""
        if self._gone.is_set():
            self._gone.clear()
            self.number += 1

    def end(self) -> None:
        """Note that what ran it is gone."""
        self._gone.set()

    @property
    def there(self) -> bool:
        """Return whether nobody has said that it is gone."""
        return not self._gone.is_set()

    async def ended_by(self, error: BackendLost, incarnation: int) -> bool:
        """Return whether an execution that began in `incarnation` may be why that one ended, rather than being slow."""
        if incarnation == self.number and isinstance(error, ModelCrashed) and not self._gone.is_set():
            self._crashed(str(error))
        if not self.ours:
            return False
        if incarnation != self.number or isinstance(error, ModelCrashed):
            return True
        try:
            async with asyncio.timeout(CONFIRM_S):
                await self._gone.wait()
        except TimeoutError:
            return False
        return True
