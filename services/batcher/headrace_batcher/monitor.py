"""What the batcher tells the monitor: who used it, and for how long it was there and busy."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, NoReturn

import grpc
import grpc.aio
import structlog
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.peers import Peer

from headrace_batcher.batching.usage import ClientUse, Usage

log = structlog.get_logger()

EVERY_S = 5.0
_TIMEOUT_S = 5.0
_RETRY_S = 1.0
_MAX_USES = 5_000


class UsageReports:
    """Reports usage. pool, process: of this batcher. busy_s: how long anything has executed so far.

    A report keeps its number until it is acknowledged, so one that came twice counts once; meanwhile what is used sums
    up for the next one.
    """

    def __init__(
        self,
        stub: Any,
        pool: str,
        process: str,
        usage: Usage,
        busy_s: Callable[[], float],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stub, self._pool, self._process = stub, pool, process
        self._usage, self._busy_s, self._now = usage, busy_s, now
        self._numbers = itertools.count(1)
        self._until, self._busy_until_s = now(), busy_s()
        self._unsent: deque[telemetry_pb2.ReportUsageRequest] = deque()
        self._monitor = Peer("monitor", every_s=_RETRY_S, max_backoff_s=EVERY_S, call="usage")

    async def run(self) -> NoReturn:
        """Report for ever."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.report()

    async def report(self) -> bool:
        """Report what was used since the last time; return whether the monitor has all of it."""
        if not self._unsent:
            self._unsent.extend(self._made())
        while self._unsent:
            if not await self._monitor.call(self._send):
                return False
        return True

    @contextlib.asynccontextmanager
    async def flushed(self) -> AsyncIterator[None]:
        """Report at the end what there still is. `run` has ended by then."""
        try:
            yield
        finally:
            if await self.report():  # what was on its way when the loop ended
                await self.report()

    async def _send(self) -> None:
        try:
            await self._stub.ReportUsage(self._unsent[0], timeout=_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            # It would be refused again for ever. A sink of the release before is UNIMPLEMENTED until it is upgraded.
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
            log.error("usage refused", code=error.code().name, reason=error.details())
        self._unsent.popleft()

    def _made(self) -> Iterator[telemetry_pb2.ReportUsageRequest]:
        now, busy_s = self._now(), self._busy_s()
        present_us, busy_us = round((now - self._until) * 1e6), round((busy_s - self._busy_until_s) * 1e6)
        self._until, self._busy_until_s = now, busy_s
        uses = self._usage.take()
        while (some := list(itertools.islice(uses, _MAX_USES))) or present_us:
            yield telemetry_pb2.ReportUsageRequest(
                pool=self._pool,
                process=self._process,
                sequence=next(self._numbers),
                present_us=present_us,
                busy_us=min(busy_us, present_us),
                uses=_uses(some),
            )
            present_us = busy_us = 0


def _uses(uses: Iterable[ClientUse]) -> Iterator[telemetry_pb2.ComputeUse]:
    for one in uses:
        yield telemetry_pb2.ComputeUse(
            model=one.model,
            version=one.version,
            client=one.client,
            # As in InferRequest, whose classes begin at 1.
            priority=one.priority + 1,
            requests=one.requests,
            rows=one.rows,
            compute_us=round(one.compute_s * 1e6),
        )
