import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
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

class Outcome(_message.Message):
    __slots__ = ("prediction_id", "entity_id", "kind", "number", "text", "observe_time", "row", "client", "record_time")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    RECORD_TIME_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    entity_id: str
    kind: str
    number: float
    text: str
    observe_time: _timestamp_pb2.Timestamp
    row: int
    client: str
    record_time: _timestamp_pb2.Timestamp
    def __init__(self, prediction_id: _Optional[str] = ..., entity_id: _Optional[str] = ..., kind: _Optional[str] = ..., number: _Optional[float] = ..., text: _Optional[str] = ..., observe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., row: _Optional[int] = ..., client: _Optional[str] = ..., record_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RecordOutcomesRequest(_message.Message):
    __slots__ = ("parent", "outcomes", "entity_window")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    ENTITY_WINDOW_FIELD_NUMBER: _ClassVar[int]
    parent: str
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    entity_window: _duration_pb2.Duration
    def __init__(self, parent: _Optional[str] = ..., outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ..., entity_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class RecordOutcomesResponse(_message.Message):
    __slots__ = ("results", "rejections")
    class Result(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        RESULT_UNSPECIFIED: _ClassVar[RecordOutcomesResponse.Result]
        RESULT_RECORDED: _ClassVar[RecordOutcomesResponse.Result]
        RESULT_REPEATED: _ClassVar[RecordOutcomesResponse.Result]
        RESULT_OUTDATED: _ClassVar[RecordOutcomesResponse.Result]
        RESULT_REJECTED: _ClassVar[RecordOutcomesResponse.Result]
        RESULT_WAITING: _ClassVar[RecordOutcomesResponse.Result]
    RESULT_UNSPECIFIED: RecordOutcomesResponse.Result
    RESULT_RECORDED: RecordOutcomesResponse.Result
    RESULT_REPEATED: RecordOutcomesResponse.Result
    RESULT_OUTDATED: RecordOutcomesResponse.Result
    RESULT_REJECTED: RecordOutcomesResponse.Result
    RESULT_WAITING: RecordOutcomesResponse.Result
    class Rejection(_message.Message):
        __slots__ = ("field", "description")
        FIELD_FIELD_NUMBER: _ClassVar[int]
        DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
        field: str
        description: str
        def __init__(self, field: _Optional[str] = ..., description: _Optional[str] = ...) -> None: ...
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedScalarFieldContainer[RecordOutcomesResponse.Result]
    rejections: _containers.RepeatedCompositeFieldContainer[RecordOutcomesResponse.Rejection]
    def __init__(self, results: _Optional[_Iterable[_Union[RecordOutcomesResponse.Result, str]]] = ..., rejections: _Optional[_Iterable[_Union[RecordOutcomesResponse.Rejection, _Mapping]]] = ...) -> None: ...

class ListOutcomesRequest(_message.Message):
    __slots__ = ("parent", "prediction_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    prediction_id: str
    def __init__(self, parent: _Optional[str] = ..., prediction_id: _Optional[str] = ...) -> None: ...

class ListOutcomesResponse(_message.Message):
    __slots__ = ("outcomes", "replaced")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    replaced: _containers.RepeatedCompositeFieldContainer[Outcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ..., replaced: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ...) -> None: ...
