"""Calls that services must refuse, and the typed errors that they are refused with."""

from __future__ import annotations

from collections.abc import Awaitable

import grpc.aio
import pytest
from headrace_servicekit.errors import ServiceError, from_rpc_error


async def refused(call: Awaitable[object]) -> ServiceError:
    """Await a call that must fail, and return the typed error that it is answered with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc_error(caught.value)
