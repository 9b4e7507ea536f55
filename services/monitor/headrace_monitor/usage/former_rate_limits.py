"""Rate limits, which were the monitor's until 0.1.0 and are the router's: for one release.

Those of the monitor's database are handed over once, calls by the former names are passed on, and data planes of 0.1.0
are sent what the router has.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import grpc.aio
from google.protobuf.message import Message
from headrace.router.v1 import client_limits_pb2 as pb
from headrace.router.v1 import client_limits_pb2_grpc
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import Unavailable
from headrace_servicekit.identity import CLIENT_HEADER, MODELS_HEADER, Identity, identity
from headrace_servicekit.postgres.sql import load_queries

from headrace_monitor.storage.schema import Database

_SQL = load_queries("headrace_monitor.usage")

CALL_S = 5.0
_FIELDS = ("client", "model", "requests_per_second", "burst", "shadow_mode", "outage")

RateLimits = telemetry_pb2.ReportCountersResponse.RateLimits


class FormerRateLimits:
    """The rate limits of the router. control: a channel to its control plane; None where none is set.

    known: for data planes of 0.1.0; None until the router has answered.
    """

    def __init__(self, database: Database, control: Any | None) -> None:
        self._database = database
        self._router: Any = None if control is None else client_limits_pb2_grpc.RateLimitServiceStub(control)
        self._handed_over = False
        self.known: RateLimits | None = None

    async def step(self) -> None:
        """Hand over what is the router's, and read what it has. Raises ServiceError."""
        if self._router is None:
            return
        found = (await self.call("ListRateLimits", pb.ListRateLimitsRequest())).rate_limits
        if not self._handed_over:
            await self._hand_over({one.name for one in found})
            found = (await self.call("ListRateLimits", pb.ListRateLimitsRequest())).rate_limits
        known = RateLimits(rate_limits=found)
        known.revision = sha256(known.SerializeToString(deterministic=True)).hexdigest()[:16]
        self.known = known

    async def call(self, method: str, request: Message) -> Any:
        """Make a call to the router for the caller of this one. Raises ServiceError."""
        if self._router is None:
            raise Unavailable("rate limits are the router's: set MONITOR_CONTROL_TARGET, or call RateLimitService")
        try:
            return await getattr(self._router, method)(request, timeout=CALL_S, metadata=_of(identity()))
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from None

    async def _hand_over(self, there: set[str]) -> None:
        """Put the limits of the database in the router, except names that it has already: those are newer."""
        rows = await self._database.repeatable(lambda connection: connection.fetch(_SQL["rate_limits_to_hand_over"]))
        for row in rows:
            limit = pb.RateLimit(name=f"rateLimits/{row['name']}", **{field: row[field] for field in _FIELDS})
            if limit.name not in there:
                await self.call("PutRateLimit", pb.PutRateLimitRequest(rate_limit=limit))
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["rate_limits_handed_over"])
        self._handed_over = True


def _of(caller: Identity) -> tuple[tuple[str, str], ...]:
    """Return the headers that name the caller on whose behalf a call is made."""
    models = "*" if caller.models is None else ",".join(caller.models)
    return () if caller.internal else ((CLIENT_HEADER, caller.client), (MODELS_HEADER, models))
