"""Finding references to other files in an ONNX model, wherever the format has room for a tensor.

The walk follows the descriptors of the messages rather than a list of known places: a field that a later version of
ONNX adds is searched as soon as the package that declares it is installed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

# One node of a graph takes about four messages; the largest published language models have 100,000 nodes.
MAX_MESSAGES = 2_000_000
# The parser itself takes 100 messages within each other.
MAX_DEPTH = 100

# Any message with one of these fields can keep its data elsewhere, whatever it is called.
_MARKS = ("external_data", "data_location")


class TooLargeError(Exception):
    """The model has more messages than are searched; the message says how many are."""


def first(model: Message) -> tuple[str, str] | None:
    """Return the place and the name of the first tensor whose data is in another file; None when there is none.

    Raises TooLargeError.
    """
    if _is_external(model):
        return model.DESCRIPTOR.name, str(getattr(model, "name", ""))
    # A stack of our own: Python's is not made for what strangers nest.
    stack = [_children("", model)]
    count = 0
    while stack:
        place, message = next(stack[-1], ("", None))
        if message is None:
            stack.pop()
            continue
        count += 1
        if count > MAX_MESSAGES:
            raise TooLargeError(f"has more than {MAX_MESSAGES} nodes, attributes and tensors")
        if _is_external(message):
            return place, str(getattr(message, "name", ""))
        if _fields(message.DESCRIPTOR):
            if len(stack) == MAX_DEPTH:
                raise TooLargeError(f"has more than {MAX_DEPTH} graphs, nodes and attributes within each other")
            stack.append(_children(f"{place}.", message))
    return None


def _children(prefix: str, message: Message) -> Iterator[tuple[str, Message]]:
    for field in _fields(message.DESCRIPTOR):
        name = field.name
        if _is_map(field):
            for key, child in getattr(message, name).items():
                yield f"{prefix}{name}[{key!r:.40}]", child
        elif field.is_repeated:
            for index, child in enumerate(getattr(message, name)):
                yield f"{prefix}{name}[{index}]", child
        elif message.HasField(name):
            yield f"{prefix}{name}", getattr(message, name)


def _is_external(message: Message) -> bool:
    return any(getattr(message, mark) for mark in _marks(message.DESCRIPTOR))


@functools.cache
def _marks(kind: Descriptor) -> tuple[str, ...]:
    return tuple(mark for mark in _MARKS if mark in kind.fields_by_name)


@functools.cache
def _fields(kind: Descriptor) -> tuple[FieldDescriptor, ...]:
    """Return the fields of a message through which external data can be reached; those of numbers are not read."""
    return tuple(
        field
        for field in kind.fields
        if (value := _value(field)) is not None and any(_marks(inner) for inner in _reachable(value))
    )


@functools.cache
def _reachable(kind: Descriptor) -> frozenset[Descriptor]:
    """Return a message's type and those of all messages that it can hold."""
    found, todo = {kind}, [kind]
    while todo:
        held = {value for field in todo.pop().fields if (value := _value(field)) is not None} - found
        found |= held
        todo += held
    return frozenset(found)


def _value(field: FieldDescriptor) -> Descriptor | None:
    """Return the type of the messages in a field, of a map's values; None where it holds none."""
    kind = field.message_type
    return kind.fields_by_name["value"].message_type if kind is not None and _is_map(field) else kind


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
