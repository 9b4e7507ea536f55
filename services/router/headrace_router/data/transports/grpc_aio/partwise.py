"""`RouterService.PredictStream`: one request of many rows, answered in parts as they are there."""

from __future__ import annotations

from typing import Any

from headrace.router.v1 import predict_pb2
from headrace_servicekit.calls import REQUEST_ID_HEADER
from headrace_servicekit.errors import ServiceError
from headrace_servicekit.identity import identity
from headrace_servicekit.varint import varint

from headrace_router.data.answer.answer import Answer
from headrace_router.data.predictor import Give, Predictor
from headrace_router.data.protocols import predict
from headrace_router.data.protocols.parts import parts_of
from headrace_router.data.transports.call_context import CallContextFactory, wanted
from headrace_router.data.transports.pace import ClientPace
from headrace_router.data.transports.part_answers import PART_ROWS, answer_in_parts

NAME = "PredictStream"
METHOD = f"{predict.METHOD.rpartition('/')[0]}/{NAME}"
_RESPONSE = bytes([predict_pb2.PredictStreamResponse.RESPONSE_FIELD_NUMBER << 3 | 2])


class PartwisePredictions:
    """Serves the method, behind the kit's interceptors as any stream is.

    pace: by which parts begin, as each is a request. max_rows: of one prediction.
    """

    def __init__(self, predictor: Predictor, contexts: CallContextFactory, pace: ClientPace, *, max_rows: int) -> None:
        self._predictor, self._contexts, self._pace = predictor, contexts, pace
        self._part_rows = min(max_rows, PART_ROWS)

    async def serve(self, request: predict_pb2.PredictStreamRequest, context: Any) -> None:
        """Answer every part."""
        headers = wanted(context.invocation_metadata())
        headers.pop(REQUEST_ID_HEADER, None)  # of the call: each part has its own, unless the request says one

        async def write(first_row: int, answer: Answer) -> None:
            message = predict.render(answer)
            part = answer.part if answer.contract.decoupled else None
            row = predict_pb2.PredictStreamResponse(first_row=first_row, part=part).SerializeToString()
            await context.write(b"".join((row, _RESPONSE, varint(len(message)), message)))

        await answer_in_parts(
            parts_of(request.request, self._part_rows),
            lambda: self._pace.wait(identity().client),
            lambda data, give: self._predict(data, headers, context.time_remaining(), give),
            write,
        )

    async def _predict(self, data: bytes, headers: dict[str, str], remaining_s: float | None, give: Give) -> None:
        call = self._contexts.call(headers, METHOD, remaining_s, identity())
        try:
            request = predict.parse(data)
        except ServiceError as error:
            self._predictor.refused(call, error)
            raise
        await self._predictor.predict_in_parts(request, call, give)
