"""Models that are made up from their `config.pbtxt`: metadata, and answers that follow from the rows alone."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2

_pb: Any = service_pb2  # generated without type stubs
_config_pb: Any = model_config_pb2
_DATA_TYPES = _config_pb.DataType

_GOLDEN, _MIX_A, _MIX_B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_MOST_VALUES = 64 * 1024 * 1024
_INTEGERS = {
    "UINT8": "u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
    "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
}  # fmt: skip
_FLOATS = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}


class WrongRequest(Exception):
    """A request is not what the model takes; the message says so as Triton does."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a model. dims: -1 varies; without the batch dimension, where the model has one."""

    name: str
    datatype: str
    dims: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class MadeUpModel:
    """What `config.pbtxt` says of a model. config: the whole, as ModelConfig returns it."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    max_batch_size: int
    instances: int
    config: Any


def model_of(config: Any) -> MadeUpModel:
    """Return the model of a ModelConfig."""
    return MadeUpModel(
        config.name,
        tuple(_tensor(one, optional=one.optional) for one in config.input),
        tuple(_tensor(one) for one in config.output),
        config.max_batch_size,
        sum(max(1, group.count) for group in config.instance_group) or 1,
        config,
    )


def metadata(model: MadeUpModel) -> Any:
    """Return what ModelMetadata answers."""
    answer = _pb.ModelMetadataResponse(
        name=model.name, versions=["1"], platform=model.config.platform or model.config.backend
    )
    batch = [-1] if model.max_batch_size else []
    for tensors, described in ((model.inputs, answer.inputs), (model.outputs, answer.outputs)):
        for tensor in tensors:
            described.add(name=tensor.name, datatype=tensor.datatype, shape=[*batch, *tensor.dims])
    return answer


def rows_of(request: Any) -> int:
    """Return the rows of a ModelInferRequest: the first dimension of its first input, 1 without one."""
    shape = request.inputs[0].shape if request.inputs else ()
    return max(1, shape[0]) if shape else 1


def answer(model: MadeUpModel, request: Any) -> Any:
    """Return a ModelInferResponse: the same row has the same answer, in whatever batch. Raises WrongRequest."""
    _check(model, request)
    rows = rows_of(request)
    wanted = [one.name for one in request.outputs] or [one.name for one in model.outputs]
    response = _pb.ModelInferResponse(model_name=model.name, model_version="1", id=request.id)
    row_hashes = _row_hashes(request, rows)
    for position, tensor in enumerate(model.outputs):
        if tensor.name not in wanted:
            continue
        shape = _shape(model, tensor, rows)
        count = int(np.prod(shape))
        if count > _MOST_VALUES:
            raise WrongRequest(f"output '{tensor.name}' would have {count} values; at most {_MOST_VALUES} are made up")
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
        response.raw_output_contents.append(_values(tensor.datatype, _random(row_hashes, position, count)))
    return response


def _tensor(declared: Any, *, optional: bool = False) -> Tensor:
    name = _DATA_TYPES.Name(declared.data_type).removeprefix("TYPE_")
    return Tensor(declared.name, "BYTES" if name == "STRING" else name, tuple(declared.dims), optional)


def _check(model: MadeUpModel, request: Any) -> None:
    known = {tensor.name: tensor for tensor in model.inputs}
    given = {tensor.name for tensor in request.inputs}
    required = [tensor.name for tensor in model.inputs if not tensor.optional]
    if missing := [name for name in required if name not in given]:
        raise WrongRequest(f"expected {len(required)} inputs but got {len(given)} inputs for model '{model.name}'. "
                           f"Got input(s) {sorted(given)}, but missing required input(s) {missing}.")  # fmt: skip
    for tensor in request.inputs:
        spec = known.get(tensor.name)
        if spec is None:
            raise WrongRequest(f"unexpected inference input '{tensor.name}' for model '{model.name}'")
        if tensor.datatype != spec.datatype:
            raise WrongRequest(
                f"inference input '{tensor.name}' data-type is '{tensor.datatype}', but model '{model.name}' expects "
                f"'{spec.datatype}'"
            )
        expected = ((-1,) if model.max_batch_size else ()) + spec.dims
        if len(tensor.shape) != len(expected) or any(
            wanted not in (-1, size) or size < 0 for size, wanted in zip(tensor.shape, expected, strict=True)
        ):
            raise WrongRequest(
                f"unexpected shape for input '{tensor.name}' for model '{model.name}'. Expected {list(expected)}, got "
                f"{list(tensor.shape)}"
            )
    if model.max_batch_size and rows_of(request) > model.max_batch_size:
        raise WrongRequest(f"inference request batch-size must be <= {model.max_batch_size} for '{model.name}'")
    for output in request.outputs:
        if output.name not in {tensor.name for tensor in model.outputs}:
            raise WrongRequest(f"unexpected inference output '{output.name}' for model '{model.name}'")


def _shape(model: MadeUpModel, tensor: Tensor, rows: int) -> tuple[int, ...]:
    """Return the shape of an output; without a batch dimension a first one that varies is that of the rows."""
    if model.max_batch_size:
        return (rows, *(1 if size < 0 else size for size in tensor.dims))
    return tuple((rows if not at else 1) if size < 0 else size for at, size in enumerate(tensor.dims))


def _row_hashes(request: Any, rows: int) -> np.ndarray:
    """Return a number for each row, of its bytes in all inputs."""
    hashes = [0] * rows
    contents: Sequence[bytes] = request.raw_input_contents or [
        tensor.contents.SerializeToString(deterministic=True) for tensor in request.inputs
    ]
    for content in contents:
        size = len(content) // rows
        if size * rows != len(content):  # texts of different lengths: by all of it
            hashes = [zlib.crc32(content, one) for one in hashes]
            continue
        view = memoryview(content)
        hashes = [zlib.crc32(view[at * size : (at + 1) * size], one) for at, one in enumerate(hashes)]
    return np.array(hashes, np.uint64)


def _random(row_hashes: np.ndarray, position: int, count: int) -> np.ndarray:
    """Return numbers in [0, 1), as many of each row: SplitMix64 from the row's hash on."""
    per_row = -(-count // len(row_hashes)) if count else 0
    with np.errstate(over="ignore"):
        seeds = (row_hashes + np.uint64(position)) * _MIX_B
        mixed = seeds[:, None] + _GOLDEN * np.arange(1, per_row + 1, dtype=np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_A
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_B
        mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).ravel()[:count].astype(np.float64) / 2**53


def _values(datatype: str, random: np.ndarray) -> bytes:
    if datatype in _FLOATS:
        # Rounding to 16 bits may give 1.0.
        return np.minimum(random, 0.999).astype(_FLOATS[datatype]).tobytes()
    if datatype == "BF16":
        return (random.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    if datatype == "BOOL":
        return (random < 0.5).tobytes()
    if datatype in _INTEGERS:
        return (random * 10).astype(_INTEGERS[datatype]).tobytes()
    texts = [f"made-up-{int(value * 10)}".encode() for value in random]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
