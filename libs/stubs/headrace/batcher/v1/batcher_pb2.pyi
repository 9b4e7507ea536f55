from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.router.v1 import compute_pb2 as _compute_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExchangeRequest(_message.Message):
    __slots__ = ("requests", "cancelled", "taken", "checksum")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[InferRequest]
    cancelled: _containers.RepeatedScalarFieldContainer[int]
    taken: _containers.RepeatedCompositeFieldContainer[PartsTaken]
    checksum: bytes
    def __init__(self, requests: _Optional[_Iterable[_Union[InferRequest, _Mapping]]] = ..., cancelled: _Optional[_Iterable[int]] = ..., taken: _Optional[_Iterable[_Union[PartsTaken, _Mapping]]] = ..., checksum: _Optional[bytes] = ...) -> None: ...

class PartsTaken(_message.Message):
    __slots__ = ("id", "count")
    ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    id: int
    count: int
    def __init__(self, id: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class InferRequest(_message.Message):
    __slots__ = ("id", "version", "rows", "inputs", "absent", "dims", "outputs", "deadline_us", "max_wait_us_plus_one", "priority", "client", "traceparent", "request_id", "parts_at_once")
    class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PRIORITY_UNSPECIFIED: _ClassVar[InferRequest.Priority]
        PRIORITY_ONLINE: _ClassVar[InferRequest.Priority]
        PRIORITY_SHADOW: _ClassVar[InferRequest.Priority]
        PRIORITY_BATCH: _ClassVar[InferRequest.Priority]
    PRIORITY_UNSPECIFIED: InferRequest.Priority
    PRIORITY_ONLINE: InferRequest.Priority
    PRIORITY_SHADOW: InferRequest.Priority
    PRIORITY_BATCH: InferRequest.Priority
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    DIMS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_US_FIELD_NUMBER: _ClassVar[int]
    MAX_WAIT_US_PLUS_ONE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PARTS_AT_ONCE_FIELD_NUMBER: _ClassVar[int]
    id: int
    version: int
    rows: int
    inputs: _containers.RepeatedScalarFieldContainer[bytes]
    absent: _containers.RepeatedScalarFieldContainer[int]
    dims: _containers.RepeatedScalarFieldContainer[int]
    outputs: _containers.RepeatedScalarFieldContainer[int]
    deadline_us: int
    max_wait_us_plus_one: int
    priority: InferRequest.Priority
    client: str
    traceparent: str
    request_id: str
    parts_at_once: int
    def __init__(self, id: _Optional[int] = ..., version: _Optional[int] = ..., rows: _Optional[int] = ..., inputs: _Optional[_Iterable[bytes]] = ..., absent: _Optional[_Iterable[int]] = ..., dims: _Optional[_Iterable[int]] = ..., outputs: _Optional[_Iterable[int]] = ..., deadline_us: _Optional[int] = ..., max_wait_us_plus_one: _Optional[int] = ..., priority: _Optional[_Union[InferRequest.Priority, str]] = ..., client: _Optional[str] = ..., traceparent: _Optional[str] = ..., request_id: _Optional[str] = ..., parts_at_once: _Optional[int] = ...) -> None: ...

class ExchangeResponse(_message.Message):
    __slots__ = ("responses", "load", "versions", "draining", "process", "checksum")
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    responses: _containers.RepeatedCompositeFieldContainer[InferResponse]
    load: Load
    versions: _containers.RepeatedCompositeFieldContainer[VersionState]
    draining: bool
    process: str
    checksum: bytes
    def __init__(self, responses: _Optional[_Iterable[_Union[InferResponse, _Mapping]]] = ..., load: _Optional[_Union[Load, _Mapping]] = ..., versions: _Optional[_Iterable[_Union[VersionState, _Mapping]]] = ..., draining: _Optional[bool] = ..., process: _Optional[str] = ..., checksum: _Optional[bytes] = ...) -> None: ...

class InferResponse(_message.Message):
    __slots__ = ("id", "code", "message", "reason", "blamed_input", "retry_after_us", "outputs", "batch_rows", "batch_requests", "queue_us", "compute_us", "invalid_rows", "more", "compute_way")
    ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BLAMED_INPUT_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_US_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    BATCH_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_US_FIELD_NUMBER: _ClassVar[int]
    INVALID_ROWS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_WAY_FIELD_NUMBER: _ClassVar[int]
    id: int
    code: int
    message: str
    reason: str
    blamed_input: int
    retry_after_us: int
    outputs: bytes
    batch_rows: int
    batch_requests: int
    queue_us: int
    compute_us: int
    invalid_rows: int
    more: bool
    compute_way: _compute_pb2.ComputeWay
    def __init__(self, id: _Optional[int] = ..., code: _Optional[int] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., blamed_input: _Optional[int] = ..., retry_after_us: _Optional[int] = ..., outputs: _Optional[bytes] = ..., batch_rows: _Optional[int] = ..., batch_requests: _Optional[int] = ..., queue_us: _Optional[int] = ..., compute_us: _Optional[int] = ..., invalid_rows: _Optional[int] = ..., more: _Optional[bool] = ..., compute_way: _Optional[_Union[_compute_pb2.ComputeWay, str]] = ...) -> None: ...

class Load(_message.Message):
    __slots__ = ("rows", "predicted_wait_us")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_WAIT_US_FIELD_NUMBER: _ClassVar[int]
    rows: int
    predicted_wait_us: int
    def __init__(self, rows: _Optional[int] = ..., predicted_wait_us: _Optional[int] = ...) -> None: ...

class VersionState(_message.Message):
    __slots__ = ("handle", "digest", "ready")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    handle: int
    digest: str
    ready: bool
    def __init__(self, handle: _Optional[int] = ..., digest: _Optional[str] = ..., ready: _Optional[bool] = ...) -> None: ...
