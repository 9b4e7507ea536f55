"""Which batchers have a version: asked of the router's control plane, a stream to each."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import grpc.aio
from headrace.router.v1 import route_pb2, route_pb2_grpc
from headrace_servicekit.client import channel
from headrace_servicekit.tls import Tls

from headrace_scorer.engine.messages import PoolAccess
from headrace_scorer.engine.pool.stream import Stream, StreamLost

# Batchers come and go with the load of the day; where there is none, the next one is looked for sooner.
LOOK_EVERY_S, LOOK_AGAIN_S = 5.0, 0.5
_CALL_S = 5.0
_PAGE = 500


class PoolAway(Exception):
    """No batcher is reachable now; a retry may succeed."""


class Members:
    """The batchers of a pool that have a version loaded. Belongs to one event loop."""

    def __init__(self, access: PoolAccess) -> None:
        self._access, self._tls = access, _tls(access)
        self._control = channel(access.control, tls=self._tls)
        self._streams: dict[str, tuple[Any, Stream]] = {}
        self._looked_at = -LOOK_EVERY_S
        self._looking = asyncio.Lock()
        self._problem = ""

    async def chosen(self) -> Stream:
        """Return the stream with the least in flight. Raises PoolAway."""
        # With a stream open, do not wait for a refresh in progress: batchers that do not answer may delay it.
        if self._due() and not (self._there() and self._looking.locked()):
            async with self._looking:
                # Another task may have refreshed while this one waited for the lock.
                if self._due():
                    await self._look()
        there = self._there()
        if not there:
            raise PoolAway(self._problem)
        return min(there, key=lambda one: len(one.in_flight))

    def _due(self) -> bool:
        return time.monotonic() - self._looked_at > (LOOK_EVERY_S if self._there() else LOOK_AGAIN_S)

    def _there(self) -> list[Stream]:
        return [stream for _, stream in self._streams.values() if stream.serves(self._access.digest)]

    async def _look(self) -> None:
        """Open streams to new batchers and close those that ended; record why there is none."""
        try:
            wanted = await self._addresses()
            for address in [at for at, (_, stream) in self._streams.items() if stream.ended]:
                opened, _ = self._streams.pop(address)
                await opened.close()
            new = wanted.keys() - self._streams.keys()
            lost = await asyncio.gather(*(self._open(address, wanted[address]) for address in new))
            where = f"in pool '{self._access.pool}' " if self._access.pool else ""
            message = f"no batcher {where}has version {self._access.version} of '{self._access.model}' ready"
            self._problem = f"{message}: name it in the model's route, with weight 0 if it is to get no traffic"
            if any(lost):
                self._problem = f"no batcher that has the version answers: {next(filter(None, lost))}"
        except grpc.aio.AioRpcError as error:  # known batchers stay in use
            self._problem = f"the router's control plane does not say which batchers there are ({error.code().name})"
        finally:
            self._looked_at = time.monotonic()

    async def _open(self, address: str, pool: str) -> str:
        """Open a stream; return its error, empty if it works. The next refresh drops a stream that failed."""
        name = self._access.tls_names.get(pool)
        options = list[tuple[str, object]]()
        if name and self._tls is not None:
            options.append(("grpc.ssl_target_name_override", name))
        most = self._access.max_message_bytes
        opened = channel(address, tls=self._tls, health_checked=False, max_message_bytes=most, options=options)
        stream = Stream(address, opened)
        self._streams[address] = (opened, stream)
        try:
            await stream.opened()
        except StreamLost as error:
            return str(error)
        return ""

    async def _addresses(self) -> dict[str, str]:
        """Return where the batchers are that say of themselves that they have the version, and of which pool."""
        stub, found, token = route_pb2_grpc.RouteServiceStub(self._control), dict[str, str](), ""
        ready = route_pb2.BatcherVersion.STATE_READY
        while True:
            request = route_pb2.ListBatchersRequest(pool=self._access.pool, page_size=_PAGE, page_token=token)
            answer = await stub.ListBatchers(request, timeout=_CALL_S)
            for one in answer.batchers:
                has = any(version.digest == self._access.digest and version.state == ready for version in one.versions)
                if has and not one.draining:
                    found[one.address] = one.pool
            token = answer.next_page_token
            if not token:
                return found


def _tls(access: PoolAccess) -> Tls | None:
    if access.tls_cert is None:
        return None
    cert, key, ca = (Path(one) if one is not None else None for one in (access.tls_cert, access.tls_key, access.tls_ca))
    return Tls(cert, key, ca)
