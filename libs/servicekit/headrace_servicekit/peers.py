"""The border between a loop and its peer: what a peer sends, or fails to send, ends one connection and nothing else.

A loop that talks to a peer has its sessions within `Peer.hold`, its calls within `Peer.call`. Whatever is raised there,
by the connection or by data that cannot be read, ends that session: it is counted, logged once until the peer is well
again, and the next one waits for a pause that grows. What is raised outside is a defect of ours and ends the process
(`Runtime.loop`).

A library that talks to a peer for several callers has the same border around its calls: `reading`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import grpc.aio
import structlog
from prometheus_client import Counter

from headrace_servicekit.clock import Clock, SystemClock
from headrace_servicekit.errors import ServiceError
from headrace_servicekit.loops import delay_s, end_if_cancelled

log = structlog.get_logger()

JITTER = 0.2
MAX_REASON_CHARS = 200

# Of the process, and in no registry until a `Runtime` registers it: adapters of libraries know no runtime.
ERRORS = Counter(
    "peer_errors",
    "Sessions with a peer, and calls to it, that an error ended, by what was raised.",
    ("peer", "error"),
    registry=None,
)

# What says that a peer is away or refuses. Anything else came out of what it sent, so the log has the stack.
_ORDINARY = (grpc.aio.AioRpcError, ServiceError, OSError, EOFError, asyncio.CancelledError)


class Peer:
    """One peer of one loop. name: in logs and metrics; a kind of peer ("batcher"), not an address.

    every_s, max_backoff_s: the pause before the next session in seconds, and its bound. fields: further fields of log
    lines.
    """

    def __init__(
        self, name: str, *, every_s: float, max_backoff_s: float, clock: Clock | None = None, **fields: object
    ) -> None:
        self.name, self._fields = name, fields
        self._every_s, self._max_backoff_s = every_s, max_backoff_s
        self._clock = clock or SystemClock()
        self._well_since: float | None = None
        self._logged: set[str] = set()
        self.failures = 0
        """Sessions in a row that ended before the peer had been well for a while."""

    async def hold(self, session: Callable[[], Awaitable[object]], *, ended: str = "it ended the connection") -> str:
        """Run a session; return why it ended. ended: why, when it returned. Raises nothing but cancellation."""
        try:
            await session()
        except (Exception, asyncio.CancelledError) as error:
            reason = self.failed(error)
        else:
            end_if_cancelled()
            reason = ended
            self._lost(reason, "")
        return reason

    async def call(self, call: Callable[[], Awaitable[object]]) -> bool:
        """Make a call; return whether it was answered. Raises nothing but cancellation."""
        try:
            await call()
        except (Exception, asyncio.CancelledError) as error:
            self.failed(error)
            return False
        end_if_cancelled()
        self.failures = 0
        self.well()
        return True

    def well(self) -> None:
        """Note that the peer answers, and that what it says can be read."""
        if self._well_since is None:
            self._well_since = self._clock.monotonic()

    async def pause(self) -> None:
        """Wait before the next attempt: the longer, the more have failed in a row."""
        await self._clock.sleep(self.pause_s())

    def pause_s(self) -> float:
        """Return the pause before the next attempt."""
        return delay_s(
            self.failures - 1,
            every_s=self._every_s,
            max_backoff_s=self._max_backoff_s,
            jitter=JITTER,
            draw=random.random(),
        )

    def failed(self, error: Exception | asyncio.CancelledError) -> str:
        """Count what ended a session, and log it unless that is known; return what it says."""
        # A library may cancel who waits for a call that is gone: that is no cancellation of ours.
        end_if_cancelled()
        count(self.name, error)
        reason = reason_of(error)
        self._lost(reason, type(error).__name__, None if isinstance(error, _ORDINARY) else error)
        return reason

    def _lost(self, reason: str, kind: str, stack: BaseException | None = None) -> None:
        # A peer that answers and breaks off at once, again and again, is not well between.
        since, self._well_since = self._well_since, None
        if since is not None and self._clock.monotonic() - since >= self._max_backoff_s:
            self.failures = 0
            self._logged.clear()
        self.failures += 1
        if kind not in self._logged:
            self._logged.add(kind)
            log.warning("peer lost", peer=self.name, reason=reason, exc_info=stack, **self._fields)


@contextmanager
def reading(peer: str, otherwise: Callable[[str], Exception]) -> Iterator[None]:
    """Count whatever is raised in the block, and raise `otherwise(reason)` instead; a ServiceError rises as it is.

    For a block that only calls a peer, or reads what it sent.
    """
    try:
        yield
    except ServiceError:
        raise
    except Exception as error:
        count(peer, error)
        raise otherwise(reason_of(error)) from error


def count(peer: str, error: BaseException) -> None:
    """Count an error of a peer."""
    ERRORS.labels(peer, type(error).__name__).inc()


def reason_of(error: BaseException) -> str:
    """Return what an error says, in one short line: some of it may be what a stranger sent."""
    if isinstance(error, grpc.aio.AioRpcError):
        said = f"{error.code().name}: {error.details()}"
    elif isinstance(error, _ORDINARY):
        said = str(error) or type(error).__name__
    else:
        said = f"{type(error).__name__}: {error}"
    return " ".join(said.split())[:MAX_REASON_CHARS]
