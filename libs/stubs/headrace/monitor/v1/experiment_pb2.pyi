import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Experiment(_message.Message):
    __slots__ = ("name", "hypothesis", "variants", "metrics", "alpha", "power", "attribution_window", "covariate_window", "planned_units", "state", "owner", "create_time", "start_time", "end_time", "end_reason", "phases", "stop_on_harm", "stratify_by", "exclude_crossed", "stopped")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Experiment.State]
        STATE_DRAFT: _ClassVar[Experiment.State]
        STATE_RUNNING: _ClassVar[Experiment.State]
        STATE_ENDED: _ClassVar[Experiment.State]
    STATE_UNSPECIFIED: Experiment.State
    STATE_DRAFT: Experiment.State
    STATE_RUNNING: Experiment.State
    STATE_ENDED: Experiment.State
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[Experiment.Kind]
        KIND_BINARY: _ClassVar[Experiment.Kind]
        KIND_MEAN: _ClassVar[Experiment.Kind]
        KIND_RATIO: _ClassVar[Experiment.Kind]
        KIND_QUANTILE: _ClassVar[Experiment.Kind]
    KIND_UNSPECIFIED: Experiment.Kind
    KIND_BINARY: Experiment.Kind
    KIND_MEAN: Experiment.Kind
    KIND_RATIO: Experiment.Kind
    KIND_QUANTILE: Experiment.Kind
    class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ROLE_UNSPECIFIED: _ClassVar[Experiment.Role]
        ROLE_SUCCESS: _ClassVar[Experiment.Role]
        ROLE_GUARDRAIL: _ClassVar[Experiment.Role]
        ROLE_QUALITY: _ClassVar[Experiment.Role]
    ROLE_UNSPECIFIED: Experiment.Role
    ROLE_SUCCESS: Experiment.Role
    ROLE_GUARDRAIL: Experiment.Role
    ROLE_QUALITY: Experiment.Role
    class Variant(_message.Message):
        __slots__ = ("name", "weight")
        NAME_FIELD_NUMBER: _ClassVar[int]
        WEIGHT_FIELD_NUMBER: _ClassVar[int]
        name: str
        weight: float
        def __init__(self, name: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...
    class Phase(_message.Message):
        __slots__ = ("start_time", "variants")
        START_TIME_FIELD_NUMBER: _ClassVar[int]
        VARIANTS_FIELD_NUMBER: _ClassVar[int]
        start_time: _timestamp_pb2.Timestamp
        variants: _containers.RepeatedCompositeFieldContainer[Experiment.Variant]
        def __init__(self, start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., variants: _Optional[_Iterable[_Union[Experiment.Variant, _Mapping]]] = ...) -> None: ...
    class Metric(_message.Message):
        __slots__ = ("name", "kind", "role", "outcome", "denominator", "relative_effect", "margin", "lower_is_better", "cap", "quantile", "cap_quantile", "cap_units")
        NAME_FIELD_NUMBER: _ClassVar[int]
        KIND_FIELD_NUMBER: _ClassVar[int]
        ROLE_FIELD_NUMBER: _ClassVar[int]
        OUTCOME_FIELD_NUMBER: _ClassVar[int]
        DENOMINATOR_FIELD_NUMBER: _ClassVar[int]
        RELATIVE_EFFECT_FIELD_NUMBER: _ClassVar[int]
        MARGIN_FIELD_NUMBER: _ClassVar[int]
        LOWER_IS_BETTER_FIELD_NUMBER: _ClassVar[int]
        CAP_FIELD_NUMBER: _ClassVar[int]
        QUANTILE_FIELD_NUMBER: _ClassVar[int]
        CAP_QUANTILE_FIELD_NUMBER: _ClassVar[int]
        CAP_UNITS_FIELD_NUMBER: _ClassVar[int]
        name: str
        kind: Experiment.Kind
        role: Experiment.Role
        outcome: str
        denominator: str
        relative_effect: float
        margin: float
        lower_is_better: bool
        cap: float
        quantile: float
        cap_quantile: float
        cap_units: int
        def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[Experiment.Kind, str]] = ..., role: _Optional[_Union[Experiment.Role, str]] = ..., outcome: _Optional[str] = ..., denominator: _Optional[str] = ..., relative_effect: _Optional[float] = ..., margin: _Optional[float] = ..., lower_is_better: _Optional[bool] = ..., cap: _Optional[float] = ..., quantile: _Optional[float] = ..., cap_quantile: _Optional[float] = ..., cap_units: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    HYPOTHESIS_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTION_WINDOW_FIELD_NUMBER: _ClassVar[int]
    COVARIATE_WINDOW_FIELD_NUMBER: _ClassVar[int]
    PLANNED_UNITS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    END_REASON_FIELD_NUMBER: _ClassVar[int]
    PHASES_FIELD_NUMBER: _ClassVar[int]
    STOP_ON_HARM_FIELD_NUMBER: _ClassVar[int]
    STRATIFY_BY_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_CROSSED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    name: str
    hypothesis: str
    variants: _containers.RepeatedCompositeFieldContainer[Experiment.Variant]
    metrics: _containers.RepeatedCompositeFieldContainer[Experiment.Metric]
    alpha: float
    power: float
    attribution_window: _duration_pb2.Duration
    covariate_window: _duration_pb2.Duration
    planned_units: int
    state: Experiment.State
    owner: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    end_reason: str
    phases: _containers.RepeatedCompositeFieldContainer[Experiment.Phase]
    stop_on_harm: bool
    stratify_by: str
    exclude_crossed: bool
    stopped: bool
    def __init__(self, name: _Optional[str] = ..., hypothesis: _Optional[str] = ..., variants: _Optional[_Iterable[_Union[Experiment.Variant, _Mapping]]] = ..., metrics: _Optional[_Iterable[_Union[Experiment.Metric, _Mapping]]] = ..., alpha: _Optional[float] = ..., power: _Optional[float] = ..., attribution_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., covariate_window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., planned_units: _Optional[int] = ..., state: _Optional[_Union[Experiment.State, str]] = ..., owner: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_reason: _Optional[str] = ..., phases: _Optional[_Iterable[_Union[Experiment.Phase, _Mapping]]] = ..., stop_on_harm: _Optional[bool] = ..., stratify_by: _Optional[str] = ..., exclude_crossed: _Optional[bool] = ..., stopped: _Optional[bool] = ...) -> None: ...

