"""The RPCs of OutcomeService: convert, call, convert."""

from __future__ import annotations

from headrace.monitor.v1 import outcome_pb2, outcome_pb2_grpc
from headrace_servicekit.identity import identity
from headrace_servicekit.resource_names import invalid

from headrace_monitor import names
from headrace_monitor.record.outcomes import convert
from headrace_monitor.record.outcomes.recorder import OutcomeRecorder


class OutcomeServicer(outcome_pb2_grpc.OutcomeServiceServicer):
    """OutcomeService over its use case."""

    def __init__(self, outcomes: OutcomeRecorder) -> None:
        self._outcomes = outcomes

    async def RecordOutcomes(self, request, context):
        model, reach = names.model_id(request.parent, "parent"), convert.entity_window(request)
        if len(request.outcomes) > convert.MAX_OUTCOMES:
            description = (
                f"{len(request.outcomes)} outcomes; at most {convert.MAX_OUTCOMES} are taken: send several requests"
            )
            raise invalid("outcomes", description)
        results, rejections = await self._outcomes.record(model, request.outcomes, reach, identity().client)
        return convert.to_response(results, rejections)

    async def ListOutcomes(self, request, context):
        model, prediction_id = names.model_id(request.parent, "parent"), convert.prediction_id(request)
        response = outcome_pb2.ListOutcomesResponse()
        for key, record, replaced in await self._outcomes.of_prediction(model, prediction_id):
            response.outcomes.append(convert.to_outcome(key, record))
            response.replaced.extend(convert.to_outcome(key, earlier) for earlier in replaced)
        return response
