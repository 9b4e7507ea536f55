"""What the store of answers says, as errors of services."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from headrace_servicekit.errors import PreconditionFailed, ResourceExhausted, ServiceError, Unavailable
from headrace_servicekit.peers import count, reason_of
from redis.exceptions import BusyLoadingError, NoScriptError, OutOfMemoryError, ResponseError


def is_on_disk(answer: Any) -> bool:
    """Return whether WAITAOF counted this Valkey. Raises PreconditionFailed when it has no append-only file."""
    if isinstance(answer, ResponseError) and "appendonly" in str(answer):
        raise PreconditionFailed(
            "the store keeps nothing on disk (appendonly is off): its next crash would lose the answers",
            reason="STORE_NOT_DURABLE",
        ) from answer
    if isinstance(answer, Exception):
        with translated():
            raise answer
    return answer[0] >= 1


@contextmanager
def translated() -> Iterator[None]:
    """Raise what redis-py raises as the errors of services: Unavailable, ResourceExhausted."""
    try:
        yield
    except OutOfMemoryError as error:
        raise ResourceExhausted("the store's memory is full", reason="STORE_FULL") from error
    except NoScriptError:
        raise
    except ResponseError as error:
        if isinstance(error, BusyLoadingError) or str(error).startswith(("LOADING", "MASTERDOWN", "READONLY", "BUSY")):
            raise _unavailable(error) from error
        if "OOM" in str(error):
            raise ResourceExhausted("the store's memory is full", reason="STORE_FULL") from error
        raise
    except ServiceError:
        raise
    except Exception as error:  # of the connection, or of what came over it: uvloop's RuntimeError, a reply of nonsense
        count("valkey", error)
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(
        f"the store of cached answers does not respond: {reason_of(error)}",
        reason="STORE_UNAVAILABLE",
        retry_after_s=0.5,
    )
