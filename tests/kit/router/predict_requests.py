"""Requests of `RouterService.Predict`, right or wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.router.v1 import predict_pb2


def predict_request(
    model: str, *tensors: tuple[str, str, Sequence[int], bytes], **fields: Any
) -> predict_pb2.PredictRequest:
    """Return a request of tensors given as (name, datatype, shape, content)."""
    request = predict_pb2.PredictRequest(model=model, **fields)
    for name, datatype, shape, content in tensors:
        request.inputs.add(name=name, datatype=datatype, shape=shape)
        request.raw_input_contents.append(content)
    return request
