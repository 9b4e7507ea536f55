"""One gRPC call whose bytes are what they are: no library sends a frame that is broken."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping

from benchmarks.load.calls import Call
from benchmarks.load.connection import Answered, Connection
from benchmarks.load.workload import Workload

WITHIN_S = 20.0


def outcome_of(address: str, path: str, headers: Mapping[str, str], body: bytes) -> str:
    """Return how a call with this body ends: OK, or the name of its status. Raises WireError if the server goes away.

    body: with the prefixes of its messages, if it has any.
    """
    host, _, port = address.rpartition(":")
    pairs = [(":path", path), (":authority", address), ("content-type", "application/grpc"), ("te", "trailers")]
    call = Call(path, "application/grpc", [body], lambda _answer, _row: True, by_entity=False)
    seen = Answered(counting=True)
    one = Connection((host, int(port)), call, [*pairs, *headers.items()], Workload([0]), seen)
    try:
        one.backlog.append(time.perf_counter())
        one.pump()
        until = time.monotonic() + WITHIN_S
        while one.flights:
            readable, _, _ = select.select([one], [], [], until - time.monotonic())
            assert readable, "the call is not answered"
            one.read()
        (outcome,) = seen.outcomes
        return outcome
    finally:
        one.close()
