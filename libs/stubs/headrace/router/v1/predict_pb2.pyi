import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.router.v1 import compute_pb2 as _compute_pb2
from headrace.router.v1 import precomputed_pb2 as _precomputed_pb2
from headrace.tensor.v1 import tensor_pb2 as _tensor_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PredictRequest(_message.Message):
    __slots__ = ("model", "version", "request_id", "inputs", "outputs", "raw_input_contents", "user_id", "entity_id", "attributes", "max_age", "explain")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    RAW_INPUT_CONTENTS_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    request_id: str
    inputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.Tensor]
    outputs: _containers.RepeatedScalarFieldContainer[str]
    raw_input_contents: _containers.RepeatedScalarFieldContainer[bytes]
    user_id: str
    entity_id: str
    attributes: _containers.ScalarMap[str, str]
    max_age: _duration_pb2.Duration
    explain: bool
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., request_id: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[_tensor_pb2.Tensor, _Mapping]]] = ..., outputs: _Optional[_Iterable[str]] = ..., raw_input_contents: _Optional[_Iterable[bytes]] = ..., user_id: _Optional[str] = ..., entity_id: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., explain: _Optional[bool] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("model", "version", "request_id", "outputs", "raw_output_contents", "prediction_id", "variant", "generation", "served_from", "age_ms", "rule", "fallback_step", "degraded_reason", "missing_steps")
    class ServedFrom(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SERVED_FROM_UNSPECIFIED: _ClassVar[PredictResponse.ServedFrom]
        SERVED_FROM_ONLINE: _ClassVar[PredictResponse.ServedFrom]
        SERVED_FROM_CACHE: _ClassVar[PredictResponse.ServedFrom]
        SERVED_FROM_PRECOMPUTED: _ClassVar[PredictResponse.ServedFrom]
        SERVED_FROM_STALE: _ClassVar[PredictResponse.ServedFrom]
        SERVED_FROM_FALLBACK: _ClassVar[PredictResponse.ServedFrom]
    SERVED_FROM_UNSPECIFIED: PredictResponse.ServedFrom
    SERVED_FROM_ONLINE: PredictResponse.ServedFrom
    SERVED_FROM_CACHE: PredictResponse.ServedFrom
    SERVED_FROM_PRECOMPUTED: PredictResponse.ServedFrom
    SERVED_FROM_STALE: PredictResponse.ServedFrom
    SERVED_FROM_FALLBACK: PredictResponse.ServedFrom
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    RAW_OUTPUT_CONTENTS_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SERVED_FROM_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_STEP_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASON_FIELD_NUMBER: _ClassVar[int]
    MISSING_STEPS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    request_id: str
    outputs: _containers.RepeatedCompositeFieldContainer[_tensor_pb2.Tensor]
    raw_output_contents: _containers.RepeatedScalarFieldContainer[bytes]
    prediction_id: str
    variant: str
    generation: int
    served_from: PredictResponse.ServedFrom
    age_ms: int
    rule: str
    fallback_step: str
    degraded_reason: str
    missing_steps: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., request_id: _Optional[str] = ..., outputs: _Optional[_Iterable[_Union[_tensor_pb2.Tensor, _Mapping]]] = ..., raw_output_contents: _Optional[_Iterable[bytes]] = ..., prediction_id: _Optional[str] = ..., variant: _Optional[str] = ..., generation: _Optional[int] = ..., served_from: _Optional[_Union[PredictResponse.ServedFrom, str]] = ..., age_ms: _Optional[int] = ..., rule: _Optional[str] = ..., fallback_step: _Optional[str] = ..., degraded_reason: _Optional[str] = ..., missing_steps: _Optional[_Iterable[str]] = ...) -> None: ...

class PredictStreamRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: PredictRequest
    def __init__(self, request: _Optional[_Union[PredictRequest, _Mapping]] = ...) -> None: ...

