"""A stream carries what became ready together, says what changed, and cleans up after its peer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from headrace.batcher.v1 import batcher_pb2
from headrace.router.v1 import predict_pb2
from headrace_batcher.batching.batcher import Batcher
from headrace_batcher.decisions.policy import Limits
from headrace_batcher.frames import MAX_FRAME_ANSWERS, MAX_FRAME_BYTES, MAX_UNSENT_BYTES, Exchange
from headrace_batcher.roster import Roster
from headrace_servicekit.errors import Code, InvalidArgument
from headrace_servicekit.testing import eventually

from tests.kit.batcher.scripted_backend import X_TO_Y, Doubling
from tests.kit.stack.logs import logged_lines


class Peer:
    """The other end: frames that it sends, and a list of those that it took. `reading` lets it stop taking."""

    def __init__(self) -> None:
        self.outgoing: asyncio.Queue[batcher_pb2.ExchangeRequest | None] = asyncio.Queue()
        self.frames: list[batcher_pb2.ExchangeResponse] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[batcher_pb2.ExchangeRequest]:
        while (frame := await self.outgoing.get()) is not None:
            self.taken += 1
            yield frame

    async def write(self, frame: batcher_pb2.ExchangeResponse) -> None:
        await self.reading.wait()
        self.frames.append(frame)

    def send(self, *requests: batcher_pb2.InferRequest, cancelled: tuple[int, ...] = ()) -> None:
        self.outgoing.put_nowait(batcher_pb2.ExchangeRequest(requests=requests, cancelled=cancelled))

    @property
    def answers(self) -> dict[int, batcher_pb2.InferResponse]:
        return {one.id: one for frame in self.frames for one in frame.responses}


class Scene:
    """A roster with one batcher, one stream of it and the peer."""

    def __init__(self, backend: Doubling, limits: Limits | None = None) -> None:
        self.roster = Roster()
        self.batcher = Batcher("m--v", X_TO_Y, limits or Limits(max_rows=4, max_wait_s=60.0), backend)
        self.handle = self.roster.add("digest", self.batcher)
        self.roster.set_ready(self.handle, ready=True)
        self.peer = Peer()
        self.exchange = Exchange(self.roster, "process", max_answer_bytes=1 << 22)

    def request(self, number: int, *values: float, **fields) -> batcher_pb2.InferRequest:
        data = np.array(values, dtype="<f4").tobytes()
        return batcher_pb2.InferRequest(
            **{"id": number, "version": self.handle, "rows": len(values), "inputs": [data], **fields}
        )


@asynccontextmanager
async def open_stream(scene: Scene) -> AsyncIterator[asyncio.Task[None]]:
    loop = asyncio.create_task(scene.batcher.serve_forever())
    stream = asyncio.create_task(scene.exchange.serve(scene.peer, scene.peer.write))
    await asyncio.wait({stream}, timeout=0.01)
    try:
        yield stream
    finally:
        stream.cancel()
        loop.cancel()
        await asyncio.gather(stream, loop, return_exceptions=True)


@pytest.fixture
async def scene(backend: Doubling) -> Scene:
    return Scene(backend)


async def test_the_first_frame_has_every_version_and_the_process(scene: Scene):
    other = scene.roster.add("other", scene.batcher)
    async with open_stream(scene):
        await eventually(lambda: scene.peer.frames)
    first = scene.peer.frames[0]
    assert first.process == "process"
    assert [(one.handle, one.digest, one.ready) for one in first.versions] == [
        (scene.handle, "digest", True),
        (other, "other", False),
    ]


async def test_changes_of_versions_are_pushed(scene: Scene):
    async with open_stream(scene):
        scene.roster.set_ready(scene.handle, ready=False)
        scene.roster.set_ready(scene.handle, ready=False)
        await eventually(lambda: len(scene.peer.frames) == 2)
    assert [(one.handle, one.ready) for one in scene.peer.frames[1].versions] == [(scene.handle, False)]


async def test_answers_of_one_execution_leave_in_one_frame_with_the_load(scene: Scene):
    async with open_stream(scene):
        scene.peer.send(scene.request(7, 1.0), scene.request(8, 2.0, 3.0), scene.request(9, 4.0))
        await eventually(lambda: len(scene.peer.answers) == 3)
    (frame,) = [frame for frame in scene.peer.frames if frame.responses]
    assert frame.HasField("load")
    answer = scene.peer.answers[8]
    message = predict_pb2.PredictResponse.FromString(answer.outputs)
    assert np.frombuffer(message.raw_output_contents[0], "<f4").tolist() == [4.0, 6.0]
    assert list(message.outputs[0].shape) == [2]
    assert (answer.batch_rows, answer.batch_requests) == (4, 3)


async def test_the_load_counts_what_waits_and_what_executes(scene: Scene, backend: Doubling):
    backend.gate.clear()
    async with open_stream(scene):
        scene.peer.send(scene.request(1, 1.0, 2.0))
        await eventually(lambda: backend.executed)
        scene.peer.send(scene.request(2, 3.0))
        await eventually(lambda: scene.exchange.open_requests == 2)
        scene.roster.set_ready(scene.handle, ready=False)
        await eventually(lambda: len(scene.peer.frames) == 2)
    assert scene.peer.frames[1].load.rows == 3


async def test_no_answer_follows_a_cancelled_request(scene: Scene, backend: Doubling):
    backend.gate.clear()
    async with open_stream(scene):
        scene.peer.send(scene.request(1, 1.0))
        await eventually(lambda: backend.executed)
        scene.peer.send(scene.request(2, 2.0), scene.request(3, 3.0))
        scene.peer.send(cancelled=(1, 2, 99))
        await eventually(lambda: scene.exchange.open_requests == 1)
        backend.gate.set()
        await eventually(lambda: 3 in scene.peer.answers)
    assert sorted(scene.peer.answers) == [3]
    assert backend.executed == [[1.0], [3.0]]


async def test_a_closed_stream_cancels_its_requests(scene: Scene, backend: Doubling):
    backend.gate.clear()
    async with open_stream(scene) as stream:
        scene.peer.send(scene.request(1, 1.0))
        await eventually(lambda: backend.executed)
        scene.peer.send(scene.request(2, 2.0))
        scene.peer.outgoing.put_nowait(None)
        await stream
    assert scene.batcher.counters.cancelled == 2
    assert backend.executed == [[1.0]]


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        pytest.param({"version": 99}, Code.UNAVAILABLE, "NOT_LOADED", id="unknown version"),
        pytest.param({"outputs": [1]}, Code.INVALID_ARGUMENT, "UNKNOWN_OUTPUT", id="unknown output"),
        pytest.param({"rows": 2**32 - 1}, Code.RESOURCE_EXHAUSTED, "TOO_MANY_ROWS", id="more rows than can wait"),
        pytest.param({"rows": 5}, Code.INVALID_ARGUMENT, "INVALID_TENSOR", id="wrong length"),
        pytest.param({"absent": [0]}, Code.INVALID_ARGUMENT, "INVALID_TENSOR", id="a needed input left out"),
    ],
)
async def test_a_request_that_cannot_be_taken_fails_alone(scene: Scene, fields, code, reason):
    async with open_stream(scene):
        scene.peer.send(scene.request(1, 1.0, **fields), scene.request(2, 2.0))
        await eventually(lambda: len(scene.peer.answers) == 2)
    refused = scene.peer.answers[1]
    assert (refused.code, refused.reason) == (code, reason)
    assert refused.message
    assert scene.peer.answers[2].code == 0


async def test_an_id_in_use_ends_the_stream(scene: Scene, backend: Doubling):
    backend.gate.clear()
    async with open_stream(scene) as stream:
        scene.peer.send(scene.request(1, 1.0))
        scene.peer.send(scene.request(1, 1.0))
        with pytest.raises(InvalidArgument, match="id 1"):
            await stream


async def test_frames_are_bounded_in_answers_and_bytes(scene: Scene):
    async with open_stream(scene):
        scene.peer.send(*(scene.request(number, 1.0, version=99) for number in range(3 * MAX_FRAME_ANSWERS)))
        await eventually(lambda: len(scene.peer.answers) == 3 * MAX_FRAME_ANSWERS)
        assert max(len(frame.responses) for frame in scene.peer.frames) == MAX_FRAME_ANSWERS
        floats = [0.0] * (100 * 1024)
        scene.batcher.limits = Limits(max_rows=len(floats), max_queue_rows=10**9)
        scene.peer.send(*(scene.request(number, *floats) for number in range(10_000, 10_010)))
        await eventually(lambda: len(scene.peer.answers) == 3 * MAX_FRAME_ANSWERS + 10)
    assert max(frame.ByteSize() for frame in scene.peer.frames) <= MAX_FRAME_BYTES + 1024


async def test_an_answer_too_large_for_a_message_is_a_failure_that_says_so(scene: Scene):
    scene.exchange = Exchange(scene.roster, "process", max_answer_bytes=100)
    async with open_stream(scene):
        scene.peer.send(scene.request(1, *[0.0] * 40))
        await eventually(lambda: scene.peer.answers)
    assert scene.peer.answers[1].reason == "ANSWER_TOO_LARGE"


async def test_a_peer_that_does_not_read_is_not_read_from(backend: Doubling):
    floats = [0.0] * 25_000
    scene = Scene(backend, Limits(max_rows=len(floats), max_queue_rows=10**9))
    frames = 2 * MAX_UNSENT_BYTES // (4 * len(floats))
    async with open_stream(scene):
        await eventually(lambda: scene.peer.frames)
        scene.peer.reading.clear()

        async def answered(count: int) -> bool:
            scene.peer.send(scene.request(count, *floats))
            done = eventually(lambda: scene.peer.taken == count and scene.exchange.open_requests == 0, within=2)
            return bool(await asyncio.gather(done, return_exceptions=True) == [True])

        count = 1
        while count < frames and await answered(count):
            count += 1
        assert MAX_UNSENT_BYTES / 2 < count * 4 * len(floats) < 2 * MAX_UNSENT_BYTES * 0.9
        scene.peer.reading.set()
        await eventually(lambda: len(scene.peer.answers) == count, within=20)


@asynccontextmanager
async def executing(scene: Scene, backend: Doubling) -> AsyncIterator[asyncio.Task[None]]:
    """A stream whose request 1 executes until the backend's gate is opened."""
    backend.gate.clear()
    async with open_stream(scene) as stream:
        scene.peer.send(scene.request(1, 1.0))
        await eventually(lambda: backend.executed)
        yield stream


