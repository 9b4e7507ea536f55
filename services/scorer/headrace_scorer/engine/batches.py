"""Running a model on rows, batch by batch: in this process, or by the batchers of a pool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from headrace_runtime import shapes
from headrace_runtime.artifacts.cache import BlobCache
from headrace_runtime.artifacts.s3 import s3_blobs
from headrace_runtime.backends.backend import ModelError, ModelFiles
from headrace_runtime.backends.onnx import OnnxBackend
from headrace_runtime.contract import Contract
from headrace_runtime.shapes import OutputTensor, WrongOutput

from headrace_scorer.engine.messages import Work
from headrace_scorer.engine.pool import backend as pool
from headrace_scorer.engine.pool.backend import Deadly, PoolBackend
from headrace_scorer.engine.tensors import Faults, Tensor

# The most that the model may take at once.
MAX_ROWS = 65_536
# What is tried on a sample; the first that is nearly as fast as the fastest is taken.
CANDIDATES = (64, 256, 1024, 4096, 16_384)
NEARLY = 0.95
_CACHE_BYTES = 4 << 30
_FETCH_S = 600.0
_NAME = "scored"


class BatchRunner:
    """One loaded model. tensors: the names of those that are given. Not for several threads."""

    def __init__(self, work: Work, contract: Contract, tensors: Sequence[str], folder: Path) -> None:
        self._work, self._contract, self._folder = work, contract, folder
        self._loop = asyncio.Runner()
        self._backend = OnnxBackend(threads=0) if work.pool is None else PoolBackend(work.pool)
        self._at_once = 1 if work.pool is None else pool.AT_ONCE
        absent = tuple(at for at, spec in enumerate(contract.inputs) if spec.name not in tensors)
        self._layout = shapes.layout_of(contract, shapes.ShapeKey(absent=absent))

    def load(self) -> None:
        """Fetch the model, verify and load it, or find who has it. Raises ArtifactError, LoadError, PoolAway."""
        self._loop.run(self._load())

    @property
    def fixed_rows(self) -> int | None:
        """Return how many rows a batch has, where that is not to be found by measuring."""
        if not self._contract.batched:
            return 1
        return pool.ROWS if self._work.pool is not None else None

    def fastest(self, tensors: Sequence[Tensor], rows: np.ndarray) -> int:
        """Return how many rows the model takes at once the fastest. rows: some that it may be given."""
        rates: dict[int, float] = {}
        for size in CANDIDATES:
            some = rows[: min(len(rows), 4 * size)]
            self._run_or_skip(tensors, some[:size])
            began = time.perf_counter()
            for start in range(0, len(some), size):
                self._run_or_skip(tensors, some[start : start + size])
            rates[size] = len(some) / (time.perf_counter() - began)
            if len(some) < 4 * size:
                break
        best = max(rates.values())
        return next(size for size, rate in rates.items() if rate >= NEARLY * best)

    def run(self, tensors: Sequence[Tensor], batch_rows: int, faults: Faults) -> list[list[OutputTensor]]:
        """Return the outputs of all rows without a fault, batch by batch; rows that the model refuses get one."""
        rows = np.flatnonzero(faults.good)
        batches = [rows[start : start + batch_rows] for start in range(0, len(rows), batch_rows)]
        return self._loop.run(self._answers(tensors, batches, faults))

    async def _load(self) -> None:
        if self._work.pool is not None:
            await self._backend.load(ModelFiles(_NAME, Path(), self._contract, MAX_ROWS))
            return
        access, sha256 = self._work.access, self._work.model_sha256
        credentials = None if access.credentials_file is None else Path(access.credentials_file)
        async with s3_blobs(access.endpoint, access.artifacts_bucket, access.region, credentials) as blobs:
            cache = BlobCache(self._folder / "models", blobs, max_bytes=_CACHE_BYTES, fetch_timeout_s=_FETCH_S)
            path = await cache.fetch(sha256)
        await self._backend.load(ModelFiles(_NAME, path, self._contract, MAX_ROWS))

    async def _answers(
        self, tensors: Sequence[Tensor], batches: Sequence[np.ndarray], faults: Faults
    ) -> list[list[OutputTensor]]:
        """Return the outputs of batches, in their order."""
        answers: list[list[list[OutputTensor]]] = [[] for _ in batches]
        following = iter(range(len(batches)))

        async def one_by_one() -> None:
            for at in following:
                answers[at] = await self._isolated(tensors, batches[at], faults)

        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(self._at_once, len(batches))):
                    tasks.create_task(one_by_one())
        except ExceptionGroup as several:
            raise several.exceptions[0] from None
        return [outputs for of in answers for outputs in of]

    async def _isolated(self, tensors: Sequence[Tensor], rows: np.ndarray, faults: Faults) -> list[list[OutputTensor]]:
        """Run a batch; one that fails is halved until the rows that are to blame are alone."""
        try:
            return [await self._batch(tensors, rows)]
        except (ModelError, WrongOutput) as error:
            if len(rows) == 1:
                wrong = np.zeros(len(faults.good), bool)
                wrong[rows[0]] = True
                faults.add(wrong, "", f"the model refuses it: {error}")
                return []
            # What harms callers' batchers is tried as seldom as can be.
            size = 1 if isinstance(error, Deadly) else (len(rows) + 1) // 2
        parts = [await self._isolated(tensors, rows[at : at + size], faults) for at in range(0, len(rows), size)]
        return [outputs for part in parts for outputs in part]

    async def _batch(self, tensors: Sequence[Tensor], rows: np.ndarray) -> list[OutputTensor]:
        # Rows that follow each other need not be gathered.
        together = len(rows) == rows[-1] - rows[0] + 1
        which = slice(int(rows[0]), int(rows[-1]) + 1) if together else rows
        inputs = [tensor.raw(which) for tensor in tensors]
        answer = await self._backend.infer(_NAME, self._layout, len(rows), inputs)
        return shapes.outputs_in_order(self._contract, len(rows), answer)

    def _run_or_skip(self, tensors: Sequence[Tensor], rows: np.ndarray) -> None:
        try:
            self._loop.run(self._batch(tensors, rows))
        except (ModelError, WrongOutput):
            return
