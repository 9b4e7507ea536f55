"""The context of a call from its headers: identity, request id, trace, deadline, sampling, subject."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from headrace_servicekit.calls import (
    REQUEST_ID_HEADER,
    TRACEPARENT_HEADER,
    TRACESTATE_HEADER,
    make_call,
    request_id_of,
)
from headrace_servicekit.calls import Call as Received
from headrace_servicekit.errors import Code, FieldViolation, InvalidArgument, ServiceError, Unauthenticated
from headrace_servicekit.identity import (
    CLIENT_HEADER,
    FRONT_DOOR_HEADER,
    MODELS_HEADER,
    NOBODY,
    Identity,
    caller_of,
    unidentified,
)

from headrace_router.data.request.request import (
    CONTEXT_HEADERS,
    ENTITY_HEADER,
    EXPLAIN_HEADER,
    MAX_AGE_HEADER,
    MAX_TEXT_CHARS,
    USER_HEADER,
    Call,
    ContextHeaders,
    Span,
)
from headrace_router.data.request.trace import ASKING_HEADER, Marks

TIMEOUT_HEADER = "grpc-timeout"
_IDENTITY = (CLIENT_HEADER, MODELS_HEADER)
_REQUEST_ID = REQUEST_ID_HEADER.encode()
ENCODING_HEADER = "content-encoding"
GRPC_ENCODING_HEADER = "grpc-encoding"
# Length of the JSON before the binary tensors of an inference request.
JSON_LENGTH_HEADER = "inference-header-content-length"
# The headers that are read; of others nothing is decoded.
WANTED = frozenset(
    (
        *_IDENTITY, FRONT_DOOR_HEADER, *CONTEXT_HEADERS, REQUEST_ID_HEADER, TRACEPARENT_HEADER, TRACESTATE_HEADER,
        TIMEOUT_HEADER, ASKING_HEADER, ENCODING_HEADER, GRPC_ENCODING_HEADER, JSON_LENGTH_HEADER,
    )
)  # fmt: skip
_WANTED_BYTES = {name.encode(): name for name in WANTED}
_AGE = re.compile(r"\d{1,15}(\.\d{1,6})?", re.ASCII)
# At most eight digits and a unit, as the gRPC protocol over HTTP/2 defines the header.
_TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])")
_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


class Spans(Protocol):
    """Decides which calls are recorded, and makes their spans (`headrace_router.data.telemetry.spans.CallSpans`)."""

    def samples(self) -> bool:
        """Return whether a call that comes without a trace is recorded."""
        ...

    def pass_over(self, requests: int) -> None:
        """Count calls that could not be recorded; another one is in their place."""
        ...

    def begin(self, method: str, call: Received) -> tuple[str, Span]:
        """Begin the span of a call; return its traceparent, which names it as parent, and the span."""
        ...


class DeadlineLimits(NamedTuple):
    """default_s: for callers that set none. max_s: for all."""

    default_s: float
    max_s: float

    def deadline(self, now: float, remaining_s: float | None) -> float:
        """Return the deadline on the clock of `now`; None is a caller without one, 0.0 one that has no time left."""
        return now + min(self.default_s if remaining_s is None else remaining_s, self.max_s)


class CallContextFactory:
    """Makes the Call of each request.

    log_one_in: one of so many requests is logged besides those whose trace is recorded; 0 logs only the latter.
    spans: None when traces are only handed on. clock: the counters'. count_unidentified: gets the method of a call
    without a caller. only_forwarded: believe headers of the front door only.
    """

    def __init__(
        self,
        log_one_in: int,
        limits: DeadlineLimits,
        spans: Spans | None,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        count_unidentified: Callable[[str], None],
        *,
        only_forwarded: bool = False,
    ) -> None:
        self._log_one_in, self._unlogged = log_one_in, 0
        self._limits, self._spans, self._loop = limits, spans, loop
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
        InvalidArgument for headers that cannot be read, Unauthenticated for a call without a caller.
        """
        arrived = self._clock()
        concerns = read_context_headers(headers)
        if caller is None:
            known = FRONT_DOOR_HEADER in headers or not self._only_forwarded
            caller = caller_of(headers) if known else NOBODY
            if caller is NOBODY and not of_anybody:
                self._count_unidentified(method)
                raise unidentified()
        request_id, traceparent, span = request_id_of(headers.get(REQUEST_ID_HEADER)), "", None
        if TRACEPARENT_HEADER in headers or (self._spans is not None and self._spans.samples()):
            traceparent, span = self._traced(headers, request_id, method)
        sampled = traceparent != ""
        if not sampled:
            self._unlogged += 1
            if self._unlogged == self._log_one_in:
                sampled, self._unlogged = True, 0
        asks = headers.get(ASKING_HEADER, "0") != "0"
        return Call(
            caller,
            request_id,
            self._limits.deadline(self._loop.time(), remaining_s),
            arrived,
            traceparent,
            sampled,
            span,
            Marks(self._clock, arrived) if asks or span is not None else None,
            concerns,
        )

    def pass_over(self, requests: int) -> None:
        """Count calls that were answered without a context: others are logged and recorded in their place."""
        self._unlogged = min(self._unlogged + requests, max(self._log_one_in - 1, 0))
        if self._spans is not None:
            self._spans.pass_over(requests)

    def stranger(self, request_id: str | None) -> Call:
        """Return the call of a caller that is refused before its token is read."""
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


