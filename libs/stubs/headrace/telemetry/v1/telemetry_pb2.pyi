import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.router.v1 import client_limits_pb2 as _client_limits_pb2
from headrace.router.v1 import predict_pb2 as _predict_pb2
from headrace.router.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReportCountersRequest(_message.Message):
    __slots__ = ("data_plane", "process", "sequence", "report_time", "series", "dropped", "erring_units", "final", "refused_units", "units", "rate_limits_revision", "watches_client_limits")
    DATA_PLANE_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    ERRING_UNITS_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    REFUSED_UNITS_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMITS_REVISION_FIELD_NUMBER: _ClassVar[int]
    WATCHES_CLIENT_LIMITS_FIELD_NUMBER: _ClassVar[int]
    data_plane: str
    process: str
    sequence: int
    report_time: _timestamp_pb2.Timestamp
    series: _containers.RepeatedCompositeFieldContainer[CounterSeries]
    dropped: _containers.RepeatedCompositeFieldContainer[DroppedPredictions]
    erring_units: _containers.RepeatedCompositeFieldContainer[ErringUnits]
    final: bool
    refused_units: _containers.RepeatedCompositeFieldContainer[ErringUnits]
    units: _containers.RepeatedCompositeFieldContainer[ErringUnits]
    rate_limits_revision: str
    watches_client_limits: bool
    def __init__(self, data_plane: _Optional[str] = ..., process: _Optional[str] = ..., sequence: _Optional[int] = ..., report_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., series: _Optional[_Iterable[_Union[CounterSeries, _Mapping]]] = ..., dropped: _Optional[_Iterable[_Union[DroppedPredictions, _Mapping]]] = ..., erring_units: _Optional[_Iterable[_Union[ErringUnits, _Mapping]]] = ..., final: _Optional[bool] = ..., refused_units: _Optional[_Iterable[_Union[ErringUnits, _Mapping]]] = ..., units: _Optional[_Iterable[_Union[ErringUnits, _Mapping]]] = ..., rate_limits_revision: _Optional[str] = ..., watches_client_limits: _Optional[bool] = ...) -> None: ...

class ReportCountersResponse(_message.Message):
    __slots__ = ("budgets", "rate_limits")
    class BudgetOverruns(_message.Message):
        __slots__ = ("overruns",)
        OVERRUNS_FIELD_NUMBER: _ClassVar[int]
        overruns: _containers.RepeatedCompositeFieldContainer[_client_limits_pb2.BudgetOverrun]
        def __init__(self, overruns: _Optional[_Iterable[_Union[_client_limits_pb2.BudgetOverrun, _Mapping]]] = ...) -> None: ...
    class RateLimits(_message.Message):
        __slots__ = ("revision", "rate_limits")
        REVISION_FIELD_NUMBER: _ClassVar[int]
        RATE_LIMITS_FIELD_NUMBER: _ClassVar[int]
        revision: str
        rate_limits: _containers.RepeatedCompositeFieldContainer[_client_limits_pb2.RateLimit]
        def __init__(self, revision: _Optional[str] = ..., rate_limits: _Optional[_Iterable[_Union[_client_limits_pb2.RateLimit, _Mapping]]] = ...) -> None: ...
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    budgets: ReportCountersResponse.BudgetOverruns
    rate_limits: ReportCountersResponse.RateLimits
    def __init__(self, budgets: _Optional[_Union[ReportCountersResponse.BudgetOverruns, _Mapping]] = ..., rate_limits: _Optional[_Union[ReportCountersResponse.RateLimits, _Mapping]] = ...) -> None: ...

class CounterSeries(_message.Message):
    __slots__ = ("model", "version", "variant", "served_from", "code", "layer", "fallback_step", "first_bucket", "duration_counts", "duration_sum_s", "rows", "executions", "queue_us", "compute_us", "generation", "priority", "invalid", "degraded")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SERVED_FROM_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_STEP_FIELD_NUMBER: _ClassVar[int]
    FIRST_BUCKET_FIELD_NUMBER: _ClassVar[int]
    DURATION_COUNTS_FIELD_NUMBER: _ClassVar[int]
    DURATION_SUM_S_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_US_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    INVALID_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    variant: str
    served_from: _predict_pb2.PredictResponse.ServedFrom
    code: int
    layer: str
    fallback_step: str
    first_bucket: int
    duration_counts: _containers.RepeatedScalarFieldContainer[int]
    duration_sum_s: float
    rows: int
    executions: float
    queue_us: int
    compute_us: int
    generation: int
    priority: int
    invalid: int
    degraded: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., variant: _Optional[str] = ..., served_from: _Optional[_Union[_predict_pb2.PredictResponse.ServedFrom, str]] = ..., code: _Optional[int] = ..., layer: _Optional[str] = ..., fallback_step: _Optional[str] = ..., first_bucket: _Optional[int] = ..., duration_counts: _Optional[_Iterable[int]] = ..., duration_sum_s: _Optional[float] = ..., rows: _Optional[int] = ..., executions: _Optional[float] = ..., queue_us: _Optional[int] = ..., compute_us: _Optional[int] = ..., generation: _Optional[int] = ..., priority: _Optional[int] = ..., invalid: _Optional[int] = ..., degraded: _Optional[int] = ...) -> None: ...

class ErringUnits(_message.Message):
    __slots__ = ("model", "version", "variant", "hashes")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    HASHES_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    variant: str
    hashes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., variant: _Optional[str] = ..., hashes: _Optional[_Iterable[int]] = ...) -> None: ...

