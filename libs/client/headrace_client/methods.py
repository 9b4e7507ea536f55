"""The RPCs that the client calls."""

from __future__ import annotations

from grpc_health.v1 import health_pb2
from headrace.registry.v1 import registry_pb2 as registry
from headrace.router.v1 import precomputed_pb2 as precomputed
from headrace.router.v1 import predict_pb2 as predict
from headrace.router.v1 import route_pb2 as route

from headrace_client.calls import Method

_REGISTRY = "/headrace.registry.v1.RegistryService/"
_PRECOMPUTED = "/headrace.router.v1.PrecomputedService/"
_ROUTES = "/headrace.router.v1.RouteService/"

PREDICT = Method("/headrace.router.v1.RouterService/Predict", predict.PredictRequest, predict.PredictResponse)
EXPLAIN = Method("/headrace.router.v1.RouterService/Explain", predict.ExplainRequest, predict.ExplainResponse)

LIST_MODELS = Method(_REGISTRY + "ListModels", registry.ListModelsRequest, registry.ListModelsResponse)
GET_MODEL = Method(_REGISTRY + "GetModel", registry.GetModelRequest, registry.GetModelResponse)
CREATE_MODEL = Method(_REGISTRY + "CreateModel", registry.CreateModelRequest, registry.CreateModelResponse)
UPDATE_MODEL = Method(_REGISTRY + "UpdateModel", registry.UpdateModelRequest, registry.UpdateModelResponse)
UPLOAD_ARTIFACT = Method(
    _REGISTRY + "UploadArtifact", registry.UploadArtifactRequest, registry.UploadArtifactResponse, client_stream=True
)
CREATE_VERSION = Method(
    _REGISTRY + "CreateModelVersion", registry.CreateModelVersionRequest, registry.CreateModelVersionResponse
)
GET_VERSION = Method(_REGISTRY + "GetModelVersion", registry.GetModelVersionRequest, registry.GetModelVersionResponse)
LIST_VERSIONS = Method(
    _REGISTRY + "ListModelVersions", registry.ListModelVersionsRequest, registry.ListModelVersionsResponse
)
PROMOTE = Method(
    _REGISTRY + "PromoteModelVersion", registry.PromoteModelVersionRequest, registry.PromoteModelVersionResponse
)
ROLLBACK = Method(_REGISTRY + "RollbackModel", registry.RollbackModelRequest, registry.RollbackModelResponse)
SET_ALIAS = Method(_REGISTRY + "SetAlias", registry.SetAliasRequest, registry.SetAliasResponse)
DELETE_ALIAS = Method(_REGISTRY + "DeleteAlias", registry.DeleteAliasRequest, registry.DeleteAliasResponse)
DELETE_MODEL = Method(_REGISTRY + "DeleteModel", registry.DeleteModelRequest, registry.DeleteModelResponse)
MODEL_AS_OF = Method(_REGISTRY + "GetModelAsOf", registry.GetModelAsOfRequest, registry.GetModelAsOfResponse)
HOLD_VERSION = Method(_REGISTRY + "HoldVersion", registry.HoldVersionRequest, registry.HoldVersionResponse)
RELEASE_HOLD = Method(_REGISTRY + "ReleaseHold", registry.ReleaseHoldRequest, registry.ReleaseHoldResponse)
LIST_HOLDS = Method(_REGISTRY + "ListHolds", registry.ListHoldsRequest, registry.ListHoldsResponse)
LIST_MEASUREMENTS = Method(
    _REGISTRY + "ListMeasurements", registry.ListMeasurementsRequest, registry.ListMeasurementsResponse
)
LIST_EVENTS = Method(_REGISTRY + "ListModelEvents", registry.ListModelEventsRequest, registry.ListModelEventsResponse)

GET_ROUTE = Method(_ROUTES + "GetRoute", route.GetRouteRequest, route.GetRouteResponse)
LIST_ROUTES = Method(_ROUTES + "ListRoutes", route.ListRoutesRequest, route.ListRoutesResponse)
UPDATE_ROUTE = Method(_ROUTES + "UpdateRoute", route.UpdateRouteRequest, route.UpdateRouteResponse)
DRY_RUN_ROUTE = Method(_ROUTES + "DryRunRoute", route.DryRunRouteRequest, route.DryRunRouteResponse)
LIST_ROUTE_EVENTS = Method(_ROUTES + "ListRouteEvents", route.ListRouteEventsRequest, route.ListRouteEventsResponse)
ASSIGN_UNIT = Method(_ROUTES + "AssignUnit", route.AssignUnitRequest, route.AssignUnitResponse)
PURGE_CACHE = Method(_ROUTES + "PurgeCache", route.PurgeCacheRequest, route.PurgeCacheResponse)
AWAIT_EPOCH = Method(_ROUTES + "AwaitRegistryEpoch", route.AwaitRegistryEpochRequest, route.AwaitRegistryEpochResponse)

BEGIN_PUBLISH = Method(_PRECOMPUTED + "BeginPublish", precomputed.BeginPublishRequest, precomputed.BeginPublishResponse)
UPLOAD_ANSWERS = Method(
    _PRECOMPUTED + "UploadAnswers",
    precomputed.UploadAnswersRequest,
    precomputed.UploadAnswersResponse,
    client_stream=True,
    server_stream=True,
)
COMMIT_PUBLISH = Method(
    _PRECOMPUTED + "CommitPublish", precomputed.CommitPublishRequest, precomputed.CommitPublishResponse
)
ABORT_PUBLISH = Method(_PRECOMPUTED + "AbortPublish", precomputed.AbortPublishRequest, precomputed.AbortPublishResponse)
GET_PUBLISH = Method(_PRECOMPUTED + "GetPublish", precomputed.GetPublishRequest, precomputed.GetPublishResponse)
REVERT_PRECOMPUTED = Method(
    _PRECOMPUTED + "RevertPrecomputed", precomputed.RevertPrecomputedRequest, precomputed.RevertPrecomputedResponse
)
LIST_PRECOMPUTED = Method(
    _PRECOMPUTED + "ListPrecomputed", precomputed.ListPrecomputedRequest, precomputed.ListPrecomputedResponse
)

CHECK_HEALTH = Method("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse)
