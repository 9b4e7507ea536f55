"""The encoded outputs of an answer: whether they are what a contract says, and a selection of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from google.protobuf.message import DecodeError
from headrace.router.v1 import predict_pb2

from headrace_router.data.contract import ELEMENT_BYTES, Contract


def checked(contract: Contract, wanted: Sequence[int], rows: int, outputs: bytes) -> predict_pb2.PredictResponse | None:
    """Return the outputs as a message, or None when they are not those of the contract that are wanted.

    What is stored has a checksum; this is about a writer that is wrong, whose bytes would fail a face or its caller.
    """
    try:
        message = predict_pb2.PredictResponse.FromString(outputs)
    except DecodeError:
        return None
    specs = [contract.outputs[position] for position in wanted] if wanted else contract.outputs
    contents = message.raw_output_contents
    if not len(message.outputs) == len(contents) == len(specs):
        return None
    for spec, tensor, content in zip(specs, message.outputs, contents, strict=True):
        shape = tensor.shape
        if tensor.name != spec.name or tensor.datatype != spec.datatype or not shape or shape[0] != rows:
            return None
        size = ELEMENT_BYTES.get(spec.datatype)
        if size is not None and math.prod(shape) * size != len(content):
            return None
    return message


def selected(message: predict_pb2.PredictResponse, wanted: Sequence[int]) -> bytes:
    """Return the encoded outputs at some positions of all."""
    return predict_pb2.PredictResponse(
        outputs=[message.outputs[position] for position in wanted],
        raw_output_contents=[message.raw_output_contents[position] for position in wanted],
    ).SerializeToString()
