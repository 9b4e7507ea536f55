"""HPACK, as far as a load generator needs it: requests encoded once, and what of answers says how they ended.

We announce a table of no bytes, so an answer's block means the same wherever it stands, and equal fields are equal
bytes: each is decoded when it is first seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

# Of the table that a peer keeps for us unless it says otherwise.
TABLE_BYTES = 4096
_ENTRY_OVERHEAD = 32
_FIRST_DYNAMIC = len(HeaderTable.STATIC_TABLE) + 1
_STATUS, _GRPC_STATUS, _DETAILS, _MESSAGE = b":status", b"grpc-status", b"grpc-status-details-bin", b"grpc-message"
_READ = frozenset((_STATUS, _GRPC_STATUS, _DETAILS, _MESSAGE))
# Values seen and kept decoded. More different ones than this are not what a benchmark is answered.
_MOST_KEPT = 20_000

Header = tuple[str, str]


class Ending(NamedTuple):
    """How an answer ended: what of these was in a block. details: base64, as sent."""

    http: str = ""
    grpc: str = ""
    message: str = ""
    details: str = ""


class Blocks(NamedTuple):
    """The header block of a connection's first request, which fills the table, and that of all others, of indices."""

    first: bytes
    others: bytes


def request_blocks(headers: Sequence[Header]) -> Blocks:
    """Encode the headers of a POST without TLS; they must fit into the table. Pseudo-headers come first."""
    size = sum(len(name) + len(value) + _ENTRY_OVERHEAD for name, value in headers)
    if size > TABLE_BYTES:
        raise ValueError(f"headers of {size} bytes do not fit into a table of {TABLE_BYTES}")
    common = b"\x83\x86"  # :method POST, :scheme http
    first = b"".join(b"\x40" + _string(name) + _string(value) for name, value in headers)
    newest = _FIRST_DYNAMIC
    others = bytes(0x80 | (newest + len(headers) - 1 - place) for place in range(len(headers)))
    return Blocks(common + first, common + others)


class EndingReader:
    """Reads blocks of answers."""

    def __init__(self) -> None:
        self._endings: dict[bytes, Ending] = {}
        self._strings: dict[bytes, bytes] = {}

    def read(self, block: bytes) -> Ending:
        """Return what a block says about how the answer ended. Raises ValueError for what is no block."""
        kept = self._endings.get(block)
        if kept is None:
            if len(self._endings) > _MOST_KEPT:
                self._endings.clear()
                self._strings.clear()
            kept = self._endings[block] = self._decoded(block)
        return kept

    def _decoded(self, block: bytes) -> Ending:
        found: dict[bytes, bytes] = {}
        at = 0
        while at < len(block):
            kind = block[at]
            if kind & 0x80:
                index, at = _integer(block, at, 7)
                name, value = _static(index)
            elif kind & 0xE0 == 0x20:  # a change of the table's size, to nothing
                _, at = _integer(block, at, 5)
                continue
            else:
                index, at = _integer(block, at, 6 if kind & 0x40 else 4)
                if index:
                    name = _static(index)[0]
                else:
                    raw, at = _raw_string(block, at)
                    name = self._text(raw)
                raw, at = _raw_string(block, at)
                # Request ids differ each time: headers that are not read are not decoded.
                value = self._text(raw) if name in _READ else b""
            if name in _READ:
                found[name] = value
        return Ending(*(found.get(name, b"").decode() for name in (_STATUS, _GRPC_STATUS, _MESSAGE, _DETAILS)))

    def _text(self, raw: bytes) -> bytes:
        kept = self._strings.get(raw)
        if kept is None:
            length, at = _integer(raw, 0, 7)
            kept = self._strings[raw] = decode_huffman(raw[at:]) if raw[0] & 0x80 else raw[at : at + length]
        return kept


def _string(text: str) -> bytes:
    encoded = text.encode()
    return _encoded_integer(len(encoded), 7) + encoded


def _encoded_integer(value: int, bits: int) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    out, value = bytearray([most]), value - most
    while value >= 0x80:
        out.append(0x80 | (value & 0x7F))
        value >>= 7
    out.append(value)
    return bytes(out)


def _integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Return an integer and where it ends."""
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def _raw_string(block: bytes, at: int) -> tuple[bytes, int]:
    """Return a string as it was sent, its length included, and where it ends."""
    length, begin = _integer(block, at, 7)
    end = begin + length
    if end > len(block):
        raise ValueError("a header block ends within a string")
    return block[at:end], end


def _static(index: int) -> tuple[bytes, bytes]:
    if not 0 < index < _FIRST_DYNAMIC:
        raise ValueError(f"a header block names entry {index} of a table that we did not allow")
    name, value = HeaderTable.STATIC_TABLE[index - 1]
    return name, value
