import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.router.v1 import predict_pb2 as _predict_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_NONE: _ClassVar[Severity]
    SEVERITY_LOW: _ClassVar[Severity]
    SEVERITY_MEDIUM: _ClassVar[Severity]
    SEVERITY_HIGH: _ClassVar[Severity]
SEVERITY_UNSPECIFIED: Severity
SEVERITY_NONE: Severity
SEVERITY_LOW: Severity
SEVERITY_MEDIUM: Severity
SEVERITY_HIGH: Severity

class GetShadowReportRequest(_message.Message):
    __slots__ = ("parent", "shadow_version", "range")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SHADOW_VERSION_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    parent: str
    shadow_version: str
    range: TimeRange
    def __init__(self, parent: _Optional[str] = ..., shadow_version: _Optional[str] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ...) -> None: ...

class GetShadowReportResponse(_message.Message):
    __slots__ = ("comparisons",)
    COMPARISONS_FIELD_NUMBER: _ClassVar[int]
    comparisons: _containers.RepeatedCompositeFieldContainer[ShadowComparison]
    def __init__(self, comparisons: _Optional[_Iterable[_Union[ShadowComparison, _Mapping]]] = ...) -> None: ...

class ShadowComparison(_message.Message):
    __slots__ = ("version", "shadow_version", "pairs", "rows", "errors", "unlike", "labelled_rows", "flips", "flip_rate_low", "flip_rate_high", "nan_rows", "difference", "relative_difference", "largest_difference", "rank_correlation", "took_us", "shadow_took_us", "slices", "worst", "flips_squared", "sample")
    class ErrorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    class Quantiles(_message.Message):
        __slots__ = ("p50", "p95", "p99")
        P50_FIELD_NUMBER: _ClassVar[int]
        P95_FIELD_NUMBER: _ClassVar[int]
        P99_FIELD_NUMBER: _ClassVar[int]
        p50: float
        p95: float
        p99: float
        def __init__(self, p50: _Optional[float] = ..., p95: _Optional[float] = ..., p99: _Optional[float] = ...) -> None: ...
    class Slice(_message.Message):
        __slots__ = ("name", "rows", "flips", "flips_squared")
        NAME_FIELD_NUMBER: _ClassVar[int]
        ROWS_FIELD_NUMBER: _ClassVar[int]
        FLIPS_FIELD_NUMBER: _ClassVar[int]
        FLIPS_SQUARED_FIELD_NUMBER: _ClassVar[int]
        name: str
        rows: int
        flips: int
        flips_squared: int
        def __init__(self, name: _Optional[str] = ..., rows: _Optional[int] = ..., flips: _Optional[int] = ..., flips_squared: _Optional[int] = ...) -> None: ...
    class Row(_message.Message):
        __slots__ = ("prediction_id", "row", "answer", "shadow_answer")
        PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
        ROW_FIELD_NUMBER: _ClassVar[int]
        ANSWER_FIELD_NUMBER: _ClassVar[int]
        SHADOW_ANSWER_FIELD_NUMBER: _ClassVar[int]
        prediction_id: str
        row: int
        answer: str
        shadow_answer: str
        def __init__(self, prediction_id: _Optional[str] = ..., row: _Optional[int] = ..., answer: _Optional[str] = ..., shadow_answer: _Optional[str] = ...) -> None: ...
    class SampledRow(_message.Message):
        __slots__ = ("value", "shadow_value")
        VALUE_FIELD_NUMBER: _ClassVar[int]
        SHADOW_VALUE_FIELD_NUMBER: _ClassVar[int]
        value: float
        shadow_value: float
        def __init__(self, value: _Optional[float] = ..., shadow_value: _Optional[float] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SHADOW_VERSION_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    UNLIKE_FIELD_NUMBER: _ClassVar[int]
    LABELLED_ROWS_FIELD_NUMBER: _ClassVar[int]
    FLIPS_FIELD_NUMBER: _ClassVar[int]
    FLIP_RATE_LOW_FIELD_NUMBER: _ClassVar[int]
    FLIP_RATE_HIGH_FIELD_NUMBER: _ClassVar[int]
    NAN_ROWS_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    LARGEST_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    RANK_CORRELATION_FIELD_NUMBER: _ClassVar[int]
    TOOK_US_FIELD_NUMBER: _ClassVar[int]
    SHADOW_TOOK_US_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    WORST_FIELD_NUMBER: _ClassVar[int]
    FLIPS_SQUARED_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    version: str
    shadow_version: str
    pairs: int
    rows: int
    errors: _containers.ScalarMap[int, int]
    unlike: int
    labelled_rows: int
    flips: int
    flip_rate_low: float
    flip_rate_high: float
    nan_rows: int
    difference: ShadowComparison.Quantiles
    relative_difference: ShadowComparison.Quantiles
    largest_difference: float
    rank_correlation: float
    took_us: ShadowComparison.Quantiles
    shadow_took_us: ShadowComparison.Quantiles
    slices: _containers.RepeatedCompositeFieldContainer[ShadowComparison.Slice]
    worst: _containers.RepeatedCompositeFieldContainer[ShadowComparison.Row]
    flips_squared: int
    sample: _containers.RepeatedCompositeFieldContainer[ShadowComparison.SampledRow]
    def __init__(self, version: _Optional[str] = ..., shadow_version: _Optional[str] = ..., pairs: _Optional[int] = ..., rows: _Optional[int] = ..., errors: _Optional[_Mapping[int, int]] = ..., unlike: _Optional[int] = ..., labelled_rows: _Optional[int] = ..., flips: _Optional[int] = ..., flip_rate_low: _Optional[float] = ..., flip_rate_high: _Optional[float] = ..., nan_rows: _Optional[int] = ..., difference: _Optional[_Union[ShadowComparison.Quantiles, _Mapping]] = ..., relative_difference: _Optional[_Union[ShadowComparison.Quantiles, _Mapping]] = ..., largest_difference: _Optional[float] = ..., rank_correlation: _Optional[float] = ..., took_us: _Optional[_Union[ShadowComparison.Quantiles, _Mapping]] = ..., shadow_took_us: _Optional[_Union[ShadowComparison.Quantiles, _Mapping]] = ..., slices: _Optional[_Iterable[_Union[ShadowComparison.Slice, _Mapping]]] = ..., worst: _Optional[_Iterable[_Union[ShadowComparison.Row, _Mapping]]] = ..., flips_squared: _Optional[int] = ..., sample: _Optional[_Iterable[_Union[ShadowComparison.SampledRow, _Mapping]]] = ...) -> None: ...

class TimeRange(_message.Message):
    __slots__ = ("start_time", "end_time")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetTrafficRequest(_message.Message):
    __slots__ = ("parent", "range", "over_time")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    OVER_TIME_FIELD_NUMBER: _ClassVar[int]
    parent: str
    range: TimeRange
    over_time: bool
    def __init__(self, parent: _Optional[str] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ..., over_time: _Optional[bool] = ...) -> None: ...

class GetTrafficResponse(_message.Message):
    __slots__ = ("traffic", "dropped_predictions", "lost_batches", "parts")
    class Part(_message.Message):
        __slots__ = ("range", "traffic")
        RANGE_FIELD_NUMBER: _ClassVar[int]
        TRAFFIC_FIELD_NUMBER: _ClassVar[int]
        range: TimeRange
        traffic: _containers.RepeatedCompositeFieldContainer[GetTrafficResponse.Traffic]
        def __init__(self, range: _Optional[_Union[TimeRange, _Mapping]] = ..., traffic: _Optional[_Iterable[_Union[GetTrafficResponse.Traffic, _Mapping]]] = ...) -> None: ...
    class Traffic(_message.Message):
        __slots__ = ("version", "variant", "served_from", "code", "count", "p50_us", "p95_us", "p99_us", "mean_us")
        VERSION_FIELD_NUMBER: _ClassVar[int]
        VARIANT_FIELD_NUMBER: _ClassVar[int]
        SERVED_FROM_FIELD_NUMBER: _ClassVar[int]
        CODE_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        P50_US_FIELD_NUMBER: _ClassVar[int]
        P95_US_FIELD_NUMBER: _ClassVar[int]
        P99_US_FIELD_NUMBER: _ClassVar[int]
        MEAN_US_FIELD_NUMBER: _ClassVar[int]
        version: str
        variant: str
        served_from: _predict_pb2.PredictResponse.ServedFrom
        code: int
        count: int
        p50_us: float
        p95_us: float
        p99_us: float
        mean_us: float
        def __init__(self, version: _Optional[str] = ..., variant: _Optional[str] = ..., served_from: _Optional[_Union[_predict_pb2.PredictResponse.ServedFrom, str]] = ..., code: _Optional[int] = ..., count: _Optional[int] = ..., p50_us: _Optional[float] = ..., p95_us: _Optional[float] = ..., p99_us: _Optional[float] = ..., mean_us: _Optional[float] = ...) -> None: ...
    TRAFFIC_FIELD_NUMBER: _ClassVar[int]
    DROPPED_PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    LOST_BATCHES_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    traffic: _containers.RepeatedCompositeFieldContainer[GetTrafficResponse.Traffic]
    dropped_predictions: int
    lost_batches: int
    parts: _containers.RepeatedCompositeFieldContainer[GetTrafficResponse.Part]
    def __init__(self, traffic: _Optional[_Iterable[_Union[GetTrafficResponse.Traffic, _Mapping]]] = ..., dropped_predictions: _Optional[int] = ..., lost_batches: _Optional[int] = ..., parts: _Optional[_Iterable[_Union[GetTrafficResponse.Part, _Mapping]]] = ...) -> None: ...

class ListTrafficRequest(_message.Message):
    __slots__ = ("models", "range")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedScalarFieldContainer[str]
    range: TimeRange
    def __init__(self, models: _Optional[_Iterable[str]] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ...) -> None: ...

class ListTrafficResponse(_message.Message):
    __slots__ = ("models",)
    class ModelTraffic(_message.Message):
        __slots__ = ("model", "traffic")
        MODEL_FIELD_NUMBER: _ClassVar[int]
        TRAFFIC_FIELD_NUMBER: _ClassVar[int]
        model: str
        traffic: _containers.RepeatedCompositeFieldContainer[GetTrafficResponse.Traffic]
        def __init__(self, model: _Optional[str] = ..., traffic: _Optional[_Iterable[_Union[GetTrafficResponse.Traffic, _Mapping]]] = ...) -> None: ...
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ListTrafficResponse.ModelTraffic]
    def __init__(self, models: _Optional[_Iterable[_Union[ListTrafficResponse.ModelTraffic, _Mapping]]] = ...) -> None: ...

