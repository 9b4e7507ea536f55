"""Pipelines on a whole data plane: asked by every protocol, cached, counted, and without some of their steps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import predict_pb2, route_pb2
from headrace_runtime.pipelines.graph import Combiner, Kind, ModelStep, Output, Pipeline, Source, Step
from headrace_servicekit import error_details
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually
from tritonclient.grpc import service_pb2_grpc

from tests.kit.batcher.fake_batcher import Behaviour, FakeBatcher
from tests.kit.monitor.fake_ingest import FakeIngest
from tests.kit.router.answer_sources import ONLINE
from tests.kit.router.data_plane import DataPlane, data_plane
from tests.kit.router.fake_control import FakeControl, table
from tests.kit.router.fallback_steps import step
from tests.kit.router.inference_requests import infer_request, parameters_of
from tests.kit.router.pipeline_runs import Composed, arrays_of, edges, member

ROW = np.array([[1, 2, 3, 4]], np.float32)
ENSEMBLE = Composed(
    Pipeline(
        (
            Step("scaled", ModelStep("scaled"), edges(("x", "", "x"))),
            *(Step(name, ModelStep(name), edges(("x", "scaled", "y"))) for name in ("small", "large")),
            Step("best", Combiner(Kind.MEAN, quorum=1), edges(("s", "small", "y"), ("l", "large", "y"))),
        ),
        (Output("scores", Source("best", "output")),),
    ),
    {"scaled": member(10.0), "small": member(1.0), "large": member(2.0)},
)
REQUEST = predict_pb2.PredictRequest(
    model="ensemble",
    inputs=[{"name": "x", "datatype": "FP32", "shape": [1, 4]}],
    raw_input_contents=[ROW.tobytes()],
    explain=True,
)


def running(*failing: str, hanging: tuple[str, ...] = ()) -> Behaviour:
    """Return what runs the members, but for those that fail."""
    assert ENSEMBLE.served.pipeline is not None
    names = {step.served.digest: step.name for step in ENSEMBLE.served.pipeline.steps}

    async def run(batcher: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse:
        name = names[batcher.versions[request.version].digest]
        if name in hanging:
            await asyncio.Event().wait()
        if name in failing:
            return batcher_pb2.InferResponse(id=request.id, code=Code.INTERNAL, reason="MODEL_FAILING", message="no")
        outputs = ENSEMBLE.computed(name, request.rows, request.inputs, request.outputs)
        return batcher_pb2.InferResponse(
            id=request.id, outputs=outputs, batch_rows=1, batch_requests=1, queue_us=10, compute_us=20
        )

    return run


@pytest.fixture
async def batcher():
    async with FakeBatcher.serving(list(ENSEMBLE.version.members)) as batcher:
        batcher.behave = running()
        yield batcher


@contextlib.asynccontextmanager
async def serving(batcher: FakeBatcher, state: Path, **how: Any) -> AsyncIterator[DataPlane]:
    async with FakeControl.serving() as control:
        made = table("ensemble", [ENSEMBLE.version])
        for step in how.pop("fallback", ()):
            made.fallback.append(step)
        control.put_table(made)
        async with data_plane(control.target, {"default": [batcher.target]}, state, **how) as plane:
            yield plane


def scores(answer: predict_pb2.PredictResponse) -> list[float]:
    return arrays_of(answer)["scores"][0].tolist()


async def test_a_pipeline_is_asked_as_a_model_is_and_each_protocol_has_the_same_answer(batcher, tmp_path):
    async with serving(batcher, tmp_path) as plane:
        answer = await plane.stub.Predict(REQUEST, timeout=5)
        assert scores(answer) == [15.0, 30.0, 45.0, 60.0]
        assert (answer.version, answer.degraded_reason, list(answer.missing_steps)) == ("v1", "", [])
        rest = await plane.rest.post("/v1/models/ensemble:predict", json={"instances": ROW.tolist()})
        assert rest.json()["predictions"] == [[15.0, 30.0, 45.0, 60.0]]
        async with grpc.aio.insecure_channel(plane.runtime.servers[0].address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            given = infer_request("ensemble", ("x", "FP32", [1, 4], ROW.tobytes()))
            (raw,) = (await stub.ModelInfer(given, timeout=5)).raw_output_contents
            assert np.frombuffer(raw, np.float32).tolist() == scores(answer)
    assert len(batcher.requests) == 3 * 4


async def test_an_answer_without_a_member_says_who_was_missing_over_every_protocol(batcher, tmp_path):
    batcher.behave = running("large")
    async with serving(batcher, tmp_path) as plane:
        answer = await plane.stub.Predict(REQUEST, timeout=5)
        assert scores(answer) == [10.0, 20.0, 30.0, 40.0]
        assert (answer.degraded_reason, list(answer.missing_steps)) == ("STEPS_MISSING", ["large"])
        rest = (await plane.rest.post("/v1/models/ensemble:predict", json={"instances": ROW.tolist()})).json()
        assert (rest["degraded_reason"], rest["missing_steps"]) == ("STEPS_MISSING", ["large"])
        async with grpc.aio.insecure_channel(plane.runtime.servers[0].address) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            given = infer_request("ensemble", ("x", "FP32", [1, 4], ROW.tobytes()))
            told = parameters_of(await stub.ModelInfer(given, timeout=5))
            assert told["headrace_missing_steps"] == "large"


async def test_the_log_has_what_members_were_given_and_callers_are_counted_once(batcher, tmp_path):
    async with (
        FakeIngest.serving() as monitor,
        serving(batcher, tmp_path, monitor_target=monitor.target, record_flush_s=0.0) as plane,
    ):
        for _ in range(3):
            await plane.stub.Predict(REQUEST, timeout=5)
        await eventually(lambda: len(monitor.predictions()) == 3 * 4)
        await eventually(lambda: monitor.counted() == {("ensemble", "v1", ONLINE, Code.OK): 3})
    asked = [one for one in monitor.predictions() if not one.group.pipeline]
    assert [(one.group.model, one.inputs["x"]) for one in asked] == [("ensemble", ROW.tobytes())] * 3
    steps = {one.group.step: one for one in monitor.predictions() if one.group.pipeline}
    assert {name: one.group.pipeline for name, one in steps.items()} == dict.fromkeys(
        ("scaled", "small", "large"), "ensemble/v1"
    )
    assert [steps[name].inputs["x"] for name in ("scaled", "small")] == [ROW.tobytes(), (10 * ROW).tobytes()]
    assert (steps["small"].group.model, steps["small"].group.version) == ("small", "v1--small")
    assert len({one.prediction_id for one in monitor.predictions()}) == 3 * 4


async def test_answers_are_cached_by_the_pipeline_and_degraded_ones_are_not(batcher, tmp_path):
    async with serving(batcher, tmp_path, cache_ttl_s=60.0) as plane:
        batcher.behave = running("large")
        for _ in range(2):
            answer = await plane.stub.Predict(REQUEST, timeout=5)
            assert answer.served_from == predict_pb2.PredictResponse.SERVED_FROM_ONLINE
        batcher.behave = running()
        await plane.stub.Predict(REQUEST, timeout=5)
        answer = await plane.stub.Predict(REQUEST, timeout=5)
        assert answer.served_from == predict_pb2.PredictResponse.SERVED_FROM_CACHE
        assert scores(answer) == [15.0, 30.0, 45.0, 60.0]


async def test_the_same_requests_at_the_same_time_share_one_run(batcher, tmp_path):
    async with serving(batcher, tmp_path, cache_ttl_s=60.0) as plane:
        answers = await asyncio.gather(*(plane.stub.Predict(REQUEST, timeout=5) for _ in range(8)))
    assert {tuple(scores(answer)) for answer in answers} == {(15.0, 30.0, 45.0, 60.0)}
    assert len(batcher.requests) == 4


async def test_a_caller_that_leaves_has_every_step_withdrawn(batcher, tmp_path):
    batcher.behave = running(hanging=("small", "large"))
    async with serving(batcher, tmp_path) as plane:
        call = plane.stub.Predict(REQUEST, timeout=20)
        asking = asyncio.ensure_future(call)
        await eventually(lambda: len(batcher.requests) == 3)
        call.cancel()
        await eventually(lambda: sorted(batcher.cancelled) == sorted(one.id for one in batcher.requests[1:]))
        assert await plane.metric("headrace_router_pipelines_running") == 0
        with contextlib.suppress(asyncio.CancelledError):
            await asking


async def test_a_member_that_hangs_is_gone_without_in_time(batcher, tmp_path):
    async with serving(batcher, tmp_path) as plane:
        await plane.stub.Predict(REQUEST, timeout=5)  # so that it is known how long steps take
        batcher.behave = running(hanging=("large",))
        answer = await plane.stub.Predict(REQUEST, timeout=1)
        assert list(answer.missing_steps) == ["large"]


async def test_a_pipeline_is_counted_once_and_its_steps_by_member(batcher, tmp_path):
    async with serving(batcher, tmp_path) as plane:
        await plane.stub.Predict(REQUEST, timeout=5)
        labels = {"model": "ensemble", "version": "v1", "variant": "v1", "layer": "", "fallback_step": ""}
        name = "headrace_router_predictions_total"
        assert await eventually(lambda: plane.metric(name, **labels, served_from="online", code="OK")) == 1
        for step, run in (("small", "small/v1--small"), ("best", "ensemble/v1--best")):
            counted = await plane.metric(
                "headrace_router_pipeline_steps_total", model="ensemble", step=step, member=run, code="OK"
            )
            assert counted == 1


async def test_a_fallback_answers_at_once_when_nobody_has_a_step(batcher, tmp_path):
    scaled = next(one for one in ENSEMBLE.version.members if one.version == "v1--scaled")
    batcher.announce(scaled, ready=False)
    row = route_pb2.FallbackStep.Row(outputs={"scores": route_pb2.FallbackStep.Values(numbers=[7.0] * 4)})
    async with serving(batcher, tmp_path, fallback=[step("neutral", constant=row)]) as plane:
        answer = await plane.stub.Predict(REQUEST, timeout=5)
        assert (answer.fallback_step, answer.degraded_reason) == ("neutral", "NO_BACKEND")
        assert scores(answer) == [7.0] * 4
    assert batcher.requests == []


async def test_what_nobody_has_is_refused_before_the_first_step_and_names_the_pool(batcher, tmp_path):
    best = next(one for one in ENSEMBLE.version.members if one.version == "v1--best")
    batcher.announce(best, ready=False)
    async with serving(batcher, tmp_path, queue_timeout_s=0.05) as plane:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await plane.stub.Predict(REQUEST, timeout=5)
    error = error_details.from_rpc_error(caught.value)
    assert (error.code, error.reason, error.metadata["pool"]) == (Code.UNAVAILABLE, "NO_BACKEND", "default")
    assert batcher.requests == []
