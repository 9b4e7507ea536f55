"""A pipeline on the whole stack: registered from a file, promoted, asked, explained, and short of members."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pytest
from headrace.router.v1 import predict_pb2, predict_pb2_grpc
from headrace_client import Client, Prediction
from headrace_servicekit.testing import eventually

from tests.kit import onnx_models, parts
from tests.kit.edge import metadata
from tests.kit.served import GOOD_METRICS, PREDICT, Served, output, register, request
from tests.kit.stack import RunningStack
from tests.kit.trouble import whole

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
        client.register_version(name, "v1", file, metrics=GOOD_METRICS)
    promoted = client.promote(name, "v1")
    client.await_epoch(name, promoted.model.epoch, timeout=90)


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
        client.register_version(SLOW, "v1", file, metrics=GOOD_METRICS)
    client.await_epoch(SLOW, client.promote(SLOW, "v1").model.epoch, timeout=90)
    asked = request(SLOW, index=np.array([1], np.int64))
    for _ in range(3):  # so that it is known how long the step takes
        served.predict(asked)
    refusals = [served.refused(PREDICT, asked, timeout=0.04) for _ in range(5)]
    assert {one.code for one in refusals} == {grpc.StatusCode.DEADLINE_EXCEEDED}
    assert "TIME_SHORT" in {one.reason for one in refusals}


@pytest.mark.faults
@pytest.mark.long
@pytest.mark.timeout(120)
async def test_while_the_pool_of_a_member_is_killed_answers_go_on_and_are_flagged(replicated_stack: RunningStack):
    name = "pipelined-killed"
    await whole(replicated_stack)
    with Client(replicated_stack.address, token=replicated_stack.token) as client:
        await asyncio.to_thread(compose, client, name, pool="cpu")
    asked, missing = request(name, index=np.array([2], np.int64)), []

    async def keep_asking(stub: predict_pb2_grpc.RouterServiceStub) -> None:
        while True:
            call = stub.Predict(asked, timeout=5, metadata=metadata(replicated_stack.token()))
            missing.append(list((await call).missing_steps))  # type: ignore[misc]

    async with grpc.aio.insecure_channel(replicated_stack.address) as channel, asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(keep_asking(predict_pb2_grpc.RouterServiceStub(channel)))
        await eventually(lambda: len(missing) > 20, within=30)
        assert [one for one in missing if one] == []
        parts.kill(replicated_stack, "batcher-cpu")
        await eventually(lambda: ["small"] in missing, within=25)
        await whole(replicated_stack)
        await eventually(lambda: missing[-1] == [], within=25)
        asking.cancel()
    assert {tuple(one) for one in missing} == {(), ("small",)}
