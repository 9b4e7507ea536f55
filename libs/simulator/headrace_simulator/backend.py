"""What answers when no fault does: a real Triton, or models that are made up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import grpc

SERVICE = "inference.GRPCInferenceService"


class Refused(Exception):
    """A call fails with a status of gRPC, as Triton says it."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details


class Backend(Protocol):
    """Answers calls of the Open Inference Protocol, messages as bytes. path: `/service/Method`."""

    async def call(self, path: str, request: bytes, timeout_s: float | None) -> bytes:
        """Return the answer to a call. Raises Refused."""
        ...

    def stream(self, path: str, requests: AsyncIterator[bytes], timeout_s: float | None) -> AsyncIterator[bytes]:
        """Return the answers to a stream of requests. Raises Refused."""
        ...


def dead(model: str) -> Refused:
    """Return the error for callers of a model while its backend does not answer."""
    return Refused(grpc.StatusCode.UNAVAILABLE, f"simulated: no backend answers for model '{model}'")


def unloaded(model: str) -> Refused:
    """Return what Triton says of a model that it had, and has no more."""
    return Refused(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{model}' has no available versions")


def unknown(model: str) -> Refused:
    """Return what Triton says of a model that it never had."""
    return Refused(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{model}' is not found")


def out_of_memory(model: str, *, loading: bool) -> Refused:
    """Return what Triton's backend for ONNX says where a GPU has no memory left."""
    cause = "Failed to allocate memory for requested buffer of size 268435456"
    if loading:
        return Refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"load failed for model '{model}': version 1 is at UNAVAILABLE state: Internal: onnx runtime error 6: "
            f"Exception during initialization: {cause};",
        )
    return Refused(
        grpc.StatusCode.INTERNAL,
        f"onnx runtime error 6: Non-zero status code returned while running Gemm node. Status Message: {cause}",
    )
