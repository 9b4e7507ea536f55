import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.router.v1 import route_pb2 as _route_pb2
from headrace.tensor.v1 import tensor_pb2 as _tensor_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Publish(_message.Message):
    __slots__ = ("name", "state", "generation", "row_count", "declared_row_count", "create_time", "commit_time", "expire_time", "client", "computed_time", "entity_count", "origin")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Publish.State]
        STATE_OPEN: _ClassVar[Publish.State]
        STATE_COMMITTED: _ClassVar[Publish.State]
        STATE_ABORTED: _ClassVar[Publish.State]
    STATE_UNSPECIFIED: Publish.State
    STATE_OPEN: Publish.State
    STATE_COMMITTED: Publish.State
    STATE_ABORTED: Publish.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    DECLARED_ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    COMMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    COMPUTED_TIME_FIELD_NUMBER: _ClassVar[int]
    ENTITY_COUNT_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: Publish.State
    generation: int
    row_count: int
    declared_row_count: int
    create_time: _timestamp_pb2.Timestamp
    commit_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    client: str
    computed_time: _timestamp_pb2.Timestamp
    entity_count: int
    origin: PublishOrigin
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[Publish.State, str]] = ..., generation: _Optional[int] = ..., row_count: _Optional[int] = ..., declared_row_count: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., commit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., client: _Optional[str] = ..., computed_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., entity_count: _Optional[int] = ..., origin: _Optional[_Union[PublishOrigin, _Mapping]] = ...) -> None: ...

class PublishOrigin(_message.Message):
    __slots__ = ("run", "manifest_digest", "version_digest")
    RUN_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    run: str
    manifest_digest: str
    version_digest: str
    def __init__(self, run: _Optional[str] = ..., manifest_digest: _Optional[str] = ..., version_digest: _Optional[str] = ...) -> None: ...

class BeginPublishRequest(_message.Message):
    __slots__ = ("parent", "row_count", "computed_time", "ttl", "request_id", "origin")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    COMPUTED_TIME_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    row_count: int
    computed_time: _timestamp_pb2.Timestamp
    ttl: _duration_pb2.Duration
    request_id: str
    origin: PublishOrigin
    def __init__(self, parent: _Optional[str] = ..., row_count: _Optional[int] = ..., computed_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., request_id: _Optional[str] = ..., origin: _Optional[_Union[PublishOrigin, _Mapping]] = ...) -> None: ...

class BeginPublishResponse(_message.Message):
    __slots__ = ("publish", "outputs", "max_chunk_rows", "max_chunk_bytes")
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    MAX_CHUNK_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_CHUNK_BYTES_FIELD_NUMBER: _ClassVar[int]
    publish: Publish
    outputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    max_chunk_rows: int
    max_chunk_bytes: int
    def __init__(self, publish: _Optional[_Union[Publish, _Mapping]] = ..., outputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., max_chunk_rows: _Optional[int] = ..., max_chunk_bytes: _Optional[int] = ...) -> None: ...

class UploadAnswersRequest(_message.Message):
    __slots__ = ("name", "first_row", "entities", "columns", "dims")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    DIMS_FIELD_NUMBER: _ClassVar[int]
    name: str
    first_row: int
    entities: _containers.RepeatedScalarFieldContainer[str]
    columns: _containers.RepeatedScalarFieldContainer[bytes]
    dims: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., first_row: _Optional[int] = ..., entities: _Optional[_Iterable[str]] = ..., columns: _Optional[_Iterable[bytes]] = ..., dims: _Optional[_Iterable[int]] = ...) -> None: ...

class UploadAnswersResponse(_message.Message):
    __slots__ = ("row_count",)
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    row_count: int
    def __init__(self, row_count: _Optional[int] = ...) -> None: ...

class CommitPublishRequest(_message.Message):
    __slots__ = ("name", "row_count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    row_count: int
    def __init__(self, name: _Optional[str] = ..., row_count: _Optional[int] = ...) -> None: ...

class CommitPublishResponse(_message.Message):
    __slots__ = ("publish", "status")
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    publish: Publish
    status: _route_pb2.RouteStatus
    def __init__(self, publish: _Optional[_Union[Publish, _Mapping]] = ..., status: _Optional[_Union[_route_pb2.RouteStatus, _Mapping]] = ...) -> None: ...

class AbortPublishRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class AbortPublishResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetPublishRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetPublishResponse(_message.Message):
    __slots__ = ("publish", "outputs", "max_chunk_rows", "max_chunk_bytes")
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    MAX_CHUNK_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_CHUNK_BYTES_FIELD_NUMBER: _ClassVar[int]
    publish: Publish
    outputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.TensorSpec]
    max_chunk_rows: int
    max_chunk_bytes: int
    def __init__(self, publish: _Optional[_Union[Publish, _Mapping]] = ..., outputs: _Optional[_Iterable[_Union[_tensor_pb2.TensorSpec, _Mapping]]] = ..., max_chunk_rows: _Optional[int] = ..., max_chunk_bytes: _Optional[int] = ...) -> None: ...

class RevertPrecomputedRequest(_message.Message):
    __slots__ = ("name", "generation")
    NAME_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    generation: int
    def __init__(self, name: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class RevertPrecomputedResponse(_message.Message):
    __slots__ = ("answers", "status")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    answers: PrecomputedAnswers
    status: _route_pb2.RouteStatus
    def __init__(self, answers: _Optional[_Union[PrecomputedAnswers, _Mapping]] = ..., status: _Optional[_Union[_route_pb2.RouteStatus, _Mapping]] = ...) -> None: ...

class PrecomputedAnswers(_message.Message):
    __slots__ = ("version", "condition", "active", "previous", "open")
    class Condition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CONDITION_UNSPECIFIED: _ClassVar[PrecomputedAnswers.Condition]
        CONDITION_NONE: _ClassVar[PrecomputedAnswers.Condition]
        CONDITION_PRESENT: _ClassVar[PrecomputedAnswers.Condition]
        CONDITION_LOST: _ClassVar[PrecomputedAnswers.Condition]
        CONDITION_EXPIRED: _ClassVar[PrecomputedAnswers.Condition]
        CONDITION_UNKNOWN: _ClassVar[PrecomputedAnswers.Condition]
    CONDITION_UNSPECIFIED: PrecomputedAnswers.Condition
    CONDITION_NONE: PrecomputedAnswers.Condition
    CONDITION_PRESENT: PrecomputedAnswers.Condition
    CONDITION_LOST: PrecomputedAnswers.Condition
    CONDITION_EXPIRED: PrecomputedAnswers.Condition
    CONDITION_UNKNOWN: PrecomputedAnswers.Condition
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    version: str
    condition: PrecomputedAnswers.Condition
    active: Publish
    previous: Publish
    open: _containers.RepeatedCompositeFieldContainer[Publish]
    def __init__(self, version: _Optional[str] = ..., condition: _Optional[_Union[PrecomputedAnswers.Condition, str]] = ..., active: _Optional[_Union[Publish, _Mapping]] = ..., previous: _Optional[_Union[Publish, _Mapping]] = ..., open: _Optional[_Iterable[_Union[Publish, _Mapping]]] = ...) -> None: ...

class ListPrecomputedRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class ListPrecomputedResponse(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[PrecomputedAnswers]
    def __init__(self, answers: _Optional[_Iterable[_Union[PrecomputedAnswers, _Mapping]]] = ...) -> None: ...
