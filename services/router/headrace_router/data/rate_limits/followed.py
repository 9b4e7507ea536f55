"""What the control plane holds clients to, saved to disk: it is in force where that is away, after a start too."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NoReturn

import structlog
from google.protobuf.message import DecodeError
from headrace.router.v1 import control_pb2, control_pb2_grpc
from headrace_servicekit.clock import Clock
from headrace_servicekit.coordination.wakeup import Wakeup
from headrace_servicekit.peers import Peer

from headrace_router.data.budgets import Budgets
from headrace_router.data.rate_limits.decisions.limits import rate_limits
from headrace_router.data.rate_limits.limiter import RateLimiter
from headrace_router.data.tables.checked_file import CheckedFile

log = structlog.get_logger()

# As 0.1.0 called it, whose file is read, too.
FILE = "rate-limits.bin"
MAGIC = b"headrace rate limits 1\n"
MAX_BYTES = 16 * 1024 * 1024
RETRY_S = 0.2
MAX_RETRY_S = 5.0


class FollowedClientLimits:
    """What the control plane said last. Run `follow` and `save` for as long as the data plane lives."""

    def __init__(self, limiter: RateLimiter, budgets: Budgets, folder: Path, control: Any, clock: Clock) -> None:
        self._limiter, self._budgets = limiter, budgets
        self._file = CheckedFile(folder / FILE, MAGIC, MAX_BYTES)
        self._stub = control_pb2_grpc.ControlServiceStub(control)
        self._control = Peer("control", every_s=RETRY_S, max_backoff_s=MAX_RETRY_S, clock=clock, call="client limits")
        self._known = control_pb2.WatchClientLimitsResponse()
        self._changed = Wakeup()

    async def start(self) -> None:
        """Take those on disk, until the control plane says others."""
        try:
            content = await asyncio.to_thread(self._file.read)
            if content is not None:
                self._take(control_pb2.WatchClientLimitsResponse.FromString(bytes(content)))
        except (OSError, ValueError, DecodeError) as error:
            log.warning("the client limits on disk are unusable", path=str(self._file.path), reason=str(error))

    async def follow(self) -> NoReturn:
        """Watch the control plane for ever; while it is away, those that are known are in force."""
        while True:
            await self._control.hold(self._watch, ended="the control plane ended the watch")
            await self._control.pause()

    async def _watch(self) -> None:
        call = self._stub.WatchClientLimits(control_pb2.WatchClientLimitsRequest(revision=self._known.revision))
        try:
            async for message in call:
                self._control.well()
                self._take(message)
                self._changed.wake()
        finally:
            call.cancel()

    async def save(self) -> NoReturn:
        """Write them to disk after each change."""
        while True:
            await self._changed.wait()
            try:
                await asyncio.to_thread(self._file.write, self._known.SerializeToString())
            except (OSError, ValueError) as error:
                log.error("client limits not written", path=str(self._file.path), reason=str(error))

    def _take(self, message: control_pb2.WatchClientLimitsResponse) -> None:
        before, self._known = self._known, message
        self._budgets.enforce(message.budget_overruns)
        if message.rate_limits != before.rate_limits:  # others begin with full buckets
            self._limiter.enforce(rate_limits(message.rate_limits))
            log.info("rate limits in force", number=len(message.rate_limits), revision=message.revision)
