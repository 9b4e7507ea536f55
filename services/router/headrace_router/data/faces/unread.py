"""PredictRequest with its tensors left encoded. Requests repeat their descriptions, so that each is read once."""

from __future__ import annotations

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2

from headrace_router.data.contract import Described

# Longer descriptions are read each time: nobody is to have us keep much.
_MOST_BYTES = 1024
_FIELD = descriptor_pb2.FieldDescriptorProto


@functools.cache
def unread_message() -> Any:
    """Return the class of PredictRequest with a field `inputs` of bytes, which are encoded alike."""
    whole = predict_pb2.PredictRequest.DESCRIPTOR
    file = descriptor_pb2.FileDescriptorProto(
        name="headrace/router/v1/unread.proto",
        package="headrace.router.v1.unread",
        syntax="proto3",
        dependency=[one.name for one in whole.file.dependencies],
    )
    message = file.message_type.add()
    whole.CopyToProto(message)
    for field in message.field:
        if field.name == "inputs":
            field.type = _FIELD.TYPE_BYTES
            field.ClearField("type_name")
        elif field.type_name.startswith(f".{whole.full_name}."):  # entries of its maps
            field.type_name = field.type_name.removeprefix(f".{whole.full_name.removesuffix(whole.name)}")
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{whole.name}"))


def described(inputs: tuple[bytes, ...]) -> Described:
    """Return what encoded tensors say. Raises DecodeError."""
    return _known(inputs) if sum(map(len, inputs)) <= _MOST_BYTES else _described(inputs)


def _described(inputs: tuple[bytes, ...]) -> Described:
    tensors = map(tensor_pb2.Tensor.FromString, inputs)
    return tuple([(tensor.name, tensor.datatype, *tensor.shape) for tensor in tensors])


_known = functools.lru_cache(maxsize=4096)(_described)
