"""Tensors of BYTES, as the Open Inference Protocol writes them: each element behind its length."""

from __future__ import annotations

from collections.abc import Iterable


def encoded_texts(values: Iterable[bytes]) -> bytes:
    """Return the content of a tensor of these elements."""
    return b"".join(len(value).to_bytes(4, "little") + value for value in values)


def decoded_texts(content: bytes) -> list[bytes]:
    """Return the elements of a well-formed content."""
    values, at = [], 0
    while at < len(content):
        end = at + 4 + int.from_bytes(content[at : at + 4], "little")
        values.append(content[at + 4 : end])
        at = end
    return values