class CreateExperimentRequest(_message.Message):
    __slots__ = ("parent", "experiment")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    experiment: Experiment
    def __init__(self, parent: _Optional[str] = ..., experiment: _Optional[_Union[Experiment, _Mapping]] = ...) -> None: ...

class CreateExperimentResponse(_message.Message):
    __slots__ = ("experiment",)
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    experiment: Experiment
    def __init__(self, experiment: _Optional[_Union[Experiment, _Mapping]] = ...) -> None: ...

class GetExperimentRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetExperimentResponse(_message.Message):
    __slots__ = ("experiment",)
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    experiment: Experiment
    def __init__(self, experiment: _Optional[_Union[Experiment, _Mapping]] = ...) -> None: ...

class ListExperimentsRequest(_message.Message):
    __slots__ = ("parent",)
    PARENT_FIELD_NUMBER: _ClassVar[int]
    parent: str
    def __init__(self, parent: _Optional[str] = ...) -> None: ...

class ListExperimentsResponse(_message.Message):
    __slots__ = ("experiments",)
    EXPERIMENTS_FIELD_NUMBER: _ClassVar[int]
    experiments: _containers.RepeatedCompositeFieldContainer[Experiment]
    def __init__(self, experiments: _Optional[_Iterable[_Union[Experiment, _Mapping]]] = ...) -> None: ...

