import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.router.v1 import budget_pb2 as _budget_pb2
from headrace.router.v1 import client_limits_pb2 as _client_limits_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TimeRange(_message.Message):
    __slots__ = ("start_time", "end_time")
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("range", "model", "client")
    RANGE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    range: TimeRange
    model: str
    client: str
    def __init__(self, range: _Optional[_Union[TimeRange, _Mapping]] = ..., model: _Optional[str] = ..., client: _Optional[str] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("usage", "compute_s", "start_time", "end_time")
    class Usage(_message.Message):
        __slots__ = ("client", "pool", "model", "version", "priority", "requests", "rows", "compute_s")
        CLIENT_FIELD_NUMBER: _ClassVar[int]
        POOL_FIELD_NUMBER: _ClassVar[int]
        MODEL_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        PRIORITY_FIELD_NUMBER: _ClassVar[int]
        REQUESTS_FIELD_NUMBER: _ClassVar[int]
        ROWS_FIELD_NUMBER: _ClassVar[int]
        COMPUTE_S_FIELD_NUMBER: _ClassVar[int]
        client: str
        pool: str
        model: str
        version: str
        priority: int
        requests: int
        rows: int
        compute_s: float
        def __init__(self, client: _Optional[str] = ..., pool: _Optional[str] = ..., model: _Optional[str] = ..., version: _Optional[str] = ..., priority: _Optional[int] = ..., requests: _Optional[int] = ..., rows: _Optional[int] = ..., compute_s: _Optional[float] = ...) -> None: ...
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_S_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    usage: _containers.RepeatedCompositeFieldContainer[GetUsageResponse.Usage]
    compute_s: float
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    def __init__(self, usage: _Optional[_Iterable[_Union[GetUsageResponse.Usage, _Mapping]]] = ..., compute_s: _Optional[float] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetIdleTimeRequest(_message.Message):
    __slots__ = ("range", "price_per_hour", "target_utilisation")
    RANGE_FIELD_NUMBER: _ClassVar[int]
    PRICE_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    TARGET_UTILISATION_FIELD_NUMBER: _ClassVar[int]
    range: TimeRange
    price_per_hour: float
    target_utilisation: float
    def __init__(self, range: _Optional[_Union[TimeRange, _Mapping]] = ..., price_per_hour: _Optional[float] = ..., target_utilisation: _Optional[float] = ...) -> None: ...

class GetIdleTimeResponse(_message.Message):
    __slots__ = ("pools", "start_time", "end_time", "smaller_forms_unknown")
    class IdlePool(_message.Message):
        __slots__ = ("pool", "present_hours", "busy_hours", "idle_hours", "replicas", "enough_replicas", "spared_hours", "saved", "advice", "smaller_forms", "enough_replicas_with_forms", "spared_hours_with_forms", "saved_with_forms")
        POOL_FIELD_NUMBER: _ClassVar[int]
        PRESENT_HOURS_FIELD_NUMBER: _ClassVar[int]
        BUSY_HOURS_FIELD_NUMBER: _ClassVar[int]
        IDLE_HOURS_FIELD_NUMBER: _ClassVar[int]
        REPLICAS_FIELD_NUMBER: _ClassVar[int]
        ENOUGH_REPLICAS_FIELD_NUMBER: _ClassVar[int]
        SPARED_HOURS_FIELD_NUMBER: _ClassVar[int]
        SAVED_FIELD_NUMBER: _ClassVar[int]
        ADVICE_FIELD_NUMBER: _ClassVar[int]
        SMALLER_FORMS_FIELD_NUMBER: _ClassVar[int]
        ENOUGH_REPLICAS_WITH_FORMS_FIELD_NUMBER: _ClassVar[int]
        SPARED_HOURS_WITH_FORMS_FIELD_NUMBER: _ClassVar[int]
        SAVED_WITH_FORMS_FIELD_NUMBER: _ClassVar[int]
        pool: str
        present_hours: float
        busy_hours: float
        idle_hours: float
        replicas: float
        enough_replicas: int
        spared_hours: float
        saved: float
        advice: str
        smaller_forms: _containers.RepeatedCompositeFieldContainer[GetIdleTimeResponse.SmallerForm]
        enough_replicas_with_forms: int
        spared_hours_with_forms: float
        saved_with_forms: float
        def __init__(self, pool: _Optional[str] = ..., present_hours: _Optional[float] = ..., busy_hours: _Optional[float] = ..., idle_hours: _Optional[float] = ..., replicas: _Optional[float] = ..., enough_replicas: _Optional[int] = ..., spared_hours: _Optional[float] = ..., saved: _Optional[float] = ..., advice: _Optional[str] = ..., smaller_forms: _Optional[_Iterable[_Union[GetIdleTimeResponse.SmallerForm, _Mapping]]] = ..., enough_replicas_with_forms: _Optional[int] = ..., spared_hours_with_forms: _Optional[float] = ..., saved_with_forms: _Optional[float] = ...) -> None: ...
    class SmallerForm(_message.Message):
        __slots__ = ("model", "version", "form", "made_by", "speedup", "on_cpu", "compute_s", "spared_s")
        MODEL_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        FORM_FIELD_NUMBER: _ClassVar[int]
        MADE_BY_FIELD_NUMBER: _ClassVar[int]
        SPEEDUP_FIELD_NUMBER: _ClassVar[int]
        ON_CPU_FIELD_NUMBER: _ClassVar[int]
        COMPUTE_S_FIELD_NUMBER: _ClassVar[int]
        SPARED_S_FIELD_NUMBER: _ClassVar[int]
        model: str
        version: str
        form: str
        made_by: str
        speedup: float
        on_cpu: bool
        compute_s: float
        spared_s: float
        def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., form: _Optional[str] = ..., made_by: _Optional[str] = ..., speedup: _Optional[float] = ..., on_cpu: _Optional[bool] = ..., compute_s: _Optional[float] = ..., spared_s: _Optional[float] = ...) -> None: ...
    POOLS_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    SMALLER_FORMS_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    pools: _containers.RepeatedCompositeFieldContainer[GetIdleTimeResponse.IdlePool]
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    smaller_forms_unknown: bool
    def __init__(self, pools: _Optional[_Iterable[_Union[GetIdleTimeResponse.IdlePool, _Mapping]]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., smaller_forms_unknown: _Optional[bool] = ...) -> None: ...

class ReportUsageRequest(_message.Message):
    __slots__ = ("pool", "process", "sequence", "present_us", "busy_us", "uses")
    POOL_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PRESENT_US_FIELD_NUMBER: _ClassVar[int]
    BUSY_US_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    pool: str
    process: str
    sequence: int
    present_us: int
    busy_us: int
    uses: _containers.RepeatedCompositeFieldContainer[ComputeUse]
    def __init__(self, pool: _Optional[str] = ..., process: _Optional[str] = ..., sequence: _Optional[int] = ..., present_us: _Optional[int] = ..., busy_us: _Optional[int] = ..., uses: _Optional[_Iterable[_Union[ComputeUse, _Mapping]]] = ...) -> None: ...

class ReportUsageResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ComputeUse(_message.Message):
    __slots__ = ("model", "version", "client", "priority", "requests", "rows", "compute_us")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_US_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    client: str
    priority: int
    requests: int
    rows: int
    compute_us: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., client: _Optional[str] = ..., priority: _Optional[int] = ..., requests: _Optional[int] = ..., rows: _Optional[int] = ..., compute_us: _Optional[int] = ...) -> None: ...

class TakeOverRequest(_message.Message):
    __slots__ = ("page", "usage_hours", "pool_hours", "processes", "budgets", "rate_limits")
    class UsageHour(_message.Message):
        __slots__ = ("hour_s", "pool", "use")
        HOUR_S_FIELD_NUMBER: _ClassVar[int]
        POOL_FIELD_NUMBER: _ClassVar[int]
        USE_FIELD_NUMBER: _ClassVar[int]
        hour_s: int
        pool: str
        use: ComputeUse
        def __init__(self, hour_s: _Optional[int] = ..., pool: _Optional[str] = ..., use: _Optional[_Union[ComputeUse, _Mapping]] = ...) -> None: ...
    class PoolHour(_message.Message):
        __slots__ = ("hour_s", "pool", "present_us", "busy_us")
        HOUR_S_FIELD_NUMBER: _ClassVar[int]
        POOL_FIELD_NUMBER: _ClassVar[int]
        PRESENT_US_FIELD_NUMBER: _ClassVar[int]
        BUSY_US_FIELD_NUMBER: _ClassVar[int]
        hour_s: int
        pool: str
        present_us: int
        busy_us: int
        def __init__(self, hour_s: _Optional[int] = ..., pool: _Optional[str] = ..., present_us: _Optional[int] = ..., busy_us: _Optional[int] = ...) -> None: ...
    class ReportingProcess(_message.Message):
        __slots__ = ("process", "sequence")
        PROCESS_FIELD_NUMBER: _ClassVar[int]
        SEQUENCE_FIELD_NUMBER: _ClassVar[int]
        process: str
        sequence: int
        def __init__(self, process: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...
    PAGE_FIELD_NUMBER: _ClassVar[int]
    USAGE_HOURS_FIELD_NUMBER: _ClassVar[int]
    POOL_HOURS_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    page: int
    usage_hours: _containers.RepeatedCompositeFieldContainer[TakeOverRequest.UsageHour]
    pool_hours: _containers.RepeatedCompositeFieldContainer[TakeOverRequest.PoolHour]
    processes: _containers.RepeatedCompositeFieldContainer[TakeOverRequest.ReportingProcess]
    budgets: _containers.RepeatedCompositeFieldContainer[_budget_pb2.Budget]
    rate_limits: _containers.RepeatedCompositeFieldContainer[_client_limits_pb2.RateLimit]
    def __init__(self, page: _Optional[int] = ..., usage_hours: _Optional[_Iterable[_Union[TakeOverRequest.UsageHour, _Mapping]]] = ..., pool_hours: _Optional[_Iterable[_Union[TakeOverRequest.PoolHour, _Mapping]]] = ..., processes: _Optional[_Iterable[_Union[TakeOverRequest.ReportingProcess, _Mapping]]] = ..., budgets: _Optional[_Iterable[_Union[_budget_pb2.Budget, _Mapping]]] = ..., rate_limits: _Optional[_Iterable[_Union[_client_limits_pb2.RateLimit, _Mapping]]] = ...) -> None: ...

class TakeOverResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
