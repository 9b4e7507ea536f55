"""Connections of callers who take their time: bare HTTP/2, because no library would do what they do.

with SlowConnection(address) as slow:
    slow.ask("/v1/predict", headers, b"{}")       # the answer's headers may come, of its body nothing can
    slow.ask("/v1/predict", headers, b"{", whole=False)
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Self

from benchmarks.load.header_blocks import request_blocks
from tests.kit.wire.sockets import connected

_HEAD = struct.Struct(">HBBBI")
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4
_INITIAL_WINDOW_SIZE = 4
# What Envoy allows on a connection.
MOST_STREAMS = 256


class SlowConnection:
    """One connection that never reads and gives no window, so that answers stay where they are made."""

    def __init__(self, address: str) -> None:
        self.streams = 0
        self._blocks: dict[tuple[tuple[str, str], ...], bytes] = {}
        self._socket = connected(address)
        no_window = struct.pack(">HI", _INITIAL_WINDOW_SIZE, 0)
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(_SETTINGS, 0, 0, no_window))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, path: str, headers: Sequence[tuple[str, str]], body: bytes = b"", *, whole: bool = True) -> None:
        """Open a stream; a body that is not whole never ends. Raises OSError when the server has gone."""
        stream, self.streams = 2 * self.streams + 1, self.streams + 1
        sent = _frame(_HEADERS, _END_HEADERS, stream, self._block(((":path", path), (":authority", "x"), *headers)))
        if body or whole:
            sent += _frame(_DATA, _END_STREAM if whole else 0, stream, body)
        self._socket.sendall(sent)

    def _block(self, headers: tuple[tuple[str, str], ...]) -> bytes:
        """Return a header block. All requests of a connection have the same headers: they fill the table once."""
        if not self._blocks:
            first, self._blocks[headers] = request_blocks(headers)
            return first
        return self._blocks[headers]


def grpc_headers(token: str) -> list[tuple[str, str]]:
    """Return the headers of a gRPC call."""
    return [("content-type", "application/grpc"), ("te", "trailers"), ("authorization", f"Bearer {token}")]


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _HEAD.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload
