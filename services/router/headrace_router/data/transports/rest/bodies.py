"""Bodies of requests: read within bounds of size and time, and as they were before their senders compressed them."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from typing import Any

from headrace_servicekit.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted

from headrace_router.data.transports.call_context import ENCODING_HEADER, malformed
from headrace_router.data.transports.rest.disconnects import ClientGone, Receive

PLAIN = ("", "identity")
# zlib's own form of saying which container is expected.
_CONTAINERS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class TooLarge(ResourceExhausted):
    """The body is larger than this transport takes; HTTP has a status of its own for it."""


class TooSlow(DeadlineExceeded):
    """The body did not arrive in time; HTTP has a status of its own for it."""


async def read_body(receive: Receive, most: int, until: float) -> bytes:
    """Return the whole body.

    until: on the loop's clock. Raises ClientGone, TooLarge once more than `most` bytes have come, and TooSlow. Of a
    body that does not even begin the server takes care: most come in one piece, and those start no timer.
    """
    body, more = _part(await receive())
    if more:
        try:
            async with asyncio.timeout_at(until):
                body = await _rest(receive, body, most)
        except TimeoutError:
            raise too_slow() from None
    if len(body) > most:
        raise too_large(most)
    return body


async def _rest(receive: Receive, begun: bytes, most: int) -> bytes:
    """Return what has begun with all that follows, or a part of it that is too large already."""
    parts, size, more = [begun], len(begun), True
    while more and size <= most:
        part, more = _part(await receive())
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def _part(event: Mapping[str, Any]) -> tuple[bytes, bool]:
    if event["type"] == "http.disconnect":
        raise ClientGone
    return event.get("body", b""), event.get("more_body", False)


def too_large(most: int) -> TooLarge:
    """Return the error for a body above a transport's bound."""
    return TooLarge(f"the body is larger than {most} bytes", reason="REQUEST_TOO_LARGE")


def too_slow() -> TooSlow:
    """Return the error for a body that did not arrive in time."""
    return TooSlow("the request did not arrive in time", reason="REQUEST_TOO_SLOW")


def inflate(data: bytes, encoding: str, most: int) -> bytes:
    """Return what was compressed. Never makes more than `most` bytes, whatever the data promise.

    Raises InvalidArgument for an unknown encoding and for data that are not whole, TooLarge.
    """
    container = _CONTAINERS.get(encoding.strip().lower())
    if container is None:
        raise malformed(ENCODING_HEADER, f"'{encoding[:32]}' is not gzip, deflate or identity")
    inflating = zlib.decompressobj(container)
    try:
        content = inflating.decompress(data, most + 1)
    except zlib.error:
        raise _broken(encoding) from None
    if len(content) > most:
        raise too_large(most)
    if not inflating.eof or inflating.unused_data:
        raise _broken(encoding)
    return content


def _broken(encoding: str) -> InvalidArgument:
    return InvalidArgument(f"body: not one whole {encoding[:16]} stream", reason="MALFORMED_BODY")