async def test_a_peer_whose_requests_all_wait_for_a_version_to_be_loaded_is_told_the_load_meanwhile(scene: Scene):
    scene.batcher.sleep(0.0, lambda: None)
    async with open_stream(scene):
        scene.exchange.report_waiting()  # nobody waits: nothing to tell
        scene.peer.send(scene.request(1, 1.0))
        await eventually(lambda: scene.exchange.open_requests == 1)
        before = len(scene.peer.frames)
        for told in (1, 2):
            scene.exchange.report_waiting()
            await eventually(lambda told=told: len(scene.peer.frames) == before + told)
        assert before == 1
        assert scene.peer.frames[-1].load.rows == 1
        scene.batcher.accept()
        await eventually(lambda: 1 in scene.peer.answers)


async def test_a_peer_of_whom_something_executes_is_told_nothing_until_it_is_answered(scene: Scene, backend: Doubling):
    other = Batcher("m--w", X_TO_Y, Limits(), backend)
    other.sleep(0.0, lambda: None)
    handle = scene.roster.add("other", other)
    async with executing(scene, backend):
        scene.peer.send(scene.request(2, 2.0, version=handle))
        await eventually(lambda: scene.exchange.open_requests == 2)
        before = len(scene.peer.frames)
        scene.exchange.report_waiting()
        await asyncio.sleep(0.05)  # a frame would have left by now
        assert len(scene.peer.frames) == before, "an execution that hangs looks like one"
        backend.gate.set()
        await eventually(lambda: 1 in scene.peer.answers)
        scene.exchange.report_waiting()
        await eventually(lambda: len(scene.peer.frames) == before + 2)


