"""A service of four methods, one of each kind, whose behaviour the test gives; its proto exists only here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, timestamp_pb2
from headrace.access.v1 import access_pb2
from headrace.validation.v1 import validation_pb2

SERVICE = "headrace.toy.v1.ToyService"
KINDS = ("Answer", "Collect", "Expand", "Converse")


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="headrace/toy/v1/toy.proto",
        package="headrace.toy.v1",
        syntax="proto3",
        dependency=[
            "headrace/access/v1/access.proto",
            "headrace/validation/v1/validation.proto",
            duration_pb2.DESCRIPTOR.name,
            timestamp_pb2.DESCRIPTOR.name,
        ],
    )
    note = file.message_type.add(name="Note")
    for number, name in enumerate(("model", "text"), start=1):
        note.field.add(name=name, number=number, type=9, label=1)
    note.field.add(name="inner", number=3, type=11, label=1, type_name=".headrace.toy.v1.Note")
    _add_numbers(note)
    service = file.service.add(name="ToyService")
    for name, client_streaming, server_streaming in (
        ("Answer", False, False),
        ("Collect", True, False),
        ("Expand", False, True),
        ("Converse", True, True),
        ("Nested", False, False),
        ("Within", False, False),
    ):
        method = service.method.add(
            name=name,
            input_type=".headrace.toy.v1.Note",
            output_type=".headrace.toy.v1.Note",
            client_streaming=client_streaming,
            server_streaming=server_streaming,
        )
        extensions: Any = method.options.Extensions
        option = extensions[access_pb2.access]
        option.internal = name == "Within"
        option.model_field = {"Nested": "inner.model", "Within": ""}.get(name, "model")
    return file


def _add_numbers(note: descriptor_pb2.DescriptorProto) -> None:
    """Add fields of every kind that a range is about."""
    entry = note.nested_type.add(name="SharesEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=9, label=1)
    entry.field.add(name="value", number=2, type=1, label=1)
    note.oneof_decl.add(name="_level")
    many, duration, time = 3, ".google.protobuf.Duration", ".google.protobuf.Timestamp"
    bounded = [
        note.field.add(name="count", number=4, type=5, label=1),
        note.field.add(name="level", number=5, type=1, label=1, proto3_optional=True, oneof_index=0),
        note.field.add(name="sizes", number=6, type=3, label=many),
        note.field.add(name="pause", number=7, type=11, label=1, type_name=duration),
        note.field.add(name="shares", number=8, type=11, label=many, type_name=".headrace.toy.v1.Note.SharesEntry"),
    ]
    for field in bounded:
        extensions: Any = field.options.Extensions
        extensions[validation_pb2.range].minimum = 1
        extensions[validation_pb2.range].maximum = 10
    note.field.add(name="ratio", number=9, type=2, label=1)
    note.field.add(name="anything", number=10, type=3, label=1)
    note.field.add(name="wait", number=11, type=11, label=1, type_name=duration)
    note.field.add(name="since", number=12, type=11, label=many, type_name=time)
    note.field.add(name="notes", number=13, type=11, label=many, type_name=".headrace.toy.v1.Note")


def _register() -> None:
    try:
        descriptor_pool.Default().FindFileByName("headrace/toy/v1/toy.proto")
    except KeyError:
        descriptor_pool.Default().Add(_file())


_register()
Note: Any = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName("headrace.toy.v1.Note"))


def handlers(**behaviours: Callable[..., Any]) -> dict[str, grpc.RpcMethodHandler]:
    """Return method handlers for `server.add_registered_method_handlers(SERVICE, handlers(Answer=answer))`."""
    makers = {
        "Answer": grpc.unary_unary_rpc_method_handler,
        "Nested": grpc.unary_unary_rpc_method_handler,
        "Within": grpc.unary_unary_rpc_method_handler,
        "Collect": grpc.stream_unary_rpc_method_handler,
        "Expand": grpc.unary_stream_rpc_method_handler,
        "Converse": grpc.stream_stream_rpc_method_handler,
    }
    return {
        name: makers[name](behaviour, Note.FromString, Note.SerializeToString) for name, behaviour in behaviours.items()
    }


class ToyStub:
    """Calls to the toy service on any channel; `call` gives every kind the same shape."""

    def __init__(self, channel: Any) -> None:
        def method(kind: Any, name: str) -> Any:
            return kind(
                f"/{SERVICE}/{name}", request_serializer=Note.SerializeToString, response_deserializer=Note.FromString
            )

        self.Answer = method(channel.unary_unary, "Answer")
        self.Nested = method(channel.unary_unary, "Nested")
        self.Within = method(channel.unary_unary, "Within")
        self.Collect = method(channel.stream_unary, "Collect")
        self.Expand = method(channel.unary_stream, "Expand")
        self.Converse = method(channel.stream_stream, "Converse")

    async def call(self, name: str, *notes: Any, **options: Any) -> list[Any]:
        """Call a method of any kind with one or more messages; return its answers as a list."""
        options.setdefault("timeout", 20)
        sends_stream, gets_stream = name in ("Collect", "Converse"), name in ("Expand", "Converse")
        call = getattr(self, name)(iter(notes) if sends_stream else notes[0], **options)
        return [note async for note in call] if gets_stream else [await call]


def failing(error: BaseException) -> dict[str, grpc.RpcMethodHandler]:
    """Return handlers of all four kinds that raise `error`: Expand as a generator, Converse as a coroutine.

    Request streams are read to their end first: grpc.aio's client now and then reports INTERNAL "Internal error from
    Core" instead of the status when the server answers while it still sends (2 of 1,600 calls, grpcio 1.85.3).
    """

    async def unary(_request: Any, _context: Any) -> Any:
        raise error

    async def reading(requests: Any, _context: Any) -> Any:
        async for _ in requests:
            pass
        raise error

    async def generator(_request: Any, _context: Any) -> Any:
        raise error
        yield

    return handlers(Answer=unary, Collect=reading, Expand=generator, Converse=reading)


def echoing() -> dict[str, grpc.RpcMethodHandler]:
    """Return handlers that answer what they were sent; Collect answers the last message."""

    async def answer(request: Any, _context: Any) -> Any:
        return request

    async def collect(requests: Any, _context: Any) -> Any:
        last = Note()
        async for request in requests:
            last = request
        return last

    async def expand(request: Any, _context: Any) -> Any:
        yield request
        yield request

    async def converse(requests: Any, _context: Any) -> Any:
        async for request in requests:
            yield request

    return handlers(Answer=answer, Nested=answer, Within=answer, Collect=collect, Expand=expand, Converse=converse)


def pulling() -> dict[str, grpc.RpcMethodHandler]:
    """Return handlers whose Converse echoes by reading and writing itself."""

    async def converse(_requests: Any, context: Any) -> None:
        while (request := await context.read()) is not grpc.aio.EOF:  # type: ignore[attr-defined]
            await context.write(request)

    return handlers(Converse=converse)


def holding() -> tuple[asyncio.Event, dict[str, grpc.RpcMethodHandler]]:
    """Return an event, and handlers whose Answer says what it was sent once the event is set."""
    released = asyncio.Event()

    async def answer(request: Any, _context: Any) -> Any:
        await released.wait()
        return request

    return released, handlers(Answer=answer)
