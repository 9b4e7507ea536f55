import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RegistryWebhook(_message.Message):
    __slots__ = ("name", "url", "secret", "format", "model", "waiting", "last_error", "last_success_time")
    class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FORMAT_UNSPECIFIED: _ClassVar[RegistryWebhook.Format]
        FORMAT_CLOUD_EVENT: _ClassVar[RegistryWebhook.Format]
        FORMAT_SLACK: _ClassVar[RegistryWebhook.Format]
        FORMAT_PAGERDUTY: _ClassVar[RegistryWebhook.Format]
    FORMAT_UNSPECIFIED: RegistryWebhook.Format
    FORMAT_CLOUD_EVENT: RegistryWebhook.Format
    FORMAT_SLACK: RegistryWebhook.Format
    FORMAT_PAGERDUTY: RegistryWebhook.Format
    NAME_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    LAST_SUCCESS_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    url: str
    secret: str
    format: RegistryWebhook.Format
    model: str
    waiting: int
    last_error: str
    last_success_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., url: _Optional[str] = ..., secret: _Optional[str] = ..., format: _Optional[_Union[RegistryWebhook.Format, str]] = ..., model: _Optional[str] = ..., waiting: _Optional[int] = ..., last_error: _Optional[str] = ..., last_success_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PutRegistryWebhookRequest(_message.Message):
    __slots__ = ("webhook",)
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    webhook: RegistryWebhook
    def __init__(self, webhook: _Optional[_Union[RegistryWebhook, _Mapping]] = ...) -> None: ...

class PutRegistryWebhookResponse(_message.Message):
    __slots__ = ("webhook",)
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    webhook: RegistryWebhook
    def __init__(self, webhook: _Optional[_Union[RegistryWebhook, _Mapping]] = ...) -> None: ...

class ListRegistryWebhooksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRegistryWebhooksResponse(_message.Message):
    __slots__ = ("webhooks",)
    WEBHOOKS_FIELD_NUMBER: _ClassVar[int]
    webhooks: _containers.RepeatedCompositeFieldContainer[RegistryWebhook]
    def __init__(self, webhooks: _Optional[_Iterable[_Union[RegistryWebhook, _Mapping]]] = ...) -> None: ...

class DeleteRegistryWebhookRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteRegistryWebhookResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
