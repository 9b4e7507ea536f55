"""What happens around every RPC: identity, trace, deadline, errors to statuses, metrics, and one access line.

Handlers are wrapped once, when they are registered, rather than by a chain of `grpc.aio.ServerInterceptor` at each
call: the order can be read in one place (`_Interception.serve`), and unary messages are parsed where a malformed one
can still be answered properly.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from headrace_servicekit.access import Access, ModelCheck, access_of
from headrace_servicekit.calls import Call, enter_call
from headrace_servicekit.denials import Denials
from headrace_servicekit.errors import (
    Code,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    PermissionDenied,
    Unavailable,
    Unimplemented,
)
from headrace_servicekit.fair_share import FairShare, Pool
from headrace_servicekit.headers import expiry, trailers, who
from headrace_servicekit.identity import NOBODY, Identity, act_as, unidentified
from headrace_servicekit.metrics import RpcMetrics
from headrace_servicekit.ranges import check as check_ranges
from headrace_servicekit.statuses import abort, code_of, typed_error

if TYPE_CHECKING:
    from headrace_servicekit.tracing import Tracing

log = structlog.get_logger()

# Probes come every second from everywhere: they are logged at debug unless they fail.
_QUIET = ("/grpc.health.", "/grpc.reflection.")
# What the front door forwards for everybody.
_OF_ANYBODY = "/grpc.health."


class Interceptors:
    """Wraps method handlers; one per server.

    max_calls: in progress, streams included; each client has its share. insiders: as `Tls.internal`.
    """

    def __init__(
        self,
        metrics: RpcMetrics,
        *,
        denials: Denials | None = None,
        tracing: Tracing | None = None,
        access_log: bool = True,
        max_calls: int | None = None,
        insiders: frozenset[str] = frozenset(),
    ) -> None:
        self.metrics = metrics
        self.calls = FairShare(Pool("calls", max_calls or sys.maxsize, "TOO_MANY_CALLS", retry_after_s=1.0))
        self.denials = denials or Denials()
        self.tracing = tracing
        self.access_log = access_log
        self.insiders = frozenset(name.encode() for name in insiders)
        self.log = log.bind()  # resolved once: looking up the configuration costs as much as the line

    def wrap(self, method: str, handler: Any, access: Access | None = None) -> grpc.RpcMethodHandler:
        """Return the handler of `/package.Service/Method` with everything around it.

        access: the method's option; looked up in the protos when None. Handlers are coroutines or async generators;
        a method that a servicer did not override answers UNIMPLEMENTED; any other plain function is a TypeError.
        """
        access = access_of(method) if access is None else access
        behaviour = _behaviour(method, handler)
        around = _Interception(self, method, access, behaviour, handler)
        # Shown from the start, at 0: the first defect of a method is then an increase, which an alert sees.
        self.metrics.unhandled.labels(method)
        self.metrics.unidentified.labels(method)
        if handler.response_streaming:
            if handler.request_streaming:
                return grpc.stream_stream_rpc_method_handler(
                    around.stream_stream, around.deserialize, handler.response_serializer
                )
            return grpc.unary_stream_rpc_method_handler(around.unary_stream, None, handler.response_serializer)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(around.stream_unary, around.deserialize, None)
        return grpc.unary_unary_rpc_method_handler(around.unary_unary, None, None)


class _Interception:
    """The wrapped form of one method. Unary messages are parsed here, so that a malformed one is INVALID_ARGUMENT."""

    __slots__ = (
        "_access", "_around", "_behaviour", "_method", "_models", "_of_anybody", "_parse", "_quiet", "_serialize",
    )  # fmt: skip

    def __init__(self, around: Interceptors, method: str, access: Access, behaviour: Callable, handler: Any) -> None:
        self._around, self._method, self._access, self._behaviour = around, method, access, behaviour
        self._parse = handler.request_deserializer
        self._serialize = handler.response_serializer
        self._models = ModelCheck(access.model_field) if access.model_field else None
        # So are the reports that components repeat to each other, some twice a second.
        self._quiet = access.internal or method.startswith(_QUIET)
        self._of_anybody = method.startswith(_OF_ANYBODY)

    async def unary_unary(self, data: bytes, context: Any) -> bytes:
        return await self.serve(self._answer, data, context)

    async def stream_unary(self, messages: AsyncIterator[Any], context: Any) -> bytes:
        return await self.serve(self._answer_stream, messages, context)

    async def unary_stream(self, data: bytes, context: Any) -> None:
        await self.serve(self._send, data, context)

    async def stream_stream(self, messages: AsyncIterator[Any], context: Any) -> None:
        await self.serve(self._send_stream, messages, context)

    async def serve(self, act: Callable, request: Any, context: Any) -> Any:
        """Run one call and account for it, however it ends."""
        around, method = self._around, self._method
        started = time.monotonic()
        metrics = around.metrics
        metrics.active += 1
        call, caller, span, code = None, None, None, Code.UNKNOWN
        try:
            call, caller = who(context, around.insiders)
            if around.tracing is not None:
                call, span = around.tracing.start(method, call)
            enter_call(call)
            act_as(caller)
            if caller is NOBODY and not self._of_anybody:
                metrics.count_unidentified(method)
                raise unidentified()
            remaining = context.time_remaining()
            if remaining is not None and remaining <= 0:
                raise DeadlineExceeded("the deadline had passed before the call began", reason="DEADLINE_PASSED")
            if self._access.internal and not caller.internal:
                raise PermissionDenied("this method is for other services only", reason="INTERNAL_METHOD")
            with around.calls.place():
                answer = await act(request, context, caller)
            code = code_of(context)
            context.set_trailing_metadata(trailers(context, call))
            return answer
        except grpc.aio.AbortError:
            code = code_of(context)
            raise
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # the caller left, its deadline passed, or the grace is over
                remaining = context.time_remaining()
                code = Code.DEADLINE_EXCEEDED if remaining is not None and remaining <= 0 else Code.CANCELLED
                raise
            code = Code.UNAVAILABLE  # else the caller would wait for ever
            stopped = Unavailable("the call was stopped inside the service", reason="STOPPED")
            await abort(context, stopped, trailers(context, call))
        except (Exception, BaseExceptionGroup) as error:
            typed = typed_error(error)
            if typed is None:
                metrics.unhandled.labels(method).inc()
                log.error("unhandled error", method=method, exc_info=error)
                typed = Internal("internal error")
            code = typed.code
            await abort(context, typed, trailers(context, call))
        finally:
            metrics.active -= 1
            self._account(context, call, caller, code, time.monotonic() - started, span)

    def deserialize(self, data: bytes) -> Any:
        """Parse one message, and look at its numbers; what is wrong with it is the caller's fault."""
        if self._parse is None:
            return data
        try:
            request = self._parse(data)
        except DecodeError:
            raise InvalidArgument(
                f"the request is not a valid message of {self._method}", reason="MALFORMED_MESSAGE"
            ) from None
        check_ranges(request)
        return request

    async def _answer(self, data: bytes, context: Any, caller: Identity) -> bytes:
        request = self.deserialize(data)
        if caller.models is not None and self._models is not None:
            self._models.check(request, caller)
        return self._encoded(await self._behaviour(request, context), context)

    async def _answer_stream(self, messages: Any, context: Any, caller: Identity) -> bytes:
        if caller.models is not None and self._models is not None:
            messages, context = self._models.checked(messages, context, caller)
        # Not until its token expires: an upload may take longer than that.
        async with self._around.denials.while_believed(caller):
            return self._encoded(await self._behaviour(messages, context), context)

    def _encoded(self, answer: Any, context: Any) -> bytes:
        if context.code():  # the handler set a status by hand: there is no answer beside it
            return b""
        return answer if self._serialize is None else self._serialize(answer)

    async def _send(self, data: bytes, context: Any, caller: Identity) -> None:
        request = self.deserialize(data)
        if caller.models is not None and self._models is not None:
            self._models.check(request, caller)
        async with self._around.denials.while_believed(caller, expiry(context)):
            await _send_all(self._behaviour(request, context), context)

    async def _send_stream(self, messages: Any, context: Any, caller: Identity) -> None:
        if caller.models is not None and self._models is not None:
            messages, context = self._models.checked(messages, context, caller)
        async with self._around.denials.while_believed(caller, expiry(context)):
            await _send_all(self._behaviour(messages, context), context)

    def _account(
        self, context: Any, call: Call | None, caller: Identity | None, code: Code, seconds: float, span: Any
    ) -> None:
        self._around.metrics.observe(self._method, code.name, seconds)
        if span is not None and self._around.tracing is not None:
            self._around.tracing.end(span, code.name)
        if self._around.access_log:
            write = self._around.log.debug if self._quiet and code is Code.OK else self._around.log.info
            write(
                "rpc",
                method=self._method,
                code=code.name,
                ms=round(seconds * 1000, 3),
                peer=context.peer(),
                client=caller.client if caller is not None else None,
                request_id=call.request_id if call is not None else None,
                trace_id=call.trace_id if call is not None else None,
            )


async def _send_all(produced: Any, context: Any) -> None:
    """Send what a generator yields; a handler that is a coroutine writes by itself."""
    if not hasattr(produced, "__aiter__"):
        await produced
        return
    async with aclosing(produced):
        async for message in produced:
            await context.write(message)


def _behaviour(method: str, handler: Any) -> Callable:
    function = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return function
    if getattr(function, "__module__", "").endswith("_pb2_grpc"):
        return _unimplemented  # the generated method that the servicer did not override
    raise TypeError(f"{method}: the handler must be `async def`")


async def _unimplemented(_request: Any, _context: Any) -> Any:
    raise Unimplemented("this method is not offered here")