def received_request_id(pairs: Iterable[tuple[bytes, bytes]]) -> str | None:
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
    if name in CONTEXT_HEADERS:
        raise malformed(name, "is given twice")


def read_context_headers(headers: Mapping[str, str]) -> ContextHeaders | None:
    """Return what the headers say, None when they say nothing. Raises InvalidArgument naming the header."""
    age = headers.get(MAX_AGE_HEADER)
    user, entity = headers.get(USER_HEADER, ""), headers.get(ENTITY_HEADER, "")
    explain = headers.get(EXPLAIN_HEADER)
    if not user and not entity and age is None and explain is None:
        return None
    # Space around a value is no part of it (RFC 9110, 5.5). HTTP/2 keeps it, and perf_analyzer's -H puts some before.
    user, entity = user.strip(" \t"), entity.strip(" \t")
    age = None if age is None else age.strip(" \t")
    explain = None if explain is None else explain.strip(" \t")
    if explain not in (None, "0", "1"):
        raise malformed(EXPLAIN_HEADER, f"'{explain[:32]}' is neither 1 nor 0")
    for name, value in ((USER_HEADER, user), (ENTITY_HEADER, entity)):
        if len(value) > MAX_TEXT_CHARS or not (value.isascii() and value.isprintable()):
            raise malformed(
                name, f"at most {MAX_TEXT_CHARS} printable ASCII characters are needed; the request's field takes any"
            )
    if age is not None and _AGE.fullmatch(age) is None:
        raise malformed(MAX_AGE_HEADER, f"'{age[:32]}' is not a number of milliseconds, 0 or more")
    return ContextHeaders(user, entity, None if age is None else float(age) / 1000, explain == "1")


def malformed(header: str, problem: str) -> InvalidArgument:
    """Return the error for a header that cannot be read."""
    return InvalidArgument(
        f"{header}: {problem}", reason="MALFORMED_HEADER", violations=[FieldViolation(header, problem)]
    )


@functools.lru_cache(maxsize=1024)  # callers repeat theirs
def parse_timeout(value: str) -> float:
    """Return the seconds of a `grpc-timeout` header such as `250m`. Raises InvalidArgument."""
    found = _TIMEOUT.fullmatch(value)
    if found is None:
        problem = (
            f"'{value[:32]}' is not digits and one of the units H, M, S, m, u, n, such as 250m for 250 milliseconds"
        )
        raise malformed(TIMEOUT_HEADER, problem)
    return int(found.group(1)) * _UNITS_S[found.group(2)]
