"""How an answer ended, in one word: OK, the name of a gRPC or HTTP status, and whether a retry was promised."""

from __future__ import annotations

import base64

import grpc
from google.rpc import status_pb2

from benchmarks.load.header_blocks import Ending, EndingReader

OK = "OK"
# OK, but not the answer to what was asked.
WRONG = "WRONG ANSWER"
UNFINISHED = "NEVER ANSWERED"
# An open loop's, still waiting for a stream when patience was at its end.
UNSENT = "NEVER SENT"
# Refused as it should be under overload: with the time after which to come again.
REFUSED = "RESOURCE_EXHAUSTED with RetryInfo"

_CODES = {str(code.value[0]): code.name for code in grpc.StatusCode}


class Outcomes:
    """Says what became of a request, by its answer's headers."""

    def __init__(self, is_grpc: bool) -> None:
        self._grpc = is_grpc
        self._reader = EndingReader()
        self._named: dict[Ending, str] = {}

    def of_block(self, block: bytes) -> str:
        """Return what a last header block says."""
        ending = self._reader.read(block)
        named = self._named.get(ending)
        if named is None:
            named = self._named[ending] = outcome(ending)
        return named

    def http_status(self, block: bytes) -> str:
        """Return the HTTP status of a first header block."""
        return self._reader.read(block).http

    def without_trailers(self, http: str) -> str:
        """Return what became of a request whose answer ended with its body. http: empty means 200."""
        if self._grpc:
            return "NO GRPC STATUS"
        return OK if http in ("", "200") else f"HTTP {http}"


def outcome(ending: Ending) -> str:
    """Return the word for an ending."""
    if not ending.grpc:
        return OK if ending.http == "200" else f"HTTP {ending.http or 'without status'}"
    code = _CODES.get(ending.grpc, f"CODE {ending.grpc}")
    return REFUSED if code == "RESOURCE_EXHAUSTED" and _promises_retry(ending.details) else code


def _promises_retry(details: str) -> bool:
    try:
        decoded = base64.b64decode(details + "=" * (-len(details) % 4))
        status = status_pb2.Status.FromString(decoded)
    except ValueError:
        return False
    return any(one.type_url.endswith("/google.rpc.RetryInfo") for one in status.details)
