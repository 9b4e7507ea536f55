"""Tensors between the steps of a pipeline: bytes with a description, of which no value is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from headrace.router.v1 import predict_pb2

from headrace_router.data.tables.contract import Layout, Spec
from headrace_router.data.tables.served import ServedVersion
from headrace_router.datatypes import ELEMENT_BYTES

# Of one element of BYTES: the length of an empty text.
EMPTY_TEXT_BYTES = 4


@dataclass(slots=True)
class Tensor:
    """One tensor of a request or of a step's answer. shape: with the rows."""

    datatype: str
    shape: tuple[int, ...]
    content: bytes


def of_request(
    specs: Sequence[Spec], rows: int, absent: Sequence[int], dims: Sequence[int], contents: Sequence[bytes]
) -> dict[int, Tensor]:
    """Return the inputs of a request by their positions in the contract. absent, dims: as in `InferRequest`."""
    sizes, values = iter(dims), iter(contents)
    return {
        position: Tensor(
            spec.datatype, (rows, *(next(sizes) if size == -1 else size for size in spec.shape)), next(values)
        )
        for position, spec in enumerate(specs)
        if position not in absent
    }


def of_answer(outputs: bytes, gives: Sequence[int]) -> dict[int, Tensor]:
    """Return what a step answered, which keeps its member's contract, by the positions that were asked for."""
    message = predict_pb2.PredictResponse.FromString(outputs)
    return {
        position: Tensor(described.datatype, tuple(described.shape), content)
        for position, described, content in zip(gives, message.outputs, message.raw_output_contents, strict=True)
    }


def zeros(datatype: str, shape: tuple[int, ...]) -> Tensor:
    """Return what stands for a tensor that is missing: zeros, or empty texts."""
    size = EMPTY_TEXT_BYTES if datatype == "BYTES" else ELEMENT_BYTES[datatype]
    return Tensor(datatype, shape, bytes(math.prod(shape) * size))


def presence(there: Sequence[bool], rows: int) -> Tensor:
    """Return the input by which a combiner knows which of its voters are there."""
    return Tensor("BOOL", (rows, len(there)), bytes(there) * rows)


def laid_out(member: ServedVersion, tensors: dict[int, Tensor], max_rows: int) -> tuple[Layout, list[bytes]]:
    """Return how the inputs of a step are laid out, and their contents in the order of its member's contract.

    tensors: by position in the contract. Raises InvalidArgument when a size that varies does not fit.
    """
    specs, positions = member.contract.inputs, sorted(tensors)
    described = tuple([(specs[at].name, tensors[at].datatype, *tensors[at].shape) for at in positions])
    return member.layout(described, max_rows), [tensors[at].content for at in positions]


def encoded(specs: Sequence[Spec], tensors: Sequence[Tensor]) -> bytes:
    """Return outputs as fields 5 and 6 of PredictResponse."""
    message = predict_pb2.PredictResponse()
    for spec, tensor in zip(specs, tensors, strict=True):
        message.outputs.add(name=spec.name, datatype=tensor.datatype, shape=tensor.shape)
        message.raw_output_contents.append(tensor.content)
    return message.SerializeToString()