class StartExperimentRequest(_message.Message):
    __slots__ = ("name", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class StartExperimentResponse(_message.Message):
    __slots__ = ("experiment",)
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    experiment: Experiment
    def __init__(self, experiment: _Optional[_Union[Experiment, _Mapping]] = ...) -> None: ...

class ChangeSharesRequest(_message.Message):
    __slots__ = ("name", "variants", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    variants: _containers.RepeatedCompositeFieldContainer[Experiment.Variant]
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., variants: _Optional[_Iterable[_Union[Experiment.Variant, _Mapping]]] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class ChangeSharesResponse(_message.Message):
    __slots__ = ("experiment",)
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    experiment: Experiment
    def __init__(self, experiment: _Optional[_Union[Experiment, _Mapping]] = ...) -> None: ...

class EndExperimentRequest(_message.Message):
    __slots__ = ("name", "reason", "stopped")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    stopped: bool
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., stopped: _Optional[bool] = ...) -> None: ...

class EndExperimentResponse(_message.Message):
    __slots__ = ("experiment",)
    EXPERIMENT_FIELD_NUMBER: _ClassVar[int]
    experiment: Experiment
    def __init__(self, experiment: _Optional[_Union[Experiment, _Mapping]] = ...) -> None: ...

class AnalyseExperimentRequest(_message.Message):
    __slots__ = ("name", "slice_by")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SLICE_BY_FIELD_NUMBER: _ClassVar[int]
    name: str
    slice_by: str
    def __init__(self, name: _Optional[str] = ..., slice_by: _Optional[str] = ...) -> None: ...

class AnalyseExperimentResponse(_message.Message):
    __slots__ = ("verdict", "variant", "summary", "sample_ratio_p", "assigned", "crossed_units", "results", "time", "slices")
    class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERDICT_UNSPECIFIED: _ClassVar[AnalyseExperimentResponse.Verdict]
        VERDICT_SHARES_WRONG: _ClassVar[AnalyseExperimentResponse.Verdict]
        VERDICT_GUARDRAIL_HARMED: _ClassVar[AnalyseExperimentResponse.Verdict]
        VERDICT_BETTER: _ClassVar[AnalyseExperimentResponse.Verdict]
        VERDICT_WORSE: _ClassVar[AnalyseExperimentResponse.Verdict]
        VERDICT_FUTILE: _ClassVar[AnalyseExperimentResponse.Verdict]
        VERDICT_UNDECIDED: _ClassVar[AnalyseExperimentResponse.Verdict]
    VERDICT_UNSPECIFIED: AnalyseExperimentResponse.Verdict
    VERDICT_SHARES_WRONG: AnalyseExperimentResponse.Verdict
    VERDICT_GUARDRAIL_HARMED: AnalyseExperimentResponse.Verdict
    VERDICT_BETTER: AnalyseExperimentResponse.Verdict
    VERDICT_WORSE: AnalyseExperimentResponse.Verdict
    VERDICT_FUTILE: AnalyseExperimentResponse.Verdict
    VERDICT_UNDECIDED: AnalyseExperimentResponse.Verdict
    class Finding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        FINDING_UNSPECIFIED: _ClassVar[AnalyseExperimentResponse.Finding]
        FINDING_BETTER: _ClassVar[AnalyseExperimentResponse.Finding]
        FINDING_WORSE: _ClassVar[AnalyseExperimentResponse.Finding]
        FINDING_HARMED: _ClassVar[AnalyseExperimentResponse.Finding]
        FINDING_SAFE: _ClassVar[AnalyseExperimentResponse.Finding]
        FINDING_FUTILE: _ClassVar[AnalyseExperimentResponse.Finding]
        FINDING_UNDECIDED: _ClassVar[AnalyseExperimentResponse.Finding]
    FINDING_UNSPECIFIED: AnalyseExperimentResponse.Finding
    FINDING_BETTER: AnalyseExperimentResponse.Finding
    FINDING_WORSE: AnalyseExperimentResponse.Finding
    FINDING_HARMED: AnalyseExperimentResponse.Finding
    FINDING_SAFE: AnalyseExperimentResponse.Finding
    FINDING_FUTILE: AnalyseExperimentResponse.Finding
    FINDING_UNDECIDED: AnalyseExperimentResponse.Finding
    class Slice(_message.Message):
        __slots__ = ("value", "units", "results")
        VALUE_FIELD_NUMBER: _ClassVar[int]
        UNITS_FIELD_NUMBER: _ClassVar[int]
        RESULTS_FIELD_NUMBER: _ClassVar[int]
        value: str
        units: int
        results: _containers.RepeatedCompositeFieldContainer[AnalyseExperimentResponse.Result]
        def __init__(self, value: _Optional[str] = ..., units: _Optional[int] = ..., results: _Optional[_Iterable[_Union[AnalyseExperimentResponse.Result, _Mapping]]] = ...) -> None: ...
    class Assigned(_message.Message):
        __slots__ = ("variant", "units", "expected")
        VARIANT_FIELD_NUMBER: _ClassVar[int]
        UNITS_FIELD_NUMBER: _ClassVar[int]
        EXPECTED_FIELD_NUMBER: _ClassVar[int]
        variant: str
        units: int
        expected: float
        def __init__(self, variant: _Optional[str] = ..., units: _Optional[int] = ..., expected: _Optional[float] = ...) -> None: ...
    class Result(_message.Message):
        __slots__ = ("variant", "metric", "role", "finding", "summary", "control_value", "variant_value", "relative", "relative_low", "relative_high", "p", "adjusted_p", "single_look_p", "detectable", "variance_reduction", "exact", "days_to_go", "cap")
        VARIANT_FIELD_NUMBER: _ClassVar[int]
        METRIC_FIELD_NUMBER: _ClassVar[int]
        ROLE_FIELD_NUMBER: _ClassVar[int]
        FINDING_FIELD_NUMBER: _ClassVar[int]
        SUMMARY_FIELD_NUMBER: _ClassVar[int]
        CONTROL_VALUE_FIELD_NUMBER: _ClassVar[int]
        VARIANT_VALUE_FIELD_NUMBER: _ClassVar[int]
        RELATIVE_FIELD_NUMBER: _ClassVar[int]
        RELATIVE_LOW_FIELD_NUMBER: _ClassVar[int]
        RELATIVE_HIGH_FIELD_NUMBER: _ClassVar[int]
        P_FIELD_NUMBER: _ClassVar[int]
        ADJUSTED_P_FIELD_NUMBER: _ClassVar[int]
        SINGLE_LOOK_P_FIELD_NUMBER: _ClassVar[int]
        DETECTABLE_FIELD_NUMBER: _ClassVar[int]
        VARIANCE_REDUCTION_FIELD_NUMBER: _ClassVar[int]
        EXACT_FIELD_NUMBER: _ClassVar[int]
        DAYS_TO_GO_FIELD_NUMBER: _ClassVar[int]
        CAP_FIELD_NUMBER: _ClassVar[int]
        variant: str
        metric: str
        role: Experiment.Role
        finding: AnalyseExperimentResponse.Finding
        summary: str
        control_value: float
        variant_value: float
        relative: float
        relative_low: float
        relative_high: float
        p: float
        adjusted_p: float
        single_look_p: float
        detectable: float
        variance_reduction: float
        exact: bool
        days_to_go: float
        cap: float
        def __init__(self, variant: _Optional[str] = ..., metric: _Optional[str] = ..., role: _Optional[_Union[Experiment.Role, str]] = ..., finding: _Optional[_Union[AnalyseExperimentResponse.Finding, str]] = ..., summary: _Optional[str] = ..., control_value: _Optional[float] = ..., variant_value: _Optional[float] = ..., relative: _Optional[float] = ..., relative_low: _Optional[float] = ..., relative_high: _Optional[float] = ..., p: _Optional[float] = ..., adjusted_p: _Optional[float] = ..., single_look_p: _Optional[float] = ..., detectable: _Optional[float] = ..., variance_reduction: _Optional[float] = ..., exact: _Optional[bool] = ..., days_to_go: _Optional[float] = ..., cap: _Optional[float] = ...) -> None: ...
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_RATIO_P_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    CROSSED_UNITS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SLICES_FIELD_NUMBER: _ClassVar[int]
    verdict: AnalyseExperimentResponse.Verdict
    variant: str
    summary: str
    sample_ratio_p: float
    assigned: _containers.RepeatedCompositeFieldContainer[AnalyseExperimentResponse.Assigned]
    crossed_units: int
    results: _containers.RepeatedCompositeFieldContainer[AnalyseExperimentResponse.Result]
    time: _timestamp_pb2.Timestamp
    slices: _containers.RepeatedCompositeFieldContainer[AnalyseExperimentResponse.Slice]
    def __init__(self, verdict: _Optional[_Union[AnalyseExperimentResponse.Verdict, str]] = ..., variant: _Optional[str] = ..., summary: _Optional[str] = ..., sample_ratio_p: _Optional[float] = ..., assigned: _Optional[_Iterable[_Union[AnalyseExperimentResponse.Assigned, _Mapping]]] = ..., crossed_units: _Optional[int] = ..., results: _Optional[_Iterable[_Union[AnalyseExperimentResponse.Result, _Mapping]]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., slices: _Optional[_Iterable[_Union[AnalyseExperimentResponse.Slice, _Mapping]]] = ...) -> None: ...

class GetExperimentHistoryRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetExperimentHistoryResponse(_message.Message):
    __slots__ = ("points",)
    class Point(_message.Message):
        __slots__ = ("time", "assigned", "sample_ratio_p", "results")
        TIME_FIELD_NUMBER: _ClassVar[int]
        ASSIGNED_FIELD_NUMBER: _ClassVar[int]
        SAMPLE_RATIO_P_FIELD_NUMBER: _ClassVar[int]
        RESULTS_FIELD_NUMBER: _ClassVar[int]
        time: _timestamp_pb2.Timestamp
        assigned: _containers.RepeatedCompositeFieldContainer[AnalyseExperimentResponse.Assigned]
        sample_ratio_p: float
        results: _containers.RepeatedCompositeFieldContainer[AnalyseExperimentResponse.Result]
        def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., assigned: _Optional[_Iterable[_Union[AnalyseExperimentResponse.Assigned, _Mapping]]] = ..., sample_ratio_p: _Optional[float] = ..., results: _Optional[_Iterable[_Union[AnalyseExperimentResponse.Result, _Mapping]]] = ...) -> None: ...
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[GetExperimentHistoryResponse.Point]
    def __init__(self, points: _Optional[_Iterable[_Union[GetExperimentHistoryResponse.Point, _Mapping]]] = ...) -> None: ...

class ExportExperimentUnitsRequest(_message.Message):
    __slots__ = ("name", "parts", "part")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    name: str
    parts: int
    part: int
    def __init__(self, name: _Optional[str] = ..., parts: _Optional[int] = ..., part: _Optional[int] = ...) -> None: ...

class ExportExperimentUnitsResponse(_message.Message):
    __slots__ = ("arrow",)
    ARROW_FIELD_NUMBER: _ClassVar[int]
    arrow: bytes
    def __init__(self, arrow: _Optional[bytes] = ...) -> None: ...

class PlanExperimentRequest(_message.Message):
    __slots__ = ("parent", "mean", "variance", "correlation", "relative_effect", "alpha", "power", "share", "units_per_day", "furthest")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    VARIANCE_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_EFFECT_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    UNITS_PER_DAY_FIELD_NUMBER: _ClassVar[int]
    FURTHEST_FIELD_NUMBER: _ClassVar[int]
    parent: str
    mean: float
    variance: float
    correlation: float
    relative_effect: float
    alpha: float
    power: float
    share: float
    units_per_day: float
    furthest: float
    def __init__(self, parent: _Optional[str] = ..., mean: _Optional[float] = ..., variance: _Optional[float] = ..., correlation: _Optional[float] = ..., relative_effect: _Optional[float] = ..., alpha: _Optional[float] = ..., power: _Optional[float] = ..., share: _Optional[float] = ..., units_per_day: _Optional[float] = ..., furthest: _Optional[float] = ...) -> None: ...

class PlanExperimentResponse(_message.Message):
    __slots__ = ("single_look_units", "any_look_units", "single_look_days", "any_look_days", "curve", "settled_units")
    class Power(_message.Message):
        __slots__ = ("units", "single_look", "any_look")
        UNITS_FIELD_NUMBER: _ClassVar[int]
        SINGLE_LOOK_FIELD_NUMBER: _ClassVar[int]
        ANY_LOOK_FIELD_NUMBER: _ClassVar[int]
        units: int
        single_look: float
        any_look: float
        def __init__(self, units: _Optional[int] = ..., single_look: _Optional[float] = ..., any_look: _Optional[float] = ...) -> None: ...
    SINGLE_LOOK_UNITS_FIELD_NUMBER: _ClassVar[int]
    ANY_LOOK_UNITS_FIELD_NUMBER: _ClassVar[int]
    SINGLE_LOOK_DAYS_FIELD_NUMBER: _ClassVar[int]
    ANY_LOOK_DAYS_FIELD_NUMBER: _ClassVar[int]
    CURVE_FIELD_NUMBER: _ClassVar[int]
    SETTLED_UNITS_FIELD_NUMBER: _ClassVar[int]
    single_look_units: int
    any_look_units: int
    single_look_days: float
    any_look_days: float
    curve: _containers.RepeatedCompositeFieldContainer[PlanExperimentResponse.Power]
    settled_units: int
    def __init__(self, single_look_units: _Optional[int] = ..., any_look_units: _Optional[int] = ..., single_look_days: _Optional[float] = ..., any_look_days: _Optional[float] = ..., curve: _Optional[_Iterable[_Union[PlanExperimentResponse.Power, _Mapping]]] = ..., settled_units: _Optional[int] = ...) -> None: ...
