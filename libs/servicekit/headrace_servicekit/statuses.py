"""Exceptions to statuses: what a caller gets, and how a call is ended with it."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
import grpc.aio

from headrace_servicekit.error_details import from_rpc_error, to_status
from headrace_servicekit.errors import Code, DeadlineExceeded, ServiceError, Unavailable

STATUS_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def typed_error(error: BaseException) -> ServiceError | None:
    """Return the caller's error for an exception, or None for a defect whose text must stay inside.

    A peer's unhandled UNAVAILABLE and DEADLINE_EXCEEDED keep their code; its other codes are our defect. Of a task
    group that failed with typed errors only, the first counts.
    """
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, BaseExceptionGroup):
        typed = [typed_error(inner) for inner in error.exceptions]
        return typed[0] if typed and all(one is not None for one in typed) else None
    if isinstance(error, grpc.aio.AioRpcError):
        peer = from_rpc_error(error)
        if isinstance(peer, Unavailable):
            return Unavailable("a service that this call needs is not available", reason="DEPENDENCY_UNAVAILABLE")
        if isinstance(peer, DeadlineExceeded):
            return DeadlineExceeded("a service that this call needs did not answer in time", reason="DEPENDENCY_SLOW")
    return None


async def abort(context: Any, error: ServiceError, trailers: tuple = ()) -> NoReturn:
    """End the call with the error's status and details, beside `trailers`; always raises AbortError.

    The error's traceback is forgotten: grpc keeps the AbortError with the call until the garbage collector comes by,
    and by these frames all of the request.
    """
    status = to_status(error)
    trailers = (*trailers, ("grpc-status-details-bin", status.SerializeToString()))
    error.__traceback__ = None
    try:
        await context.abort(STATUS_CODES[int(error.code)], status.message, trailers)
    except grpc.aio.AbortError as aborted:
        aborted.__context__ = None
        raise
    raise AssertionError("abort returned")


def code_of(context: Any) -> Code:
    """Return the status that a servicer context holds; the library gives nothing, a number, or a grpc.StatusCode."""
    set_by_handler = context.code()
    if not set_by_handler:
        return Code.OK
    return Code(set_by_handler.value[0] if isinstance(set_by_handler, grpc.StatusCode) else set_by_handler)
