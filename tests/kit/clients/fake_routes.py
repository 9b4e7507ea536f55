"""Routes, predictions and health that a test holds in its hand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headrace.router.v1 import predict_pb2, predict_pb2_grpc, route_pb2, route_pb2_grpc
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import Aborted, NotFound, PreconditionFailed

Predictor = Callable[[predict_pb2.PredictRequest], predict_pb2.PredictResponse]


class FakeRoutes(route_pb2_grpc.RouteServiceServicer):
    """RouteService on a dictionary. Writes take effect at once; `epochs`: what AwaitRegistryEpoch takes to be in force.

    routes: by model. An epoch that is not in force is waited for until shortly before the caller's deadline. managed:
    by model, who manages its route. dry_runs, purges: what was asked for.
    """

    def __init__(self) -> None:
        self.routes: dict[str, route_pb2.Route] = {}
        self.status: dict[str, route_pb2.RouteStatus] = {}
        self.epochs: dict[str, int] = {}
        self.updates: list[route_pb2.UpdateRouteRequest] = []
        self.dry_runs: list[route_pb2.DryRunRouteRequest] = []
        self.purges: list[route_pb2.PurgeCacheRequest] = []
        self.managed: dict[str, str] = {}
        self.batchers: list[route_pb2.Batcher] = []
        self._changed = threading.Condition()

    def add_to(self, server: grpc.Server) -> None:
        """Offer RouteService on a server."""
        route_pb2_grpc.add_RouteServiceServicer_to_server(self, server)

    def put(self, model: str, *variants: route_pb2.Variant, generation: int = 1, epoch: int = 1) -> None:
        """Put a route in force, as if nobody had ever written it."""
        self.routes[model] = route_pb2.Route(name=f"routes/{model}", variants=variants)
        self.status[model] = route_pb2.RouteStatus(
            state=route_pb2.RouteStatus.STATE_ACTIVE, generation=generation, registry_epoch=epoch
        )
        self.epochs[model] = epoch

    def serve_epoch(self, model: str, epoch: int, *, production: str = "") -> None:
        """Let what is in force be resolved from that epoch. production: what variants follow from then on."""
        with self._changed:
            self.epochs[model] = epoch
            for variant in self.routes[model].variants:
                if production and variant.follow_production:
                    variant.serving_version = production
            self._changed.notify_all()

    def GetRoute(self, request: route_pb2.GetRouteRequest, context: Any) -> route_pb2.GetRouteResponse:
        model = self._known(request.name)
        return route_pb2.GetRouteResponse(route=self.routes[model], status=self.status[model])

    def ListRoutes(self, request: route_pb2.ListRoutesRequest, context: Any) -> route_pb2.ListRoutesResponse:
        return route_pb2.ListRoutesResponse(routes=[self.routes[model] for model in sorted(self.routes)])

    def ListBatchers(self, request: route_pb2.ListBatchersRequest, context: Any) -> route_pb2.ListBatchersResponse:
        return route_pb2.ListBatchersResponse(batchers=self.batchers)

    def UpdateRoute(self, request: route_pb2.UpdateRouteRequest, context: Any) -> route_pb2.UpdateRouteResponse:
        model = self._known(request.route.name)
        if request.route.etag != self.routes[model].etag:
            raise Aborted("the route changed since it was read", reason="ETAG_MISMATCH")
        holder = self.managed.get(model, "")
        if holder and not request.force:
            raise PreconditionFailed(f"managed by {holder}", reason="ROUTE_MANAGED", metadata={"managed_by": holder})
        self.updates.append(request)
        stored = route_pb2.Route()
        stored.CopyFrom(request.route)
        stored.etag = f"etag-{len(self.updates)}"
        for variant in stored.variants:
            variant.serving_version = variant.version or "v1"
        self.routes[model] = stored
        self.status[model].generation += 1
        return route_pb2.UpdateRouteResponse(route=stored, status=self.status[model], moved_share=0.1)

    def AssignUnit(self, request: route_pb2.AssignUnitRequest, context: Any) -> route_pb2.AssignUnitResponse:
        variant = self.routes[self._known(request.name)].variants[0]
        rule = "germans" if request.attributes.get("country") == "DE" else ""
        return route_pb2.AssignUnitResponse(
            variant=variant.name, version=variant.serving_version, bucket=7, generation=1, rule=rule
        )

    def DryRunRoute(self, request: route_pb2.DryRunRouteRequest, context: Any) -> route_pb2.DryRunRouteResponse:
        self._known(request.route.name)
        self.dry_runs.append(request)
        kind = route_pb2.DryRunRouteResponse
        place = kind.Assignment(variant="v2", version="v2", rule="germans")
        return kind(
            route=request.route,
            variants=[
                kind.VariantShift(
                    variant="v1", share_before=1, share_after=0.9, version_before="v1", version_after="v1"
                ),
                kind.VariantShift(variant="v2", share_after=0.1, version_after="v2"),
            ],
            moved_share=0.1,
            moved_version_share=0.1,
            waits_for="version 'v2' is ready on 0 of 1 batchers of pool 'default'",
            managed_by="rollouts/7",
            examples=[kind.ExampleShift(after=place) for _ in request.examples],
        )

    def ListRouteEvents(
        self, request: route_pb2.ListRouteEventsRequest, context: Any
    ) -> route_pb2.ListRouteEventsResponse:
        self._known(request.parent)
        events = [
            route_pb2.RouteEvent(
                kind=route_pb2.RouteEvent.KIND_DECLARED,
                client="ada",
                reason=update.reason,
                outcome=route_pb2.RouteEvent.OUTCOME_ACTIVE,
                generation=number,
                route=update.route,
                manager="rollouts/7",
                displaced_manager="rollouts/6",
            )
            for number, update in enumerate(self.updates, start=2)
        ]
        return route_pb2.ListRouteEventsResponse(events=list(reversed(events))[: request.page_size])

    def PurgeCache(self, request: route_pb2.PurgeCacheRequest, context: Any) -> route_pb2.PurgeCacheResponse:
        status = self.status[self._known(request.name)]
        self.purges.append(request)
        return route_pb2.PurgeCacheResponse(
            version=request.version or "v1", cache_epoch=len(self.purges), status=status
        )

    def AwaitRegistryEpoch(
        self, request: route_pb2.AwaitRegistryEpochRequest, context: grpc.ServicerContext
    ) -> route_pb2.AwaitRegistryEpochResponse:
        model = self._known(request.name)
        # Answers shortly before the caller's deadline, as the router does.
        patience_s = 0.9 * context.time_remaining()
        with self._changed:
            reached = self._changed.wait_for(lambda: self.epochs[model] >= request.registry_epoch, timeout=patience_s)
        if not reached:
            raise PreconditionFailed(f"epoch {request.registry_epoch} does not serve yet", reason="VERSION_NOT_READY")
        return route_pb2.AwaitRegistryEpochResponse(status=self.status[model])

    def _known(self, name: str) -> str:
        model = name.split("/")[1]
        if model not in self.routes:
            raise NotFound(f"model '{model}' not found", reason="MODEL_NOT_FOUND", metadata={"model": model})
        return model


TIMING_MS = {"receive": 0.061, "cache": 0.402, "queue": 0.11, "compute": 1.93, "transit": 0.644, "total": 3.147}


class FakePredictions(predict_pb2_grpc.RouterServiceServicer):
    """RouterService by a function; `requests` keeps what arrived. Unless told otherwise it answers with the inputs.

    explanations: what Explain tells, by prediction id or request id. timing: told with answers whose callers ask.
    """

    def __init__(self, answer: Predictor | None = None) -> None:
        self.requests: list[predict_pb2.PredictRequest] = []
        self.explanations: dict[str, predict_pb2.ExplainResponse] = {}
        self.answer = answer or echo
        self.timing = ", ".join(f"{name};dur={ms:.3f}" for name, ms in TIMING_MS.items())

    def add_to(self, server: grpc.Server) -> None:
        """Offer RouterService on a server."""
        predict_pb2_grpc.add_RouterServiceServicer_to_server(self, server)

    def Predict(self, request: predict_pb2.PredictRequest, context: Any) -> predict_pb2.PredictResponse:
        self.requests.append(request)
        if ("headrace-timing", "1") in context.invocation_metadata():
            context.set_trailing_metadata((("server-timing", self.timing),))
        answer = self.answer(request)
        # As a data plane: the request's own id, else the header's.
        answer.request_id = request.request_id or dict(context.invocation_metadata()).get("x-request-id", "")
        return answer

    def PredictStream(
        self, request: predict_pb2.PredictStreamRequest, context: Any
    ) -> Iterator[predict_pb2.PredictStreamResponse]:
        """Answer in parts of two rows, the last one first."""
        whole = request.request
        self.requests.append(whole)
        (values,) = whole.raw_input_contents
        row_bytes = len(values) // whole.inputs[0].shape[0]
        for first_row in reversed(range(0, whole.inputs[0].shape[0], 2)):
            part = predict_pb2.PredictRequest()
            part.CopyFrom(whole)
            part.raw_input_contents[0] = values[first_row * row_bytes : (first_row + 2) * row_bytes]
            part.inputs[0].shape[0] = len(part.raw_input_contents[0]) // row_bytes
            yield predict_pb2.PredictStreamResponse(first_row=first_row, response=self.answer(part))

    def Explain(self, request: predict_pb2.ExplainRequest, context: Any) -> predict_pb2.ExplainResponse:
        told = self.explanations.get(request.prediction_id or request.request_id)
        if told is None:
            raise NotFound("no explanation is kept for this id", reason="EXPLANATION_NOT_FOUND")
        return told


class FakeHealth(health_pb2_grpc.HealthServicer):
    """grpc.health.v1 from a dictionary of service names; an absent name is NOT_FOUND."""

    def __init__(self, serving: dict[str, bool] | None = None) -> None:
        self.serving = {"": True, **(serving or {})}

    def add_to(self, server: grpc.Server) -> None:
        """Offer Health on a server."""
        health_pb2_grpc.add_HealthServicer_to_server(self, server)

    def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        if request.service not in self.serving:
            raise NotFound(f"service '{request.service}' is unknown")
        serving = self.serving[request.service]
        return health_pb2.HealthCheckResponse(
            status=health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )


def echo(request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    """Answer with the inputs as outputs."""
    return predict_pb2.PredictResponse(
        model=request.model,
        version=request.version or "v1",
        request_id=request.request_id,
        outputs=request.inputs,
        raw_output_contents=request.raw_input_contents,
        prediction_id="019a0000-0000-7000-8000-000000000000",
        variant="stable",
        generation=3,
        served_from=predict_pb2.PredictResponse.SERVED_FROM_ONLINE,
    )


def labels(request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
    """Answer each row with label 7, whatever it is."""
    rows = request.inputs[0].shape[0]
    answer = echo(request)
    del answer.outputs[:]
    del answer.raw_output_contents[:]
    answer.outputs.append(tensor_pb2.Tensor(name="label", datatype="INT64", shape=[rows]))
    answer.raw_output_contents.append(np.full(rows, 7, "<i8").tobytes())
    return answer
