"""An API whose every answer is full: each text is one that a test chooses, each list has one item.

What a page makes of it shows whether it escapes what people, models and services say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_status import rpc_status
from headrace_servicekit.error_details import to_status
from headrace_servicekit.errors import ServiceError

from tests.kit.clients.methods import METHODS, path_of

_DEEPEST = 8


class HostileApi(grpc.GenericRpcHandler):
    """Answers every public method. text: of every text in every answer. asked: what was sent, by path.

    refusal: what every call of these paths fails with instead. answers: what gives their answers instead. nothing:
    whether every other answer is empty.
    """

    def __init__(self, text: str = "plain") -> None:
        self.text, self.nothing = text, False
        self.asked: list[tuple[str, Message, dict[str, str]]] = []
        self.refusal: dict[str, tuple[grpc.StatusCode, str] | ServiceError] = {}
        self.answers: dict[str, Callable[[Any], Message]] = {}
        self._methods = {path_of(name): method for name, method in METHODS.items()}

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler | None:
        """Return what answers a method."""
        path = handler_call_details.method
        method = self._methods.get(path)
        if method is None:
            return None
        received = dict(handler_call_details.invocation_metadata)
        request, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)

        async def unary(message: Message, context: grpc.aio.ServicerContext) -> Message:
            return await self._answer(path, message, received, answer, context)

        async def stream(message: Message, context: grpc.aio.ServicerContext) -> Any:
            yield await self._answer(path, message, received, answer, context)

        make: Any = (
            grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        )
        return make(
            stream if method.server_streaming else unary,
            request_deserializer=request.FromString,
            response_serializer=answer.SerializeToString,
        )

    async def _answer(
        self, path: str, message: Message, received: dict[str, str], answer: type[Message], context: Any
    ) -> Message:
        self.asked.append((path, message, received))
        refusal = self.refusal.get(path)
        if isinstance(refusal, ServiceError):
            told: Any = rpc_status.to_status(to_status(refusal))
            await context.abort(told.code, told.details, told.trailing_metadata)
        elif refusal is not None:
            await context.abort(*refusal)
        if path in self.answers:
            return self.answers[path](message)
        return answer() if self.nothing else filled(answer.DESCRIPTOR, self.text)


def filled(kind: Any, text: str, depth: int = 0) -> Message:
    """Return a message in which every field is set, but for tokens of further pages."""
    made: Any = GetMessageClass(kind)()
    if kind.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        made.seconds = 1_700_000_000 if kind.name == "Timestamp" else 90
        return made
    for field in kind.fields:
        if field.name == "next_page_token" or (field.message_type and depth >= _DEEPEST):
            continue
        if field.containing_oneof is not None and field.containing_oneof.fields[0] is not field:
            continue
        _fill(made, field, text, depth)
    return made


def _fill(made: Any, field: FieldDescriptor, text: str, depth: int) -> None:
    if field.message_type and field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        if value.message_type is None:
            getattr(made, field.name)[text if field.message_type.fields_by_name["key"].type == 9 else 1] = _scalar(
                value, text
            )
        return
    if field.message_type:
        inner = filled(field.message_type, text, depth + 1)
        if field.is_repeated:
            getattr(made, field.name).append(inner)
        else:
            getattr(made, field.name).CopyFrom(inner)
    elif field.is_repeated:
        getattr(made, field.name).append(_scalar(field, text))
    else:
        setattr(made, field.name, _scalar(field, text))


def _scalar(field: FieldDescriptor, text: str) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return text
    if field.type == FieldDescriptor.TYPE_BYTES:
        return text.encode()
    if field.type == FieldDescriptor.TYPE_BOOL:
        return True
    if field.type == FieldDescriptor.TYPE_ENUM:
        assert field.enum_type is not None
        return field.enum_type.values[-1].number
    return 2
