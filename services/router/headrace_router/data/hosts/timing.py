"""The breakdown of an answer's time, for callers that ask with the header `headrace-timing: 1`."""

from __future__ import annotations

from collections.abc import Mapping

from headrace_router.data.messages import Call
from headrace_router.data.telemetry.timing import Marks

ASKING_HEADER = "headrace-timing"
# The standard header, which browsers show; over gRPC a trailer of that name.
TIMING_HEADER = "server-timing"


def server_timing(marks: Marks) -> str:
    """Return the breakdown as the Server-Timing header has it, in milliseconds; the parts add up to the total."""
    return ", ".join(f"{name};dur={microseconds / 1000:.3f}" for name, microseconds in marks.parts_us().items())


def timing_of(headers: Mapping[str, str], call: Call) -> tuple[tuple[str, str], ...]:
    """Return the header, or trailer, of an answer whose caller asked for it; of others nothing."""
    if call.marks is None or ASKING_HEADER not in headers:
        return ()
    return ((TIMING_HEADER, server_timing(call.marks)),)
