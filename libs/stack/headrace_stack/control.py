"""The supervisor's control socket: who may read the state folder may ask how the stack is, and scale it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headrace_stack.component import missing
from headrace_stack.requests import Add, Remove, Request, RequestError, Scale, Status, done, parse, refused
from headrace_stack.scale_changes import ScalingError
from headrace_stack.scaler import Change, Scaler
from headrace_stack.supervisor import Supervisor

_CHECK_S = 10.0
# Longer than any request; a caller that says nothing for so long is not one.
_LINE_BYTES = 64 * 1024
_IDLE_S = 30.0
_MOST_CALLERS = 16


class ControlError(Exception):
    """The supervisor did not do what was asked; the message says why."""


class ControlSocket:
    """Answers requests, one after the other on each connection."""

    def __init__(self, supervisor: Supervisor, scaler: Scaler) -> None:
        self._supervisor, self._scaler = supervisor, scaler
        self._callers: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def listening(self, path: Path) -> AsyncIterator[None]:
        """Listen until the block ends. Changes that were asked for are then given up. Raises OSError."""
        server = await asyncio.start_unix_server(self._serve, sock=_bound(path), limit=_LINE_BYTES)
        try:
            yield
        finally:
            server.close()
            for caller in tuple(self._callers):
                caller.cancel()
            await asyncio.gather(*self._callers, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._callers.add(task)
        try:
            if len(self._callers) > _MOST_CALLERS:
                writer.write(refused("", f"{_MOST_CALLERS} others are asking: try again later"))
                await writer.drain()
                return
            while line := await _line(reader):
                writer.write(await self._answer(line))
                await writer.drain()
        except RequestError as error:
            with contextlib.suppress(OSError):
                writer.write(refused(error.field, str(error)))
                await writer.drain()
        except (OSError, TimeoutError):
            pass  # the caller is gone, or says nothing
        finally:
            self._callers.discard(task)
            writer.close()

    async def _answer(self, line: bytes) -> bytes:
        try:
            return await self._do(parse(line))
        except (RequestError, ScalingError) as error:
            return refused(error.field, str(error))
        except (OSError, ValueError) as error:  # a full disk, say, or the stack is being stopped
            return refused("", str(error))

    async def _do(self, request: Request) -> bytes:
        match request:
            case Status(checks=checks):
                components = self._supervisor.components if checks else ()
                answers = await asyncio.gather(*(missing(component, _CHECK_S) for component in components))
                lacking = {component.name: said for component, said in zip(components, answers, strict=True)}
                return done(**asdict(self._supervisor.snapshot), missing=lacking, scalable=self._scaler.scalable())
            case Scale(component=component, replicas=replicas, to_zero=to_zero, first=first):
                return _changed(await self._scaler.scale(component, replicas, to_zero=to_zero, first=first))
            case Add(component=component, backend=backend, replicas=replicas):
                return _changed(await self._scaler.add(component, backend, replicas))
            case Remove(component=component):
                return _changed(await self._scaler.remove(component))


def _changed(change: Change) -> bytes:
    return done(**asdict(change))


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return a line, empty at the end. Raises RequestError for one without end, TimeoutError and OSError."""
    try:
        async with asyncio.timeout(_IDLE_S):
            return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:
        return b""
    except asyncio.LimitOverrunError:
        raise RequestError("", f"the request is longer than {_LINE_BYTES} bytes") from None


async def ask(path: Path, request: dict[str, Any], timeout_s: float | None = None) -> dict[str, Any]:
    """Send a request to the supervisor and return its answer. Raises ControlError.

    timeout_s: None for as long as it takes, which the supervisor bounds.
    """
    try:
        async with asyncio.timeout(timeout_s):
            # An answer is as long as what it tells of.
            reader, writer = await asyncio.open_unix_connection(sock=_connected(path), limit=16 * 1024 * 1024)
            try:
                writer.write(json.dumps(request).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except TimeoutError:
        raise ControlError(f"the supervisor did not answer within {timeout_s:.0f} s") from None
    except OSError as error:
        raise ControlError(f"the supervisor cannot be asked at {path}: {error}") from None
    if not line:
        raise ControlError("the supervisor has stopped")
    answer: dict[str, Any] = json.loads(line)
    if not answer["ok"]:
        raise ControlError(answer["error"])
    return answer


def _bound(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)  # of one that was killed: ours is the only supervisor here
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with _short(path) as name:
            made.bind(name)
    finally:
        os.umask(before)
    made.setblocking(False)
    return made


def _connected(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as name:
            made.connect(name)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of the socket that fits: the kernel takes 107 bytes, and a checkout may lie deep."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
