"""Requests of the Open Inference Protocol, written by hand where no client would write them so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tritonclient.grpc import service_pb2

pb2: Any = service_pb2
SERVICE = "/inference.GRPCInferenceService/"
MODEL_INFER = f"{SERVICE}ModelInfer"


def infer_request(model: str, *tensors: tuple[str, str, Sequence[int], bytes], **fields: Any) -> Any:
    """Return a `ModelInferRequest` of tensors given as (name, datatype, shape, content), raw."""
    request = pb2.ModelInferRequest(model_name=model, **fields)
    for name, datatype, shape, content in tensors:
        request.inputs.add(name=name, datatype=datatype, shape=shape)
        request.raw_input_contents.append(content)
    return request


def typed_request(model: str, name: str, datatype: str, shape: Sequence[int], **contents: Sequence[Any]) -> Any:
    """Return a `ModelInferRequest` of one tensor with typed contents, given by their field."""
    request = pb2.ModelInferRequest(model_name=model)
    tensor = request.inputs.add(name=name, datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(tensor.contents, field).extend(values)
    return request


def parameters_of(response: Any) -> dict[str, Any]:
    """Return the parameters of a message as Python values."""
    return {name: getattr(one, one.WhichOneof("parameter_choice")) for name, one in response.parameters.items()}
