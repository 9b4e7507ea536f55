"""Unary gRPC over HTTP/2 as bytes: one framed message each way, and a status in headers or trailers."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable
from urllib.parse import quote

from headrace_servicekit.error_details import to_status
from headrace_servicekit.errors import InvalidArgument, ServiceError

from headrace_router.data.transports.rest.bodies import PLAIN, inflate, too_large

PREFIX_BYTES = 5
_PREFIX = struct.Struct(">BI")
_KNOWN = frozenset((*PLAIN, "deflate", "gzip"))
ACCEPTED = b"identity,deflate,gzip"
OK_TRAILER = (b"grpc-status", b"0")

Headers = list[tuple[bytes, bytes]]


def framed(message: bytes) -> bytes:
    """Return a message with its prefix: not compressed, for that costs more than the loopback or a rack's network."""
    return _PREFIX.pack(0, len(message)) + message


def plain(body: bytes) -> bytes | None:
    """Return the one message of a body that is not compressed, None for any other body, right or wrong."""
    if len(body) < PREFIX_BYTES or body[0] or int.from_bytes(body[1:PREFIX_BYTES], "big") != len(body) - PREFIX_BYTES:
        return None
    return body[PREFIX_BYTES:]


def compressed(body: bytes) -> bool:
    """Return whether a body says that its message is compressed."""
    return body[:1] == b"\x01"


def unframed(body: bytes, encoding: str, most: int) -> bytes:
    """Return the one message of a body.

    encoding: what `grpc-encoding` says, empty without it. most: bytes, before and after decompression. Raises
    InvalidArgument for anything but one whole message in an encoding that is ours, ResourceExhausted for one that is
    too large.
    """
    if encoding not in _KNOWN:
        raise _broken(f"grpc-encoding '{encoding[:32]}' is not understood; send one of {ACCEPTED.decode()}")
    if len(body) < PREFIX_BYTES:
        raise _broken(f"{len(body)} bytes are no message with its prefix")
    flag, length = _PREFIX.unpack_from(body)
    if length != len(body) - PREFIX_BYTES:
        raise _broken(f"the prefix announces {length} bytes and {len(body) - PREFIX_BYTES} follow")
    if length > most:
        raise too_large(most)
    if not flag:
        return body[PREFIX_BYTES:]
    if flag != 1:
        raise _broken(f"the prefix begins with {flag}, neither 0 nor 1")
    return _inflated(body[PREFIX_BYTES:], encoding, most)


def refusal_headers(error: ServiceError) -> Headers:
    """Return what tells an error, in headers or in trailers."""
    status = to_status(error)
    details = base64.b64encode(status.SerializeToString()).rstrip(b"=")
    return [
        (b"grpc-status", str(int(error.code)).encode()),
        # Percent-encoding leaves what is printable as it is, as the protocol wants it.
        (b"grpc-message", quote(status.message, safe=_PRINTABLE).encode()),
        (b"grpc-status-details-bin", details),
    ]


def encoded(pairs: Iterable[tuple[str, str]]) -> Headers:
    """Return headers as bytes."""
    return [(name.encode(), value.encode()) for name, value in pairs]


_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def _inflated(data: bytes, encoding: str, most: int) -> bytes:
    if encoding in PLAIN:
        raise _broken("the message is compressed and grpc-encoding does not say how")
    return inflate(data, encoding, most)


def _broken(problem: str) -> ServiceError:
    return InvalidArgument(f"the request is not one gRPC message: {problem}", reason="MALFORMED_MESSAGE")
