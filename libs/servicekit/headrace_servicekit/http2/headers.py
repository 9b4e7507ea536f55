"""Header blocks (HPACK, RFC 7541) without a table that changes: each block means the same wherever it stands.

We announce a table of no bytes, so equal blocks are equal headers, and each is decoded when it is first seen. What we
send names no table entry but the static ones.
"""

from __future__ import annotations

import base64
import binascii
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import grpc
from hpack import Decoder
from hpack.exceptions import HPACKError

from headrace_servicekit.http2.wire import COMPRESSION_ERROR, WireError

MAX_BLOCK_BYTES = 65_536
_MOST_KEPT = 256
# What a grpc-message holds as it is: printable ASCII but the sign that quotes.
_UNQUOTED = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_OF_THE_PROTOCOL = frozenset(("grpc-status", "grpc-message", "content-type", "te", "grpc-timeout", "grpc-encoding"))
_POST, _HTTP, _HTTPS, _STATUS_200 = b"\x83", b"\x86", b"\x87", b"\x88"
_CODES: Mapping[str, grpc.StatusCode] = {str(code.value[0]): code for code in grpc.StatusCode}
# How a gRPC client reads an answer that no gRPC server gave (gRPC's http-grpc-status-mapping.md).
_OF_HTTP: Mapping[str, grpc.StatusCode] = {
    "400": grpc.StatusCode.INTERNAL,
    "401": grpc.StatusCode.UNAUTHENTICATED,
    "403": grpc.StatusCode.PERMISSION_DENIED,
    "404": grpc.StatusCode.UNIMPLEMENTED,
    "429": grpc.StatusCode.UNAVAILABLE,
    "502": grpc.StatusCode.UNAVAILABLE,
    "503": grpc.StatusCode.UNAVAILABLE,
    "504": grpc.StatusCode.UNAVAILABLE,
}

Headers = Sequence[tuple[str, str]]
Metadata = tuple[tuple[str, str | bytes], ...]


def request_block(path: str, authority: str, *, secure: bool) -> bytes:
    """Return the headers of a gRPC call, to which `timeout_field` may be added."""
    fields = ((":path", path), (":authority", authority), ("te", "trailers"), ("content-type", "application/grpc"))
    return _POST + (_HTTPS if secure else _HTTP) + _literals(fields)


def timeout_field(timeout_s: float) -> bytes:
    """Return the header that says how long the caller waits: at most eight digits of microseconds, or of more."""
    for per_second, unit in ((1_000_000, "u"), (1_000, "m"), (1, "S")):
        value = max(1, int(timeout_s * per_second))
        if value < 100_000_000:
            return _literal("grpc-timeout", f"{value}{unit}")
    return b""


def answer_block() -> bytes:
    """Return the headers that an answer begins with."""
    return _STATUS_200 + _literal("content-type", "application/grpc")


def ending_block(code: grpc.StatusCode, details: str, trailers: Iterable[tuple[str, Any]], *, alone: bool) -> bytes:
    """Return the trailers of a call. alone: nothing was answered before them."""
    fields = [("grpc-status", str(code.value[0]))]
    if details:
        fields.append(("grpc-message", urllib.parse.quote(details, safe=_UNQUOTED)))
    for name, value in trailers:
        said = base64.b64encode(value).decode() if isinstance(value, bytes) else value
        fields.append((name, said))
    return (answer_block() if alone else b"") + _literals(fields)


def http_error_block(status: int) -> bytes:
    """Return the headers of an answer to what is no gRPC call."""
    return _literal(":status", str(status))


class BlockReader:
    """Reads blocks of a peer that keeps no table; equal ones are decoded once, up to a number."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Headers] = {}

    def read(self, block: bytes) -> Headers:
        """Return the headers in their order. Raises WireError."""
        known = self._kept.get(block)
        if known is not None:
            return known
        decoder = Decoder(MAX_BLOCK_BYTES)
        decoder.header_table_size = decoder.max_allowed_table_size = 0
        try:
            decoded: Any = decoder.decode(block)
            headers = [(name, value) for name, value in decoded]
        except (HPACKError, IndexError, ValueError) as error:
            raise WireError(f"a header block cannot be read: {error}", COMPRESSION_ERROR) from None
        if len(self._kept) < _MOST_KEPT:
            self._kept[block] = headers
        return headers


def status_of(headers: Headers) -> tuple[grpc.StatusCode, str]:
    """Return how a call ended, by its trailers, or by the answer of a server that is not gRPC's."""
    said = dict(headers)
    code = said.get("grpc-status")
    if code is not None:
        message = said.get("grpc-message")
        return _CODES.get(code, grpc.StatusCode.UNKNOWN), urllib.parse.unquote(message) if message else ""
    http = said.get(":status", "200")
    if http == "200":
        return grpc.StatusCode.UNKNOWN, "the server ended the call without a status"
    return _OF_HTTP.get(http, grpc.StatusCode.UNKNOWN), f"the server answered HTTP {http}"


def metadata_of(headers: Headers) -> Metadata:
    """Return headers as gRPC metadata: without those that are the protocol's, binary ones decoded if they can be."""
    found: list[tuple[str, str | bytes]] = []
    for name, value in headers:
        if name.startswith(":") or name in _OF_THE_PROTOCOL:
            continue
        if not name.endswith("-bin"):
            found.append((name, value))
            continue
        try:
            found.append((name, base64.b64decode(value + "=" * (-len(value) % 4), validate=True)))
        except (binascii.Error, ValueError):
            continue
    return tuple(found)


def timeout_of(headers: Headers) -> float | None:
    """Return how long the caller waits, in seconds, or None if it does not say. Raises ValueError."""
    said = dict(headers).get("grpc-timeout")
    if said is None:
        return None
    if not 2 <= len(said) <= 9 or not (said[:-1].isascii() and said[:-1].isdigit()):
        raise ValueError("grpc-timeout is a number of at most eight digits, and a unit")
    return int(said[:-1]) * _UNITS[said[-1]] if said[-1] in _UNITS else _unknown_unit(said[-1])


def _unknown_unit(unit: str) -> float:
    raise ValueError(f"grpc-timeout has a unit {unit!r}, which is none")


def _literals(fields: Sequence[tuple[str, str]]) -> bytes:
    return b"".join(_literal(name, value) for name, value in fields)


def _literal(name: str, value: str) -> bytes:
    """Return a field that goes into no table, neither part compressed."""
    return b"\0" + _string(name) + _string(value)


def _string(text: str) -> bytes:
    encoded = text.encode()
    size = len(encoded)
    if size < 127:
        return bytes((size,)) + encoded
    out, rest = bytearray((127,)), size - 127
    while rest >= 128:
        out.append(0x80 | rest & 0x7F)
        rest >>= 7
    out.append(rest)
    return bytes(out) + encoded
