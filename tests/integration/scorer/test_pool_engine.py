"""Jobs that batchers score, those that answer online requests: behind callers, and with the same answers."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import predict_pb2, route_pb2, route_pb2_grpc
from headrace.scorer.v1 import scorer_pb2 as pb
from headrace_runtime.backends.backend import ModelError, ModelFiles
from headrace_runtime.contract import from_proto
from headrace_runtime.shapes import ShapeKey, layout_of
from headrace_scorer.engine.messages import PoolAccess
from headrace_scorer.engine.pool import stream
from headrace_scorer.engine.pool.backend import PoolBackend
from headrace_scorer.engine.pool.members import Members, PoolAway
from headrace_servicekit.checksums import encode
from headrace_servicekit.testing import eventually

from tests.kit.batcher_service import BatcherRig, batcher_rig
from tests.kit.onnx_models import linear
from tests.kit.scoring import MODEL, ScorerRig, created, features, over, parquet, scorer
from tests.kit.stores import S3Store

DIGEST, ROWS = "d1", 3000
READY = route_pb2.BatcherVersion.STATE_READY
CONTRACT = from_proto(linear().contract)


class Fleet(route_pb2_grpc.RouteServiceServicer):
    """The batchers that a control plane knows: addresses, and the version that each has."""

    def __init__(self) -> None:
        self.members: dict[str, str] = {}
        self.asked_for: list[str] = []

    async def ListBatchers(self, request: route_pb2.ListBatchersRequest, context: Any):
        self.asked_for.append(request.pool)
        answer = route_pb2.ListBatchersResponse()
        for address, digest in self.members.items():
            answer.batchers.add(address=address, pool="default").versions.add(digest=digest, state=READY)
        return answer


@asynccontextmanager
async def served(register: Callable[[grpc.aio.Server], object]) -> AsyncIterator[str]:
    """Serve what is registered; yields the address."""
    server = grpc.aio.server()
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


@asynccontextmanager
async def fleet() -> AsyncIterator[tuple[Fleet, str]]:
    """Serve a fleet; yields it and the control plane's address."""
    made = Fleet()
    async with served(lambda server: route_pb2_grpc.add_RouteServiceServicer_to_server(made, server)) as address:
        yield made, address


@pytest.fixture
async def batchers(s3: S3Store, tmp_path: Path, triton_command: Path) -> AsyncIterator[BatcherRig]:
    folder = tmp_path / "batcher"
    folder.mkdir()
    async with batcher_rig(s3, folder, "onnxruntime", triton_command) as rig:
        yield rig


async def test_a_job_of_the_pool_has_the_answers_of_the_model_and_waits_while_no_batcher_has_the_version(
    scoring: ScorerRig, batchers: BatcherRig
):
    table = features(ROWS)
    scoring.put("in/a.parquet", parquet(table, group_rows=1000))
    options = pb.ScoringOptions(shard_rows=1000, engine=pb.ScoringOptions.ENGINE_POOL, pool="default")
    spec = scoring.spec(options=options)
    estimate = pb.EstimateScoringJobRequest(parent=f"models/{MODEL}", spec=spec)
    version = await batchers.version(MODEL, scoring.model)
    scoring.registry.versions[MODEL]["v1"].digest = version.digest
    # As of a format that only batchers run.
    del scoring.registry.versions[MODEL]["v1"].artifacts[:]
    async with fleet() as (known, control), scorer(scoring, {"SCORER_CONTROL_TARGET": control}) as (_, stub):
        job = await created(stub, spec)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.EstimateScoringJob(estimate, timeout=60)
        assert "name it in the model's route" in (refused.value.details() or "")
        batchers.want(version)
        async with batchers.running() as runtime:
            known.members[runtime.servers[0].address] = version.digest
            job = await over(stub, job.name)
    assert job.state == pb.ScoringJob.STATE_SUCCEEDED, job.reason
    assert set(known.asked_for) == {"default"}
    assert job.spec.options.engine == pb.ScoringOptions.ENGINE_POOL
    assert job.manifest.batch_rows == 8
    found = scoring.scored(job.output_uri)
    given = np.stack([table.column(f"x{at}").to_numpy() for at in range(4)], axis=1)
    expected = scoring.model.expected({"features": given})["scores"]
    assert found.column("id").to_pylist() == table.column("id").to_pylist()
    np.testing.assert_allclose(np.array(found.column("scores").to_pylist()), expected, rtol=1e-5, atol=1e-6)


def access(control: str) -> PoolAccess:
    """Return how batchers are reached that have the version of these tests."""
    return PoolAccess(control, "", MODEL, "v1", DIGEST, inputs=1, client="ada", max_message_bytes=1 << 20)


class Scripted:
    """A batcher that answers as it is told. requests: every one that came."""

    def __init__(self, *answers: dict[str, Any] | None) -> None:
        self.answers, self.requests = list(answers), list[batcher_pb2.InferRequest]()

    async def exchange(self, frames: AsyncIterator[bytes], context: Any) -> None:
        await context.write(batcher_pb2.ExchangeResponse(versions=[{"handle": 1, "digest": DIGEST, "ready": True}]))
        async for frame in frames:
            for request in batcher_pb2.ExchangeRequest.FromString(frame).requests:
                self.requests.append(request)
                told = self.answers.pop(0) if self.answers else {"outputs": _outputs(request.rows)}
                if told is None:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
                    return
                answer = batcher_pb2.InferResponse(**{**told, "id": request.id})
                await context.write(batcher_pb2.ExchangeResponse(responses=[answer]))

    def register(self, server: Any) -> None:
        handler = grpc.stream_stream_rpc_method_handler(self.exchange, response_serializer=encode)
        server.add_registered_method_handlers("headrace.batcher.v1.BatcherService", {"Exchange": handler})


def _outputs(rows: int) -> bytes:
    message = predict_pb2.PredictResponse(raw_output_contents=[np.zeros((rows, 3), np.float32).tobytes()])
    message.outputs.add(name="scores", datatype="FP32", shape=[rows, 3])
    return message.SerializeToString()


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
