import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.autoscaler.v1 import policy_pb2 as _policy_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SimulateRequest(_message.Message):
    __slots__ = ("history", "counted", "generated", "policies", "service", "seed", "series_interval")
    class PoolHistory(_message.Message):
        __slots__ = ("name", "start_time", "end_time")
        NAME_FIELD_NUMBER: _ClassVar[int]
        START_TIME_FIELD_NUMBER: _ClassVar[int]
        END_TIME_FIELD_NUMBER: _ClassVar[int]
        name: str
        start_time: _timestamp_pb2.Timestamp
        end_time: _timestamp_pb2.Timestamp
        def __init__(self, name: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    class CountedRequests(_message.Message):
        __slots__ = ("start_time", "interval", "counts", "learning")
        START_TIME_FIELD_NUMBER: _ClassVar[int]
        INTERVAL_FIELD_NUMBER: _ClassVar[int]
        COUNTS_FIELD_NUMBER: _ClassVar[int]
        LEARNING_FIELD_NUMBER: _ClassVar[int]
        start_time: _timestamp_pb2.Timestamp
        interval: _duration_pb2.Duration
        counts: _containers.RepeatedScalarFieldContainer[float]
        learning: int
        def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., counts: _Optional[_Iterable[float]] = ..., learning: _Optional[int] = ...) -> None: ...
    class GeneratedRequests(_message.Message):
        __slots__ = ("shape", "base", "peak", "duration")
        class Shape(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            SHAPE_UNSPECIFIED: _ClassVar[SimulateRequest.GeneratedRequests.Shape]
            SHAPE_DIURNAL: _ClassVar[SimulateRequest.GeneratedRequests.Shape]
            SHAPE_STEP: _ClassVar[SimulateRequest.GeneratedRequests.Shape]
            SHAPE_RAMP: _ClassVar[SimulateRequest.GeneratedRequests.Shape]
            SHAPE_SPIKE: _ClassVar[SimulateRequest.GeneratedRequests.Shape]
            SHAPE_FLASH_CROWD: _ClassVar[SimulateRequest.GeneratedRequests.Shape]
            SHAPE_SURGES: _ClassVar[SimulateRequest.GeneratedRequests.Shape]
        SHAPE_UNSPECIFIED: SimulateRequest.GeneratedRequests.Shape
        SHAPE_DIURNAL: SimulateRequest.GeneratedRequests.Shape
        SHAPE_STEP: SimulateRequest.GeneratedRequests.Shape
        SHAPE_RAMP: SimulateRequest.GeneratedRequests.Shape
        SHAPE_SPIKE: SimulateRequest.GeneratedRequests.Shape
        SHAPE_FLASH_CROWD: SimulateRequest.GeneratedRequests.Shape
        SHAPE_SURGES: SimulateRequest.GeneratedRequests.Shape
        SHAPE_FIELD_NUMBER: _ClassVar[int]
        BASE_FIELD_NUMBER: _ClassVar[int]
        PEAK_FIELD_NUMBER: _ClassVar[int]
        DURATION_FIELD_NUMBER: _ClassVar[int]
        shape: SimulateRequest.GeneratedRequests.Shape
        base: float
        peak: float
        duration: _duration_pb2.Duration
        def __init__(self, shape: _Optional[_Union[SimulateRequest.GeneratedRequests.Shape, str]] = ..., base: _Optional[float] = ..., peak: _Optional[float] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    GENERATED_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SERIES_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    history: SimulateRequest.PoolHistory
    counted: SimulateRequest.CountedRequests
    generated: SimulateRequest.GeneratedRequests
    policies: _containers.RepeatedCompositeFieldContainer[NamedPolicy]
    service: ServiceModel
    seed: int
    series_interval: _duration_pb2.Duration
    def __init__(self, history: _Optional[_Union[SimulateRequest.PoolHistory, _Mapping]] = ..., counted: _Optional[_Union[SimulateRequest.CountedRequests, _Mapping]] = ..., generated: _Optional[_Union[SimulateRequest.GeneratedRequests, _Mapping]] = ..., policies: _Optional[_Iterable[_Union[NamedPolicy, _Mapping]]] = ..., service: _Optional[_Union[ServiceModel, _Mapping]] = ..., seed: _Optional[int] = ..., series_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class NamedPolicy(_message.Message):
    __slots__ = ("name", "own", "known")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWN_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    name: str
    own: _policy_pb2.ScalingPolicy
    known: str
    def __init__(self, name: _Optional[str] = ..., own: _Optional[_Union[_policy_pb2.ScalingPolicy, _Mapping]] = ..., known: _Optional[str] = ...) -> None: ...

class ServiceModel(_message.Message):
    __slots__ = ("replica_rps", "starts", "objective", "start_failure_share", "failures_per_hour", "price_per_replica_hour", "batch_times", "variation")
    REPLICA_RPS_FIELD_NUMBER: _ClassVar[int]
    STARTS_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    START_FAILURE_SHARE_FIELD_NUMBER: _ClassVar[int]
    FAILURES_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    PRICE_PER_REPLICA_HOUR_FIELD_NUMBER: _ClassVar[int]
    BATCH_TIMES_FIELD_NUMBER: _ClassVar[int]
    VARIATION_FIELD_NUMBER: _ClassVar[int]
    replica_rps: float
    starts: _containers.RepeatedCompositeFieldContainer[_duration_pb2.Duration]
    objective: _duration_pb2.Duration
    start_failure_share: float
    failures_per_hour: float
    price_per_replica_hour: float
    batch_times: _containers.RepeatedCompositeFieldContainer[BatchTime]
    variation: float
    def __init__(self, replica_rps: _Optional[float] = ..., starts: _Optional[_Iterable[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]]] = ..., objective: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., start_failure_share: _Optional[float] = ..., failures_per_hour: _Optional[float] = ..., price_per_replica_hour: _Optional[float] = ..., batch_times: _Optional[_Iterable[_Union[BatchTime, _Mapping]]] = ..., variation: _Optional[float] = ...) -> None: ...

class BatchTime(_message.Message):
    __slots__ = ("rows", "compute")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_FIELD_NUMBER: _ClassVar[int]
    rows: int
    compute: _duration_pb2.Duration
    def __init__(self, rows: _Optional[int] = ..., compute: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class SimulateResponse(_message.Message):
    __slots__ = ("progress", "result")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    result: SimulationResult
    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]] = ..., result: _Optional[_Union[SimulationResult, _Mapping]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("done", "step")
    DONE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    done: float
    step: str
    def __init__(self, done: _Optional[float] = ..., step: _Optional[str] = ...) -> None: ...

class SimulationResult(_message.Message):
    __slots__ = ("policy", "requests", "violating_share", "replica_hours", "cost", "scale_events", "direction_changes", "peak_replicas", "wait_p99", "series")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    VIOLATING_SHARE_FIELD_NUMBER: _ClassVar[int]
    REPLICA_HOURS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    SCALE_EVENTS_FIELD_NUMBER: _ClassVar[int]
    DIRECTION_CHANGES_FIELD_NUMBER: _ClassVar[int]
    PEAK_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    WAIT_P99_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    policy: str
    requests: float
    violating_share: float
    replica_hours: float
    cost: float
    scale_events: int
    direction_changes: int
    peak_replicas: int
    wait_p99: _duration_pb2.Duration
    series: _containers.RepeatedCompositeFieldContainer[SimulationPoint]
    def __init__(self, policy: _Optional[str] = ..., requests: _Optional[float] = ..., violating_share: _Optional[float] = ..., replica_hours: _Optional[float] = ..., cost: _Optional[float] = ..., scale_events: _Optional[int] = ..., direction_changes: _Optional[int] = ..., peak_replicas: _Optional[int] = ..., wait_p99: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., series: _Optional[_Iterable[_Union[SimulationPoint, _Mapping]]] = ...) -> None: ...

class SimulationPoint(_message.Message):
    __slots__ = ("time", "requests_per_second", "ready", "desired", "violating_share")
    TIME_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    DESIRED_FIELD_NUMBER: _ClassVar[int]
    VIOLATING_SHARE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    requests_per_second: float
    ready: float
    desired: float
    violating_share: float
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., requests_per_second: _Optional[float] = ..., ready: _Optional[float] = ..., desired: _Optional[float] = ..., violating_share: _Optional[float] = ...) -> None: ...

class AdviseRequest(_message.Message):
    __slots__ = ("name", "start_time", "end_time", "service", "allowed_share")
    NAME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_SHARE_FIELD_NUMBER: _ClassVar[int]
    name: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    service: ServiceModel
    allowed_share: float
    def __init__(self, name: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., service: _Optional[_Union[ServiceModel, _Mapping]] = ..., allowed_share: _Optional[float] = ...) -> None: ...

class AdviseResponse(_message.Message):
    __slots__ = ("progress", "advice")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    advice: Advice
    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]] = ..., advice: _Optional[_Union[Advice, _Mapping]] = ...) -> None: ...

