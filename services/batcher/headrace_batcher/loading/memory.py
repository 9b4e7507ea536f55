"""How much memory the backend and this process hold, read from the kernel, and that of GPUs by what Triton says."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, Protocol

from headrace_batcher.decisions.version_state import Memory

READ_EVERY_S = 2.0


class Room(Protocol):
    """What is known of memory. last: what was read last, None before the first time."""

    last: Memory | None

    async def read(self) -> Memory | None:
        """Return what is in use now; None when that cannot be known."""
        ...


class MemoryWatch:
    """Reads what is in use, again and again. limit_bytes, gpu_limit_bytes: infinite for none. group: process group of
    the backend, None while there is none. gpu_bytes: what is in use on GPUs.

    A Triton that others run is not counted.
    """

    def __init__(
        self,
        limit_bytes: float,
        group: Callable[[], int | None],
        proc: Path = Path("/proc"),
        *,
        gpu_limit_bytes: float = math.inf,
        gpu_bytes: Callable[[], int] = lambda: 0,
    ) -> None:
        self.last: Memory | None = None
        """What was read last, None before the first time."""
        self._limit_bytes, self._gpu_limit_bytes = limit_bytes, gpu_limit_bytes
        self._group, self._gpu_bytes = group, gpu_bytes
        self._proc = proc

    async def read(self) -> Memory | None:
        """Return what is in use now."""
        used = await asyncio.to_thread(held_bytes, os.getpid(), self._group(), self._proc)
        self.last = Memory(used, self._limit_bytes, self._gpu_bytes(), self._gpu_limit_bytes)
        return self.last

    async def run(self, changed: Callable[[], None]) -> NoReturn:
        """Read for ever, and tell."""
        while True:
            await self.read()
            changed()
            await asyncio.sleep(READ_EVERY_S)


def held_bytes(own: int, group: int | None, proc: Path = Path("/proc")) -> int:
    """Return the memory of a process, its children, and those in a process group, each shared page once."""
    others = {one: _parent_and_group(one) for one in proc.glob("[0-9]*")}
    found = [one for one, (parent, its_group) in others.items() if parent == own or (group and its_group == group)]
    return sum(map(_proportional_bytes, [proc / str(own), *found]))


def _parent_and_group(process: Path) -> tuple[int, int]:
    try:
        # The name in parentheses may hold anything; after it come state, parent, group.
        _, parent, group, *_ = (process / "stat").read_text().rpartition(")")[2].split()
        return int(parent), int(group)
    except (OSError, ValueError):  # it ended meanwhile
        return 0, 0


def _proportional_bytes(process: Path) -> int:
    """Return a process's share of its resident pages: a page of n processes counts one n-th in each."""
    try:
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):  # it ended meanwhile
        pass
    return 0
