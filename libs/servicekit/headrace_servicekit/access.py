"""What each RPC declares about its callers in the protos (`headrace.access.v1`), looked up once per method."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc.aio
from google.protobuf import descriptor_pool
from headrace.access.v1 import access_pb2

from headrace_servicekit.identity import Identity, model_not_found, model_of

_END_OF_STREAM: Any = getattr(grpc.aio, "EOF")  # noqa: B009 - missing in the type stubs


@dataclass(frozen=True, slots=True)
class Access:
    """The access option of one method; `model_field` is the path, split at its dots, empty when there is none."""

    scope: str = ""
    internal: bool = False
    model_field: tuple[str, ...] = ()


OPEN = Access()

_OPTION: Any = access_pb2.access  # its generated type is not the one that Extensions asks for


def access_of(method: str) -> Access:
    """Return the access option of `/package.Service/Method`; methods without one (health, reflection) are open."""
    service_name, _, method_name = method.lstrip("/").partition("/")
    try:
        service = descriptor_pool.Default().FindServiceByName(service_name)
    except KeyError:
        return OPEN
    descriptor = service.methods_by_name.get(method_name)
    if descriptor is None:
        return OPEN
    options = descriptor.GetOptions()
    if not options.HasExtension(_OPTION):
        return OPEN
    option = options.Extensions[_OPTION]
    path = tuple(option.model_field.split(".")) if option.model_field else ()
    _check_path(method, descriptor.input_type, path)
    return Access(option.scope, option.internal, path)


def reader(path: tuple[str, ...]) -> Callable[[Any], str]:
    """Return a function that reads the text field at `path` of a message; an unset sub-message reads as empty."""
    if len(path) == 1:
        name = path[0]
        return lambda message: getattr(message, name)

    def read(message: Any) -> str:
        for name in path:
            message = getattr(message, name)
        return message

    return read


class ModelCheck:
    """Compares the model that a request names with the patterns of its caller.

    A model outside them is answered exactly as one that does not exist.
    """

    def __init__(self, path: tuple[str, ...]) -> None:
        self._read = reader(path)

    def check(self, request: Any, caller: Identity) -> None:
        """Raise NotFound for a model that the caller may not know of."""
        model = model_of(self._read(request))
        # An empty name is for the method to refuse, and later messages of an upload leave it out.
        if model and not caller.sees(model):
            raise model_not_found(model)

    def checked(self, messages: Any, context: Any, caller: Identity) -> tuple[Any, Any]:
        """Return a request stream and its context whose every message is checked, however the handler reads."""
        return self._each(messages, caller), _CheckedContext(self, context, caller)

    async def _each(self, messages: Any, caller: Identity) -> AsyncIterator[Any]:
        async for message in messages:
            self.check(message, caller)
            yield message


class _CheckedContext:
    def __init__(self, models: ModelCheck, context: Any, caller: Identity) -> None:
        self._models, self._context, self._caller = models, context, caller

    async def read(self) -> Any:
        message = await self._context.read()
        if message is not _END_OF_STREAM:
            self._models.check(message, self._caller)
        return message

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def _check_path(method: str, message: Any, path: tuple[str, ...]) -> None:
    for index, name in enumerate(path):
        field = message.fields_by_name.get(name) if message is not None else None
        if field is None:
            raise ValueError(f"{method}: access.model_field {'.'.join(path)!r} has no field {name!r}")
        if index == len(path) - 1 and field.type != field.TYPE_STRING:
            raise ValueError(f"{method}: access.model_field {'.'.join(path)!r} is not a string")
        message = field.message_type
