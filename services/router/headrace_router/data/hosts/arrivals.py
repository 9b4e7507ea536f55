"""What every host does with the headers of a request: identity, request id, trace, deadline, sampling."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from headrace_servicekit.calls import (
    REQUEST_ID_HEADER,
    TRACEPARENT_HEADER,
    TRACESTATE_HEADER,
    make_call,
    request_id_of,
)
from headrace_servicekit.calls import Call as Received
from headrace_servicekit.errors import Code, ServiceError, Unauthenticated
from headrace_servicekit.identity import (
    CLIENT_HEADER,
    FRONT_DOOR_HEADER,
    MODELS_HEADER,
    NOBODY,
    Identity,
    caller_of,
    unidentified,
)

from headrace_router.data.hosts.about import ABOUT_HEADERS, about, malformed
from headrace_router.data.hosts.deadline import HEADER as TIMEOUT_HEADER
from headrace_router.data.hosts.deadline import DeadlineLimits
from headrace_router.data.hosts.timing import ASKING_HEADER
from headrace_router.data.messages import Call, Span
from headrace_router.data.telemetry.accesslog import AccessLog
from headrace_router.data.telemetry.timing import Marks

_IDENTITY = (CLIENT_HEADER, MODELS_HEADER)
_REQUEST_ID = REQUEST_ID_HEADER.encode()
ENCODING_HEADER = "content-encoding"
GRPC_ENCODING_HEADER = "grpc-encoding"
# Length of the JSON before the binary tensors of an inference request.
JSON_LENGTH_HEADER = "inference-header-content-length"
WANTED = frozenset(
    (
        *_IDENTITY, FRONT_DOOR_HEADER, *ABOUT_HEADERS, REQUEST_ID_HEADER, TRACEPARENT_HEADER, TRACESTATE_HEADER,
        TIMEOUT_HEADER, ASKING_HEADER, ENCODING_HEADER, GRPC_ENCODING_HEADER, JSON_LENGTH_HEADER,
    )
)  # fmt: skip


_WANTED_BYTES = {name.encode(): name for name in WANTED}


class Spans(Protocol):
    """Decides which calls are recorded, and makes their spans (`headrace_router.data.telemetry.spans.CallSpans`)."""

    def samples(self) -> bool:
        """Return whether a call that comes without a trace is recorded."""
        ...

    def begin(self, method: str, call: Received) -> tuple[str, Span]:
        """Begin the span of a call; return its traceparent, which names it as parent, and the span."""
        ...


class Arrivals:
    """Makes the Call of each request. spans: None when traces are only handed on. clock: the counters'.
    count_unidentified: told the method of a call of nobody's. only_forwarded: believe headers of the front door only.
    """

    def __init__(
        self,
        access_log: AccessLog,
        limits: DeadlineLimits,
        spans: Spans | None,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        count_unidentified: Callable[[str], None],
        *,
        only_forwarded: bool = False,
    ) -> None:
        self._access_log, self._limits, self._spans, self._loop = access_log, limits, spans, loop
        self._clock, self._count_unidentified = clock, count_unidentified
        self._only_forwarded = only_forwarded

    def call(
        self,
        headers: dict[str, str],
        method: str,
        remaining_s: float | None,
        caller: Identity | None = None,
        *,
        of_anybody: bool = False,
    ) -> Call:
        """Return the call that the headers describe.

        remaining_s: time until the caller's deadline, None without one. method: what a span is named after. caller: as
        its token says; None believes the identity headers. of_anybody: it is answered to everybody. Raises
        InvalidArgument for headers that cannot be read, Unauthenticated for a call that is nobody's.
        """
        arrived = self._clock()
        concerns = about(headers)
        if caller is None:
            known = FRONT_DOOR_HEADER in headers or not self._only_forwarded
            caller = caller_of(headers) if known else NOBODY
            if caller is NOBODY and not of_anybody:
                self._count_unidentified(method)
                raise unidentified()
        request_id, traceparent, span = request_id_of(headers.get(REQUEST_ID_HEADER)), "", None
        if TRACEPARENT_HEADER in headers or (self._spans is not None and self._spans.samples()):
            traceparent, span = self._traced(headers, request_id, method)
        asks = headers.get(ASKING_HEADER, "0") != "0"
        return Call(
            caller,
            request_id,
            self._limits.deadline(self._loop.time(), remaining_s),
            arrived,
            traceparent,
            self._access_log.wants(bool(traceparent)),
            span,
            Marks(self._clock, arrived) if asks or span is not None else None,
            concerns,
        )

    def stranger(self, request_id: str | None) -> Call:
        """Return the call of somebody who is turned away before it is known who it is."""
        return Call(NOBODY, request_id_of(request_id), self._loop.time(), self._clock())

    def _traced(self, headers: dict[str, str], request_id: str, method: str) -> tuple[str, Span | None]:
        """Return what names the parent of what the call causes, empty for one that is not recorded; and its span."""
        given = headers.get(TRACEPARENT_HEADER)
        received = make_call(request_id, given, headers.get(TRACESTATE_HEADER))
        if given is not None and not received.sampled:
            return "", None
        if self._spans is None:
            return received.traceparent or "", None
        return self._spans.begin(method, received)


@contextlib.contextmanager
def finishing(call: Call) -> Iterator[None]:
    """End the span of a call that is no prediction, whose end the predictor would tell."""
    code = Code.OK
    try:
        yield
    except ServiceError as error:
        code = error.code
        raise
    finally:
        if call.span is not None:
            call.span.end(Code(code).name, None)


def told_request_id(pairs: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the request id that the headers give."""
    return next((value.decode("latin-1") for name, value in pairs if name == _REQUEST_ID), None)


def wanted(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the headers that matter, from lower-case names. Raises ServiceError for a doubled identity or subject."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in WANTED:
            if name in found:
                check_doubled(name)
            found[name] = value
    return found


def wanted_of(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the same from bytes, of which those that do not matter are not even decoded."""
    found: dict[str, str] = {}
    for raw, value in pairs:
        name = _WANTED_BYTES.get(raw)
        if name is not None:
            if name in found:
                check_doubled(name)
            found[name] = value.decode("latin-1")
    return found


def check_doubled(name: str) -> None:
    """Raise ServiceError for a header that must not be there twice; of others the last one counts."""
    if name in _IDENTITY:
        raise Unauthenticated(f"header {name} is repeated", reason="IDENTITY_REPEATED")
    if name in ABOUT_HEADERS:
        raise malformed(name, "is given twice")
