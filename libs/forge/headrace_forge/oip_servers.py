"""Models of an external server that speaks the Open Inference Protocol by gRPC, by its own metadata."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from headrace.tensor.v1 import tensor_pb2
from headrace_client.errors import invalid
from headrace_client.model_files import FORMATS, ModelFiles

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as a server describes it: its platform, and what it takes and gives."""

    platform: str
    contract: tensor_pb2.ServingContract


def described(target: str, model: str, version: str = "") -> ServedModel:
    """Ask a server for the metadata of a model. Raises InvalidArgument, naming what it lacks."""
    messages, stubs = _protocol()
    with grpc.insecure_channel(target) as channel:
        request = messages.ModelMetadataRequest(name=model, version=version)
        stub = stubs.GRPCInferenceServiceStub(channel)
        try:
            told = stub.ModelMetadata(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            said: Any = error
            raise invalid("target", f"server '{target}' does not describe '{model}': {said.details()}") from None
        decoupled = _decoupled(stub, messages.ModelConfigRequest(name=model, version=version))
    contract = tensor_pb2.ServingContract(decoupled=decoupled)
    for side, tensors in ((contract.inputs, told.inputs), (contract.outputs, told.outputs)):
        if not tensors:
            raise invalid("model", f"server '{target}' does not say the tensors of '{model}': state a contract")
        for tensor in tensors:
            shape = list(tensor.shape)
            # Rows come first where the first dimension is free or 1; what else is free varies by request.
            row = shape[1:] if shape[:1] in ([-1], [1]) else shape
            side.add(name=tensor.name, datatype=tensor.datatype, shape=row)
    return ServedModel(told.platform, contract)


def _decoupled(stub: Any, request: Any) -> bool:
    """Return whether a model answers in parts, which Triton says in its configuration, and other servers nowhere."""
    try:
        return stub.ModelConfig(request, timeout=TIMEOUT_S).config.model_transaction_policy.decoupled
    except grpc.RpcError:
        return False


def server_file(target: str, model: str, version: str, folder: Path) -> ModelFiles:
    """Write the file of a version that is a model of a server, and return it."""
    path = folder / FORMATS["oip"].file
    server = {"target": target, "model": model} | ({"version": version} if version else {})
    path.write_text(json.dumps(server) + "\n")
    return ModelFiles("oip", {path.name: path})


def _protocol() -> tuple[Any, Any]:
    try:
        from tritonclient.grpc import service_pb2, service_pb2_grpc
    except ImportError:
        raise invalid("target", "asking a server takes `pip install headrace-client[triton]`") from None
    return service_pb2, service_pb2_grpc
