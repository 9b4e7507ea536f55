"""Requests that Envoy's filter `deploy/envoy/filter_bridge/filter_bridge.c` hands to this process, many at a time.

The filter is loaded in this very process. It gives whole requests as packed bytes and takes answers likewise: no thread
stands between its workers and our event loop, and what happens in one turn of the loop costs one call each way. No
request costs a task either, unless it asks for one (`coroutine_driver.py`).
"""

from __future__ import annotations

import asyncio
import ctypes
import struct
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, cast

import orjson
from headrace_servicekit.error_details import to_json
from headrace_servicekit.errors import ServiceError, Unauthenticated
from headrace_servicekit.identity import Identity

from headrace_router.data.answer.refusals import too_many_requests
from headrace_router.data.transports.coroutine_driver import CoroutineDriver
from headrace_router.data.transports.envoy.bridged_answer import Answered, packed
from headrace_router.data.transports.envoy.bridged_request import NAMES, BridgedRequest, HeaderLayouts, Identify
from headrace_router.data.transports.envoy.unary_calls import CONTENT, PREFIX_BYTES, refusal_headers
from headrace_router.data.transports.rest.bodies import too_large, too_slow

# As in filter_bridge.c: length, flags, id, connection, headers, bytes of the body.
_HEAD = struct.Struct("=IIQQII")
_CANCELLED, _TOO_LARGE, _TOO_SLOW, _TOO_MANY = 1, 2, 4, 8
_ROOM_BYTES = 256 * 1024
# Answers are given back after so many requests at the latest, so that workers and loop work at the same time.
_TOGETHER = 32
# Bounds on what may wait for us in the filter. How many requests are served at one time is bounded by `respond`.
MOST_REQUESTS = 8192
MOST_BYTES = 256 * 1024 * 1024

Respond = Callable[[BridgedRequest], Coroutine[Any, Any, Answered]]
Finish = Callable[[bytes], bytes]


class NotLoaded(Exception):
    """The filter is not in this process; the message says why."""


class Filter(Protocol):
    """The functions of `filter_bridge.c`."""

    def bridge_open(self, configuration: bytes, /) -> int:
        """Begin; return the eventfd that is readable while requests wait, negative where none can be opened."""
        ...

    def bridge_take(self, address: int, size: int, /) -> int:
        """Write what waits to an address; return its length, or negative the room that it needs."""
        ...

    def bridge_answer(self, answers: bytes, size: int, /) -> None:
        """Give answers to those who wait for them."""
        ...

    def bridge_give_up(self, after_ms: int, /) -> None:
        """Hand over, as too slow, what has not come whole in such a time."""
        ...

    def bridge_arm(self, packed: bytes, size: int, /) -> bool:
        """Have an answer repeated from now on; False where it can't be."""
        ...

    def bridge_drop(self, number: int, /) -> None:
        """Have one answer repeated no more."""
        ...

    def bridge_forget(self) -> None:
        """Have no answer repeated of those so far; return when none is on its way."""
        ...

    def bridge_lease(self, lease: int, tokens: int, /) -> int:
        """Let so many be repeated; return how many of those before were not."""
        ...

    def bridge_repeated(self, address: int, /) -> int:
        """Write what was repeated to an address, which must have room for all; return its length."""
        ...


