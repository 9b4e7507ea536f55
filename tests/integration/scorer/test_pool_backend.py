"""Batchers in the place of a model of a worker's own: behind callers, one of several, some of them silent or gone."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace_runtime.backends.backend import ModelError, ModelFiles
from headrace_runtime.contract import from_proto
from headrace_runtime.shapes import ShapeKey, layout_of
from headrace_scorer.decisions.specs import Location, Spec
from headrace_scorer.engine.batches import BatchRunner
from headrace_scorer.engine.messages import Access, Work
from headrace_scorer.engine.pool import stream
from headrace_scorer.engine.pool.backend import PoolBackend
from headrace_scorer.engine.pool.members import Members, PoolAway
from headrace_scorer.engine.tensors import Faults, Tensor
from headrace_servicekit.testing import eventually

from tests.kit.models.onnx_models import linear
from tests.kit.scorer.scripted_batchers import DIGEST, Scripted, access, fleet, outputs_of, served

CONTRACT = from_proto(linear().contract)


@asynccontextmanager
async def backend(*batchers: Scripted) -> AsyncIterator[PoolBackend]:
    """Yield the batchers as a backend."""
    async with fleet() as (known, control), AsyncExitStack() as stack:
        for one in batchers:
            known.members[await stack.enter_async_context(served(one.register))] = DIGEST
        made = PoolBackend(access(control))
        await made.load(ModelFiles("scored", Path(), CONTRACT, 8))
        yield made


async def asked(of: PoolBackend) -> tuple[int, ...]:
    """Ask for two rows; return the shape of the answer."""
    (found,) = await of.infer("scored", layout_of(CONTRACT, ShapeKey()), 2, [b"\0" * 32])
    return found.shape


async def test_requests_have_the_lowest_priority_and_the_client_of_the_job():
    batcher = Scripted()
    async with backend(batcher) as made:
        assert await asked(made) == (2, 3)
    (request,) = batcher.requests
    assert request.priority == batcher_pb2.InferRequest.PRIORITY_BATCH
    assert (request.client, request.rows, request.deadline_us) == ("ada", 2, 0)


async def test_a_batcher_that_is_full_loads_the_version_or_goes_away_is_asked_again_or_another_one():
    full = {"code": 8, "reason": "QUEUE_FULL", "message": "full", "retry_after_us": 20_000}
    loading = {"code": 14, "reason": "MODEL_LOADING", "message": "not in memory", "retry_after_us": 20_000}
    first, second = Scripted(full, None), Scripted(loading, full)
    async with backend(first, second) as made:
        shapes = await asyncio.gather(*(asked(made) for _ in range(8)))
    assert shapes == [(2, 3)] * 8
    assert not first.answers
    assert not second.answers


async def test_rows_that_a_batcher_refuses_are_the_fault_of_the_rows():
    refusal = {"code": 3, "reason": "MODEL_REJECTED_INPUT", "message": "row 1 is negative"}
    async with backend(Scripted(refusal)) as made:
        with pytest.raises(ModelError, match="row 1 is negative"):
            await asked(made)


class Deadly(Scripted):
    """A batcher that is ended by a row, and refuses requests that have done so."""

    def __init__(self, row: bytes) -> None:
        super().__init__()
        self.row = row

    async def exchange(self, frames: AsyncIterator[bytes], context: Any) -> None:
        await context.write(batcher_pb2.ExchangeResponse(versions=[{"handle": 1, "digest": DIGEST, "ready": True}]))
        async for frame in frames:
            for request in batcher_pb2.ExchangeRequest.FromString(frame).requests:
                deadly = self.row in request.inputs[0]
                told = {"code": 9, "reason": "QUARANTINED_INPUT", "message": "it ended the model"} if deadly else None
                self.requests += [request] * deadly
                answer = batcher_pb2.InferResponse(**(told or {"outputs": outputs_of(request.rows)}), id=request.id)
                await context.write(batcher_pb2.ExchangeResponse(responses=[answer]))


async def test_a_row_that_ends_what_runs_the_model_does_so_in_two_requests_and_costs_no_other_row(tmp_path: Path):
    values = np.arange(32, dtype=np.float32).reshape(8, 4)
    batcher = Deadly(values[5].tobytes())
    async with fleet() as (known, control), served(batcher.register) as address:
        known.members[address] = DIGEST
        work = Work(
            "j", Spec(Location("b", "in")), "", "", Location("b", "out"), Access("", "", None, ""), access(control)
        )
        faults = Faults(8)

        def run() -> list[Any]:
            runner = BatchRunner(work, CONTRACT, ["features"], tmp_path)
            runner.load()
            return runner.run([Tensor(CONTRACT.inputs[0], values)], 8, faults)

        found = await asyncio.to_thread(run)
    assert sum(outputs[0].shape[0] for outputs in found) == 7
    assert faults.found == {5: ("", "the model refuses it: it ended the model")}
    assert [request.rows for request in batcher.requests] == [8, 1]


async def test_rows_that_are_too_large_for_a_message_are_refused_before_they_end_a_stream():
    batcher = Scripted()
    async with backend(batcher) as made:
        with pytest.raises(ModelError, match="2 rows have 1,048,576 bytes, more than"):
            await made.infer("scored", layout_of(CONTRACT, ShapeKey()), 2, [b"\0" * (1 << 20)])
        assert await asked(made) == (2, 3)
    assert len(batcher.requests) == 1


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Accept connections and say nothing; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


async def test_who_can_be_asked_is_asked_while_another_batcher_says_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream, "FIRST_FRAME_S", 600.0)
    async with fleet() as (known, control), silent() as dead, served(Scripted().register) as good:
        known.members = {dead: DIGEST, good: DIGEST}
        members = Members(access(control))
        looks = asyncio.create_task(members.chosen())
        await eventually(lambda: known.asked_for)

        async def found() -> str:
            try:
                async with asyncio.timeout(0.2):
                    return (await members.chosen()).address
            except TimeoutError:
                return ""

        assert await eventually(found, within=30) == good
        assert not looks.done()
        looks.cancel()


async def test_while_there_is_no_batcher_the_control_plane_is_asked_once_for_everybody_who_waits():
    async with fleet() as (known, control):
        members = Members(access(control))
        found = await asyncio.gather(*(members.chosen() for _ in range(64)), return_exceptions=True)
    assert {type(one) for one in found} == {PoolAway}
    assert len(known.asked_for) == 1


async def test_without_a_batcher_that_has_the_version_nothing_is_loaded():
    async with fleet() as (_, control):
        made = PoolBackend(access(control))
        with pytest.raises(PoolAway, match="no batcher has version v1 of 'fraud' ready"):
            await made.load(ModelFiles("scored", Path(), CONTRACT, 8))
    made = PoolBackend(access(control))
    with pytest.raises(PoolAway, match="does not say which batchers"):
        await made.load(ModelFiles("scored", Path(), CONTRACT, 8))


async def test_a_machine_without_the_scorers_certificate_says_so(tmp_path: Path):
    missing = {name: str(tmp_path / name) for name in ("tls_cert", "tls_key", "tls_ca")}
    made = PoolBackend(dataclasses.replace(access("127.0.0.1:9"), **missing))
    with pytest.raises(PoolAway, match="certificate cannot be read where it scores"):
        await made.load(ModelFiles("scored", Path(), CONTRACT, 8))
