"""`inference.GRPCInferenceService` apart from inference: message bytes to what the catalog tells, and back to bytes.

What is not served says what to use instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from headrace_servicekit.errors import InvalidArgument, NotFound, ServiceError, Unimplemented
from headrace_servicekit.identity import Identity
from tritonclient.grpc import service_pb2

from headrace_router.data.protocols.oip import infer_stream
from headrace_router.data.protocols.oip.catalog import Catalog, Document
from headrace_router.data.protocols.oip.infer_message import SERVICE
from headrace_router.data.protocols.oip.unsupported_methods import UNSUPPORTED

Read = Callable[[Any, Identity], Document]


class InferenceReads:
    """The methods that tell of models, and those that are refused."""

    OF_ANYBODY: ClassVar = frozenset((f"{SERVICE}/ServerLive", f"{SERVICE}/ServerReady"))
    METHODS: ClassVar = tuple(
        method.name
        for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
        if method.name not in ("ModelInfer", infer_stream.NAME)
    )

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._reads: Mapping[str, Read] = MappingProxyType(
            {
                "ServerLive": lambda _request, _caller: {"live": True},
                "ServerReady": lambda _request, _caller: {"ready": catalog.ready()},
                "ModelReady": self._model_ready,
                "ServerMetadata": lambda _request, _caller: catalog.server(),
                "ModelMetadata": lambda request, caller: catalog.metadata(request.name, request.version, caller),
                "ModelConfig": lambda request, caller: {
                    "config": catalog.config(request.name, request.version, caller)
                },
                "ModelStatistics": lambda request, caller: catalog.statistics(request.name, request.version, caller),
                "RepositoryIndex": lambda request, caller: {"models": catalog.index(caller, ready_only=request.ready)},
            }
        )

    def answer(self, method: str, data: bytes, caller: Identity) -> bytes:
        """Return the encoded answer of a method. Raises ServiceError, for one that is not served too."""
        read = self._reads.get(method)
        if read is None:
            raise self.refusal(method)
        request = _message(f"{method}Request")
        try:
            request.ParseFromString(data)
        except DecodeError:
            problem = f"the request is not a valid message of {SERVICE}/{method}"
            raise InvalidArgument(problem, reason="MALFORMED_MESSAGE") from None
        response = _message(f"{method}Response")
        return json_format.ParseDict(read(request, caller), response).SerializeToString()

    def refusal(self, method: str) -> ServiceError:
        """Return the error for a method that is not served."""
        unsupported = UNSUPPORTED[method]
        return Unimplemented(f"{method} is not served: {unsupported.remedy}", reason=unsupported.reason)

    def _model_ready(self, request: Any, caller: Identity) -> Document:
        # Clients wait for a model in a loop that ends at an error: what is not there is not ready, as in Triton.
        try:
            return {"ready": self._catalog.model_ready(request.name, request.version, caller)}
        except NotFound:
            return {"ready": False}


def _message(name: str) -> Any:
    """Return an empty message of the protocol."""
    return getattr(service_pb2, name)()
