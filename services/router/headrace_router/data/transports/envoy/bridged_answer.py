"""An answer as Envoy's filter takes it: headers, a body and trailers, packed."""

from __future__ import annotations

import struct
from collections.abc import Iterable

# As in filter_bridge.c: id, bytes of headers, of the body and of trailers.
_ANSWER = struct.Struct("=QIIII")
_LENGTHS = struct.Struct("=HH")

Headers = list[tuple[bytes, bytes]]
Answered = tuple[bytes, bytes, bytes]
"""Headers with the status, body and trailers; headers and trailers as `packed_headers` has them, empty for none."""


def packed_headers(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers in a row, each behind the lengths of its name and its value."""
    return b"".join([_LENGTHS.pack(len(name), len(value)) + name + value for name, value in pairs])


def packed(id_: int, answered: Answered) -> bytes:
    """Return the answer to a request."""
    headers, body, trailers = answered
    return b"".join((_ANSWER.pack(id_, len(headers), len(body), len(trailers), 0), headers, body, trailers))