class PredictStreamResponse(_message.Message):
    __slots__ = ("first_row", "response", "part")
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    first_row: int
    response: PredictResponse
    part: int
    def __init__(self, first_row: _Optional[int] = ..., response: _Optional[_Union[PredictResponse, _Mapping]] = ..., part: _Optional[int] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("prediction_id", "request_id")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    request_id: str
    def __init__(self, prediction_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("prediction_id", "request_id", "receive_time", "client", "data_plane", "model", "generation", "rule", "bucket", "variant", "variant_version", "version", "digest", "served_from", "age_ms", "lookup_outcome", "shared_execution", "fallback_step", "degraded_reason", "attempts", "code", "reason", "route_us", "total_us", "publish", "origin", "missing_steps", "parts", "parts_bytes")
    class Attempt(_message.Message):
        __slots__ = ("step", "version", "pool", "batcher", "begin_us", "took_us", "queue_us", "compute_us", "batch_rows", "batch_mates", "reason", "hedge", "pipeline_step", "takes_from", "compute_way")
        STEP_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        POOL_FIELD_NUMBER: _ClassVar[int]
        BATCHER_FIELD_NUMBER: _ClassVar[int]
        BEGIN_US_FIELD_NUMBER: _ClassVar[int]
        TOOK_US_FIELD_NUMBER: _ClassVar[int]
        QUEUE_US_FIELD_NUMBER: _ClassVar[int]
        COMPUTE_US_FIELD_NUMBER: _ClassVar[int]
        BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
        BATCH_MATES_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        HEDGE_FIELD_NUMBER: _ClassVar[int]
        PIPELINE_STEP_FIELD_NUMBER: _ClassVar[int]
        TAKES_FROM_FIELD_NUMBER: _ClassVar[int]
        COMPUTE_WAY_FIELD_NUMBER: _ClassVar[int]
        step: str
        version: str
        pool: str
        batcher: str
        begin_us: int
        took_us: int
        queue_us: int
        compute_us: int
        batch_rows: int
        batch_mates: int
        reason: str
        hedge: bool
        pipeline_step: str
        takes_from: _containers.RepeatedScalarFieldContainer[str]
        compute_way: _compute_pb2.ComputeWay
        def __init__(self, step: _Optional[str] = ..., version: _Optional[str] = ..., pool: _Optional[str] = ..., batcher: _Optional[str] = ..., begin_us: _Optional[int] = ..., took_us: _Optional[int] = ..., queue_us: _Optional[int] = ..., compute_us: _Optional[int] = ..., batch_rows: _Optional[int] = ..., batch_mates: _Optional[int] = ..., reason: _Optional[str] = ..., hedge: _Optional[bool] = ..., pipeline_step: _Optional[str] = ..., takes_from: _Optional[_Iterable[str]] = ..., compute_way: _Optional[_Union[_compute_pb2.ComputeWay, str]] = ...) -> None: ...
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    DATA_PLANE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    VARIANT_VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SERVED_FROM_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    LOOKUP_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SHARED_EXECUTION_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_STEP_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROUTE_US_FIELD_NUMBER: _ClassVar[int]
    TOTAL_US_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    MISSING_STEPS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    PARTS_BYTES_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    request_id: str
    receive_time: _timestamp_pb2.Timestamp
    client: str
    data_plane: str
    model: str
    generation: int
    rule: str
    bucket: int
    variant: str
    variant_version: str
    version: str
    digest: str
    served_from: PredictResponse.ServedFrom
    age_ms: int
    lookup_outcome: str
    shared_execution: bool
    fallback_step: str
    degraded_reason: str
    attempts: _containers.RepeatedCompositeFieldContainer[ExplainResponse.Attempt]
    code: int
    reason: str
    route_us: int
    total_us: int
    publish: str
    origin: _precomputed_pb2.PublishOrigin
    missing_steps: _containers.RepeatedScalarFieldContainer[str]
    parts: int
    parts_bytes: int
    def __init__(self, prediction_id: _Optional[str] = ..., request_id: _Optional[str] = ..., receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., client: _Optional[str] = ..., data_plane: _Optional[str] = ..., model: _Optional[str] = ..., generation: _Optional[int] = ..., rule: _Optional[str] = ..., bucket: _Optional[int] = ..., variant: _Optional[str] = ..., variant_version: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., served_from: _Optional[_Union[PredictResponse.ServedFrom, str]] = ..., age_ms: _Optional[int] = ..., lookup_outcome: _Optional[str] = ..., shared_execution: _Optional[bool] = ..., fallback_step: _Optional[str] = ..., degraded_reason: _Optional[str] = ..., attempts: _Optional[_Iterable[_Union[ExplainResponse.Attempt, _Mapping]]] = ..., code: _Optional[int] = ..., reason: _Optional[str] = ..., route_us: _Optional[int] = ..., total_us: _Optional[int] = ..., publish: _Optional[str] = ..., origin: _Optional[_Union[_precomputed_pb2.PublishOrigin, _Mapping]] = ..., missing_steps: _Optional[_Iterable[str]] = ..., parts: _Optional[int] = ..., parts_bytes: _Optional[int] = ...) -> None: ...
