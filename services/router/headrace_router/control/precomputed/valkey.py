"""Precomputed answers in Valkey: rows written in order, sealed, on disk, and removed in small steps.

How far a publish is stands beside its rows and changes with them in one step, so that it says what Valkey really has:
after a crash that lost the end of its file, a publish is only as far as that file.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Self

import redis.asyncio as aioredis
from headrace_servicekit.errors import PreconditionFailed, ResourceExhausted, ServiceError, Unavailable
from headrace_servicekit.peers import count, reason_of
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, NoScriptError, OutOfMemoryError, ResponseError

from headrace_router.control.precomputed.decisions.places import Memory, Place, Progress, Sealed, Wrote

CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 5.0
# A connection is lent while a command is under way; more callers than this wait their turn.
MAX_CONNECTIONS = 32

_LUA = "headrace_router.control.precomputed.lua"
_SCAN_COUNT = 500
# Of one wait for the disk; shorter than a command may take.
_WAIT_S = 2.0


class AnswerStore:
    """Enter it before use; it connects when it is used. Every method raises Unavailable, reason STORE_UNAVAILABLE."""

    def __init__(self, url: str, password_file: Path | None = None) -> None:
        self._url, self._password_file = url, password_file
        self._scripts = {name: _lua(name) for name in ("write", "seal")}
        self._digests: dict[str, str] = {}
        self._opened: Any = None

    async def __aenter__(self) -> Self:
        password = self._password_file.read_text().strip() if self._password_file is not None else None
        self._opened = aioredis.Redis.from_url(
            self._url,
            password=password,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=COMMAND_TIMEOUT_S,
            max_connections=MAX_CONNECTIONS,
            # Callers repeat what may be repeated. A connection that a restart broke is noticed when it is next lent.
            retry=Retry(NoBackoff(), 0),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        client, self._opened = self._opened, None
        await client.aclose()

    @property
    def _client(self) -> Any:
        if self._opened is None:  # what a stream does last, when its server has stopped: it must not connect again
            raise Unavailable("the control plane is stopping", reason="STOPPING", retry_after_s=0.2)
        return self._opened

    async def ping(self) -> None:
        """Return when Valkey answers."""
        with _translated():
            await self._client.ping()

    async def memory(self) -> Memory:
        """Return what Valkey may use."""
        with _translated():
            info: Mapping[str, Any] = await self._client.info("memory")
        return Memory(int(info.get("maxmemory", 0)), str(info.get("maxmemory_policy", "")))

    async def open(self, place: Place) -> None:
        """Begin a publish, unless it has begun."""
        with _translated():
            await self._client.hsetnx(place.progress, "rows", 0)

    async def progress(self, place: Place) -> Progress | None:
        """Return how far a publish is; None when it has not begun here, or was lost."""
        with _translated():
            rows, entities, size, closed = await self._client.hmget(
                place.progress, ["rows", "entities", "bytes", "closed"]
            )
        return None if rows is None else Progress(int(rows), int(entities or 0), int(size or 0), closed is not None)

    async def write(
        self, place: Place, first_row: int, rows: int, keys: Sequence[bytes], entries: Sequence[bytes]
    ) -> tuple[Wrote, int]:
        """Write rows if they are the next ones; return what came of it, and the rows that the publish has now.

        rows: their number; keys are distinct, so there may be fewer. Raises ResourceExhausted, reason STORE_FULL.
        """
        size = sum(map(len, keys)) + sum(map(len, entries))
        status, count = await self._run("write", (place.progress, *keys), (first_row, rows, size, *entries))
        if status == Wrote.NOT_NEXT.value and count == first_row + rows:
            status = Wrote.WRITTEN.value  # another call wrote them a moment ago
        return Wrote(status), count

    async def close(self, place: Place) -> None:
        """Take no more rows."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.hsetnx(place.progress, "rows", 0)  # also where it was lost: a late first chunk must not find it open
        pipeline.hset(place.progress, "closed", 1)
        with _translated():
            await pipeline.execute()

    async def seal(self, place: Place, rows: int, *, durable_within_s: float | None) -> tuple[Sealed, Progress]:
        """Close a publish that has as many rows as expected and write its marker; return once that is on disk.

        durable_within_s: None does not wait for the disk. Raises PreconditionFailed, reason STORE_NOT_DURABLE, and
        Unavailable when the disk is late.
        """
        script = await self._script("seal")
        waits = max(1, math.ceil((durable_within_s or 0.0) / _WAIT_S))
        for _ in range(waits):
            # Valkey waits for what the connection has written: both go over one, and both are repeated when it breaks.
            # What other connections wrote before is on disk before.
            pipeline = self._client.pipeline(transaction=False)
            pipeline.evalsha(script, 2, place.progress, place.marker, rows)
            if durable_within_s is not None:
                pipeline.execute_command("WAITAOF", 1, 0, int(1000 * min(_WAIT_S, durable_within_s)))
            with _translated():
                sealed, *waited = await pipeline.execute(raise_on_error=False)
                if isinstance(sealed, NoScriptError):  # Valkey was restarted since
                    self._digests.clear()
                    script = await self._script("seal")
                    continue
                if isinstance(sealed, Exception):
                    raise sealed
            status, *counts = sealed
            if status != Sealed.SEALED.value or not waited or _is_on_disk(waited[0]):
                return Sealed(status), Progress(*counts, closed=status == Sealed.SEALED.value)
        raise Unavailable(
            f"the store had not written the answers to disk within {durable_within_s:g} s: commit again",
            reason="STORE_UNAVAILABLE",
            retry_after_s=1.0,
        )

    async def marked(self, places: Sequence[Place]) -> list[bool]:
        """Return for each generation whether it is whole: its marker is there."""
        if not places:
            return []
        with _translated():
            found = await self._client.mget([place.marker for place in places])
        return [one is not None for one in found]

    async def remove(self, places: Sequence[Place], prefixes: Sequence[bytes] = ()) -> AsyncIterator[int]:
        """Remove generations, and every key with one of the prefixes; yield after each small step the keys removed.

        The markers go first, so that no reader takes half of them for all.
        """
        doomed = tuple(place.prefix for place in places) + tuple(prefixes)
        named = [key for place in places for key in (place.marker, place.progress)]
        if named:
            with _translated():
                await self._client.unlink(*named)
        cursor = None
        while doomed and cursor != 0:
            with _translated():
                cursor, keys = await self._client.scan(cursor or 0, match=_common(doomed), count=_SCAN_COUNT)
                found = [key for key in keys if key.startswith(doomed)]
                if found:
                    await self._client.unlink(*found)
            yield len(found)

    async def _run(self, name: str, keys: Sequence[bytes], arguments: Sequence[Any]) -> list[Any]:
        for _ in range(2):
            script = await self._script(name)
            try:
                with _translated():
                    return await self._client.evalsha(script, len(keys), *keys, *arguments)
            except NoScriptError:  # Valkey was restarted since
                self._digests.clear()
        raise Unavailable("the store forgets its scripts", reason="STORE_UNAVAILABLE", retry_after_s=1.0)

    async def _script(self, name: str) -> str:
        if name not in self._digests:
            with _translated():
                self._digests[name] = await self._client.script_load(self._scripts[name])
        return self._digests[name]


def _common(prefixes: Sequence[bytes]) -> bytes:
    """Return a pattern that matches every key with one of the prefixes, and as few others as one pattern can say."""
    first, last = min(prefixes), max(prefixes)
    same = next((at for at, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return first[: min(same, len(last))] + b"*"


def _lua(name: str) -> str:
    return resources.files(_LUA).joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _is_on_disk(answer: Any) -> bool:
    """Return whether WAITAOF counted this Valkey. Raises PreconditionFailed when it has no append-only file."""
    if isinstance(answer, ResponseError) and "appendonly" in str(answer):
        raise PreconditionFailed(
            "the store keeps nothing on disk (appendonly is off): its next crash would lose the answers",
            reason="STORE_NOT_DURABLE",
        ) from answer
    if isinstance(answer, Exception):
        with _translated():
            raise answer
    return answer[0] >= 1


@contextmanager
def _translated() -> Iterator[None]:
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
