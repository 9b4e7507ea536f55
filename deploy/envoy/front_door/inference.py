"""The Open Inference Protocol at the front door: its methods and paths, and what a caller needs for them.

Its protos are not ours, so no descriptor of ours tells of them. Every method has a route: what is not served is refused
by the data plane, which says what to use instead.
"""

from __future__ import annotations

from front_door.api import Method

SERVICE = "inference.GRPCInferenceService"
PREDICT_SCOPE = "predict"
# Who may predict may ask what it takes to do so; so may who reads the registry.
READ_SCOPES = (PREDICT_SCOPE, "registry.read")

# Answered to everybody, as `grpc.health.v1` is.
HEALTH_METHODS = ("ServerLive", "ServerReady")
PREDICT_METHODS = ("ModelInfer", "ModelStreamInfer")
READ_METHODS = (
    "ModelReady", "ServerMetadata", "ModelMetadata", "ModelConfig", "ModelStatistics", "RepositoryIndex",
    "RepositoryModelLoad", "RepositoryModelUnload", "SystemSharedMemoryStatus", "SystemSharedMemoryRegister",
    "SystemSharedMemoryUnregister", "CudaSharedMemoryStatus", "CudaSharedMemoryRegister", "CudaSharedMemoryUnregister",
    "TraceSetting", "LogSettings",
)  # fmt: skip

REST_ROOT = "/v2"
REST_HEALTH_PATHS = (f"{REST_ROOT}/health/live", f"{REST_ROOT}/health/ready")
REST_INFER_REGEX = f"{REST_ROOT}/models/[^/]+(/versions/[^/]+)?/infer"

# KServe's first protocol. Without the prefix `GET /v1/models/NAME` is the registry's model.
KSERVE_ROOT = "/kserve"
KSERVE_LIVE_REGEX = f"{KSERVE_ROOT}/?"
KSERVE_READY_REGEX = f"{KSERVE_ROOT}/v1/models/([^/:]+)"
KSERVE_READY_PATH = rf"{REST_ROOT}/models/\1/ready"
KSERVE_PREDICT_REGEX = f"{KSERVE_ROOT}(/v1/models/[^/]+:predict)"
KSERVE_PREDICT_PATH = r"\1"


def path(name: str) -> str:
    """Return the path of a gRPC method."""
    return f"/{SERVICE}/{name}"


OPEN_PATHS = (*map(path, HEALTH_METHODS), *REST_HEALTH_PATHS)


def methods() -> tuple[Method, ...]:
    """Return every gRPC method, the most called first."""
    return tuple(_method(name) for name in (*PREDICT_METHODS, *HEALTH_METHODS, *READ_METHODS))


def _method(name: str) -> Method:
    streams = name == "ModelStreamInfer"
    request = f"inference.{'ModelInfer' if streams else name}Request"
    return Method(path(name), request, PREDICT_SCOPE, False, streams, streams, ())
