"""Unary gRPC methods inside Envoy: from a request of the filter bridge to its answer, as bytes over HTTP/2.

One framed message each way, and a status in headers or trailers.
"""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote

import structlog
from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.error_details import to_status
from headrace_servicekit.errors import Internal, InvalidArgument, ServiceError, Unavailable, Unimplemented

from headrace_router.data.request.request import Call
from headrace_router.data.transports.admission import AdmissionControl
from headrace_router.data.transports.call_context import (
    GRPC_ENCODING_HEADER,
    TIMEOUT_HEADER,
    CallContextFactory,
    parse_timeout,
)
from headrace_router.data.transports.envoy.bridged_answer import Answered, Headers, packed_headers
from headrace_router.data.transports.envoy.bridged_request import BridgedRequest
from headrace_router.data.transports.prediction_methods import Serve
from headrace_router.data.transports.rest.bodies import PLAIN, inflate, too_large

PREFIX_BYTES = 5
_PREFIX = struct.Struct(">BI")
_KNOWN = frozenset((*PLAIN, "deflate", "gzip"))
ACCEPTED = b"identity,deflate,gzip"
OK_TRAILER = (b"grpc-status", b"0")


log = structlog.get_logger()


_REQUEST_ID = REQUEST_ID_HEADER.encode()
CONTENT: Headers = [(b"content-type", b"application/grpc"), (b"grpc-accept-encoding", ACCEPTED)]
"""What every answer begins with."""
_OK = packed_headers((OK_TRAILER,))
_BEGIN = packed_headers(((b":status", b"200"), *CONTENT))


class UnaryCalls:
    """Serves requests by their methods.

    methods: by `package.Service/Method`. max_message_bytes: of a request, as sent and inflated. max_active: requests in
    progress, above which more are refused before they are read; of one client fewer. refused: counts a request that was
    refused before any method saw it.
    """

    def __init__(
        self,
        methods: Mapping[str, Serve],
        contexts: CallContextFactory,
        *,
        refused: Callable[[Call, ServiceError], None],
        max_message_bytes: int,
        max_active: int,
    ) -> None:
        self._methods = {f"/{name}": (name, serve) for name, serve in methods.items()}
        self._contexts, self._refused = contexts, refused
        self._max_message_bytes, self._admission = max_message_bytes, AdmissionControl(max_active)
        self._active = 0

    async def respond(self, request: BridgedRequest) -> Answered:
        """Return the answer to one request. Until it waits for something it needs no task."""
        self._active += 1
        trailers: Headers = []
        try:
            message, more = await self._answer(request, trailers)
        except ServiceError as error:
            return refusal(error, trailers)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return refusal(Unavailable("the call was stopped inside the service", reason="STOPPED"), trailers)
        except Exception:
            log.exception("unhandled error", method=request.path)
            return refusal(Internal("internal error"), trailers)
        else:
            return _BEGIN, framed(message), _OK + packed_headers((*trailers, *more))
        finally:
            self._active -= 1
            if self._admission.counted:
                self._admission.release(request)

    async def _answer(self, request: BridgedRequest, trailers: Headers) -> tuple[bytes, Headers]:
        """Return the answer and its own trailers; `trailers` gets those that errors have too."""
        found = self._methods.get(request.path)
        if found is None:
            raise Unimplemented("this method is not served here", reason="METHOD_UNKNOWN")
        method, serve = found
        try:
            headers = request.headers()
            timeout = headers.get(TIMEOUT_HEADER)
            remaining_s = None if timeout is None else parse_timeout(timeout)
            call = self._contexts.call(headers, method, remaining_s, request.identity())
        except ServiceError as error:
            self._refused(self._contexts.stranger(request.request_id()), error)
            raise
        trailers.append((_REQUEST_ID, call.request_id.encode()))
        try:
            if self._active > self._admission.threshold:
                self._admission.admit(request, call.caller.client, self._active)
            body = request.body()
            message = None if GRPC_ENCODING_HEADER in headers else plain(body)
            if message is None:
                message = await self._unframed(body, headers.get(GRPC_ENCODING_HEADER, ""))
        except ServiceError as error:
            self._refused(call, error)
            raise
        answer, more = await serve(message, headers, call)
        return answer, encoded(more) if more else []

    async def _unframed(self, body: bytes, encoding: str) -> bytes:
        most = self._max_message_bytes
        if compressed(body):  # a kilobyte may become megabytes, during which the loop would serve no other request
            return await asyncio.to_thread(unframed, body, encoding, most)
        return unframed(body, encoding, most)


def refusal(error: ServiceError, trailers: Headers) -> Answered:
    """Return an answer of headers only: a message never came."""
    return _BEGIN + packed_headers((*refusal_headers(error), *trailers)), b"", b""


def framed(message: bytes) -> bytes:
    """Return a message with its prefix: not compressed, for that costs more than the loopback or a rack's network."""
    return _PREFIX.pack(0, len(message)) + message


def plain(body: bytes) -> bytes | None:
    """Return the one message of a body that is not compressed, None for any other body, right or wrong."""
    if len(body) < PREFIX_BYTES or body[0] or int.from_bytes(body[1:PREFIX_BYTES], "big") != len(body) - PREFIX_BYTES:
        return None
    return body[PREFIX_BYTES:]


def compressed(body: bytes) -> bool:
    """Return whether a body says that its message is compressed."""
    return body[:1] == b"\x01"


def unframed(body: bytes, encoding: str, most: int) -> bytes:
    """Return the one message of a body.

    encoding: what `grpc-encoding` says, empty without it. most: bytes, before and after decompression. Raises
    InvalidArgument for anything but one whole message in an encoding that is ours, ResourceExhausted for one that is
    too large.
    """
    if encoding not in _KNOWN:
        raise _broken(f"grpc-encoding '{encoding[:32]}' is not understood; send one of {ACCEPTED.decode()}")
    if len(body) < PREFIX_BYTES:
        raise _broken(f"{len(body)} bytes are no message with its prefix")
    flag, length = _PREFIX.unpack_from(body)
    if length != len(body) - PREFIX_BYTES:
        raise _broken(f"the prefix announces {length} bytes and {len(body) - PREFIX_BYTES} follow")
    if length > most:
        raise too_large(most)
    if not flag:
        return body[PREFIX_BYTES:]
    if flag != 1:
        raise _broken(f"the prefix begins with {flag}, neither 0 nor 1")
    return _inflated(body[PREFIX_BYTES:], encoding, most)


def refusal_headers(error: ServiceError) -> Headers:
    """Return what tells an error, in headers or in trailers."""
    status = to_status(error)
    details = base64.b64encode(status.SerializeToString()).rstrip(b"=")
    return [
        (b"grpc-status", str(int(error.code)).encode()),
        # Percent-encoding leaves what is printable as it is, as the protocol wants it.
        (b"grpc-message", quote(status.message, safe=_PRINTABLE).encode()),
        (b"grpc-status-details-bin", details),
    ]


def encoded(pairs: Iterable[tuple[str, str]]) -> Headers:
    """Return headers as bytes."""
    return [(name.encode(), value.encode()) for name, value in pairs]


_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def _inflated(data: bytes, encoding: str, most: int) -> bytes:
    if encoding in PLAIN:
        raise _broken("the message is compressed and grpc-encoding does not say how")
    return inflate(data, encoding, most)


def _broken(problem: str) -> ServiceError:
    return InvalidArgument(f"the request is not one gRPC message: {problem}", reason="MALFORMED_MESSAGE")