class DroppedPredictions(_message.Message):
    __slots__ = ("reason", "count")
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    reason: str
    count: int
    def __init__(self, reason: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class ReportPredictionsRequest(_message.Message):
    __slots__ = ("data_plane", "process", "sequence", "batch")
    DATA_PLANE_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    data_plane: str
    process: str
    sequence: int
    batch: PredictionBatch
    def __init__(self, data_plane: _Optional[str] = ..., process: _Optional[str] = ..., sequence: _Optional[int] = ..., batch: _Optional[_Union[PredictionBatch, _Mapping]] = ...) -> None: ...

class ReportPredictionsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReportShadowPairsRequest(_message.Message):
    __slots__ = ("pairs",)
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    pairs: _containers.RepeatedCompositeFieldContainer[ShadowPair]
    def __init__(self, pairs: _Optional[_Iterable[_Union[ShadowPair, _Mapping]]] = ...) -> None: ...

class ReportShadowPairsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShadowPair(_message.Message):
    __slots__ = ("model", "version", "shadow_version", "prediction_id", "rows", "outputs", "shadow_outputs", "shadow_code", "took_us", "shadow_took_us", "attributes")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHADOW_VERSION_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_CODE_FIELD_NUMBER: _ClassVar[int]
    TOOK_US_FIELD_NUMBER: _ClassVar[int]
    SHADOW_TOOK_US_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    shadow_version: str
    prediction_id: str
    rows: int
    outputs: bytes
    shadow_outputs: bytes
    shadow_code: int
    took_us: int
    shadow_took_us: int
    attributes: str
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., shadow_version: _Optional[str] = ..., prediction_id: _Optional[str] = ..., rows: _Optional[int] = ..., outputs: _Optional[bytes] = ..., shadow_outputs: _Optional[bytes] = ..., shadow_code: _Optional[int] = ..., took_us: _Optional[int] = ..., shadow_took_us: _Optional[int] = ..., attributes: _Optional[str] = ...) -> None: ...

class PredictionBatch(_message.Message):
    __slots__ = ("groups", "group", "prediction_ids", "answer_time_us", "request_id", "unit", "entity_id", "total_us", "queue_us", "compute_us", "age_ms", "probability", "rows", "inputs", "outputs", "attributes")
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_IDS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_TIME_US_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    TOTAL_US_FIELD_NUMBER: _ClassVar[int]
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_US_FIELD_NUMBER: _ClassVar[int]
    AGE_MS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    groups: _containers.RepeatedCompositeFieldContainer[PredictionGroup]
    group: _containers.RepeatedScalarFieldContainer[int]
    prediction_ids: bytes
    answer_time_us: _containers.RepeatedScalarFieldContainer[int]
    request_id: _containers.RepeatedScalarFieldContainer[str]
    unit: _containers.RepeatedScalarFieldContainer[str]
    entity_id: _containers.RepeatedScalarFieldContainer[str]
    total_us: _containers.RepeatedScalarFieldContainer[int]
    queue_us: _containers.RepeatedScalarFieldContainer[int]
    compute_us: _containers.RepeatedScalarFieldContainer[int]
    age_ms: _containers.RepeatedScalarFieldContainer[int]
    probability: _containers.RepeatedScalarFieldContainer[float]
    rows: _containers.RepeatedScalarFieldContainer[int]
    inputs: _containers.RepeatedScalarFieldContainer[bytes]
    outputs: _containers.RepeatedScalarFieldContainer[bytes]
    attributes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, groups: _Optional[_Iterable[_Union[PredictionGroup, _Mapping]]] = ..., group: _Optional[_Iterable[int]] = ..., prediction_ids: _Optional[bytes] = ..., answer_time_us: _Optional[_Iterable[int]] = ..., request_id: _Optional[_Iterable[str]] = ..., unit: _Optional[_Iterable[str]] = ..., entity_id: _Optional[_Iterable[str]] = ..., total_us: _Optional[_Iterable[int]] = ..., queue_us: _Optional[_Iterable[int]] = ..., compute_us: _Optional[_Iterable[int]] = ..., age_ms: _Optional[_Iterable[int]] = ..., probability: _Optional[_Iterable[float]] = ..., rows: _Optional[_Iterable[int]] = ..., inputs: _Optional[_Iterable[bytes]] = ..., outputs: _Optional[_Iterable[bytes]] = ..., attributes: _Optional[_Iterable[str]] = ...) -> None: ...

class PredictionGroup(_message.Message):
    __slots__ = ("model", "version", "digest", "variant", "generation", "rule", "served_from", "fallback_step", "inputs", "pipeline", "step")
    class InputLayout(_message.Message):
        __slots__ = ("name", "datatype", "shape")
        NAME_FIELD_NUMBER: _ClassVar[int]
        DATATYPE_FIELD_NUMBER: _ClassVar[int]
        SHAPE_FIELD_NUMBER: _ClassVar[int]
        name: str
        datatype: str
        shape: _containers.RepeatedScalarFieldContainer[int]
        def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    SERVED_FROM_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_STEP_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    digest: str
    variant: str
    generation: int
    rule: str
    served_from: _predict_pb2.PredictResponse.ServedFrom
    fallback_step: str
    inputs: _containers.RepeatedCompositeFieldContainer[PredictionGroup.InputLayout]
    pipeline: str
    step: str
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., variant: _Optional[str] = ..., generation: _Optional[int] = ..., rule: _Optional[str] = ..., served_from: _Optional[_Union[_predict_pb2.PredictResponse.ServedFrom, str]] = ..., fallback_step: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[PredictionGroup.InputLayout, _Mapping]]] = ..., pipeline: _Optional[str] = ..., step: _Optional[str] = ...) -> None: ...
