"""Callers of a version: predictions asked for at a steady rate, and what each of them sees."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from headrace_client.client import AsyncClient
from headrace_client.errors import HeadraceError
from headrace_client.operations.prediction import Prediction

from headrace_drill.game_days.verdicts import Reply

_NEVER_STORED = timedelta(0)
# The same row in another batch may differ in its last digits.
_RTOL, _ATOL = 1e-3, 1e-5
Outputs = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Callers:
    """Who asks. rows: by input, of which each request has one. attributes, entity_id, user_id: of each request.

    per_s: requests a second. deadline_s: that each has.
    """

    client: AsyncClient
    model: str
    rows: Mapping[str, np.ndarray]
    attributes: Mapping[str, str]
    entity_id: str
    user_id: str
    per_s: float
    deadline_s: float

    @property
    def row_count(self) -> int:
        """Return how many rows there are."""
        return len(next(iter(self.rows.values())))


class Memory:
    """What the version answers to each row while all is well; a model that varies by itself is not compared."""

    def __init__(self) -> None:
        self._answers: dict[int, Outputs] = {}
        self._varies = False

    @property
    def varies(self) -> bool:
        """Return whether one row had two answers."""
        return self._varies

    def learn(self, row: int, outputs: Outputs) -> None:
        """Note an answer given while all is well."""
        if row in self._answers:
            self._varies = self._varies or not _alike(self._answers[row], outputs)
        else:
            self._answers[row] = outputs

    def matches(self, row: int, outputs: Outputs) -> bool | None:
        """Return whether an answer equals the one before the faults; None where that is unknown."""
        return None if self._varies or row not in self._answers else _alike(self._answers[row], outputs)


async def ask_for(callers: Callers, seconds: float, memory: Memory, *, well: bool) -> list[Reply]:
    """Ask at the rate of the callers, whatever becomes of the requests before; return what became of each.

    well: whether answers are what the version should answer.
    """
    replies: list[Reply] = []
    began = time.monotonic()

    async def one(at: int) -> None:
        replies.append(await ask(callers, at % callers.row_count, memory, well=well))

    async with asyncio.TaskGroup() as tasks:
        for at in range(max(1, round(callers.per_s * seconds))):
            wait_s = at / callers.per_s - (time.monotonic() - began)
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            tasks.create_task(one(at), name="game day request")
    return replies


async def ask(callers: Callers, row: int, memory: Memory, *, well: bool) -> Reply:
    """Ask once; return what became of it."""
    began = time.perf_counter()
    try:
        answer = await callers.client.predict(
            callers.model,
            {name: values[row : row + 1] for name, values in callers.rows.items()},
            attributes=callers.attributes,
            entity_id=callers.entity_id,
            user_id=callers.user_id,
            max_age=_NEVER_STORED,
            timeout=callers.deadline_s,
        )
    except HeadraceError as error:
        return Reply((time.perf_counter() - began) * 1000, row, error=error.reason or error.code.name)
    return _reply(answer, (time.perf_counter() - began) * 1000, row, memory, well=well)


def _reply(answer: Prediction, took_ms: float, row: int, memory: Memory, *, well: bool) -> Reply:
    if well and not answer.degraded:
        memory.learn(row, answer.outputs)
    return Reply(
        took_ms,
        row,
        version=answer.version,
        step=answer.fallback_step,
        degraded=answer.degraded,
        matches=None if answer.degraded else memory.matches(row, answer.outputs),
    )


def _alike(one: Outputs, other: Outputs) -> bool:
    return one.keys() == other.keys() and all(_close(one[name], other[name]) for name in one)


def _close(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one, other, rtol=_RTOL, atol=_ATOL, equal_nan=True))
