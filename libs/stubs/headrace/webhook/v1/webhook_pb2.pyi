import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Webhook(_message.Message):
    __slots__ = ("name", "url", "secret", "format", "model", "waiting", "last_error", "last_success_time")
    class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FORMAT_UNSPECIFIED: _ClassVar[Webhook.Format]
        FORMAT_CLOUD_EVENT: _ClassVar[Webhook.Format]
        FORMAT_SLACK: _ClassVar[Webhook.Format]
        FORMAT_PAGERDUTY: _ClassVar[Webhook.Format]
    FORMAT_UNSPECIFIED: Webhook.Format
    FORMAT_CLOUD_EVENT: Webhook.Format
    FORMAT_SLACK: Webhook.Format
    FORMAT_PAGERDUTY: Webhook.Format
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
    format: Webhook.Format
    model: str
    waiting: int
    last_error: str
    last_success_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., url: _Optional[str] = ..., secret: _Optional[str] = ..., format: _Optional[_Union[Webhook.Format, str]] = ..., model: _Optional[str] = ..., waiting: _Optional[int] = ..., last_error: _Optional[str] = ..., last_success_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
