"""Works without a stream and a backend that does as it is told, for unit tests of the batcher."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from headrace_batcher.batching.answers import Answer, Failure
from headrace_batcher.batching.contract import Contract, TensorSpec
from headrace_batcher.batching.shapes import FIXED, Layout, OutputTensor, ShapeKey
from headrace_batcher.batching.work import Work


class Collected:
    """Keeps what becomes of works: the outcomes in the order in which they came, by id."""

    def __init__(self) -> None:
        self.outcomes: dict[int, Answer | Failure] = {}

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


X_TO_Y = Contract((TensorSpec("x", "FP32", (), nan_allowed=False),), (TensorSpec("y", "FP32", ()),))
