import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RateLimit(_message.Message):
    __slots__ = ("name", "client", "model", "requests_per_second", "burst", "shadow_mode", "outage")
    class Outage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTAGE_UNSPECIFIED: _ClassVar[RateLimit.Outage]
        OUTAGE_LOCAL: _ClassVar[RateLimit.Outage]
        OUTAGE_OPEN: _ClassVar[RateLimit.Outage]
        OUTAGE_CLOSED: _ClassVar[RateLimit.Outage]
    OUTAGE_UNSPECIFIED: RateLimit.Outage
    OUTAGE_LOCAL: RateLimit.Outage
    OUTAGE_OPEN: RateLimit.Outage
    OUTAGE_CLOSED: RateLimit.Outage
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    SHADOW_MODE_FIELD_NUMBER: _ClassVar[int]
    OUTAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    client: str
    model: str
    requests_per_second: float
    burst: int
    shadow_mode: bool
    outage: RateLimit.Outage
    def __init__(self, name: _Optional[str] = ..., client: _Optional[str] = ..., model: _Optional[str] = ..., requests_per_second: _Optional[float] = ..., burst: _Optional[int] = ..., shadow_mode: _Optional[bool] = ..., outage: _Optional[_Union[RateLimit.Outage, str]] = ...) -> None: ...

class PutRateLimitRequest(_message.Message):
    __slots__ = ("rate_limit", "validate_only")
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    rate_limit: RateLimit
    validate_only: bool
    def __init__(self, rate_limit: _Optional[_Union[RateLimit, _Mapping]] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class PutRateLimitResponse(_message.Message):
    __slots__ = ("rate_limit",)
    RATE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    rate_limit: RateLimit
    def __init__(self, rate_limit: _Optional[_Union[RateLimit, _Mapping]] = ...) -> None: ...

class ListRateLimitsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRateLimitsResponse(_message.Message):
    __slots__ = ("rate_limits",)
    RATE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    rate_limits: _containers.RepeatedCompositeFieldContainer[RateLimit]
    def __init__(self, rate_limits: _Optional[_Iterable[_Union[RateLimit, _Mapping]]] = ...) -> None: ...

class DeleteRateLimitRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteRateLimitResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BudgetOverrun(_message.Message):
    __slots__ = ("client", "model", "action", "expire_time")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[BudgetOverrun.Action]
        ACTION_LOWER: _ClassVar[BudgetOverrun.Action]
        ACTION_REFUSE: _ClassVar[BudgetOverrun.Action]
    ACTION_UNSPECIFIED: BudgetOverrun.Action
    ACTION_LOWER: BudgetOverrun.Action
    ACTION_REFUSE: BudgetOverrun.Action
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    client: str
    model: str
    action: BudgetOverrun.Action
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, client: _Optional[str] = ..., model: _Optional[str] = ..., action: _Optional[_Union[BudgetOverrun.Action, str]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
