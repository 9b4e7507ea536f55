"""Lengths as protobuf writes them, for those who put messages together from bytes that were encoded before."""

from __future__ import annotations


def varint(number: int) -> bytes:
    """Return a number of seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
