"""What MLServer's own types, codecs and gRPC stubs get, as JSON: run by the Python of `.headrace/mlserver-venv`."""

from __future__ import annotations

import http.client
import json
import sys
from typing import Any

import grpc
import numpy as np
from mlserver.codecs import NumpyCodec, NumpyRequestCodec
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.grpc.dataplane_pb2 import ModelMetadataRequest, ModelReadyRequest, ServerReadyRequest
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.types import InferenceRequest, InferenceResponse, MetadataModelResponse, RequestOutput

ROW = np.array([[0, 1, 2, 3]], np.float32)


def asked() -> InferenceRequest:
    inputs = [NumpyCodec.encode_input("features", ROW)]
    return InferenceRequest(id="r-1", inputs=inputs, outputs=[RequestOutput(name="scores")])


def told(answer: InferenceResponse) -> dict[str, Any]:
    (scores,) = answer.outputs
    return {
        "model": answer.model_name,
        "version": answer.model_version,
        "id": answer.id,
        "scores": NumpyCodec.decode_output(scores).ravel().tolist(),
    }


def by_rest(address: str, token: str, model: str) -> dict[str, Any]:
    at, headers = f"/v2/models/{model}", {"authorization": f"Bearer {token}"}

    def ask(method: str, path: str, body: Any = None) -> bytes:
        door = http.client.HTTPConnection(address, timeout=30)
        door.request(method, path, None if body is None else json.dumps(body), headers)
        answer = door.getresponse()
        content = answer.read()
        door.close()
        assert answer.status == http.HTTPStatus.OK, content
        return content

    found: dict[str, Any] = {}
    for name, body in (
        ("dump", asked().model_dump()),
        ("json", json.loads(asked().model_dump_json())),
        ("whole", NumpyRequestCodec.encode_request(ROW).model_dump()),
    ):
        if name == "whole":  # the codec names its only input itself
            body["inputs"][0]["name"] = "features"
        found[name] = told(InferenceResponse.model_validate_json(ask("POST", f"{at}/infer", body)))
    metadata = MetadataModelResponse.model_validate_json(ask("GET", at))
    found["inputs"] = [(one.name, one.datatype) for one in metadata.inputs or []]
    return found


def by_grpc(address: str, token: str, model: str) -> dict[str, Any]:
    metadata = (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(address) as channel:
        stub = GRPCInferenceServiceStub(channel)
        found: dict[str, Any] = {}
        for name, raw in (("typed", False), ("raw", True)):
            request = ModelInferRequestConverter.from_types(asked(), model_name=model, use_raw=raw)
            answer = stub.ModelInfer(request, metadata=metadata, timeout=30)
            found[name] = told(ModelInferResponseConverter.to_types(answer))
        found["ready"] = [
            stub.ServerReady(ServerReadyRequest(), metadata=metadata, timeout=30).ready,
            stub.ModelReady(ModelReadyRequest(name=model), metadata=metadata, timeout=30).ready,
        ]
        told_of = stub.ModelMetadata(ModelMetadataRequest(name=model), metadata=metadata, timeout=30)
        found["inputs"] = [(one.name, one.datatype) for one in told_of.inputs]
    return found


def main() -> None:
    address, token, model = sys.argv[1:]
    both = {"rest": by_rest(address, token, model), "grpc": by_grpc(address, token, model)}
    sys.stdout.write(json.dumps(both))


main()
