"""A backend for models on external servers, each at the address that its version names."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path

from headrace_runtime.backends.backend import BackendLost, LoadError, ModelCrashed, ModelFiles
from headrace_runtime.backends.oip import OipBackend, ServerNames
from headrace_runtime.backends.server_links import channel
from headrace_runtime.shapes import Layout, OutputTensor


@dataclass(frozen=True, slots=True)
class _Server:
    """Where a version is, and the connection to it. link: closes that."""

    target: str
    names: ServerNames
    backend: OipBackend
    link: AsyncExitStack


class OipServers:
    """Finds each version on its server, and leaves it there. execution_timeout_s: an execution that takes longer counts
    as lost. tls: for all of them; None for plain TCP."""

    load_control = True

    def __init__(self, *, execution_timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        self._execution_timeout_s, self._tls = execution_timeout_s, tls
        self._servers: dict[str, _Server] = {}

    async def __aenter__(self) -> OipServers:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for name in list(self._servers):
            await self.unload(name)

    async def load(self, files: ModelFiles) -> None:
        target, names = await asyncio.to_thread(_server_of, files.path)
        known = self._servers.get(files.name)
        if known is not None and (known.target, known.names) == (target, names):
            await _find(known, files)  # keep the link: calls may be in flight on it
            return
        link = AsyncExitStack()
        opened = await link.enter_async_context(channel(target, self._execution_timeout_s / 2, self._tls))
        backend = OipBackend(opened, names=names, execution_timeout_s=self._execution_timeout_s)
        server = _Server(target, names, backend, link)
        try:
            await _find(server, files)
        except BaseException:
            await link.aclose()
            raise
        await self.unload(files.name)
        self._servers[files.name] = server

    async def unload(self, name: str) -> None:
        if name in self._servers:
            await self._servers.pop(name).link.aclose()

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        if name not in self._servers:
            raise ModelCrashed(f"'{name}' is not loaded")
        try:
            return await self._servers[name].backend.infer(name, layout, rows, inputs)
        except ModelCrashed:
            raise
        except BackendLost as error:  # of this version alone: others have servers of their own
            raise ModelCrashed(f"its server does not answer: {error}") from None

    async def stream(
        self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]
    ) -> AsyncGenerator[list[OutputTensor], None]:
        if name not in self._servers:
            raise ModelCrashed(f"'{name}' is not loaded")
        try:
            async with aclosing(self._servers[name].backend.stream(name, layout, rows, inputs)) as parts:
                async for part in parts:
                    yield part
        except ModelCrashed:
            raise
        except BackendLost as error:
            raise ModelCrashed(f"its server does not answer: {error}") from None

    async def ready(self) -> bool:
        return True

    def end_model(self, name: str) -> bool:
        """Return whether a version is here; what runs it is not ours to end."""
        return name in self._servers


async def _find(server: _Server, files: ModelFiles) -> None:
    """Find a version on its server. Raises LoadError."""
    try:
        await server.backend.load(files)
    except BackendLost as error:
        raise LoadError(f"server '{server.target}' does not answer: {error}") from None


def _server_of(path: Path) -> tuple[str, ServerNames]:
    """Return the address in a server file, and what the version is called there. Raises LoadError."""
    try:
        server = json.loads(path.read_bytes())
        target, model, version = server["target"], server["model"], server.get("version", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LoadError("server.json does not say which server and model") from None
    return target, ServerNames(_literally(model), _literally(version))


def _literally(name: str) -> str:
    """Return a name as a template that stands for itself."""
    return name.replace("{", "{{").replace("}", "}}")
