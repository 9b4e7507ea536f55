"""A batcher that a test holds in its hand: takes frames on a real port, answers them as told, keeps what it was sent.

async with FakeBatcher.serving([version]) as batcher:
    ... start a data plane whose pool is batcher.target ...
    batcher.behave = refusing(8, "QUEUE_FULL")
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Self

import grpc
import grpc.aio
from headrace.batcher.v1 import batcher_pb2, batcher_pb2_grpc
from headrace.router.v1 import control_pb2, predict_pb2

ELEMENT_BYTES = {"BOOL": 1, "UINT8": 1, "INT8": 1, "FP16": 2, "BF16": 2, "INT16": 2, "UINT16": 2, "FP64": 8} | {
    "INT64": 8,
    "UINT64": 8,
}

QUEUE_US, COMPUTE_US = 100, 200
"""What every answer says that it took."""

Behaviour = Callable[["FakeBatcher", batcher_pb2.InferRequest], Awaitable[batcher_pb2.InferResponse | None]]


class FakeBatcher(batcher_pb2_grpc.BatcherServiceServicer):
    """Serves BatcherService.Exchange. By default it echoes: each output row begins with the first input's row.

    behave: gives the answer of a request; None means that none follows. frames, requests, cancelled: what was received,
    over all streams. load: told in every frame. streams: open now.
    """

    def __init__(self, versions: Sequence[control_pb2.ResolvedVersion], process: str) -> None:
        self.target = ""
        self.process = process
        self.behave: Behaviour = echoing
        self.load = batcher_pb2.Load()
        self.frames: list[batcher_pb2.ExchangeRequest] = []
        self.requests: list[batcher_pb2.InferRequest] = []
        self.cancelled: list[int] = []
        self.streams: set[_Stream] = set()
        self.versions: dict[int, control_pb2.ResolvedVersion] = {}
        self._ready: set[int] = set()
        self._server: grpc.aio.Server | None = None
        for version in versions:
            self.announce(version)

    @classmethod
    @contextlib.asynccontextmanager
    async def serving(
        cls, versions: Sequence[control_pb2.ResolvedVersion] = (), *, port: int = 0, process: str = "fake-1"
    ) -> AsyncIterator[Self]:
        """Serve on a port of 127.0.0.1 (a free one unless told) until the block ends; `target` is its host:port."""
        batcher = cls(versions, process)
        await batcher.open(port)
        try:
            yield batcher
        finally:
            await batcher.die()

    async def open(self, port: int = 0) -> None:
        """Listen, again after `die`."""
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        batcher_pb2_grpc.add_BatcherServiceServicer_to_server(self, self._server)
        self.target = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"
        await self._server.start()

    def forget(self) -> None:
        """Echo again, and be as if nothing had been received, for the next test that shares it."""
        self.behave = echoing
        for received in (self.frames, self.requests, self.cancelled):
            received.clear()

    async def die(self) -> None:
        """Drop every stream and close the port, as a process that is killed does."""
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None

    def cut(self) -> None:
        """End every stream with UNAVAILABLE; new ones are served."""
        for stream in list(self.streams):
            stream.outgoing.put_nowait(None)

    def announce(self, version: control_pb2.ResolvedVersion, *, ready: bool = True) -> None:
        """Say on every stream that a version is ready, or no longer."""
        handle = next((h for h, known in self.versions.items() if known.digest == version.digest), 0)
        handle = handle or len(self.versions) + 1
        self.versions[handle] = version
        self._ready.add(handle) if ready else self._ready.discard(handle)
        self._tell(versions=[batcher_pb2.VersionState(handle=handle, digest=version.digest, ready=ready)])

    def drain(self) -> None:
        """Say on every stream that no more requests are wanted."""
        self._tell(draining=True)

    def tell_load(self) -> None:
        """Say on every stream that it is there, as it does while requests wait for a version to be loaded."""
        self._tell()

    def respond(self, *responses: batcher_pb2.InferResponse) -> None:
        """Send answers, such as parts of one before its last."""
        self._tell(responses=responses)

    def _tell(self, **fields: object) -> None:
        for stream in self.streams:
            stream.outgoing.put_nowait(batcher_pb2.ExchangeResponse(load=self.load, **fields))  # type: ignore[arg-type]

    async def Exchange(self, request_iterator, context):
        stream = _Stream()
        states = [
            batcher_pb2.VersionState(handle=handle, digest=version.digest, ready=handle in self._ready)
            for handle, version in self.versions.items()
        ]
        self.streams.add(stream)
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read(request_iterator, stream, tasks))
                yield batcher_pb2.ExchangeResponse(load=self.load, versions=states, process=self.process)
                while (frame := await stream.outgoing.get()) is not None:
                    yield frame
                reading.cancel()
                for task in stream.tasks:
                    task.cancel()
            await context.abort(grpc.StatusCode.UNAVAILABLE, "cut by the test")
        finally:
            self.streams.discard(stream)

    async def _read(self, frames, stream: _Stream, tasks: asyncio.TaskGroup) -> None:
        async for frame in frames:
            self.frames.append(frame)
            self.cancelled.extend(frame.cancelled)
            for request in frame.requests:
                self.requests.append(request)
                stream.tasks.append(tasks.create_task(self._serve(request, stream)))

    async def _serve(self, request: batcher_pb2.InferRequest, stream: _Stream) -> None:
        answer = await self.behave(self, request)
        if answer is not None:
            stream.outgoing.put_nowait(batcher_pb2.ExchangeResponse(responses=[answer], load=self.load))


class FrameBatcher(FakeBatcher):
    """Answers the requests of a frame with one frame, in their order, as a batcher does that executes them together."""

    async def _read(self, frames, stream: _Stream, tasks: asyncio.TaskGroup) -> None:
        async for frame in frames:
            answers = [answer for one in frame.requests if (answer := await self.behave(self, one)) is not None]
            if answers:
                stream.outgoing.put_nowait(batcher_pb2.ExchangeResponse(responses=answers, load=self.load))


class _Stream:
    def __init__(self) -> None:
        self.outgoing: asyncio.Queue[batcher_pb2.ExchangeResponse | None] = asyncio.Queue()
        self.tasks: list[asyncio.Task[None]] = []


async def echoing(batcher: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse:
    """Answer with the bytes of the first input."""
    version = batcher.versions[request.version]
    message = predict_pb2.PredictResponse()
    source = request.inputs[0]
    row_bytes = len(source) // request.rows
    rows = [source[at * row_bytes : (at + 1) * row_bytes] for at in range(request.rows)]
    for position, spec in enumerate(version.contract.outputs):
        if request.outputs and position not in request.outputs:
            continue
        message.outputs.add(name=spec.name, datatype=spec.datatype, shape=[request.rows, *spec.shape])
        if spec.datatype == "BYTES":
            message.raw_output_contents.append(source)
            continue
        size = math.prod(spec.shape) * ELEMENT_BYTES.get(spec.datatype, 4)
        message.raw_output_contents.append(b"".join(row[:size].ljust(size, b"\0") for row in rows))
    return batcher_pb2.InferResponse(
        id=request.id, outputs=message.SerializeToString(), batch_rows=request.rows, batch_requests=1,
        queue_us=QUEUE_US, compute_us=COMPUTE_US,
    )  # fmt: skip


def refusing(
    code: int, reason: str, message: str = "refused by the test", *, blamed_input: int = 0, retry_after_us: int = 0
) -> Behaviour:
    """Return a behaviour that answers every request with an error."""

    async def refuse(_batcher: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse:
        return batcher_pb2.InferResponse(
            id=request.id, code=code, reason=reason, message=message, blamed_input=blamed_input,
            retry_after_us=retry_after_us,
        )  # fmt: skip

    return refuse


def in_parts(count: int, **last: object) -> Behaviour:
    """Return a behaviour that answers with so many parts at once, each an echo. last: fields of what follows them."""

    async def answer(batcher: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse:
        part = await echoing(batcher, request)
        part.more = True
        batcher.respond(*[part] * count)
        return batcher_pb2.InferResponse(id=request.id, compute_us=COMPUTE_US, **last)  # type: ignore[arg-type]

    return answer


async def silent(_batcher: FakeBatcher, _request: batcher_pb2.InferRequest) -> None:
    """Never answer."""


def held(gate: asyncio.Event) -> Behaviour:
    """Return a behaviour that echoes once the gate is set."""

    async def hold(batcher: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse:
        await gate.wait()
        return await echoing(batcher, request)

    return hold


def after(seconds: float) -> Behaviour:
    """Return what answers as `echoing` does after a time."""

    async def behave(batcher: FakeBatcher, request: batcher_pb2.InferRequest) -> batcher_pb2.InferResponse:
        await asyncio.sleep(seconds)
        return await echoing(batcher, request)

    return behave
