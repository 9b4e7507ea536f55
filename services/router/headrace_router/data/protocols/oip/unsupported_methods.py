"""What Headrace does not serve of Triton's methods, and what to use instead."""

from __future__ import annotations

from typing import NamedTuple


class Unsupported(NamedTuple):
    """reason: what programs branch on. remedy: ends a sentence for people."""

    reason: str
    remedy: str


LOADING = Unsupported(
    "MODEL_CONTROL_NOT_SERVED",
    "what is loaded follows the registry and the routes: use `headrace models promote` or `headrace routes split`",
)
SHARED_MEMORY = Unsupported(
    "SHARED_MEMORY_NOT_SERVED",
    "no memory is shared with clients: send tensors in raw_input_contents, or over HTTP as binary data",
)
TRACING = Unsupported(
    "TRACE_SETTING_NOT_SERVED", "send a `traceparent` header whose sampled flag is set to have a request traced"
)
LOGGING = Unsupported(
    "LOG_SETTINGS_NOT_SERVED", "the log of a service is configured by its operator, with its `LOG_LEVEL` variable"
)
GENERATE = Unsupported("GENERATE_NOT_SERVED", "no model here generates a stream of text: use infer")

UNSUPPORTED = {
    "RepositoryModelLoad": LOADING,
    "RepositoryModelUnload": LOADING,
    "SystemSharedMemoryStatus": SHARED_MEMORY,
    "SystemSharedMemoryRegister": SHARED_MEMORY,
    "SystemSharedMemoryUnregister": SHARED_MEMORY,
    "CudaSharedMemoryStatus": SHARED_MEMORY,
    "CudaSharedMemoryRegister": SHARED_MEMORY,
    "CudaSharedMemoryUnregister": SHARED_MEMORY,
    "TraceSetting": TRACING,
    "LogSettings": LOGGING,
}