class FilterBridge:
    """Takes requests from the filter and gives their answers back.

    grpc, rest: answer requests, as UnaryCalls and RestCalls do. identify: gives the caller of a request. All may be
    replaced at any time. most_message_bytes: larger ones are refused. most_unfinished: requests that are on their way
    at one time. behind_a_front_door: whether a header of it names each caller's connection.
    """

    def __init__(
        self,
        functions: Filter,
        grpc: Respond,
        rest: Respond,
        *,
        most_message_bytes: int,
        most_unfinished: int,
        behind_a_front_door: bool = False,
    ) -> None:
        self.grpc, self.rest = grpc, rest
        self.identify: Identify = _nobody
        self._most_message_bytes, self._most_unfinished = most_message_bytes, most_unfinished
        settings = configuration(most_message_bytes + PREFIX_BYTES, most_unfinished)
        self._filter = self.functions = functions
        self._event = self._filter.bridge_open(settings.encode("latin-1"))
        if self._event < 0:
            raise NotLoaded("no eventfd can be opened")
        self._loop = asyncio.get_running_loop()
        self._layouts = HeaderLayouts(behind_a_front_door=behind_a_front_door)
        self._make_room(_ROOM_BYTES)
        self.current: BridgedRequest | None = None
        """The request whose serving began just now; None of one that has waited for something."""
        self._finish: Finish | None = None
        self._waiting: dict[int, BridgedRequest] = {}
        self._answers: list[bytes] = []
        self._flushing = False

    def start(self) -> None:
        """Take requests from now on."""
        self._loop.add_reader(self._event, self._take)

    def stop(self) -> None:
        """Take no more. What was taken is still answered."""
        self._loop.remove_reader(self._event)

    def finish_with(self, finish: Finish) -> None:
        """Have the answer to the current request changed once it is packed."""
        self._finish = finish

    def give_up(self, after_s: float) -> None:
        """Refuse requests that have not come whole in such a time."""
        self._filter.bridge_give_up(int(after_s * 1000))

    def _make_room(self, size: int) -> None:
        self._buffer, self._size = bytearray(size), size
        self._address = ctypes.addressof((ctypes.c_char * size).from_buffer(self._buffer))

    def _take(self) -> None:
        """Begin to serve all that is there."""
        taken = self._filter.bridge_take(self._address, self._size)
        if taken < 0:
            self._make_room(-taken)
            taken = self._filter.bridge_take(self._address, self._size)
        at, answers = 0, self._answers
        while at < taken:
            at += self._begin(at)
            if len(answers) >= _TOGETHER:
                self._flush()
        self._flush()
        if self._size > _ROOM_BYTES:
            self._make_room(_ROOM_BYTES)

    def _begin(self, at: int) -> int:
        """Begin to serve the request at a place in the buffer, and return its length."""
        length, flags, id_, connection, count, body_bytes = _HEAD.unpack_from(self._buffer, at)
        if flags & _CANCELLED:
            self._cancel(id_)
            return length
        end = at + length
        values, body = at + _HEAD.size + 4 * count, end - body_bytes
        self.current = request = BridgedRequest(connection, self.identify)
        self._layouts.of(bytes(self._buffer[at + _HEAD.size : values])).read(bytes(self._buffer[values:body]), request)
        if flags:
            request.broken = self._broken(flags)
        else:
            request.whole = bytes(self._buffer[body:end])
        serving = self._serve(id_, request)
        try:
            waits_for = serving.send(None)
        except StopIteration:
            self.current = None
            if self._finish is not None:
                self._answers[-1], self._finish = self._finish(self._answers[-1]), None
            return length
        self.current = None
        request.driver = CoroutineDriver(serving, waits_for, self._loop)
        self._waiting[id_] = request
        return length

    def _broken(self, flags: int) -> ServiceError:
        """Return what is wrong with a request that never came whole."""
        if flags & _TOO_MANY:
            return too_many_requests(self._most_unfinished)
        return too_large(self._most_message_bytes) if flags & _TOO_LARGE else too_slow()

    def _cancel(self, id_: int) -> None:
        request = self._waiting.get(id_)
        if request is not None and request.driver is not None:
            request.driver.cancel()

    async def _serve(self, id_: int, request: BridgedRequest) -> None:
        waited = False
        try:
            # Methods of gRPC are `/package.Service/Method`, paths of REST `/v1/…` and `/v2/…`.
            answered = await (self.rest if request.path.startswith("/v") else self.grpc)(request)
        finally:
            if request.driver is not None:
                waited, request.driver = True, None  # which holds the error that it waited for, if it was one
                del self._waiting[id_]
        self._answers.append(packed(id_, answered))
        if not waited:
            return
        if not self._waiting or len(self._answers) >= _TOGETHER:  # no other could leave with them, or enough do
            self._flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._answers:
            answers = b"".join(self._answers)
            self._answers.clear()
            self._filter.bridge_answer(answers, len(answers))


def configuration(most_body_bytes: int, most_unfinished: int) -> str:
    """Return the configuration of the filter, in the lines that it reads."""
    full = too_many_requests(MOST_REQUESTS)
    body = to_json(full)
    grpc = [(b":status", b"200"), *CONTENT, *refusal_headers(full)]
    return "\n".join(
        (
            f"{MOST_REQUESTS} {most_unfinished} {max(MOST_BYTES, 2 * most_body_bytes)} {most_body_bytes}",
            " ".join(NAMES),
            # Clients of the Open Inference Protocol look for `error`, others for `message`.
            orjson.dumps({**body, "error": body["message"]}).decode(),
            *(f"{name.decode()} {value.decode()}" for name, value in grpc),
        )
    )


def _nobody(_authorization: bytes | None, _scope: str, _sender: Callable[[], object]) -> Identity:
    raise Unauthenticated("the keys that verify tokens are not loaded yet", reason="TOKEN_INVALID")


def opened(module: Path) -> Filter:
    """Return the filter's functions: Envoy has loaded them. Raises NotLoaded."""
    try:
        # With the interpreter's lock kept: a call is shorter than giving it back.
        functions = ctypes.PyDLL(str(module))
    except OSError as error:
        raise NotLoaded(str(error)) from None
    return typed_functions(functions)


def typed_functions(functions: ctypes.CDLL) -> Filter:
    """Return a library's functions with the types of their arguments and results."""
    functions.bridge_take.restype = ctypes.c_int64
    functions.bridge_take.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    functions.bridge_answer.restype = functions.bridge_give_up.restype = None
    functions.bridge_open.argtypes = (ctypes.c_char_p,)
    functions.bridge_answer.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    functions.bridge_give_up.argtypes = (ctypes.c_int64,)
    functions.bridge_arm.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    functions.bridge_arm.restype = ctypes.c_bool
    functions.bridge_drop.argtypes = (ctypes.c_uint32,)
    functions.bridge_drop.restype = functions.bridge_forget.restype = None
    functions.bridge_lease.argtypes = (ctypes.c_uint32, ctypes.c_int32)
    functions.bridge_repeated.argtypes = (ctypes.c_void_p,)
    functions.bridge_repeated.restype = ctypes.c_size_t
    return cast("Filter", functions)
