"""What belongs to one RPC and travels with it: request id and W3C trace context.

Everything here is cheap enough for each request: two header look-ups and one context variable.
"""

from __future__ import annotations

import contextvars
import random
import re
from dataclasses import dataclass

REQUEST_ID_HEADER = "x-request-id"
TRACEPARENT_HEADER = "traceparent"
TRACESTATE_HEADER = "tracestate"

# Version ff is invalid, ids of zeros are invalid (W3C Trace Context, section 3.2); later versions may append fields.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(-.*)?")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_MAX_TRACESTATE_CHARS = 512


@dataclass(frozen=True, slots=True)
class Call:
    """The RPC that this task serves.

    request_id: made by the front door, or here when absent. traceparent: valid, or None. tracestate: as received.
    """

    request_id: str
    traceparent: str | None = None
    tracestate: str | None = None

    @property
    def trace_id(self) -> str:
        """Return the 32 hex digits of the trace, or an empty string."""
        return self.traceparent[3:35] if self.traceparent else ""

    @property
    def sampled(self) -> bool:
        """Return whether the caller records this trace."""
        return self.traceparent is not None and bool(int(self.traceparent[53:55], 16) & 1)


_call: contextvars.ContextVar[Call | None] = contextvars.ContextVar("headrace_call", default=None)


def current_call() -> Call | None:
    """Return the RPC that this task serves, or None outside any."""
    return _call.get()


def enter_call(call: Call) -> contextvars.Token[Call | None]:
    """Make `call` the one that this task serves; its request id and trace go into log lines and child calls."""
    return _call.set(call)


def make_call(request_id: str | None, traceparent: str | None, tracestate: str | None = None) -> Call:
    """Return the call that three headers describe: a malformed id is replaced, a malformed trace context is dropped."""
    request_id = request_id_of(request_id)
    if traceparent is None or not valid_traceparent(traceparent):
        return Call(request_id)
    if tracestate is not None and len(tracestate) > _MAX_TRACESTATE_CHARS:
        tracestate = None
    return Call(request_id, traceparent, tracestate)


def request_id_of(header: str | None) -> str:
    """Return the request id that a header gives, a new one where it is missing or malformed."""
    if header is None or _REQUEST_ID.fullmatch(header) is None:
        # Not a secret: it only has to be unlikely twice, and this costs a tenth of uuid4.
        return f"{random.getrandbits(128):032x}"
    return header


def valid_traceparent(value: str) -> bool:
    """Return whether a header is a W3C traceparent; version 00 has exactly four fields."""
    match = _TRACEPARENT.fullmatch(value)
    return match is not None and (match.group(3) is None or not value.startswith("00"))


def outgoing_metadata() -> tuple[tuple[str, str], ...]:
    """Return the headers that hand the present call on to a child call; empty outside any."""
    call = _call.get()
    if call is None:
        return ()
    if call.traceparent is None:
        return ((REQUEST_ID_HEADER, call.request_id),)
    trace = ((REQUEST_ID_HEADER, call.request_id), (TRACEPARENT_HEADER, call.traceparent))
    return trace if call.tracestate is None else (*trace, (TRACESTATE_HEADER, call.tracestate))
