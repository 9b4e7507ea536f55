"""A pipeline on the whole stack: registered from a file, promoted, asked, explained, and short of members."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headrace.router.v1 import predict_pb2, predict_pb2_grpc
from headrace_client import Client, Prediction
from headrace_client.errors import PreconditionFailed
from headrace_client.operations.registration import Serving
from headrace_servicekit.testing import eventually

from examples.pipelines import graphs
from tests.kit.front_door.edge import metadata
from tests.kit.models import onnx_models
from tests.kit.stack import processes
from tests.kit.stack.running import RunningStack
from tests.kit.stack.served_models import GOOD_METRICS, PREDICT, Served, output, register, request
from tests.kit.stack.under_load import whole

ENSEMBLE, SLOW = "pipelined", "pipelined-slow"
FILE = """
steps:
  small:
    model: {name}-small@v1
    inputs: {{index: request.index}}{pool}
  large:
    model: {name}-large@v1
    inputs: {{index: request.index}}
  mean:
    combine: mean
    quorum: 1
    inputs: {{small: small.value, large: large.value}}
outputs:
  value: mean.output
"""


def compose(client: Client, name: str, *, pool: str = "") -> None:
    """Have a pipeline of two tables serve: the small one has no entry from 4 on, and fails on what is beyond."""
    register(client, f"{name}-small", "v1", onnx_models.table(4))
    register(client, f"{name}-large", "v1", onnx_models.table(8))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        file.write_text(FILE.format(name=name, pool=f"\n    pool: {pool}" if pool else ""))
        client.versions.register(name, "v1", file, metrics=GOOD_METRICS)
    promoted = client.models.promote(name, "v1")
    client.routes.await_epoch(name, promoted.model.epoch, timeout=90)


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    with Client(served.stack.address, token=served.stack.token) as client:
        compose(client, ENSEMBLE)
        yield client


def ask(client: Client, index: int, *, explain: bool = False) -> Prediction:
    """Ask for one entry; nothing kept is accepted."""
    return client.predict(ENSEMBLE, {"index": np.array([index], np.int64)}, max_age=timedelta(), explain=explain)


def test_an_ensemble_answers_as_one_model_and_without_a_member_that_fails_it_says_so(client: Client):
    whole_answer = ask(client, 3)
    assert (whole_answer.outputs["value"].tolist(), whole_answer.degraded) == ([30.0], False)
    degraded = ask(client, 6)
    assert degraded.outputs["value"].tolist() == [60.0]
    assert (degraded.degraded_reason, degraded.missing_steps) == ("STEPS_MISSING", ("small",))


def test_what_no_member_can_answer_is_refused_in_the_name_of_a_step(served: Served, client: Client):
    refusal = served.refused(PREDICT, request(ENSEMBLE, index=np.array([9], np.int64)))
    assert "step '" in refusal.message


def test_an_explanation_shows_each_step_with_its_member_and_what_came_before_it(client: Client):
    answer = ask(client, 2, explain=True)
    told = client.explain(answer.prediction_id)
    steps = {one.pipeline_step: one for one in told.attempts}
    assert set(steps) == {"small", "large", "mean"}
    assert steps["small"].version == f"{ENSEMBLE}-small/v1"
    assert steps["mean"].takes_from == ("small", "large")
    assert all(one.compute and not one.reason for one in steps.values())


def test_many_rows_are_answered_in_parts(served: Served, client: Client):
    rows = 600
    index = np.arange(rows, dtype=np.int64) % 4
    asked = predict_pb2.PredictStreamRequest(request=request(ENSEMBLE, index=index)).SerializeToString()
    bearer = metadata(served.stack.token())
    call = served.channel.unary_stream(f"{PREDICT}Stream")(asked, metadata=bearer, timeout=60)
    answers = {one.first_row: output(one.response) for one in map(predict_pb2.PredictStreamResponse.FromString, call)}
    np.testing.assert_array_equal(np.concatenate([answers[first] for first in sorted(answers)]), index * 10.0)
    assert len(answers) == 3


def test_what_its_longest_step_makes_too_late_is_refused_before_the_first_step(served: Served, client: Client):
    register(client, f"{SLOW}-model", "v1", onnx_models.slow_table(500))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        steps = f"steps:\n  slow:\n    model: {SLOW}-model@v1\n    inputs: {{index: request.index}}\n"
        file.write_text(f"{steps}outputs:\n  value: slow.value\n")
        client.versions.register(SLOW, "v1", file, metrics=GOOD_METRICS)
    client.routes.await_epoch(SLOW, client.models.promote(SLOW, "v1").model.epoch, timeout=90)
    asked = request(SLOW, index=np.array([1], np.int64))
    for _ in range(3):  # so that it is known how long the step takes
        served.predict(asked)
    refusals = [served.refused(PREDICT, asked, timeout=0.04) for _ in range(5)]
    assert {one.code for one in refusals} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert "TIME_SHORT" in {one.reason for one in refusals}


def test_a_step_that_takes_longer_than_its_timeout_ends_the_request_and_is_named(served: Served, client: Client):
    name = "pipelined-timed"
    register(client, f"{name}-member", "v1", onnx_models.as_long_as_asked())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        step = f"  lengthy:\n    model: {name}-member@v1\n    inputs: {{x: request.x}}\n    timeout: 500ms\n"
        file.write_text(f"steps:\n{step}outputs:\n  y: lengthy.y\n")
        client.versions.register(name, "v1", file, metrics=GOOD_METRICS)
    client.routes.await_epoch(name, client.models.promote(name, "v1").model.epoch, timeout=90)
    assert output(served.predict(request(name, x=np.array([[1]], np.float32)))).tolist() == [[1.0]]
    # Two seconds of products, of which the caller has sixty.
    began = time.monotonic()
    refusal = served.refused(PREDICT, request(name, x=np.array([[10_000]], np.float32)), timeout=60)
    assert time.monotonic() - began < 30
    assert (refusal.code, refusal.metadata["step"]) == (grpc.StatusCode.DEADLINE_EXCEEDED, "lengthy"), refusal
    assert "step 'lengthy'" in refusal.message


def reference(folder: Path, tensor: str, values: np.ndarray) -> Path:
    """Write what a tensor of four columns looked like in training."""
    file = folder / f"{tensor}.parquet"
    pq.write_table(pa.table({f"{tensor}.{at}": values[:, at] for at in range(4)}), file)
    return file


def normalised(client: Client, name: str, *, scale: float) -> np.ndarray:
    """Have a pipeline serve whose graph divides by a scale what its model was trained on divided by 15.

    Both were told what they saw in training; return more of the same kind of images.
    """
    rng = np.random.default_rng(5)
    images, more = rng.integers(0, 240, (4000, 4), np.uint8), rng.integers(0, 240, (800, 4), np.uint8)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        trained = {"reference.parquet": reference(folder, "features", images.astype(np.float32) / np.float32(15))}
        register(client, f"{name}-member", "v1", onnx_models.linear(), artifacts=trained)
        (folder / "normalise.onnx").write_bytes(graphs.normalise(4, scale=scale))
        (folder / "pipeline.yaml").write_text(
            "steps:\n  normalise:\n    graph: normalise.onnx\n    inputs: {image: request.image}\n"
            f"  linear:\n    model: {name}-member@v1\n    inputs: {{features: normalise.normalised}}\n"
            "outputs:\n  scores: linear.scores\n"
        )
        seen = {"reference.parquet": reference(folder, "image", images)}
        client.versions.register(name, "v1", folder / "pipeline.yaml", metrics=GOOD_METRICS, artifacts=seen)
    client.routes.await_epoch(name, client.models.promote(name, "v1").model.epoch, timeout=90)
    return more


@pytest.mark.long  # for what it waits for: the log, a reference, and windows
async def test_a_broken_normaliser_is_found_where_the_model_behind_it_drifts_and_callers_are_counted_once(
    client: Client,
):
    name = "pipelined-unscaled"
    images = await asyncio.to_thread(normalised, client, name, scale=1.5)
    for part in np.array_split(images, 8):
        client.predict(name, {"image": part}, max_age=timedelta())

    def drifted(model: str) -> dict[str, bool]:
        """Return which columns have an alarm, of those that something can be said of; none before there is a log."""
        found: dict[str, bool] = {}
        try:
            reports = client.monitor.drift(model, "v1").reports
        except PreconditionFailed:
            return found
        for report in reports:
            if not report.inconclusive and report.kind == "data":
                found[report.column] = found.get(report.column, False) or report.alarm
        return found

    broken = {f"features.{at}": True for at in range(4)}
    await eventually(lambda: drifted(f"{name}-member") == broken, within=60, every=1.0)
    await eventually(lambda: drifted(name) == {f"image.{at}": False for at in range(4)}, within=30, every=1.0)

    def counted(model: str) -> int:
        return sum(one.count for one in client.monitor.traffic(model).traffic)

    await eventually(lambda: counted(name) == 8, within=30, every=0.5)
    assert counted(f"{name}-member") == 0
    for view, model, expected in (
        ("predictions", name, 800), ("predictions", f"{name}-member", 0), ("pipeline_steps", f"{name}-member", 800)
    ):  # fmt: skip
        rows = client.monitor.query(f"select count(*) as n from {view} where model = '{model}'").table().to_pylist()
        assert rows == [{"n": expected}], (view, model)


@pytest.mark.faults
@pytest.mark.long
@pytest.mark.timeout(120)
async def test_while_the_pool_of_a_member_is_killed_answers_go_on_and_are_flagged(replicated_stack: RunningStack):
    name = "pipelined-killed"
    await whole(replicated_stack)
    with Client(replicated_stack.address, token=replicated_stack.token) as client:
        await asyncio.to_thread(compose, client, name, pool="cpu")
    asked, missing = request(name, index=np.array([2], np.int64)), list[tuple[str, ...]]()

    async with grpc.aio.insecure_channel(replicated_stack.address) as channel, asyncio.TaskGroup() as tasks:
        stub = predict_pb2_grpc.RouterServiceStub(channel)

        async def ask() -> None:
            call = stub.Predict(asked, timeout=10, metadata=metadata(replicated_stack.token()))
            missing.append(tuple((await call).missing_steps))  # type: ignore[misc]

        async def keep_asking() -> None:
            # One after the other would wait where the first one does: for a batcher that may come back in time.
            while True:
                tasks.create_task(ask())
                await asyncio.sleep(0.05)

        asking = tasks.create_task(keep_asking())
        await eventually(lambda: len(missing) > 20, within=30)
        assert set(missing) == {()}
        processes.kill(replicated_stack, "batcher-cpu")
        await eventually(lambda: ("small",) in missing, within=25)
        await whole(replicated_stack)
        await eventually(lambda: missing[-1] == (), within=25)
        asking.cancel()
    assert set(missing) == {(), ("small",)}


@pytest.mark.faults
@pytest.mark.long
@pytest.mark.timeout(180)
async def test_a_request_that_kills_a_member_goes_without_it_and_others_have_it_back(replicated_stack: RunningStack):
    name = "pipelined-poisoned"
    await whole(replicated_stack)
    with Client(replicated_stack.address, token=replicated_stack.token) as client:
        await asyncio.to_thread(with_a_fragile_member, client, name)

    async def ask(stub: predict_pb2_grpc.RouterServiceStub, x: int) -> tuple[list[str], float]:
        """Return the steps that were missing, and what the other member said."""
        asked = request(name, x=np.array([x], np.int64), index=np.array([3], np.int64))
        call = stub.Predict(asked, timeout=20, metadata=metadata(replicated_stack.token()))
        answer: predict_pb2.PredictResponse = await call  # type: ignore[misc]
        return list(answer.missing_steps), float(output(answer, 1)[0])

    async with grpc.aio.insecure_channel(replicated_stack.address) as channel:
        stub = predict_pb2_grpc.RouterServiceStub(channel)
        assert await ask(stub, 1) == ([], 30.0)
        # Among others that mean no harm, of whom none is refused: at worst they go without the member for a moment.
        for _ in range(5):
            harmless = [ask(stub, number) for number in range(10)]
            poisoned, *others = await asyncio.gather(ask(stub, -2), *harmless)
            assert poisoned == (["fragile"], 30.0)
            assert {value for _, value in others} == {30.0}
            assert {tuple(missing) for missing, _ in others} <= {(), ("fragile",)}

        async def is_back() -> bool:
            return [await ask(stub, number) for number in range(10)] == [([], 30.0)] * 10

        await eventually(is_back, within=60, every=0.5)
        assert await ask(stub, -2) == (["fragile"], 30.0), "it is known by now, and harms nobody"
        assert await is_back()


def with_a_fragile_member(client: Client, name: str) -> None:
    """Have a pipeline serve of a model that dies of -2, which may be missing, and one beside it."""
    register(client, f"{name}-fragile", "v1", onnx_models.fatal(), serving=Serving(device="cpu"))
    register(client, f"{name}-steady", "v1", onnx_models.table(8))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pipeline.yaml"
        file.write_text(
            f"steps:\n  fragile:\n    model: {name}-fragile@v1\n    inputs: {{x: request.x}}\n    soft-fail: true\n"
            f"  steady:\n    model: {name}-steady@v1\n    inputs: {{index: request.index}}\n"
            "outputs:\n  y: fragile.y\n  value: steady.value\n"
        )
        client.versions.register(name, "v1", file, metrics=GOOD_METRICS)
    client.routes.await_epoch(name, client.models.promote(name, "v1").model.epoch, timeout=90)