class GetTrafficTimeSeriesRequest(_message.Message):
    __slots__ = ("parent", "range")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    parent: str
    range: TimeRange
    def __init__(self, parent: _Optional[str] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ...) -> None: ...

class GetTrafficTimeSeriesResponse(_message.Message):
    __slots__ = ("parts", "data_plane_starts")
    class Part(_message.Message):
        __slots__ = ("range", "requests", "caller_errors", "model_errors", "platform_errors", "p50_us", "p99_us", "sources", "versions")
        RANGE_FIELD_NUMBER: _ClassVar[int]
        REQUESTS_FIELD_NUMBER: _ClassVar[int]
        CALLER_ERRORS_FIELD_NUMBER: _ClassVar[int]
        MODEL_ERRORS_FIELD_NUMBER: _ClassVar[int]
        PLATFORM_ERRORS_FIELD_NUMBER: _ClassVar[int]
        P50_US_FIELD_NUMBER: _ClassVar[int]
        P99_US_FIELD_NUMBER: _ClassVar[int]
        SOURCES_FIELD_NUMBER: _ClassVar[int]
        VERSIONS_FIELD_NUMBER: _ClassVar[int]
        range: TimeRange
        requests: int
        caller_errors: int
        model_errors: int
        platform_errors: int
        p50_us: float
        p99_us: float
        sources: _containers.RepeatedCompositeFieldContainer[GetTrafficTimeSeriesResponse.Source]
        versions: _containers.RepeatedCompositeFieldContainer[GetTrafficTimeSeriesResponse.Version]
        def __init__(self, range: _Optional[_Union[TimeRange, _Mapping]] = ..., requests: _Optional[int] = ..., caller_errors: _Optional[int] = ..., model_errors: _Optional[int] = ..., platform_errors: _Optional[int] = ..., p50_us: _Optional[float] = ..., p99_us: _Optional[float] = ..., sources: _Optional[_Iterable[_Union[GetTrafficTimeSeriesResponse.Source, _Mapping]]] = ..., versions: _Optional[_Iterable[_Union[GetTrafficTimeSeriesResponse.Version, _Mapping]]] = ...) -> None: ...
    class Source(_message.Message):
        __slots__ = ("served_from", "count")
        SERVED_FROM_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        served_from: _predict_pb2.PredictResponse.ServedFrom
        count: int
        def __init__(self, served_from: _Optional[_Union[_predict_pb2.PredictResponse.ServedFrom, str]] = ..., count: _Optional[int] = ...) -> None: ...
    class Version(_message.Message):
        __slots__ = ("name", "count")
        NAME_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        name: str
        count: int
        def __init__(self, name: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...
    class DataPlaneStart(_message.Message):
        __slots__ = ("data_plane", "start_time")
        DATA_PLANE_FIELD_NUMBER: _ClassVar[int]
        START_TIME_FIELD_NUMBER: _ClassVar[int]
        data_plane: str
        start_time: _timestamp_pb2.Timestamp
        def __init__(self, data_plane: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    PARTS_FIELD_NUMBER: _ClassVar[int]
    DATA_PLANE_STARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[GetTrafficTimeSeriesResponse.Part]
    data_plane_starts: _containers.RepeatedCompositeFieldContainer[GetTrafficTimeSeriesResponse.DataPlaneStart]
    def __init__(self, parts: _Optional[_Iterable[_Union[GetTrafficTimeSeriesResponse.Part, _Mapping]]] = ..., data_plane_starts: _Optional[_Iterable[_Union[GetTrafficTimeSeriesResponse.DataPlaneStart, _Mapping]]] = ...) -> None: ...

class Reference(_message.Message):
    __slots__ = ("name", "source", "freeze_time", "range", "columns", "unfit")
    class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SOURCE_UNSPECIFIED: _ClassVar[Reference.Source]
        SOURCE_ARTIFACT: _ClassVar[Reference.Source]
        SOURCE_WINDOW: _ClassVar[Reference.Source]
        SOURCE_SEASON: _ClassVar[Reference.Source]
    SOURCE_UNSPECIFIED: Reference.Source
    SOURCE_ARTIFACT: Reference.Source
    SOURCE_WINDOW: Reference.Source
    SOURCE_SEASON: Reference.Source
    class Column(_message.Message):
        __slots__ = ("name", "kind", "rows")
        NAME_FIELD_NUMBER: _ClassVar[int]
        KIND_FIELD_NUMBER: _ClassVar[int]
        ROWS_FIELD_NUMBER: _ClassVar[int]
        name: str
        kind: str
        rows: int
        def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., rows: _Optional[int] = ...) -> None: ...
    class UnfitColumn(_message.Message):
        __slots__ = ("name", "reason")
        NAME_FIELD_NUMBER: _ClassVar[int]
        REASON_FIELD_NUMBER: _ClassVar[int]
        name: str
        reason: str
        def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FREEZE_TIME_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    UNFIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: Reference.Source
    freeze_time: _timestamp_pb2.Timestamp
    range: TimeRange
    columns: _containers.RepeatedCompositeFieldContainer[Reference.Column]
    unfit: _containers.RepeatedCompositeFieldContainer[Reference.UnfitColumn]
    def __init__(self, name: _Optional[str] = ..., source: _Optional[_Union[Reference.Source, str]] = ..., freeze_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ..., columns: _Optional[_Iterable[_Union[Reference.Column, _Mapping]]] = ..., unfit: _Optional[_Iterable[_Union[Reference.UnfitColumn, _Mapping]]] = ...) -> None: ...

class FreezeReferenceRequest(_message.Message):
    __slots__ = ("name", "range", "seasonal")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    SEASONAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    range: TimeRange
    seasonal: bool
    def __init__(self, name: _Optional[str] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ..., seasonal: _Optional[bool] = ...) -> None: ...

class FreezeReferenceResponse(_message.Message):
    __slots__ = ("reference",)
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    reference: Reference
    def __init__(self, reference: _Optional[_Union[Reference, _Mapping]] = ...) -> None: ...

class GetReferenceRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetReferenceResponse(_message.Message):
    __slots__ = ("reference",)
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    reference: Reference
    def __init__(self, reference: _Optional[_Union[Reference, _Mapping]] = ...) -> None: ...

class DriftReport(_message.Message):
    __slots__ = ("column", "kind", "test", "reference_rows", "window_rows", "tolerance", "statistic", "effect", "p", "adjusted_p", "alarm", "severity", "inconclusive", "examples", "design_effect", "effect_sizes")
    class EffectSizesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_ROWS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_ROWS_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    STATISTIC_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    P_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_P_FIELD_NUMBER: _ClassVar[int]
    ALARM_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    INCONCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    DESIGN_EFFECT_FIELD_NUMBER: _ClassVar[int]
    EFFECT_SIZES_FIELD_NUMBER: _ClassVar[int]
    column: str
    kind: str
    test: str
    reference_rows: int
    window_rows: int
    tolerance: float
    statistic: float
    effect: float
    p: float
    adjusted_p: float
    alarm: bool
    severity: Severity
    inconclusive: str
    examples: _containers.RepeatedScalarFieldContainer[str]
    design_effect: float
    effect_sizes: _containers.ScalarMap[str, float]
    def __init__(self, column: _Optional[str] = ..., kind: _Optional[str] = ..., test: _Optional[str] = ..., reference_rows: _Optional[int] = ..., window_rows: _Optional[int] = ..., tolerance: _Optional[float] = ..., statistic: _Optional[float] = ..., effect: _Optional[float] = ..., p: _Optional[float] = ..., adjusted_p: _Optional[float] = ..., alarm: _Optional[bool] = ..., severity: _Optional[_Union[Severity, str]] = ..., inconclusive: _Optional[str] = ..., examples: _Optional[_Iterable[str]] = ..., design_effect: _Optional[float] = ..., effect_sizes: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Drift(_message.Message):
    __slots__ = ("name", "range", "reference", "severity", "reports", "slices", "rows", "advice")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    name: str
    range: TimeRange
    reference: Reference.Source
    severity: Severity
    reports: _containers.RepeatedCompositeFieldContainer[DriftReport]
    slices: _containers.RepeatedCompositeFieldContainer[Slice]
    rows: int
    advice: str
    def __init__(self, name: _Optional[str] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ..., reference: _Optional[_Union[Reference.Source, str]] = ..., severity: _Optional[_Union[Severity, str]] = ..., reports: _Optional[_Iterable[_Union[DriftReport, _Mapping]]] = ..., slices: _Optional[_Iterable[_Union[Slice, _Mapping]]] = ..., rows: _Optional[int] = ..., advice: _Optional[str] = ...) -> None: ...

class Slice(_message.Message):
    __slots__ = ("name", "rows", "effect", "share")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    rows: int
    effect: float
    share: float
    def __init__(self, name: _Optional[str] = ..., rows: _Optional[int] = ..., effect: _Optional[float] = ..., share: _Optional[float] = ...) -> None: ...

class GetDriftRequest(_message.Message):
    __slots__ = ("name", "range", "level")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    name: str
    range: TimeRange
    level: float
    def __init__(self, name: _Optional[str] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ..., level: _Optional[float] = ...) -> None: ...

class GetDriftResponse(_message.Message):
    __slots__ = ("drift",)
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    drift: Drift
    def __init__(self, drift: _Optional[_Union[Drift, _Mapping]] = ...) -> None: ...

class GetDistributionsRequest(_message.Message):
    __slots__ = ("name", "range", "columns")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    name: str
    range: TimeRange
    columns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ..., columns: _Optional[_Iterable[str]] = ...) -> None: ...

class GetDistributionsResponse(_message.Message):
    __slots__ = ("distributions",)
    DISTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    distributions: _containers.RepeatedCompositeFieldContainer[Distribution]
    def __init__(self, distributions: _Optional[_Iterable[_Union[Distribution, _Mapping]]] = ...) -> None: ...

class Distribution(_message.Message):
    __slots__ = ("column", "bins")
    class Bin(_message.Message):
        __slots__ = ("label", "reference_share", "window_share")
        LABEL_FIELD_NUMBER: _ClassVar[int]
        REFERENCE_SHARE_FIELD_NUMBER: _ClassVar[int]
        WINDOW_SHARE_FIELD_NUMBER: _ClassVar[int]
        label: str
        reference_share: float
        window_share: float
        def __init__(self, label: _Optional[str] = ..., reference_share: _Optional[float] = ..., window_share: _Optional[float] = ...) -> None: ...
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    BINS_FIELD_NUMBER: _ClassVar[int]
    column: str
    bins: _containers.RepeatedCompositeFieldContainer[Distribution.Bin]
    def __init__(self, column: _Optional[str] = ..., bins: _Optional[_Iterable[_Union[Distribution.Bin, _Mapping]]] = ...) -> None: ...

class SetDriftToleranceRequest(_message.Message):
    __slots__ = ("parent", "column", "test", "tolerance")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    parent: str
    column: str
    test: str
    tolerance: float
    def __init__(self, parent: _Optional[str] = ..., column: _Optional[str] = ..., test: _Optional[str] = ..., tolerance: _Optional[float] = ...) -> None: ...

class SetDriftToleranceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDriftTolerancesRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class ListDriftTolerancesResponse(_message.Message):
    __slots__ = ("tolerances", "window_rows")
    TOLERANCES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_ROWS_FIELD_NUMBER: _ClassVar[int]
    tolerances: _containers.RepeatedCompositeFieldContainer[DriftTolerance]
    window_rows: int
    def __init__(self, tolerances: _Optional[_Iterable[_Union[DriftTolerance, _Mapping]]] = ..., window_rows: _Optional[int] = ...) -> None: ...

class DriftTolerance(_message.Message):
    __slots__ = ("column", "test", "tolerance", "set", "detectable", "detectable_shift", "inconclusive")
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    SET_FIELD_NUMBER: _ClassVar[int]
    DETECTABLE_FIELD_NUMBER: _ClassVar[int]
    DETECTABLE_SHIFT_FIELD_NUMBER: _ClassVar[int]
    INCONCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    column: str
    test: str
    tolerance: float
    set: bool
    detectable: float
    detectable_shift: float
    inconclusive: str
    def __init__(self, column: _Optional[str] = ..., test: _Optional[str] = ..., tolerance: _Optional[float] = ..., set: _Optional[bool] = ..., detectable: _Optional[float] = ..., detectable_shift: _Optional[float] = ..., inconclusive: _Optional[str] = ...) -> None: ...

class ListDriftRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDriftResponse(_message.Message):
    __slots__ = ("drifts", "next_page_token")
    DRIFTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    drifts: _containers.RepeatedCompositeFieldContainer[Drift]
    next_page_token: str
    def __init__(self, drifts: _Optional[_Iterable[_Union[Drift, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetPerformanceRequest(_message.Message):
    __slots__ = ("parent", "range", "version", "slice_by", "threshold")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SLICE_BY_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    parent: str
    range: TimeRange
    version: str
    slice_by: str
    threshold: float
    def __init__(self, parent: _Optional[str] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ..., version: _Optional[str] = ..., slice_by: _Optional[str] = ..., threshold: _Optional[float] = ...) -> None: ...

class GetPerformanceResponse(_message.Message):
    __slots__ = ("performance",)
    PERFORMANCE_FIELD_NUMBER: _ClassVar[int]
    performance: _containers.RepeatedCompositeFieldContainer[Performance]
    def __init__(self, performance: _Optional[_Iterable[_Union[Performance, _Mapping]]] = ...) -> None: ...

class Performance(_message.Message):
    __slots__ = ("version", "variant", "slice", "predictions", "labelled", "maturity", "measures", "slices", "concept_drift", "score_groups")
    class ScoreGroup(_message.Message):
        __slots__ = ("mean_score", "share", "lower", "upper", "rows")
        MEAN_SCORE_FIELD_NUMBER: _ClassVar[int]
        SHARE_FIELD_NUMBER: _ClassVar[int]
        LOWER_FIELD_NUMBER: _ClassVar[int]
        UPPER_FIELD_NUMBER: _ClassVar[int]
        ROWS_FIELD_NUMBER: _ClassVar[int]
        mean_score: float
        share: float
        lower: float
        upper: float
        rows: int
        def __init__(self, mean_score: _Optional[float] = ..., share: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ..., rows: _Optional[int] = ...) -> None: ...
    class ConceptDrift(_message.Message):
        __slots__ = ("summary", "rise", "severity", "update_time")
        SUMMARY_FIELD_NUMBER: _ClassVar[int]
        RISE_FIELD_NUMBER: _ClassVar[int]
        SEVERITY_FIELD_NUMBER: _ClassVar[int]
        UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
        summary: str
        rise: float
        severity: Severity
        update_time: _timestamp_pb2.Timestamp
        def __init__(self, summary: _Optional[str] = ..., rise: _Optional[float] = ..., severity: _Optional[_Union[Severity, str]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    class Measure(_message.Message):
        __slots__ = ("name", "value", "lower", "upper", "rows", "note")
        NAME_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        LOWER_FIELD_NUMBER: _ClassVar[int]
        UPPER_FIELD_NUMBER: _ClassVar[int]
        ROWS_FIELD_NUMBER: _ClassVar[int]
        NOTE_FIELD_NUMBER: _ClassVar[int]
        name: str
        value: float
        lower: float
        upper: float
        rows: int
        note: str
        def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., lower: _Optional[float] = ..., upper: _Optional[float] = ..., rows: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    LABELLED_FIELD_NUMBER: _ClassVar[int]
    MATURITY_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    CONCEPT_DRIFT_FIELD_NUMBER: _ClassVar[int]
    SCORE_GROUPS_FIELD_NUMBER: _ClassVar[int]
    version: str
    variant: str
    slice: str
    predictions: int
    labelled: int
    maturity: float
    measures: _containers.RepeatedCompositeFieldContainer[Performance.Measure]
    slices: _containers.RepeatedCompositeFieldContainer[Slice]
    concept_drift: Performance.ConceptDrift
    score_groups: _containers.RepeatedCompositeFieldContainer[Performance.ScoreGroup]
    def __init__(self, version: _Optional[str] = ..., variant: _Optional[str] = ..., slice: _Optional[str] = ..., predictions: _Optional[int] = ..., labelled: _Optional[int] = ..., maturity: _Optional[float] = ..., measures: _Optional[_Iterable[_Union[Performance.Measure, _Mapping]]] = ..., slices: _Optional[_Iterable[_Union[Slice, _Mapping]]] = ..., concept_drift: _Optional[_Union[Performance.ConceptDrift, _Mapping]] = ..., score_groups: _Optional[_Iterable[_Union[Performance.ScoreGroup, _Mapping]]] = ...) -> None: ...

class QueryPredictionsRequest(_message.Message):
    __slots__ = ("sql", "max_rows", "range")
    SQL_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    sql: str
    max_rows: int
    range: TimeRange
    def __init__(self, sql: _Optional[str] = ..., max_rows: _Optional[int] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ...) -> None: ...

class QueryPredictionsResponse(_message.Message):
    __slots__ = ("arrow", "read", "truncated")
    class Read(_message.Message):
        __slots__ = ("files", "bytes", "rows", "first_answer_time", "last_answer_time")
        FILES_FIELD_NUMBER: _ClassVar[int]
        BYTES_FIELD_NUMBER: _ClassVar[int]
        ROWS_FIELD_NUMBER: _ClassVar[int]
        FIRST_ANSWER_TIME_FIELD_NUMBER: _ClassVar[int]
        LAST_ANSWER_TIME_FIELD_NUMBER: _ClassVar[int]
        files: int
        bytes: int
        rows: int
        first_answer_time: _timestamp_pb2.Timestamp
        last_answer_time: _timestamp_pb2.Timestamp
        def __init__(self, files: _Optional[int] = ..., bytes: _Optional[int] = ..., rows: _Optional[int] = ..., first_answer_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_answer_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    ARROW_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    arrow: bytes
    read: QueryPredictionsResponse.Read
    truncated: bool
    def __init__(self, arrow: _Optional[bytes] = ..., read: _Optional[_Union[QueryPredictionsResponse.Read, _Mapping]] = ..., truncated: _Optional[bool] = ...) -> None: ...

class RenderReportRequest(_message.Message):
    __slots__ = ("parent", "range")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    RANGE_FIELD_NUMBER: _ClassVar[int]
    parent: str
    range: TimeRange
    def __init__(self, parent: _Optional[str] = ..., range: _Optional[_Union[TimeRange, _Mapping]] = ...) -> None: ...

class RenderReportResponse(_message.Message):
    __slots__ = ("html",)
    HTML_FIELD_NUMBER: _ClassVar[int]
    html: str
    def __init__(self, html: _Optional[str] = ...) -> None: ...
