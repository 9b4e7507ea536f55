"""Works without a stream, and a backend that does as it is told, for unit tests of the batcher.

async with serving(backend) as batcher:
    works = submit(batcher, make, [1.0], [2.0, 3.0])
    await settled(make, *works)
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from headrace_batcher.batching.batcher import Batcher
from headrace_batcher.decisions.answers import Answer, Failure
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.decisions.work import Work
from headrace_runtime.contract import Contract, TensorSpec
from headrace_runtime.shapes import FIXED, Layout, OutputTensor, ShapeKey
from headrace_servicekit.testing import eventually


class Collected:
    """Keeps what becomes of works: the outcomes in the order in which they came, by id.

    parts: the first value of each part, of works that are answered in parts. takes: whether each is taken at once.
    """

    def __init__(self) -> None:
        self.outcomes: dict[int, Answer | Failure] = {}
        self.parts: dict[int, list[float]] = {}
        self.takes = True

    def part(self, work: Work, part: Answer) -> int:
        values = np.frombuffer(bytes(part.values[0]), dtype="<f4").tolist()
        assert len(values) == work.rows
        self.parts.setdefault(work.id, []).append(values[0])
        if self.takes:
            assert work.flow is not None
            asyncio.get_running_loop().call_soon(work.flow.taken, 1)
        return len(part.values[0])

    def settle(self, work: Work, outcome: Answer | Failure) -> None:
        assert work.id not in self.outcomes, "settled twice"
        self.outcomes[work.id] = outcome

    def reason(self, work: Work) -> str:
        outcome = self.outcomes.get(work.id)
        return outcome.reason if isinstance(outcome, Failure) else "OK" if outcome is not None else "none yet"

    def rows(self, work: Work) -> list[float]:
        """Return the first output of an answered work, one number per value."""
        outcome = self.outcomes[work.id]
        assert isinstance(outcome, Answer), outcome
        return np.frombuffer(bytes(outcome.values[0]), dtype="<f4").tolist()


class WorkMaker:
    """Makes works whose only input is `x`, FP32, one value per row."""

    def __init__(self) -> None:
        self.sink = Collected()
        self._ids = itertools.count(1)

    def __call__(
        self,
        values: Sequence[float] = (0.0,),
        *,
        batcher=None,
        arrived: float = 0.0,
        act_by: float = math.inf,
        deadline: float = math.inf,
        priority: int = 0,
        client: str = "",
        key: ShapeKey = FIXED,
        max_wait_s: float | None = None,
    ) -> Work:
        data = np.array(values, dtype="<f4").tobytes()
        return Work(
            self.sink,
            next(self._ids),
            batcher,  # type: ignore[arg-type]
            len(values),
            [data],
            arrived,
            key,
            priority=priority,
            client=client,
            deadline=deadline,
            max_wait_s=max_wait_s,
            act_by=act_by,
            size_bytes=len(data),
        )


class Doubling:
    """A backend whose output `y` is twice `x`. Executions wait at the gate while it is closed.

    executed: the rows of each execution, in order of starting. act: called with the values first; what it raises fails
    the execution.
    """

    load_control = True

    def __init__(self) -> None:
        self.executed: list[list[float]] = []
        self.act: Callable[[list[float]], None] = lambda values: None
        self.gate = asyncio.Event()
        self.gate.set()

    def fail_once(self, error: Exception) -> None:
        """Fail the next execution, and none after it."""

        def fail(_values: list[float]) -> None:
            self.act = lambda values: None
            raise error

        self.act = fail

    async def infer(self, name: str, layout: Layout, rows: int, inputs: Sequence[bytes]) -> list[OutputTensor]:
        values = np.frombuffer(inputs[0], dtype="<f4")
        assert len(values) == rows
        self.executed.append(values.tolist())
        await self.gate.wait()
        self.act(values.tolist())
        return [OutputTensor("y", "FP32", (rows,), (values * 2).tobytes())]

    async def load(self, files) -> None: ...

    async def unload(self, name: str) -> None: ...

    async def ready(self) -> bool:
        return True


# Long enough that no wait is used up by a slow machine; the tests say what is executed when.
BY_FOUR = Limits(max_rows=4, preferred_rows=(4,), max_wait_s=60.0)
X_TO_Y = Contract((TensorSpec("x", "FP32", (), nan_allowed=False),), (TensorSpec("y", "FP32", ()),))


@asynccontextmanager
async def serving(backend: Doubling, limits: Limits = BY_FOUR, **how: Any) -> AsyncIterator[Batcher]:
    """Run a batcher over a backend until the block ends; how: more that it is made with."""
    batcher = Batcher("m--v", X_TO_Y, limits, backend, **how)
    loop = asyncio.create_task(batcher.serve_forever())
    try:
        yield batcher
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


def submit(batcher: Batcher, make: WorkMaker, *many: Sequence[float], **fields: Any) -> list[Work]:
    """Submit a work for each list of values, all in one turn; fields are those of WorkMaker."""
    works = [make(values, batcher=batcher, arrived=time.monotonic(), **fields) for values in many]
    for one in works:
        batcher.submit(one)
    return works


async def settled(make: WorkMaker, *works: Work) -> None:
    """Return when each of these has an outcome."""
    await eventually(lambda: all(one.id in make.sink.outcomes for one in works), within=10)


async def executing(backend: Doubling, count: int) -> None:
    """Return when so many executions were started."""
    await eventually(lambda: len(backend.executed) == count)
