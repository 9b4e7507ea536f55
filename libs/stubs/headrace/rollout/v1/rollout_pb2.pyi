import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from headrace.webhook.v1 import webhook_pb2 as _webhook_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RolloutPolicy(_message.Message):
    __slots__ = ("strategy", "steps", "sticky", "tolerated_ratio", "false_rollback_rate", "no_data_timeout", "manual_rollback", "ignore_alerts", "ready_timeout", "margin_percent", "slow_after", "shadow", "max_utilisation_percent", "warm", "on_drift", "on_limit")
    class Strategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STRATEGY_UNSPECIFIED: _ClassVar[RolloutPolicy.Strategy]
        STRATEGY_CANARY: _ClassVar[RolloutPolicy.Strategy]
        STRATEGY_BLUE_GREEN: _ClassVar[RolloutPolicy.Strategy]
        STRATEGY_ROLLING: _ClassVar[RolloutPolicy.Strategy]
        STRATEGY_BIG_BANG: _ClassVar[RolloutPolicy.Strategy]
        STRATEGY_SHADOW: _ClassVar[RolloutPolicy.Strategy]
    STRATEGY_UNSPECIFIED: RolloutPolicy.Strategy
    STRATEGY_CANARY: RolloutPolicy.Strategy
    STRATEGY_BLUE_GREEN: RolloutPolicy.Strategy
    STRATEGY_ROLLING: RolloutPolicy.Strategy
    STRATEGY_BIG_BANG: RolloutPolicy.Strategy
    STRATEGY_SHADOW: RolloutPolicy.Strategy
    class Limit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        LIMIT_UNSPECIFIED: _ClassVar[RolloutPolicy.Limit]
        LIMIT_ROLLBACK: _ClassVar[RolloutPolicy.Limit]
        LIMIT_GO_ON: _ClassVar[RolloutPolicy.Limit]
        LIMIT_HOLD: _ClassVar[RolloutPolicy.Limit]
    LIMIT_UNSPECIFIED: RolloutPolicy.Limit
    LIMIT_ROLLBACK: RolloutPolicy.Limit
    LIMIT_GO_ON: RolloutPolicy.Limit
    LIMIT_HOLD: RolloutPolicy.Limit
    class Drift(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DRIFT_UNSPECIFIED: _ClassVar[RolloutPolicy.Drift]
        DRIFT_HOLD: _ClassVar[RolloutPolicy.Drift]
        DRIFT_ASK: _ClassVar[RolloutPolicy.Drift]
        DRIFT_ROLLBACK: _ClassVar[RolloutPolicy.Drift]
    DRIFT_UNSPECIFIED: RolloutPolicy.Drift
    DRIFT_HOLD: RolloutPolicy.Drift
    DRIFT_ASK: RolloutPolicy.Drift
    DRIFT_ROLLBACK: RolloutPolicy.Drift
    class Shadow(_message.Message):
        __slots__ = ("percent", "dwell", "limit", "min_pairs", "max_flips_percent", "max_slice_flips_percent", "then")
        class Then(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            THEN_UNSPECIFIED: _ClassVar[RolloutPolicy.Shadow.Then]
            THEN_CANARY: _ClassVar[RolloutPolicy.Shadow.Then]
            THEN_NOTHING: _ClassVar[RolloutPolicy.Shadow.Then]
        THEN_UNSPECIFIED: RolloutPolicy.Shadow.Then
        THEN_CANARY: RolloutPolicy.Shadow.Then
        THEN_NOTHING: RolloutPolicy.Shadow.Then
        PERCENT_FIELD_NUMBER: _ClassVar[int]
        DWELL_FIELD_NUMBER: _ClassVar[int]
        LIMIT_FIELD_NUMBER: _ClassVar[int]
        MIN_PAIRS_FIELD_NUMBER: _ClassVar[int]
        MAX_FLIPS_PERCENT_FIELD_NUMBER: _ClassVar[int]
        MAX_SLICE_FLIPS_PERCENT_FIELD_NUMBER: _ClassVar[int]
        THEN_FIELD_NUMBER: _ClassVar[int]
        percent: float
        dwell: _duration_pb2.Duration
        limit: _duration_pb2.Duration
        min_pairs: int
        max_flips_percent: float
        max_slice_flips_percent: float
        then: RolloutPolicy.Shadow.Then
        def __init__(self, percent: _Optional[float] = ..., dwell: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., min_pairs: _Optional[int] = ..., max_flips_percent: _Optional[float] = ..., max_slice_flips_percent: _Optional[float] = ..., then: _Optional[_Union[RolloutPolicy.Shadow.Then, str]] = ...) -> None: ...
    class Step(_message.Message):
        __slots__ = ("percent", "dwell", "limit")
        PERCENT_FIELD_NUMBER: _ClassVar[int]
        DWELL_FIELD_NUMBER: _ClassVar[int]
        LIMIT_FIELD_NUMBER: _ClassVar[int]
        percent: float
        dwell: _duration_pb2.Duration
        limit: _duration_pb2.Duration
        def __init__(self, percent: _Optional[float] = ..., dwell: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    STICKY_FIELD_NUMBER: _ClassVar[int]
    TOLERATED_RATIO_FIELD_NUMBER: _ClassVar[int]
    FALSE_ROLLBACK_RATE_FIELD_NUMBER: _ClassVar[int]
    NO_DATA_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MANUAL_ROLLBACK_FIELD_NUMBER: _ClassVar[int]
    IGNORE_ALERTS_FIELD_NUMBER: _ClassVar[int]
    READY_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MARGIN_PERCENT_FIELD_NUMBER: _ClassVar[int]
    SLOW_AFTER_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    MAX_UTILISATION_PERCENT_FIELD_NUMBER: _ClassVar[int]
    WARM_FIELD_NUMBER: _ClassVar[int]
    ON_DRIFT_FIELD_NUMBER: _ClassVar[int]
    ON_LIMIT_FIELD_NUMBER: _ClassVar[int]
    strategy: RolloutPolicy.Strategy
    steps: _containers.RepeatedCompositeFieldContainer[RolloutPolicy.Step]
    sticky: bool
    tolerated_ratio: float
    false_rollback_rate: float
    no_data_timeout: _duration_pb2.Duration
    manual_rollback: bool
    ignore_alerts: bool
    ready_timeout: _duration_pb2.Duration
    margin_percent: float
    slow_after: _duration_pb2.Duration
    shadow: RolloutPolicy.Shadow
    max_utilisation_percent: float
    warm: _duration_pb2.Duration
    on_drift: RolloutPolicy.Drift
    on_limit: RolloutPolicy.Limit
    def __init__(self, strategy: _Optional[_Union[RolloutPolicy.Strategy, str]] = ..., steps: _Optional[_Iterable[_Union[RolloutPolicy.Step, _Mapping]]] = ..., sticky: _Optional[bool] = ..., tolerated_ratio: _Optional[float] = ..., false_rollback_rate: _Optional[float] = ..., no_data_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., manual_rollback: _Optional[bool] = ..., ignore_alerts: _Optional[bool] = ..., ready_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., margin_percent: _Optional[float] = ..., slow_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., shadow: _Optional[_Union[RolloutPolicy.Shadow, _Mapping]] = ..., max_utilisation_percent: _Optional[float] = ..., warm: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., on_drift: _Optional[_Union[RolloutPolicy.Drift, str]] = ..., on_limit: _Optional[_Union[RolloutPolicy.Limit, str]] = ...) -> None: ...

class Rollout(_message.Message):
    __slots__ = ("name", "version", "baseline_version", "variant", "policy", "state", "reason", "step", "percent", "paused", "frozen", "verdict", "create_time", "step_time", "end_time", "client", "start_reason", "bad_time", "revision", "asks")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Rollout.State]
        STATE_PREPARING: _ClassVar[Rollout.State]
        STATE_RUNNING: _ClassVar[Rollout.State]
        STATE_PROMOTING: _ClassVar[Rollout.State]
        STATE_ROLLING_BACK: _ClassVar[Rollout.State]
        STATE_SUCCEEDED: _ClassVar[Rollout.State]
        STATE_ROLLED_BACK: _ClassVar[Rollout.State]
        STATE_ABORTED: _ClassVar[Rollout.State]
        STATE_FAILED: _ClassVar[Rollout.State]
        STATE_DISPLACED: _ClassVar[Rollout.State]
        STATE_SHADOWING: _ClassVar[Rollout.State]
        STATE_SHADOWED: _ClassVar[Rollout.State]
    STATE_UNSPECIFIED: Rollout.State
    STATE_PREPARING: Rollout.State
    STATE_RUNNING: Rollout.State
    STATE_PROMOTING: Rollout.State
    STATE_ROLLING_BACK: Rollout.State
    STATE_SUCCEEDED: Rollout.State
    STATE_ROLLED_BACK: Rollout.State
    STATE_ABORTED: Rollout.State
    STATE_FAILED: Rollout.State
    STATE_DISPLACED: Rollout.State
    STATE_SHADOWING: Rollout.State
    STATE_SHADOWED: Rollout.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BASELINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    PERCENT_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    STEP_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    START_REASON_FIELD_NUMBER: _ClassVar[int]
    BAD_TIME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ASKS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    baseline_version: str
    variant: str
    policy: RolloutPolicy
    state: Rollout.State
    reason: str
    step: int
    percent: float
    paused: bool
    frozen: str
    verdict: Verdict
    create_time: _timestamp_pb2.Timestamp
    step_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    client: str
    start_reason: str
    bad_time: _duration_pb2.Duration
    revision: int
    asks: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., baseline_version: _Optional[str] = ..., variant: _Optional[str] = ..., policy: _Optional[_Union[RolloutPolicy, _Mapping]] = ..., state: _Optional[_Union[Rollout.State, str]] = ..., reason: _Optional[str] = ..., step: _Optional[int] = ..., percent: _Optional[float] = ..., paused: _Optional[bool] = ..., frozen: _Optional[str] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., step_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., client: _Optional[str] = ..., start_reason: _Optional[str] = ..., bad_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., revision: _Optional[int] = ..., asks: _Optional[str] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("decision", "reason", "metrics", "judge_time")
    class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DECISION_UNSPECIFIED: _ClassVar[Verdict.Decision]
        DECISION_HOLD: _ClassVar[Verdict.Decision]
        DECISION_ADVANCE: _ClassVar[Verdict.Decision]
        DECISION_ROLL_BACK: _ClassVar[Verdict.Decision]
        DECISION_NO_DATA: _ClassVar[Verdict.Decision]
    DECISION_UNSPECIFIED: Verdict.Decision
    DECISION_HOLD: Verdict.Decision
    DECISION_ADVANCE: Verdict.Decision
    DECISION_ROLL_BACK: Verdict.Decision
    DECISION_NO_DATA: Verdict.Decision
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    JUDGE_TIME_FIELD_NUMBER: _ClassVar[int]
    decision: Verdict.Decision
    reason: str
    metrics: _containers.RepeatedCompositeFieldContainer[MetricEvidence]
    judge_time: _timestamp_pb2.Timestamp
    def __init__(self, decision: _Optional[_Union[Verdict.Decision, str]] = ..., reason: _Optional[str] = ..., metrics: _Optional[_Iterable[_Union[MetricEvidence, _Mapping]]] = ..., judge_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class MetricEvidence(_message.Message):
    __slots__ = ("metric", "log_evidence_worse", "log_evidence_fine", "log_threshold", "baseline_count", "baseline_bad_count", "candidate_count", "candidate_bad_count", "ratio", "ratio_low", "ratio_high", "detectable_rate", "log_threshold_fine")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    LOG_EVIDENCE_WORSE_FIELD_NUMBER: _ClassVar[int]
    LOG_EVIDENCE_FINE_FIELD_NUMBER: _ClassVar[int]
    LOG_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    BASELINE_COUNT_FIELD_NUMBER: _ClassVar[int]
    BASELINE_BAD_COUNT_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_BAD_COUNT_FIELD_NUMBER: _ClassVar[int]
    RATIO_FIELD_NUMBER: _ClassVar[int]
    RATIO_LOW_FIELD_NUMBER: _ClassVar[int]
    RATIO_HIGH_FIELD_NUMBER: _ClassVar[int]
    DETECTABLE_RATE_FIELD_NUMBER: _ClassVar[int]
    LOG_THRESHOLD_FINE_FIELD_NUMBER: _ClassVar[int]
    metric: str
    log_evidence_worse: float
    log_evidence_fine: float
    log_threshold: float
    baseline_count: int
    baseline_bad_count: int
    candidate_count: int
    candidate_bad_count: int
    ratio: float
    ratio_low: float
    ratio_high: float
    detectable_rate: float
    log_threshold_fine: float
    def __init__(self, metric: _Optional[str] = ..., log_evidence_worse: _Optional[float] = ..., log_evidence_fine: _Optional[float] = ..., log_threshold: _Optional[float] = ..., baseline_count: _Optional[int] = ..., baseline_bad_count: _Optional[int] = ..., candidate_count: _Optional[int] = ..., candidate_bad_count: _Optional[int] = ..., ratio: _Optional[float] = ..., ratio_low: _Optional[float] = ..., ratio_high: _Optional[float] = ..., detectable_rate: _Optional[float] = ..., log_threshold_fine: _Optional[float] = ...) -> None: ...

class RolloutEvent(_message.Message):
    __slots__ = ("number", "create_time", "type", "reason", "client", "rollout")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    number: int
    create_time: _timestamp_pb2.Timestamp
    type: str
    reason: str
    client: str
    rollout: Rollout
    def __init__(self, number: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., type: _Optional[str] = ..., reason: _Optional[str] = ..., client: _Optional[str] = ..., rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class PlanRolloutRequest(_message.Message):
    __slots__ = ("parent", "version", "variant", "policy")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    parent: str
    version: str
    variant: str
    policy: RolloutPolicy
    def __init__(self, parent: _Optional[str] = ..., version: _Optional[str] = ..., variant: _Optional[str] = ..., policy: _Optional[_Union[RolloutPolicy, _Mapping]] = ...) -> None: ...

class PlanRolloutResponse(_message.Message):
    __slots__ = ("baseline_version", "variant", "policy", "steps", "obstacles", "shortest_duration", "requests_per_second", "online_per_second", "ready_batchers", "batchers", "kept_share", "pool_utilisation", "room_per_second", "kept_back")
    class PlannedStep(_message.Message):
        __slots__ = ("percent", "moved_share", "extra_online_per_second", "detectable_rate", "fitting_percent")
        PERCENT_FIELD_NUMBER: _ClassVar[int]
        MOVED_SHARE_FIELD_NUMBER: _ClassVar[int]
        EXTRA_ONLINE_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
        DETECTABLE_RATE_FIELD_NUMBER: _ClassVar[int]
        FITTING_PERCENT_FIELD_NUMBER: _ClassVar[int]
        percent: float
        moved_share: float
        extra_online_per_second: float
        detectable_rate: float
        fitting_percent: float
        def __init__(self, percent: _Optional[float] = ..., moved_share: _Optional[float] = ..., extra_online_per_second: _Optional[float] = ..., detectable_rate: _Optional[float] = ..., fitting_percent: _Optional[float] = ...) -> None: ...
    BASELINE_VERSION_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    OBSTACLES_FIELD_NUMBER: _ClassVar[int]
    SHORTEST_DURATION_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    ONLINE_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    READY_BATCHERS_FIELD_NUMBER: _ClassVar[int]
    BATCHERS_FIELD_NUMBER: _ClassVar[int]
    KEPT_SHARE_FIELD_NUMBER: _ClassVar[int]
    POOL_UTILISATION_FIELD_NUMBER: _ClassVar[int]
    ROOM_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    KEPT_BACK_FIELD_NUMBER: _ClassVar[int]
    baseline_version: str
    variant: str
    policy: RolloutPolicy
    steps: _containers.RepeatedCompositeFieldContainer[PlanRolloutResponse.PlannedStep]
    obstacles: _containers.RepeatedScalarFieldContainer[str]
    shortest_duration: _duration_pb2.Duration
    requests_per_second: float
    online_per_second: float
    ready_batchers: int
    batchers: int
    kept_share: float
    pool_utilisation: float
    room_per_second: float
    kept_back: str
    def __init__(self, baseline_version: _Optional[str] = ..., variant: _Optional[str] = ..., policy: _Optional[_Union[RolloutPolicy, _Mapping]] = ..., steps: _Optional[_Iterable[_Union[PlanRolloutResponse.PlannedStep, _Mapping]]] = ..., obstacles: _Optional[_Iterable[str]] = ..., shortest_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., requests_per_second: _Optional[float] = ..., online_per_second: _Optional[float] = ..., ready_batchers: _Optional[int] = ..., batchers: _Optional[int] = ..., kept_share: _Optional[float] = ..., pool_utilisation: _Optional[float] = ..., room_per_second: _Optional[float] = ..., kept_back: _Optional[str] = ...) -> None: ...

class StartRolloutRequest(_message.Message):
    __slots__ = ("parent", "version", "variant", "policy", "reason", "request_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    version: str
    variant: str
    policy: RolloutPolicy
    reason: str
    request_id: str
    def __init__(self, parent: _Optional[str] = ..., version: _Optional[str] = ..., variant: _Optional[str] = ..., policy: _Optional[_Union[RolloutPolicy, _Mapping]] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class StartRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: Rollout
    def __init__(self, rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class GetRolloutRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: Rollout
    def __init__(self, rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class ListRolloutsRequest(_message.Message):
    __slots__ = ("model", "running", "page_size", "page_token")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    model: str
    running: bool
    page_size: int
    page_token: str
    def __init__(self, model: _Optional[str] = ..., running: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRolloutsResponse(_message.Message):
    __slots__ = ("rollouts", "next_page_token")
    ROLLOUTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rollouts: _containers.RepeatedCompositeFieldContainer[Rollout]
    next_page_token: str
    def __init__(self, rollouts: _Optional[_Iterable[_Union[Rollout, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PauseRolloutRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PauseRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: Rollout
    def __init__(self, rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class ResumeRolloutRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ResumeRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: Rollout
    def __init__(self, rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class PromoteRolloutRequest(_message.Message):
    __slots__ = ("name", "reason", "step")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    step: int
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., step: _Optional[int] = ...) -> None: ...

class PromoteRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: Rollout
    def __init__(self, rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class AbortRolloutRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class AbortRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: Rollout
    def __init__(self, rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class ListRolloutEventsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRolloutEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[RolloutEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[RolloutEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchRolloutRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class WatchRolloutResponse(_message.Message):
    __slots__ = ("rollout",)
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    rollout: Rollout
    def __init__(self, rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...

class GetRolloutTemplateRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class GetRolloutTemplateResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: RolloutPolicy
    def __init__(self, policy: _Optional[_Union[RolloutPolicy, _Mapping]] = ...) -> None: ...

class PutRolloutTemplateRequest(_message.Message):
    __slots__ = ("parent", "policy")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    parent: str
    policy: RolloutPolicy
    def __init__(self, parent: _Optional[str] = ..., policy: _Optional[_Union[RolloutPolicy, _Mapping]] = ...) -> None: ...

class PutRolloutTemplateResponse(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: RolloutPolicy
    def __init__(self, policy: _Optional[_Union[RolloutPolicy, _Mapping]] = ...) -> None: ...

class PutRolloutWebhookRequest(_message.Message):
    __slots__ = ("webhook",)
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    webhook: _webhook_pb2.Webhook
    def __init__(self, webhook: _Optional[_Union[_webhook_pb2.Webhook, _Mapping]] = ...) -> None: ...

class PutRolloutWebhookResponse(_message.Message):
    __slots__ = ("webhook",)
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    webhook: _webhook_pb2.Webhook
    def __init__(self, webhook: _Optional[_Union[_webhook_pb2.Webhook, _Mapping]] = ...) -> None: ...

class ListRolloutWebhooksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRolloutWebhooksResponse(_message.Message):
    __slots__ = ("webhooks",)
    WEBHOOKS_FIELD_NUMBER: _ClassVar[int]
    webhooks: _containers.RepeatedCompositeFieldContainer[_webhook_pb2.Webhook]
    def __init__(self, webhooks: _Optional[_Iterable[_Union[_webhook_pb2.Webhook, _Mapping]]] = ...) -> None: ...

class DeleteRolloutWebhookRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteRolloutWebhookResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ConcludeExperimentRequest(_message.Message):
    __slots__ = ("name", "promote", "anyway", "policy", "reason", "keep_route")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROMOTE_FIELD_NUMBER: _ClassVar[int]
    ANYWAY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    KEEP_ROUTE_FIELD_NUMBER: _ClassVar[int]
    name: str
    promote: str
    anyway: bool
    policy: RolloutPolicy
    reason: str
    keep_route: bool
    def __init__(self, name: _Optional[str] = ..., promote: _Optional[str] = ..., anyway: _Optional[bool] = ..., policy: _Optional[_Union[RolloutPolicy, _Mapping]] = ..., reason: _Optional[str] = ..., keep_route: _Optional[bool] = ...) -> None: ...

class RunExperimentRequest(_message.Message):
    __slots__ = ("name", "weights")
    class WeightsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    weights: _containers.ScalarMap[str, float]
    def __init__(self, name: _Optional[str] = ..., weights: _Optional[_Mapping[str, float]] = ...) -> None: ...

class RunExperimentResponse(_message.Message):
    __slots__ = ("moved_share",)
    MOVED_SHARE_FIELD_NUMBER: _ClassVar[int]
    moved_share: float
    def __init__(self, moved_share: _Optional[float] = ...) -> None: ...

class ConcludeExperimentResponse(_message.Message):
    __slots__ = ("summary", "stopped_variants", "rollout")
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    STOPPED_VARIANTS_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    summary: str
    stopped_variants: _containers.RepeatedScalarFieldContainer[str]
    rollout: Rollout
    def __init__(self, summary: _Optional[str] = ..., stopped_variants: _Optional[_Iterable[str]] = ..., rollout: _Optional[_Union[Rollout, _Mapping]] = ...) -> None: ...
