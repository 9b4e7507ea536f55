"""Messages as gRPC and gRPC-Web put them into HTTP, rightly or wrongly."""

from __future__ import annotations

import base64
import struct

_PREFIX = struct.Struct(">BI")


def frame(message: bytes, *, flag: int = 0, length: int | None = None) -> bytes:
    """Return a message behind its prefix; flag: 1 says that it is compressed; length: another than it has."""
    return _PREFIX.pack(flag, len(message) if length is None else length) + message


def web_headers(*, text: bool) -> dict[str, str]:
    """Return the headers of a gRPC-Web call, in base64 or not."""
    kind = "application/grpc-web-text+proto" if text else "application/grpc-web+proto"
    return {"content-type": kind, "accept": kind, "x-grpc-web": "1"}


def web_body(message: bytes, *, text: bool) -> bytes:
    """Return the body of a gRPC-Web call."""
    return base64.b64encode(frame(message)) if text else frame(message)


def web_frames(body: bytes, *, text: bool) -> list[tuple[int, bytes]]:
    """Return the frames of an answer in gRPC-Web, each with its flags; 0x80 is on the one that has the status."""
    # Each piece of a text is encoded by itself, and padded where it ends.
    data = b"".join(base64.b64decode(body[at : at + 4]) for at in range(0, len(body), 4)) if text else body
    frames = []
    while data:
        flags, length = _PREFIX.unpack_from(data)
        end = _PREFIX.size + length
        frames.append((flags, data[_PREFIX.size : end]))
        data = data[end:]
    return frames