class Advice(_message.Message):
    __slots__ = ("proposals", "present", "idle", "sentences")
    class Proposal(_message.Message):
        __slots__ = ("policy", "result")
        POLICY_FIELD_NUMBER: _ClassVar[int]
        RESULT_FIELD_NUMBER: _ClassVar[int]
        policy: _policy_pb2.ScalingPolicy
        result: SimulationResult
        def __init__(self, policy: _Optional[_Union[_policy_pb2.ScalingPolicy, _Mapping]] = ..., result: _Optional[_Union[SimulationResult, _Mapping]] = ...) -> None: ...
    PROPOSALS_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    IDLE_FIELD_NUMBER: _ClassVar[int]
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    proposals: _containers.RepeatedCompositeFieldContainer[Advice.Proposal]
    present: SimulationResult
    idle: IdleReport
    sentences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, proposals: _Optional[_Iterable[_Union[Advice.Proposal, _Mapping]]] = ..., present: _Optional[_Union[SimulationResult, _Mapping]] = ..., idle: _Optional[_Union[IdleReport, _Mapping]] = ..., sentences: _Optional[_Iterable[str]] = ...) -> None: ...

class IdleReport(_message.Message):
    __slots__ = ("replica_hours", "idle_replica_hours", "suggested_replicas", "saved_per_month")
    REPLICA_HOURS_FIELD_NUMBER: _ClassVar[int]
    IDLE_REPLICA_HOURS_FIELD_NUMBER: _ClassVar[int]
    SUGGESTED_REPLICAS_FIELD_NUMBER: _ClassVar[int]
    SAVED_PER_MONTH_FIELD_NUMBER: _ClassVar[int]
    replica_hours: float
    idle_replica_hours: float
    suggested_replicas: int
    saved_per_month: float
    def __init__(self, replica_hours: _Optional[float] = ..., idle_replica_hours: _Optional[float] = ..., suggested_replicas: _Optional[int] = ..., saved_per_month: _Optional[float] = ...) -> None: ...
