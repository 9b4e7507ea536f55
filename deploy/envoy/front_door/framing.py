"""The check that the body of a unary gRPC call is one whole message, and the error for any other."""

from __future__ import annotations

from pathlib import Path

from headrace_servicekit.errors import InvalidArgument

from front_door.errors import grpc_headers
from front_door.shapes import lua_value

SCRIPT = Path(__file__).with_name("lua") / "framing.lua"
MALFORMED = InvalidArgument("the request is not one whole gRPC message", reason="MALFORMED_MESSAGE")


def script() -> str:
    """Return the whole Lua script: the answer, then code."""
    # Complete as it is: of a status of HTTP's, gRPC-Web would make UNKNOWN.
    answer = {":status": "200", "content-type": "application/grpc", "grpc-message": MALFORMED.public_message}
    return f"local MALFORMED = {lua_value(answer | grpc_headers(MALFORMED))}\n\n{SCRIPT.read_text()}"