async def test_a_drain_is_said_at_once_and_what_was_sent_is_answered_before_the_end(scene: Scene, backend: Doubling):
    async with executing(scene, backend) as stream:
        scene.roster.drain()
        await eventually(lambda: scene.peer.frames[-1].draining)
        scene.exchange.finish()
        scene.peer.send(scene.request(2, 2.0))
        await eventually(lambda: 2 in scene.peer.answers)
        assert not stream.done()
        backend.gate.set()
        await asyncio.wait_for(stream, 5)
    assert scene.peer.answers[1].code == 0
    assert scene.peer.answers[2].reason == "STOPPING"


async def test_a_drain_does_not_wait_for_a_request_whose_caller_left(scene: Scene, backend: Doubling):
    async with executing(scene, backend) as stream:
        scene.exchange.finish()
        await eventually(lambda: len(scene.peer.frames) == 2)
        scene.peer.send(cancelled=(1,))
        await asyncio.wait_for(stream, 5)


async def test_ids_of_followed_requests_are_taken_and_what_is_no_traceparent_is_not(scene: Scene, backend: Doubling):
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with logged_lines() as lines:
        async with open_stream(scene):
            scene.peer.send(
                scene.request(1, 1.0, request_id="a", traceparent=traceparent),
                scene.request(2, 2.0, request_id="b", traceparent="00-nonsense"),
            )
            await eventually(lambda: set(scene.peer.answers) == {1, 2})
    (line,) = lines.of("batch executed")
    assert (line["request_ids"], line["trace_ids"]) == (["a", "b"], [traceparent[3:35]])
