"""Versions that are models of somebody else's servers, each by the address that it names, as a backend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from headrace_runtime.backends.backend import BackendLost, LoadError, ModelCrashed, ModelFiles
from headrace_runtime.backends.oip import OipBackend, ServerNames
from headrace_runtime.backends.opening import channel
from headrace_runtime.shapes import Layout, OutputTensor


class OipServers:
    """Finds each version on its server, and leaves it there. execution_timeout_s: an execution that takes longer counts
    as lost."""

    load_control = True

    def __init__(self, *, execution_timeout_s: float) -> None:
        self._execution_timeout_s = execution_timeout_s
        self._servers: dict[str, tuple[OipBackend, AsyncExitStack]] = {}

    async def __aenter__(self) -> OipServers:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for name in list(self._servers):
            await self.unload(name)

    async def load(self, files: ModelFiles) -> None:
        target, names = await asyncio.to_thread(_server, files.path)
        stack = AsyncExitStack()
        opened = await stack.enter_async_context(channel(target, self._execution_timeout_s / 2))
        backend = OipBackend(opened, names=names, execution_timeout_s=self._execution_timeout_s)
        try:
            await backend.load(files)
        except BackendLost as error:
            await stack.aclose()
            raise LoadError(f"server '{target}' does not answer: {error}") from None
        except BaseException:
            await stack.aclose()
            raise
        await self.unload(files.name)
        self._servers[files.name] = backend, stack

    async def unload(self, name: str) -> None:
        if name in self._servers:
            _, stack = self._servers.pop(name)
            await stack.aclose()

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        if name not in self._servers:
            raise ModelCrashed(f"'{name}' is not loaded")
        try:
            return await self._servers[name][0].infer(name, layout, rows, inputs)
        except ModelCrashed:
            raise
        except BackendLost as error:  # of this version alone: others have servers of their own
            raise ModelCrashed(f"its server does not answer: {error}") from None

    async def ready(self) -> bool:
        return True

    def end_model(self, name: str) -> bool:
        """Return whether a version is here; what runs it is not ours to end."""
        return name in self._servers


def _server(path: Path) -> tuple[str, ServerNames]:
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
