"""`:predictStream` on a real port: many rows, answered in parts as server-sent events."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any

import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace_router.data.transports.part_answers import MOST_PARTS, PART_ROWS
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually, patience

from tests.kit.batcher.fake_batcher import FakeBatcher, echoing, silent
from tests.kit.router.inference_plane import ONE, inference_plane
from tests.kit.wire.server_sent_events import events

PATH = "/v1/models/digits:predictStream"


@pytest.fixture
async def batcher():
    async with FakeBatcher.serving([ONE]) as batcher:
        yield batcher


@pytest.fixture
async def plane(batcher, tmp_path):
    async with inference_plane(batcher, tmp_path) as plane:
        yield plane


def body(rows: int, **more: Any) -> dict[str, Any]:
    return {"instances": [[float(row), 0.0, 0.0, 0.0] for row in range(rows)], **more}


async def read(plane, document: dict[str, Any], **how: Any) -> list[tuple[str, Any]]:
    """Return all events of a stream."""
    async with plane.rest.stream("POST", PATH, json=document, timeout=patience(20), **how) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        return [one async for one in events(response)]


async def test_more_rows_than_one_prediction_takes_are_answered_in_parts(plane):
    rows = 5 * PART_ROWS + 7
    *parts, end = await read(plane, body(rows))
    answers = {document["first_row"]: document["predictions"] for name, document in parts if name == "part"}
    assert sorted(answers) == list(range(0, rows, PART_ROWS))
    assert [value for first in sorted(answers) for (value,) in answers[first]] == list(range(rows))
    assert end == ("end", {"parts": 6})
    assert len({document["prediction_id"] for _, document in parts}) == 6


async def test_a_part_is_answered_while_others_are_not_there_and_no_more_than_some_are_under_way(plane, batcher):
    gate = asyncio.Event()

    async def first_at_once(batcher: FakeBatcher, request: Any) -> Any:
        if struct.unpack_from("<f", request.inputs[0])[0] != 0:
            await gate.wait()
        return await echoing(batcher, request)

    batcher.behave = first_at_once
    async with plane.rest.stream("POST", PATH, json=body(20 * PART_ROWS), timeout=patience(30)) as response:
        seen = events(response)
        assert (await anext(seen))[1]["first_row"] == 0
        await eventually(lambda: len(batcher.requests) == MOST_PARTS + 1)
        gate.set()
        names = [name async for name, _ in seen]
    assert names == ["part"] * 19 + ["end"]


async def test_an_error_before_the_first_answer_is_a_refusal_as_of_any_prediction(plane):
    refused = [
        (PATH.replace("digits", "other"), body(1), 404, "MODEL_NOT_FOUND"),
        (PATH, {"instances": []}, 400, "INVALID_FIELD"),
        (PATH, {"rows": []}, 400, "UNKNOWN_FIELD"),
        (PATH, {"instances": [["a"] * 4]}, 400, "CONTRACT_VIOLATED"),
        (PATH, {"instances": [0] * 262_145}, 400, "INVALID_FIELD"),
    ]
    for path, document, status, reason in refused:
        answer = await plane.rest.post(path, json=document)
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (status, reason)
    assert (await plane.rest.get(PATH)).status_code == 405


async def test_an_error_in_the_middle_is_a_typed_event_that_ends_the_stream(plane, batcher):
    async def second_fails(batcher: FakeBatcher, request: Any) -> Any:
        if struct.unpack_from("<f", request.inputs[0])[0] != 0:
            await eventually(lambda: started.is_set())
            return batcher_pb2.InferResponse(id=request.id, code=Code.RESOURCE_EXHAUSTED, reason="QUEUE_FULL")
        return await echoing(batcher, request)

    started, batcher.behave = asyncio.Event(), second_fails
    async with plane.rest.stream("POST", PATH, json=body(2 * PART_ROWS), timeout=patience(20)) as response:
        seen = events(response)
        assert (await anext(seen))[0] == "part"
        started.set()
        ((name, error),) = [one async for one in seen]
    assert name == "error"
    assert (error["code"], error["details"][0]["reason"]) == (Code.RESOURCE_EXHAUSTED, "QUEUE_FULL")


async def test_what_is_wrong_with_a_row_is_told_by_its_place_among_all(plane):
    document = body(2 * PART_ROWS)
    document["instances"][PART_ROWS + 3][1] = "x"
    answer = await plane.rest.post(PATH, json=document)
    assert f"instances[{PART_ROWS + 3}]" in answer.text


async def test_parts_are_begun_no_faster_than_the_requests_of_its_client_may_come(batcher, tmp_path):
    async with inference_plane(batcher, tmp_path, stream_requests_per_second=10) as plane:
        began = time.monotonic()
        assert len(await read(plane, body(20 * PART_ROWS))) == 21
        assert time.monotonic() - began > 0.9


async def test_a_caller_that_leaves_has_every_part_withdrawn(plane, batcher):
    batcher.behave = silent
    asked = asyncio.create_task(plane.rest.post(PATH, json=body(3 * PART_ROWS)))
    await eventually(lambda: len(batcher.requests) == 3)
    asked.cancel()
    await eventually(lambda: sorted(batcher.cancelled) == sorted(one.id for one in batcher.requests))


async def test_a_deadline_is_that_of_the_whole(plane, batcher):
    batcher.behave = silent
    answer = await plane.rest.post(PATH, json=body(3 * PART_ROWS), headers={"grpc-timeout": "200m"})
    assert answer.status_code == 504
