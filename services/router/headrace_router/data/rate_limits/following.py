"""The rate limits that the control plane has, saved to disk: they are in force where it is away, after a start too."""

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

from headrace_router.data.rate_limits.decisions.limits import rate_limits
from headrace_router.data.rate_limits.limiting import RateLimiter
from headrace_router.data.tables.checked_file import CheckedFile

log = structlog.get_logger()

FILE = "rate-limits.bin"
MAGIC = b"headrace rate limits 1\n"
MAX_BYTES = 16 * 1024 * 1024
RETRY_S = 0.2
MAX_RETRY_S = 5.0


class FollowedRateLimits:
    """What the control plane said last. Run `follow` and `save` for as long as the data plane lives."""

    def __init__(self, limiter: RateLimiter, folder: Path, control: Any, clock: Clock) -> None:
        self._limiter, self._file = limiter, CheckedFile(folder / FILE, MAGIC, MAX_BYTES)
        self._stub = control_pb2_grpc.ControlServiceStub(control)
        self._control = Peer("control", every_s=RETRY_S, max_backoff_s=MAX_RETRY_S, clock=clock, call="rate limits")
        self._known = control_pb2.WatchRateLimitsResponse()
        self._changed = Wakeup()

    async def start(self) -> None:
        """Take those on disk, until the control plane says others."""
        try:
            content = await asyncio.to_thread(self._file.read)
            if content is not None:
                self._take(control_pb2.WatchRateLimitsResponse.FromString(bytes(content)))
        except (OSError, ValueError, DecodeError) as error:
            log.warning("the rate limits on disk are unusable", path=str(self._file.path), reason=str(error))

    async def follow(self) -> NoReturn:
        """Watch the control plane for ever; while it is away, those that are known are in force."""
        while True:
            await self._control.hold(self._watch, ended="the control plane ended the watch")
            await self._control.pause()

    async def _watch(self) -> None:
        call = self._stub.WatchRateLimits(control_pb2.WatchRateLimitsRequest(revision=self._known.revision))
        try:
            async for message in call:
                self._control.well()
                self._take(message)
                self._changed.wake()
                log.info("rate limits in force", number=len(message.rate_limits), revision=message.revision)
        finally:
            call.cancel()

    async def save(self) -> NoReturn:
        """Write them to disk after each change."""
        while True:
            await self._changed.wait()
            try:
                await asyncio.to_thread(self._file.write, self._known.SerializeToString())
            except (OSError, ValueError) as error:
                log.error("rate limits not written", path=str(self._file.path), reason=str(error))

    def _take(self, message: control_pb2.WatchRateLimitsResponse) -> None:
        self._known = message
        self._limiter.enforce(rate_limits(message.rate_limits))
