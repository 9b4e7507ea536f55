"""A data plane that a test holds in its hand: sends frames to a batcher, keeps what comes back.

async with BatcherClient.connected(target) as client:
    await client.until_ready(digest)
    answer = await client.infer(digest, [array])
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import grpc.aio
import numpy as np
from headrace.batcher.v1 import batcher_pb2, batcher_pb2_grpc
from headrace.router.v1 import predict_pb2
from headrace_servicekit.testing import eventually

from tests.kit.models.bytes_tensors import decoded_texts

_DTYPES = {"FP32": "<f4", "FP64": "<f8", "FP16": "<f2", "INT64": "<i8", "INT32": "<i4", "BOOL": "?"}


class BatcherClient:
    """One stream. versions: handle by digest of what is ready. frames: every frame received."""

    def __init__(self, call: Any, target: str) -> None:
        self.target = target
        self.versions: dict[str, int] = {}
        self.frames: list[batcher_pb2.ExchangeResponse] = []
        self.process = ""
        self.draining = False
        self.ended = asyncio.Event()
        self._call = call
        self._ids = itertools.count(1)
        self._writing = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[batcher_pb2.InferResponse]] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(cls, target: str) -> AsyncIterator[Self]:
        """Open a stream; closing the block cancels it."""
        async with grpc.aio.insecure_channel(target, options=[("grpc.max_receive_message_length", -1)]) as channel:
            call: Any = batcher_pb2_grpc.BatcherServiceStub(channel).Exchange()
            client = cls(call, target)
            reading = asyncio.create_task(client._read())
            try:
                await eventually(lambda: client.frames or client.ended.is_set(), within=10)
                yield client
            finally:
                call.cancel()
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def until_ready(self, *digests: str, within: float = 60.0) -> None:
        """Return when the batcher has announced all these versions as ready."""
        await eventually(lambda: all(digest in self.versions for digest in digests), within=within)

    def request(
        self, digest: str, inputs: Sequence[np.ndarray | bytes], *, rows: int | None = None, **fields: Any
    ) -> tuple[batcher_pb2.InferRequest, asyncio.Future[batcher_pb2.InferResponse]]:
        """Make a request and the future of its answer, ConnectionError when the stream ends before; `send` it."""
        first = inputs[0]
        if rows is None:
            rows = len(first) if isinstance(first, np.ndarray) else 1
        request = batcher_pb2.InferRequest(
            id=next(self._ids),
            version=self.versions.get(digest, 2**31),
            rows=rows,
            inputs=[part.tobytes() if isinstance(part, np.ndarray) else part for part in inputs],
            **fields,
        )
        future: asyncio.Future[batcher_pb2.InferResponse] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = future
        return request, future

    async def send(self, requests: Sequence[batcher_pb2.InferRequest], *, cancelled: Sequence[int] = ()) -> None:
        """Send one frame."""
        async with self._writing:  # grpc.aio takes one write at a time
            await self._call.write(batcher_pb2.ExchangeRequest(requests=requests, cancelled=cancelled))

    async def infer(
        self, digest: str, inputs: Sequence[np.ndarray | bytes], **fields: Any
    ) -> batcher_pb2.InferResponse:
        """Send one request in a frame of its own and await its answer."""
        request, answer = self.request(digest, inputs, **fields)
        await self.send([request])
        return await answer

    async def infer_all(
        self, digest: str, many: Sequence[Sequence[np.ndarray | bytes]], **fields: Any
    ) -> list[batcher_pb2.InferResponse]:
        """Send several requests in one frame and await all their answers."""
        made = [self.request(digest, inputs, **fields) for inputs in many]
        await self.send([request for request, _ in made])
        return list(await asyncio.gather(*(answer for _, answer in made)))

    async def close(self) -> None:
        """Say that no more requests come, which ends the stream."""
        await self._call.done_writing()

    async def _read(self) -> None:
        try:
            while (frame := await self._call.read()) is not getattr(grpc.aio, "EOF"):  # noqa: B009 - not in the stubs
                self.frames.append(frame)
                self.process = self.process or frame.process
                self.draining = self.draining or frame.draining
                for state in frame.versions:
                    if state.ready:
                        self.versions[state.digest] = state.handle
                    else:
                        self.versions.pop(state.digest, None)
                for response in frame.responses:
                    future = self._waiting.pop(response.id)
                    if not future.done():
                        future.set_result(response)
        finally:
            self.ended.set()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(ConnectionError("the stream ended before this was answered"))
                    future.exception()  # mostly nobody asks any more


def outputs_of(response: batcher_pb2.InferResponse) -> dict[str, np.ndarray]:
    """Return the arrays of an answer by name; BYTES as arrays of bytes. Fails the test when it is no answer."""
    assert response.code == 0, f"{response.reason}: {response.message}"
    message = predict_pb2.PredictResponse.FromString(response.outputs)
    arrays = {}
    for tensor, raw in zip(message.outputs, message.raw_output_contents, strict=True):
        if tensor.datatype == "BYTES":
            arrays[tensor.name] = np.array(decoded_texts(raw), dtype=object).reshape(tuple(tensor.shape))
        else:
            arrays[tensor.name] = np.frombuffer(raw, _DTYPES[tensor.datatype]).reshape(tuple(tensor.shape))
    return arrays
