"""Work that callers must not feel: hashing, copying and parsing files, in one thread that steps back for all others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from headrace_runtime.scheduling import give_way

P = ParamSpec("P")
T = TypeVar("T")


class Background:
    """Runs functions one after the other. Linux gives every thread a niceness of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="background", initializer=give_way)

    async def __aenter__(self) -> Background:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the function returns."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: function(*args, **kwargs))
