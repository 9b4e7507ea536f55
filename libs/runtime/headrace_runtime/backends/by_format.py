"""One backend of several: versions of some formats have one of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from headrace_runtime.backends.backend import Backend, ModelFiles, stream
from headrace_runtime.formats import Format
from headrace_runtime.shapes import Layout, OutputTensor


class FormatBackend(Backend, Protocol):
    """A backend whose versions come and go each by itself."""

    def end_model(self, name: str) -> bool:
        """End at once what executes a version; return whether it is here."""
        ...


class BackendsByFormat:
    """Loads a version where its format is run. main: of every format that has no backend of its own."""

    load_control = True

    def __init__(self, main: Backend, own: Mapping[Format, FormatBackend]) -> None:
        self._main, self._own = main, own
        # Of each version that is loaded, or was and is not unloaded yet.
        self._where: dict[str, Backend] = {}

    async def load(self, files: ModelFiles) -> None:
        backend = self._own.get(files.kept_as, self._main)
        self._where[files.name] = backend
        await backend.load(files)

    async def unload(self, name: str) -> None:
        await self._where.pop(name, self._main).unload(name)

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        return await self._where.get(name, self._main).infer(name, layout, rows, inputs)

    def stream(
        self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]
    ) -> AsyncGenerator[list[OutputTensor], None]:
        return stream(self._where.get(name, self._main), name, layout, rows, inputs)

    async def ready(self) -> bool:
        return await self._main.ready()

    def end_model(self, name: str) -> bool:
        """End at once what executes a version that the main backend does not run; return whether it is one."""
        for backend in self._own.values():
            if self._where.get(name) is backend:
                backend.end_model(name)
                return True
        return False
