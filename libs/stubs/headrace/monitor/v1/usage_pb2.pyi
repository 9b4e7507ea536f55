import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.monitor.v1 import monitor_pb2 as _monitor_pb2
from headrace.router.v1 import client_limits_pb2 as _client_limits_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union
from headrace.router.v1.client_limits_pb2 import RateLimit as RateLimit
from headrace.router.v1.client_limits_pb2 import PutRateLimitRequest as PutRateLimitRequest
from headrace.router.v1.client_limits_pb2 import PutRateLimitResponse as PutRateLimitResponse
from headrace.router.v1.client_limits_pb2 import ListRateLimitsRequest as ListRateLimitsRequest
from headrace.router.v1.client_limits_pb2 import ListRateLimitsResponse as ListRateLimitsResponse
from headrace.router.v1.client_limits_pb2 import DeleteRateLimitRequest as DeleteRateLimitRequest
from headrace.router.v1.client_limits_pb2 import DeleteRateLimitResponse as DeleteRateLimitResponse
from headrace.router.v1.client_limits_pb2 import BudgetOverrun as BudgetOverrun

DESCRIPTOR: _descriptor.FileDescriptor

class GetUsageRequest(_message.Message):
    __slots__ = ("range", "model", "client")
    RANGE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    range: _monitor_pb2.TimeRange
    model: str
    client: str
    def __init__(self, range: _Optional[_Union[_monitor_pb2.TimeRange, _Mapping]] = ..., model: _Optional[str] = ..., client: _Optional[str] = ...) -> None: ...

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
    range: _monitor_pb2.TimeRange
    price_per_hour: float
    target_utilisation: float
    def __init__(self, range: _Optional[_Union[_monitor_pb2.TimeRange, _Mapping]] = ..., price_per_hour: _Optional[float] = ..., target_utilisation: _Optional[float] = ...) -> None: ...

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

class Budget(_message.Message):
    __slots__ = ("name", "client", "model", "period", "compute_s", "refuse_above_s")
    class Period(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PERIOD_UNSPECIFIED: _ClassVar[Budget.Period]
        PERIOD_HOUR: _ClassVar[Budget.Period]
        PERIOD_DAY: _ClassVar[Budget.Period]
        PERIOD_WEEK: _ClassVar[Budget.Period]
        PERIOD_MONTH: _ClassVar[Budget.Period]
    PERIOD_UNSPECIFIED: Budget.Period
    PERIOD_HOUR: Budget.Period
    PERIOD_DAY: Budget.Period
    PERIOD_WEEK: Budget.Period
    PERIOD_MONTH: Budget.Period
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_S_FIELD_NUMBER: _ClassVar[int]
    REFUSE_ABOVE_S_FIELD_NUMBER: _ClassVar[int]
    name: str
    client: str
    model: str
    period: Budget.Period
    compute_s: float
    refuse_above_s: float
    def __init__(self, name: _Optional[str] = ..., client: _Optional[str] = ..., model: _Optional[str] = ..., period: _Optional[_Union[Budget.Period, str]] = ..., compute_s: _Optional[float] = ..., refuse_above_s: _Optional[float] = ...) -> None: ...

class PutBudgetRequest(_message.Message):
    __slots__ = ("budget",)
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    budget: Budget
    def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ...) -> None: ...

class PutBudgetResponse(_message.Message):
    __slots__ = ("budget",)
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    budget: Budget
    def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ...) -> None: ...

class ListBudgetsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListBudgetsResponse(_message.Message):
    __slots__ = ("budgets",)
    class SpentBudget(_message.Message):
        __slots__ = ("budget", "start_time", "end_time", "spent")
        BUDGET_FIELD_NUMBER: _ClassVar[int]
        START_TIME_FIELD_NUMBER: _ClassVar[int]
        END_TIME_FIELD_NUMBER: _ClassVar[int]
        SPENT_FIELD_NUMBER: _ClassVar[int]
        budget: Budget
        start_time: _timestamp_pb2.Timestamp
        end_time: _timestamp_pb2.Timestamp
        spent: _containers.RepeatedCompositeFieldContainer[ListBudgetsResponse.Spending]
        def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., spent: _Optional[_Iterable[_Union[ListBudgetsResponse.Spending, _Mapping]]] = ...) -> None: ...
    class Spending(_message.Message):
        __slots__ = ("client", "compute_s", "action")
        CLIENT_FIELD_NUMBER: _ClassVar[int]
        COMPUTE_S_FIELD_NUMBER: _ClassVar[int]
        ACTION_FIELD_NUMBER: _ClassVar[int]
        client: str
        compute_s: float
        action: _client_limits_pb2.BudgetOverrun.Action
        def __init__(self, client: _Optional[str] = ..., compute_s: _Optional[float] = ..., action: _Optional[_Union[_client_limits_pb2.BudgetOverrun.Action, str]] = ...) -> None: ...
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    budgets: _containers.RepeatedCompositeFieldContainer[ListBudgetsResponse.SpentBudget]
    def __init__(self, budgets: _Optional[_Iterable[_Union[ListBudgetsResponse.SpentBudget, _Mapping]]] = ...) -> None: ...

class DeleteBudgetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteBudgetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
