"""Both clients: tests of the SDK are written once and run blocking and awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import numpy as np
from headrace_client import AsyncClient, Client, RetryPolicy

IMAGE = {"image": np.zeros((1, 4), np.float32)}
QUICK = RetryPolicy(initial_s=0.001, max_s=0.01)

# Runs one method of either client, such as `predict` or `models.get`.
Call = Callable[..., Any]


def caller(address: str, *, awaited: bool) -> Call:
    """Return what calls a method of a new client."""

    def blocking(method: str, *args: Any, token: Any = "t", **kwargs: Any) -> Any:
        with Client(address, token=token, retry=QUICK) as client:
            return attrgetter(method)(client)(*args, **kwargs)

    def on_a_loop(method: str, *args: Any, token: Any = "t", **kwargs: Any) -> Any:
        async def run() -> Any:
            async with AsyncClient(address, token=token, retry=QUICK) as client:
                return await attrgetter(method)(client)(*args, **kwargs)

        return asyncio.run(run())

    return on_a_loop if awaited else blocking
