import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScalingPolicy(_message.Message):
    __slots__ = ("name", "preset", "targets", "min_replicas", "max_replicas", "interval", "max_signal_age", "stable_window", "tolerance", "scale_down_window", "scale_up_cooldown", "scale_down_cooldown", "panic", "growth", "scale_up_limit", "scale_down_limit", "look_ahead", "season", "scale_to_zero", "overflow", "schedules", "budget", "activation_replicas", "burst_reserve", "capacity", "ready_deadline", "etag", "revision", "update_time", "updated_by", "max_gap", "bridged_starts")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    MIN_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    MAX_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    MAX_SIGNAL_AGE_FIELD_NUMBER: _ClassVar[int]
    STABLE_WINDOW_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    SCALE_DOWN_WINDOW_FIELD_NUMBER: _ClassVar[int]
    SCALE_UP_COOLDOWN_FIELD_NUMBER: _ClassVar[int]
    SCALE_DOWN_COOLDOWN_FIELD_NUMBER: _ClassVar[int]
    PANIC_FIELD_NUMBER: _ClassVar[int]
    GROWTH_FIELD_NUMBER: _ClassVar[int]
    SCALE_UP_LIMIT_FIELD_NUMBER: _ClassVar[int]
    SCALE_DOWN_LIMIT_FIELD_NUMBER: _ClassVar[int]
    LOOK_AHEAD_FIELD_NUMBER: _ClassVar[int]
    SEASON_FIELD_NUMBER: _ClassVar[int]
    SCALE_TO_ZERO_FIELD_NUMBER: _ClassVar[int]
    OVERFLOW_FIELD_NUMBER: _ClassVar[int]
    SCHEDULES_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    ACTIVATION_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    BURST_RESERVE_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    READY_DEADLINE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATED_BY_FIELD_NUMBER: _ClassVar[int]
    MAX_GAP_FIELD_NUMBER: _ClassVar[int]
    BRIDGED_STARTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    preset: str
    targets: _containers.RepeatedCompositeFieldContainer[Target]
    min_replicas: int
    max_replicas: int
    interval: _duration_pb2.Duration
    max_signal_age: _duration_pb2.Duration
    stable_window: _duration_pb2.Duration
    tolerance: float
    scale_down_window: _duration_pb2.Duration
    scale_up_cooldown: _duration_pb2.Duration
    scale_down_cooldown: _duration_pb2.Duration
    panic: Panic
    growth: Growth
    scale_up_limit: StepLimit
    scale_down_limit: StepLimit
    look_ahead: LookAhead
    season: Season
    scale_to_zero: ScaleToZero
    overflow: Overflow
    schedules: _containers.RepeatedCompositeFieldContainer[Schedule]
    budget: Budget
    activation_replicas: int
    burst_reserve: float
    capacity: float
    ready_deadline: _duration_pb2.Duration
    etag: str
    revision: int
    update_time: _timestamp_pb2.Timestamp
    updated_by: str
    max_gap: _duration_pb2.Duration
    bridged_starts: float
    def __init__(self, name: _Optional[str] = ..., preset: _Optional[str] = ..., targets: _Optional[_Iterable[_Union[Target, _Mapping]]] = ..., min_replicas: _Optional[int] = ..., max_replicas: _Optional[int] = ..., interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_signal_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., stable_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tolerance: _Optional[float] = ..., scale_down_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., scale_up_cooldown: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., scale_down_cooldown: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., panic: _Optional[_Union[Panic, _Mapping]] = ..., growth: _Optional[_Union[Growth, _Mapping]] = ..., scale_up_limit: _Optional[_Union[StepLimit, _Mapping]] = ..., scale_down_limit: _Optional[_Union[StepLimit, _Mapping]] = ..., look_ahead: _Optional[_Union[LookAhead, _Mapping]] = ..., season: _Optional[_Union[Season, _Mapping]] = ..., scale_to_zero: _Optional[_Union[ScaleToZero, _Mapping]] = ..., overflow: _Optional[_Union[Overflow, _Mapping]] = ..., schedules: _Optional[_Iterable[_Union[Schedule, _Mapping]]] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., activation_replicas: _Optional[int] = ..., burst_reserve: _Optional[float] = ..., capacity: _Optional[float] = ..., ready_deadline: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., etag: _Optional[str] = ..., revision: _Optional[int] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_by: _Optional[str] = ..., max_gap: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., bridged_starts: _Optional[float] = ...) -> None: ...

