"""A request that Envoy's filter has handed over (`handover.py`), as the gRPC app asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.errors import ServiceError, Unauthenticated
from headrace_servicekit.identity import Identity

from headrace_router.data.hosts.arrivals import check_doubled
from headrace_router.data.hosts.begun import Begun

AUTHORIZATION = "authorization"


class HandedOver:
    """A request that was taken. whole, broken: its body, or why it is not whole. begun: its serving, once it waits.

    authorization: the header, None without one. connection: Envoy's number for it. told_connection: what a front door
    before us says of it. found, repeated: the headers that matter, and which of all were there twice.
    """

    __slots__ = (
        "authorization", "begun", "broken", "connection", "found", "identify", "path", "repeated", "told_connection",
        "whole",
    )  # fmt: skip

    def __init__(self, connection: int, identify: Callable[[HandedOver], Identity]) -> None:
        self.connection, self.identify = connection, identify
        self.path = ""
        self.authorization: bytes | None = None
        self.told_connection: str | None = None
        self.found: dict[str, str] = {}
        self.repeated: list[str] | None = None
        self.whole: bytes | None = None
        self.broken: ServiceError | None = None
        self.begun: Begun | None = None

    def headers(self) -> dict[str, str]:
        """Return the headers that matter. Raises ServiceError."""
        for name in self.repeated or ():
            check_doubled(name)
        return self.found

    def identity(self) -> Identity:
        """Return the caller. Raises ServiceError."""
        if self.repeated and AUTHORIZATION in self.repeated:
            raise Unauthenticated(f"header {AUTHORIZATION} is repeated", reason="TOKEN_INVALID")
        return self.identify(self)

    def told_id(self) -> str | None:
        """Return the request id that the headers give."""
        return self.found.get(REQUEST_ID_HEADER)

    async def body(self, most: int, until: float) -> bytes:
        """Say why it is not whole. Raises ServiceError."""
        assert self.broken is not None
        raise self.broken

    async def receive(self) -> Mapping[str, Any]:
        """Never return: a client that leaves has its request cancelled."""
        await asyncio.get_running_loop().create_future()
        return {"type": "http.disconnect"}
