"""`RouterService.PredictStream`: one request of many rows, answered in parts as they are there."""

from __future__ import annotations

import asyncio
from typing import Any

from headrace.router.v1 import predict_pb2
from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.errors import ServiceError
from headrace_servicekit.identity import identity
from headrace_servicekit.varint import varint

from headrace_router.data.predictor import Predictor
from headrace_router.data.protocols import predict
from headrace_router.data.protocols.parts import parts_of
from headrace_router.data.transports.call_context import CallContextFactory, wanted
from headrace_router.data.transports.grpc_aio.pace import ClientPace

NAME = "PredictStream"
METHOD = f"{predict.METHOD.rpartition('/')[0]}/{NAME}"
_RESPONSE = bytes([predict_pb2.PredictStreamResponse.RESPONSE_FIELD_NUMBER << 3 | 2])
# Rows of a part, and parts of one call that are under way.
PART_ROWS, MOST_PARTS = 256, 8


class PartwisePredictions:
    """Serves the method, behind the kit's interceptors as any stream is.

    pace: by which parts begin, as each is a request. max_rows: of one prediction.
    """

    def __init__(self, predictor: Predictor, contexts: CallContextFactory, pace: ClientPace, *, max_rows: int) -> None:
        self._predictor, self._contexts, self._pace = predictor, contexts, pace
        self._part_rows = min(max_rows, PART_ROWS)

    async def serve(self, request: predict_pb2.PredictStreamRequest, context: Any) -> None:
        """Answer every part. A place is free again when its answer is written, so who does not read waits."""
        headers = wanted(context.invocation_metadata())
        headers.pop(REQUEST_ID_HEADER, None)  # of the call: each part has its own, unless the request says one
        room, writing = asyncio.Semaphore(MOST_PARTS), asyncio.Lock()

        async def answer(first_row: int, data: bytes) -> None:
            try:
                message = await self._predicted(data, headers, context.time_remaining())
                row = predict_pb2.PredictStreamResponse(first_row=first_row).SerializeToString()
                async with writing:
                    await context.write(b"".join((row, _RESPONSE, varint(len(message)), message)))
            finally:
                room.release()

        async with asyncio.TaskGroup() as tasks:
            for first_row, data in parts_of(request.request, self._part_rows):
                await self._pace.wait(identity().client)
                await room.acquire()
                tasks.create_task(answer(first_row, data), name="part of a prediction")

    async def _predicted(self, data: bytes, headers: dict[str, str], remaining_s: float | None) -> bytes:
        call = self._contexts.call(headers, METHOD, remaining_s, identity())
        try:
            request = predict.parse(data)
        except ServiceError as error:
            self._predictor.refused(call, error)
            raise
        return predict.render(await self._predictor.predict(request, call))
