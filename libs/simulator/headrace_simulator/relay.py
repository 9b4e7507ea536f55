"""A real Triton as what answers: calls go on as they came, messages unread."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import grpc.aio

from headrace_simulator.backend import Refused

# It comes and goes with faults of its own, and is wanted again as soon as it is back.
_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
)


class Forwarding:
    """Forwards to `host:port`; close it at the end."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)

    async def call(self, path: str, request: bytes, timeout_s: float | None) -> bytes:
        """Return what Triton answers. Raises Refused."""
        try:
            return await self._channel.unary_unary(path)(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise Refused(error.code(), error.details() or "") from None

    async def stream(self, path: str, requests: AsyncIterator[bytes], timeout_s: float | None) -> AsyncIterator[bytes]:
        """Yield what Triton answers to a stream. Raises Refused."""
        try:
            async for answer in self._channel.stream_stream(path)(requests, timeout=timeout_s):
                yield answer
        except grpc.aio.AioRpcError as error:
            raise Refused(error.code(), error.details() or "") from None

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()
