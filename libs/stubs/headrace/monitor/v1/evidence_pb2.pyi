import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.router.v1 import predict_pb2 as _predict_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListGuardedExperimentsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListGuardedExperimentsResponse(_message.Message):
    __slots__ = ("names", "running")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    running: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ..., running: _Optional[_Iterable[str]] = ...) -> None: ...

class ReadHistoryRequest(_message.Message):
    __slots__ = ("model", "version", "variant", "block_minutes", "blocks")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    BLOCK_MINUTES_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    variant: str
    block_minutes: int
    blocks: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., variant: _Optional[str] = ..., block_minutes: _Optional[int] = ..., blocks: _Optional[int] = ...) -> None: ...

class ReadHistoryResponse(_message.Message):
    __slots__ = ("blocks",)
    class Block(_message.Message):
        __slots__ = ("start_time", "counts")
        START_TIME_FIELD_NUMBER: _ClassVar[int]
        COUNTS_FIELD_NUMBER: _ClassVar[int]
        start_time: _timestamp_pb2.Timestamp
        counts: _containers.RepeatedCompositeFieldContainer[ReadCountsResponse.Counts]
        def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., counts: _Optional[_Iterable[_Union[ReadCountsResponse.Counts, _Mapping]]] = ...) -> None: ...
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    blocks: _containers.RepeatedCompositeFieldContainer[ReadHistoryResponse.Block]
    def __init__(self, blocks: _Optional[_Iterable[_Union[ReadHistoryResponse.Block, _Mapping]]] = ...) -> None: ...

class ReadCountsRequest(_message.Message):
    __slots__ = ("model", "cursor")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    model: str
    cursor: bytes
    def __init__(self, model: _Optional[str] = ..., cursor: _Optional[bytes] = ...) -> None: ...

class ReadCountsResponse(_message.Message):
    __slots__ = ("counts", "erring_units", "missing", "reporters", "read_time", "elapsed", "cursor", "refused_units", "units")
    class Counts(_message.Message):
        __slots__ = ("version", "variant", "served_from", "code", "priority", "count", "first_bucket", "duration_counts", "invalid", "degraded")
        VERSION_FIELD_NUMBER: _ClassVar[int]
        VARIANT_FIELD_NUMBER: _ClassVar[int]
        SERVED_FROM_FIELD_NUMBER: _ClassVar[int]
        CODE_FIELD_NUMBER: _ClassVar[int]
        PRIORITY_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        FIRST_BUCKET_FIELD_NUMBER: _ClassVar[int]
        DURATION_COUNTS_FIELD_NUMBER: _ClassVar[int]
        INVALID_FIELD_NUMBER: _ClassVar[int]
        DEGRADED_FIELD_NUMBER: _ClassVar[int]
        version: str
        variant: str
        served_from: _predict_pb2.PredictResponse.ServedFrom
        code: int
        priority: int
        count: int
        first_bucket: int
        duration_counts: _containers.RepeatedScalarFieldContainer[int]
        invalid: int
        degraded: int
        def __init__(self, version: _Optional[str] = ..., variant: _Optional[str] = ..., served_from: _Optional[_Union[_predict_pb2.PredictResponse.ServedFrom, str]] = ..., code: _Optional[int] = ..., priority: _Optional[int] = ..., count: _Optional[int] = ..., first_bucket: _Optional[int] = ..., duration_counts: _Optional[_Iterable[int]] = ..., invalid: _Optional[int] = ..., degraded: _Optional[int] = ...) -> None: ...
    class DistinctUnits(_message.Message):
        __slots__ = ("version", "variant", "units", "new_units")
        VERSION_FIELD_NUMBER: _ClassVar[int]
        VARIANT_FIELD_NUMBER: _ClassVar[int]
        UNITS_FIELD_NUMBER: _ClassVar[int]
        NEW_UNITS_FIELD_NUMBER: _ClassVar[int]
        version: str
        variant: str
        units: int
        new_units: int
        def __init__(self, version: _Optional[str] = ..., variant: _Optional[str] = ..., units: _Optional[int] = ..., new_units: _Optional[int] = ...) -> None: ...
    class MissingReporter(_message.Message):
        __slots__ = ("data_plane", "process", "report_time")
        DATA_PLANE_FIELD_NUMBER: _ClassVar[int]
        PROCESS_FIELD_NUMBER: _ClassVar[int]
        REPORT_TIME_FIELD_NUMBER: _ClassVar[int]
        data_plane: str
        process: str
        report_time: _timestamp_pb2.Timestamp
        def __init__(self, data_plane: _Optional[str] = ..., process: _Optional[str] = ..., report_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    ERRING_UNITS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    REPORTERS_FIELD_NUMBER: _ClassVar[int]
    READ_TIME_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    REFUSED_UNITS_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedCompositeFieldContainer[ReadCountsResponse.Counts]
    erring_units: _containers.RepeatedCompositeFieldContainer[ReadCountsResponse.DistinctUnits]
    missing: _containers.RepeatedCompositeFieldContainer[ReadCountsResponse.MissingReporter]
    reporters: int
    read_time: _timestamp_pb2.Timestamp
    elapsed: _duration_pb2.Duration
    cursor: bytes
    refused_units: _containers.RepeatedCompositeFieldContainer[ReadCountsResponse.DistinctUnits]
    units: _containers.RepeatedCompositeFieldContainer[ReadCountsResponse.DistinctUnits]
    def __init__(self, counts: _Optional[_Iterable[_Union[ReadCountsResponse.Counts, _Mapping]]] = ..., erring_units: _Optional[_Iterable[_Union[ReadCountsResponse.DistinctUnits, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[ReadCountsResponse.MissingReporter, _Mapping]]] = ..., reporters: _Optional[int] = ..., read_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., elapsed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cursor: _Optional[bytes] = ..., refused_units: _Optional[_Iterable[_Union[ReadCountsResponse.DistinctUnits, _Mapping]]] = ..., units: _Optional[_Iterable[_Union[ReadCountsResponse.DistinctUnits, _Mapping]]] = ...) -> None: ...
