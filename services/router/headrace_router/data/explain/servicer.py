"""`headrace.router.v1.RouterService/Explain`: message bytes to what is kept, and back to bytes."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from headrace.router.v1 import predict_pb2
from headrace_servicekit.errors import FieldViolation, InvalidArgument, NotFound
from headrace_servicekit.identity import Identity

from headrace_router.data.explain.explanations import Explanations

METHOD = "headrace.router.v1.RouterService/Explain"


class Explaining:
    """ReadRoute how answers came about, whichever data plane gave them."""

    def __init__(self, explanations: Explanations) -> None:
        self._explanations = explanations

    async def answer(self, data: bytes, caller: Identity) -> bytes:
        """Return the encoded explanation that a message asks for.

        Raises NotFound alike for what is not kept and what the caller may not see.
        """
        try:
            request = predict_pb2.ExplainRequest.FromString(data)
        except DecodeError:
            message = f"the request is not a valid message of {METHOD}"
            raise InvalidArgument(message, reason="MALFORMED_MESSAGE") from None
        if bool(request.prediction_id) == bool(request.request_id):
            message = "give either prediction_id or request_id"
            raise InvalidArgument(message, reason="ID_MISSING", violations=[FieldViolation("prediction_id", message)])
        if request.prediction_id:
            found = await self._explanations.of_prediction(request.prediction_id, caller)
        else:
            found = await self._explanations.of_request(request.request_id, caller)
        if found is None or not caller.sees(found.model):
            raise NotFound(
                "no explanation is stored for this id: request one with the prediction, and read it within an hour",
                reason="EXPLANATION_NOT_FOUND",
            )
        return found.SerializeToString()
