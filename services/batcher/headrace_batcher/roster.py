"""Versions that answer here, their handles, and the streams that receive changes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from headrace_batcher.batching.batcher import Batcher

# Expected wait that is announced while the backend does not answer.
WEDGED_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Announcement:
    """The state of one version, as streams carry it. A handle names one version for the life of the process."""

    handle: int
    digest: str
    ready: bool


class Listener(Protocol):
    """A stream of frames. None of these may raise or wait."""

    def announce(self, change: Announcement) -> None:
        """Tell the peer that a version changed its state."""
        ...

    def drain(self) -> None:
        """Tell the peer to send nothing more."""
        ...


class Roster:
    """The batchers of this process by handle."""

    def __init__(self) -> None:
        self._handles = itertools.count(1)
        self._batchers: dict[int, Batcher] = {}
        self._states: dict[int, Announcement] = {}
        self._listeners: set[Listener] = set()
        self.draining = False
        self.wedged = False
        """Whether the backend does not answer: requests should go to another replica."""

    def add(self, digest: str, batcher: Batcher) -> int:
        """Take a batcher in, not ready yet; return its handle."""
        handle = next(self._handles)
        self._batchers[handle] = batcher
        self._states[handle] = Announcement(handle, digest, ready=False)
        return handle

    def replace(self, handle: int, batcher: Batcher) -> None:
        """Route a version's requests to another batcher; announce nothing."""
        self._batchers[handle] = batcher

    def set_ready(self, handle: int, ready: bool) -> None:
        """Announce that a version answers, or does not any more; requests on their way are still taken."""
        state = self._states[handle]
        if state.ready != ready:
            self._states[handle] = Announcement(handle, state.digest, ready)
            self._notify(lambda listener: listener.announce(self._states[handle]))

    def remove(self, handle: int) -> None:
        """Forget a version: its handle is unknown from now on."""
        self.set_ready(handle, ready=False)
        del self._batchers[handle], self._states[handle]

    def find(self, handle: int) -> Batcher | None:
        """Return the batcher of a handle, ready or not."""
        return self._batchers.get(handle)

    def states(self) -> Iterable[Announcement]:
        """Return the state of every version."""
        return self._states.values()

    def load(self, now: float) -> tuple[int, float]:
        """Return the rows in queues and executions, and the longest predicted wait of any version in seconds."""
        rows, wait_s = 0, WEDGED_WAIT_S if self.wedged else 0.0
        for batcher in self._batchers.values():
            rows += batcher.rows
            wait_s = max(wait_s, batcher.predicted_wait_s(now))
        return rows, wait_s

    def join(self, listener: Listener) -> None:
        """Tell a stream of every change from now on."""
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        """Tell a stream nothing more."""
        self._listeners.discard(listener)

    def drain(self) -> None:
        """Tell every stream, and those that come, that this process is about to stop."""
        self.draining = True
        self._notify(lambda listener: listener.drain())

    def _notify(self, what: Callable[[Listener], None]) -> None:
        for listener in tuple(self._listeners):
            what(listener)
