"""Run a query's child process: start it, exchange frames with it, and clean up after it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from headrace_servicekit.errors import FieldViolation, InvalidArgument, ResourceExhausted, Unavailable

from headrace_monitor.record.query import frames
from headrace_monitor.record.query.decisions.scope import Scope, ViewUse
from headrace_monitor.record.query.frames import Kind

_ENGINE = "headrace_monitor.record.query.engine"


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one query. max_bytes: of its answer. spill_bytes: of what it keeps on disk."""

    memory_bytes: int
    threads: int
    timeout_s: float
    max_bytes: int
    spill_bytes: int


@dataclass(frozen=True, slots=True)
class Sources:
    """What the views are made of. outcomes: a CSV file; None where no view needs it."""

    files: tuple[Path, ...]
    outcomes: Path | None
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class QueryEnd:
    """End of an answer. truncated: there were more rows than asked for."""

    rows: int
    truncated: bool


class QueryProcess:
    """A process that answers one query; leaving the context kills it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, program: str, job: dict[str, Any], limits: Limits, folder: Path) -> AsyncIterator[Self]:
        """Start a program, and give it its job. folder: where it may keep what does not fit its memory."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", program),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"TZ": "UTC", "LANG": "C.UTF-8"},
            cwd=folder,
            limit=2 * frames.CHUNK_BYTES,
            start_new_session=True,
        )
        try:
            made = cls(process)
            await made._send(Kind.JOB, {**job, **_limits(limits), "folder": os.fspath(folder)})
            yield made
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    @classmethod
    def answering(
        cls, sql: str, max_rows: int, limits: Limits, folder: Path
    ) -> contextlib.AbstractAsyncContextManager[Self]:
        """Start the process, and give it the query."""
        return cls.running(_ENGINE, {"sql": sql, "max_rows": max_rows}, limits, folder)

    async def reading(self) -> ViewUse:
        """Return what the query reads. Raises InvalidArgument for what is not one SELECT."""
        message = await self.next_report()
        found = message["scope"]
        return ViewUse(
            frozenset(message["views"]),
            Scope(_names(found["models"]), _names(found["versions"]), _time(found["start"]), _time(found["end"])),
        )

    async def next_report(self) -> dict[str, Any]:
        """Return the next report of the process, before it gets its sources. Raises what `answer` raises."""
        kind, content = await self._next()
        if kind is not Kind.READING:
            raise _failed(content) if kind is Kind.FAILED else _gone()
        return json.loads(content)

    async def give(self, sources: dict[str, Any]) -> None:
        """Send the process a part of its sources. Raises Unavailable when it is gone."""
        await self._send(Kind.SOURCES, sources)

    async def answer(self, sources: Sources) -> AsyncIterator[bytes | QueryEnd]:
        """Yield the bytes of the answer's Arrow IPC stream, and at last how it went."""
        await self.give(
            {
                "files": [os.fspath(path) for path in sources.files],
                "outcomes": None if sources.outcomes is None else os.fspath(sources.outcomes),
                "start": None if sources.start is None else sources.start.isoformat(),
                "end": None if sources.end is None else sources.end.isoformat(),
            }
        )
        async for each in self.rows():
            yield each

    async def rows(self) -> AsyncIterator[bytes | QueryEnd]:
        """Yield what `answer` yields, to a process that has its sources."""
        while True:
            kind, content = await self._next()
            if kind is Kind.ARROW:
                yield content
            elif kind is Kind.DONE:
                yield QueryEnd(**json.loads(content))
                return
            else:
                raise _failed(content) if kind is Kind.FAILED else _gone()

    @property
    def number(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Return whether nothing runs any more."""
        return self._process.returncode is not None

    async def _send(self, kind: Kind, content: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(frames.frame(kind, json.dumps(content).encode()))
            await self._process.stdin.drain()
        except (ConnectionError, RuntimeError) as error:  # of asyncio's loop, and of uvloop's
            raise _gone() from error

    async def _next(self) -> tuple[Kind, bytes]:
        assert self._process.stdout is not None
        try:
            return await frames.receive(self._process.stdout)
        except (asyncio.IncompleteReadError, ValueError):
            code = await self._process.wait()
            if code < 0:  # killed: by a limit, by the kernel for memory, or by a fault in native code
                raise ResourceExhausted(
                    f"the query ended its process (signal {-code}): it needs more than a query may use. Read less: "
                    "name a model, a version and a time in WHERE, and only the columns that you need",
                    reason="QUERY_TOO_LARGE",
                    metadata={"signal": str(-code)},
                ) from None
            raise _gone() from None


def _limits(limits: Limits) -> dict[str, Any]:
    return {
        "max_bytes": limits.max_bytes,
        "memory_bytes": limits.memory_bytes,
        "spill_bytes": limits.spill_bytes,
        "threads": limits.threads,
        "cpu_s": limits.timeout_s * limits.threads,
    }


def _failed(content: bytes) -> Exception:
    message = json.loads(content)
    words = message["words"]
    if message["kind"] == "too_large":
        return ResourceExhausted(words, reason="QUERY_TOO_LARGE")
    return InvalidArgument(words, reason="QUERY_INVALID", violations=[FieldViolation("sql", words)])


def _gone() -> Exception:
    return Unavailable("the query's process ended without an answer: try again", reason="QUERY_PROCESS_ENDED")


def _names(listed: list[str] | None) -> frozenset[str] | None:
    return None if listed is None else frozenset(listed)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
