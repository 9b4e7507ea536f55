"""Backends of the batcher on what really executes, and models written where each finds them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from headrace_runtime.backends.backend import Backend, LoadBudget, ModelFiles
from headrace_runtime.backends.oip import OipBackend, ServerNames
from headrace_runtime.backends.server_links import channel
from headrace_runtime.backends.triton import TritonBackend
from headrace_runtime.backends.triton_repository import Repository
from headrace_runtime.contract import from_proto
from headrace_runtime.shapes import FIXED, ShapeKey, layout_of, outputs_in_order

from tests.kit.models.onnx_models import TinyModel
from tests.kit.models.triton import Triton

# Enough for every model that loads, and little to wait for when one does not.
BUDGET = LoadBudget(cpu_s=3.0, memory_bytes=512 * 1024**2)


async def nothing(_name: str, _model: bytes) -> None:
    """Let the backend see to its models itself."""


class Rig:
    """A backend, and models written where it finds them. provide: gives the server a model to load itself."""

    def __init__(
        self, backend: Backend, folder: Path, provide: Callable[[str, bytes], Awaitable[None]] = nothing
    ) -> None:
        self.backend = backend
        self._folder = folder
        self._provide = provide

    def files(self, model: TinyModel, name: str = "tiny--v1", **changes: Any) -> ModelFiles:
        """Write a model and return its files; changes: fields of ModelFiles."""
        path = self._folder / f"{name}.onnx"
        path.write_bytes(model.content)
        return ModelFiles(
            **{"name": name, "path": path, "contract": from_proto(model.contract), "max_rows": 32, **changes}
        )

    async def load(self, files: ModelFiles) -> None:
        """Have the backend serve a model."""
        await self._provide(files.name, await asyncio.to_thread(files.path.read_bytes))
        await self.backend.load(files)

    async def infer(
        self, files: ModelFiles, inputs: Sequence[np.ndarray | bytes], rows: int, key: ShapeKey = FIXED
    ) -> dict[str, tuple[tuple[int, ...], bytes]]:
        """Return shape and bytes of each output, in the order of the contract."""
        layout = layout_of(files.contract, key)
        raw = [part.tobytes() if isinstance(part, np.ndarray) else part for part in inputs]
        outputs = outputs_in_order(files.contract, rows, await self.backend.infer(files.name, layout, rows, raw))
        return {one.name: (one.shape, bytes(one.data)) for one in outputs}


@asynccontextmanager
async def triton_backend(triton: Triton) -> AsyncIterator[Backend]:
    """Open the backend on a Triton that runs."""
    async with channel(triton.address) as link:
        yield TritonBackend(link, Repository(triton.repository, BUDGET), execution_timeout_s=20, load_timeout_s=30)


@asynccontextmanager
async def oip_backend(address: str, names: ServerNames | None = None) -> AsyncIterator[OipBackend]:
    """Open the backend on a server of others."""
    async with channel(address) as link:
        yield OipBackend(link, names=names or ServerNames(), execution_timeout_s=20)