class Target(_message.Message):
    __slots__ = ("metric", "value", "kind", "up_only", "missing_as")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Target.Kind]
        KIND_TOTAL: _ClassVar[Target.Kind]
        KIND_REPLICA_MEAN: _ClassVar[Target.Kind]
        KIND_POOL_VALUE: _ClassVar[Target.Kind]
    KIND_UNSPECIFIED: Target.Kind
    KIND_TOTAL: Target.Kind
    KIND_REPLICA_MEAN: Target.Kind
    KIND_POOL_VALUE: Target.Kind
    METRIC_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UP_ONLY_FIELD_NUMBER: _ClassVar[int]
    MISSING_AS_FIELD_NUMBER: _ClassVar[int]
    metric: str
    value: float
    kind: Target.Kind
    up_only: bool
    missing_as: float
    def __init__(self, metric: _Optional[str] = ..., value: _Optional[float] = ..., kind: _Optional[_Union[Target.Kind, str]] = ..., up_only: _Optional[bool] = ..., missing_as: _Optional[float] = ...) -> None: ...

class Panic(_message.Message):
    __slots__ = ("window", "threshold")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    window: _duration_pb2.Duration
    threshold: float
    def __init__(self, window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., threshold: _Optional[float] = ...) -> None: ...

class Growth(_message.Message):
    __slots__ = ("up", "down")
    UP_FIELD_NUMBER: _ClassVar[int]
    DOWN_FIELD_NUMBER: _ClassVar[int]
    up: float
    down: float
    def __init__(self, up: _Optional[float] = ..., down: _Optional[float] = ...) -> None: ...

class StepLimit(_message.Message):
    __slots__ = ("replicas", "share", "period")
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    replicas: int
    share: float
    period: _duration_pb2.Duration
    def __init__(self, replicas: _Optional[int] = ..., share: _Optional[float] = ..., period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class LookAhead(_message.Message):
    __slots__ = ("window", "default_load_time", "most")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_LOAD_TIME_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    window: _duration_pb2.Duration
    default_load_time: _duration_pb2.Duration
    most: float
    def __init__(self, window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., default_load_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., most: _Optional[float] = ...) -> None: ...

class Season(_message.Message):
    __slots__ = ("quantile", "days", "min_days", "value")
    QUANTILE_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    MIN_DAYS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    quantile: float
    days: int
    min_days: int
    value: float
    def __init__(self, quantile: _Optional[float] = ..., days: _Optional[int] = ..., min_days: _Optional[int] = ..., value: _Optional[float] = ...) -> None: ...

class ScaleToZero(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: _duration_pb2.Duration
    def __init__(self, after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Overflow(_message.Message):
    __slots__ = ("pool", "per_replica", "max_replicas", "while_loading", "hold")
    POOL_FIELD_NUMBER: _ClassVar[int]
    PER_REPLICA_FIELD_NUMBER: _ClassVar[int]
    MAX_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    WHILE_LOADING_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    pool: str
    per_replica: float
    max_replicas: int
    while_loading: bool
    hold: _duration_pb2.Duration
    def __init__(self, pool: _Optional[str] = ..., per_replica: _Optional[float] = ..., max_replicas: _Optional[int] = ..., while_loading: _Optional[bool] = ..., hold: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Schedule(_message.Message):
    __slots__ = ("name", "days", "start", "end", "min_replicas", "max_replicas", "time_zone")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    MIN_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    MAX_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    name: str
    days: _containers.RepeatedScalarFieldContainer[int]
    start: str
    end: str
    min_replicas: int
    max_replicas: int
    time_zone: str
    def __init__(self, name: _Optional[str] = ..., days: _Optional[_Iterable[int]] = ..., start: _Optional[str] = ..., end: _Optional[str] = ..., min_replicas: _Optional[int] = ..., max_replicas: _Optional[int] = ..., time_zone: _Optional[str] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("replica_hours", "money", "price_per_replica_hour", "warn_at")
    REPLICA_HOURS_FIELD_NUMBER: _ClassVar[int]
    MONEY_FIELD_NUMBER: _ClassVar[int]
    PRICE_PER_REPLICA_HOUR_FIELD_NUMBER: _ClassVar[int]
    WARN_AT_FIELD_NUMBER: _ClassVar[int]
    replica_hours: float
    money: float
    price_per_replica_hour: float
    warn_at: float
    def __init__(self, replica_hours: _Optional[float] = ..., money: _Optional[float] = ..., price_per_replica_hour: _Optional[float] = ..., warn_at: _Optional[float] = ...) -> None: ...
