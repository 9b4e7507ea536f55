"""The rate limits that the monitor tells, kept on disk: they hold for a data plane that starts without a monitor."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NoReturn

import structlog
from google.protobuf.message import DecodeError
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.coordination.wakeup import Wakeup

from headrace_router.data.rate_limits.decisions.limits import rate_limits
from headrace_router.data.rate_limits.limiting import RateLimiter
from headrace_router.data.tables.checked_file import CheckedFile

log = structlog.get_logger()

FILE = "rate-limits.bin"
MAGIC = b"headrace rate limits 1\n"
MAX_BYTES = 16 * 1024 * 1024

_RateLimits = telemetry_pb2.ReportCountersResponse.RateLimits


class FollowedRateLimits:
    """What a monitor has told. Run `save` for as long as the data plane lives."""

    def __init__(self, limiter: RateLimiter, folder: Path) -> None:
        self._limiter, self._file = limiter, CheckedFile(folder / FILE, MAGIC, MAX_BYTES)
        self._told = _RateLimits()
        self._changed = Wakeup()

    @property
    def revision(self) -> str:
        """Return which are in force, empty for none."""
        return self._told.revision

    async def start(self) -> None:
        """Take those on disk, until a monitor tells others."""
        try:
            content = await asyncio.to_thread(self._file.read)
            if content is not None:
                self._take(_RateLimits.FromString(bytes(content)))
        except (OSError, ValueError, DecodeError) as error:
            log.warning("the rate limits on disk are unusable", path=str(self._file.path), reason=str(error))

    def learn(self, answer: telemetry_pb2.ReportCountersResponse) -> None:
        """Take what the monitor says; where it says nothing, those that are known hold."""
        if answer.HasField("rate_limits"):
            self._take(answer.rate_limits)
            self._changed.wake()
            log.info("rate limits in force", number=len(self._told.rate_limits), revision=self.revision)

    async def save(self) -> NoReturn:
        """Write them to disk after each change."""
        while True:
            await self._changed.wait()
            try:
                await asyncio.to_thread(self._file.write, self._told.SerializeToString())
            except (OSError, ValueError) as error:
                log.error("rate limits not written", path=str(self._file.path), reason=str(error))

    def _take(self, told: _RateLimits) -> None:
        self._told = told
        self._limiter.enforce(rate_limits(told.rate_limits))
