"""Requests with their tensors left encoded. Requests repeat their descriptions, so that each is read once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from headrace_router.data.tables.contract import Described

# Longer descriptions are read each time: nobody is to have us keep much.
_MOST_BYTES = 1024
_KEPT = 4096
_FIELD = descriptor_pb2.FieldDescriptorProto

Describe = Callable[[tuple[bytes, ...]], Described]


def lazy_message(message_class: type[Message]) -> Any:
    """Return the class of a request whose field `inputs` is of bytes, which are encoded alike."""
    whole = message_class.DESCRIPTOR
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{whole.full_name}.unread.proto",
        package=f"{whole.file.package}.unread",
        syntax="proto3",
        dependency=[whole.file.name, *(one.name for one in whole.file.dependencies)],
    )
    message = file.message_type.add()
    whole.CopyToProto(message)
    # Entries of a map must lie in the message that has it; all other types are those of the whole one.
    entries = [one for one in message.nested_type if one.options.map_entry]
    del message.nested_type[:]
    message.nested_type.extend(entries)
    own = {f".{whole.full_name}.{one.name}": f".{file.package}.{whole.name}.{one.name}" for one in entries}
    for field in message.field:
        if field.name == "inputs":
            field.type = _FIELD.TYPE_BYTES
            field.ClearField("type_name")
        elif field.type_name in own:
            field.type_name = own[field.type_name]
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{file.package}.{whole.name}"))


def remembering(describe: Describe) -> Describe:
    """Return `describe` with a memory. It says what encoded tensors say, by their bytes alone, and may raise."""
    known = functools.lru_cache(maxsize=_KEPT)(describe)

    def described(inputs: tuple[bytes, ...]) -> Described:
        return known(inputs) if sum(map(len, inputs)) <= _MOST_BYTES else describe(inputs)

    return described
