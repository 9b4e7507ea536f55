import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.registry.v1 import pipeline_pb2 as _pipeline_pb2
from headrace.registry.v1 import registry_pb2 as _registry_pb2
from headrace.router.v1 import client_limits_pb2 as _client_limits_pb2
from headrace.router.v1 import compute_pb2 as _compute_pb2
from headrace.router.v1 import precomputed_pb2 as _precomputed_pb2
from headrace.router.v1 import route_pb2 as _route_pb2
from headrace.tensor.v1 import tensor_pb2 as _tensor_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResolvedVersion(_message.Message):
    __slots__ = ("model", "version", "digest", "contract", "signature_hash", "serving", "serving_revision", "artifacts", "format", "pipeline", "members")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_HASH_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    SERVING_REVISION_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    digest: str
    contract: _tensor_pb2.ServingContract
    signature_hash: str
    serving: _registry_pb2.ServingSettings
    serving_revision: int
    artifacts: _containers.RepeatedCompositeFieldContainer[_registry_pb2.Artifact]
    format: _registry_pb2.Format
    pipeline: _pipeline_pb2.Pipeline
    members: _containers.RepeatedCompositeFieldContainer[ResolvedVersion]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., contract: _Optional[_Union[_tensor_pb2.ServingContract, _Mapping]] = ..., signature_hash: _Optional[str] = ..., serving: _Optional[_Union[_registry_pb2.ServingSettings, _Mapping]] = ..., serving_revision: _Optional[int] = ..., artifacts: _Optional[_Iterable[_Union[_registry_pb2.Artifact, _Mapping]]] = ..., format: _Optional[_Union[_registry_pb2.Format, str]] = ..., pipeline: _Optional[_Union[_pipeline_pb2.Pipeline, _Mapping]] = ..., members: _Optional[_Iterable[_Union[ResolvedVersion, _Mapping]]] = ...) -> None: ...

class RouteTable(_message.Message):
    __slots__ = ("model", "generation", "variants", "ranges", "salt", "unit", "versions", "max_wait", "registry_epoch", "rules", "lookup", "fallback", "hedging", "stored_answers", "shadowing")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_WAIT_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    LOOKUP_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    HEDGING_FIELD_NUMBER: _ClassVar[int]
    STORED_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    SHADOWING_FIELD_NUMBER: _ClassVar[int]
    model: str
    generation: int
    variants: _containers.RepeatedCompositeFieldContainer[ResolvedVariant]
    ranges: _containers.RepeatedCompositeFieldContainer[BucketRange]
    salt: bytes
    unit: _route_pb2.Route.Unit
    versions: _containers.RepeatedCompositeFieldContainer[ResolvedVersion]
    max_wait: _duration_pb2.Duration
    registry_epoch: int
    rules: _containers.RepeatedCompositeFieldContainer[ResolvedRule]
    lookup: _route_pb2.Lookup
    fallback: _containers.RepeatedCompositeFieldContainer[ResolvedFallbackStep]
    hedging: _route_pb2.Hedging
    stored_answers: _containers.RepeatedCompositeFieldContainer[StoredAnswers]
    shadowing: ResolvedShadowing
    def __init__(self, model: _Optional[str] = ..., generation: _Optional[int] = ..., variants: _Optional[_Iterable[_Union[ResolvedVariant, _Mapping]]] = ..., ranges: _Optional[_Iterable[_Union[BucketRange, _Mapping]]] = ..., salt: _Optional[bytes] = ..., unit: _Optional[_Union[_route_pb2.Route.Unit, str]] = ..., versions: _Optional[_Iterable[_Union[ResolvedVersion, _Mapping]]] = ..., max_wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., registry_epoch: _Optional[int] = ..., rules: _Optional[_Iterable[_Union[ResolvedRule, _Mapping]]] = ..., lookup: _Optional[_Union[_route_pb2.Lookup, _Mapping]] = ..., fallback: _Optional[_Iterable[_Union[ResolvedFallbackStep, _Mapping]]] = ..., hedging: _Optional[_Union[_route_pb2.Hedging, _Mapping]] = ..., stored_answers: _Optional[_Iterable[_Union[StoredAnswers, _Mapping]]] = ..., shadowing: _Optional[_Union[ResolvedShadowing, _Mapping]] = ...) -> None: ...

class ResolvedShadowing(_message.Message):
    __slots__ = ("variant", "share", "keeps_answers")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    KEEPS_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    variant: int
    share: float
    keeps_answers: bool
    def __init__(self, variant: _Optional[int] = ..., share: _Optional[float] = ..., keeps_answers: _Optional[bool] = ...) -> None: ...

class ResolvedFallbackStep(_message.Message):
    __slots__ = ("name", "backup", "precomputed", "stale", "constant", "entity_table", "min_time_left")
    class ResolvedBackup(_message.Message):
        __slots__ = ("digest", "pool")
        DIGEST_FIELD_NUMBER: _ClassVar[int]
        POOL_FIELD_NUMBER: _ClassVar[int]
        digest: str
        pool: str
        def __init__(self, digest: _Optional[str] = ..., pool: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    BACKUP_FIELD_NUMBER: _ClassVar[int]
    PRECOMPUTED_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    ENTITY_TABLE_FIELD_NUMBER: _ClassVar[int]
    MIN_TIME_LEFT_FIELD_NUMBER: _ClassVar[int]
    name: str
    backup: ResolvedFallbackStep.ResolvedBackup
    precomputed: bool
    stale: _duration_pb2.Duration
    constant: _route_pb2.FallbackStep.Row
    entity_table: _route_pb2.FallbackStep.EntityTable
    min_time_left: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., backup: _Optional[_Union[ResolvedFallbackStep.ResolvedBackup, _Mapping]] = ..., precomputed: _Optional[bool] = ..., stale: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., constant: _Optional[_Union[_route_pb2.FallbackStep.Row, _Mapping]] = ..., entity_table: _Optional[_Union[_route_pb2.FallbackStep.EntityTable, _Mapping]] = ..., min_time_left: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StoredAnswers(_message.Message):
    __slots__ = ("digest", "cache_epoch", "precomputed_generation", "precomputed_expire_time", "precomputed_origin")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CACHE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    PRECOMPUTED_GENERATION_FIELD_NUMBER: _ClassVar[int]
    PRECOMPUTED_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    PRECOMPUTED_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    digest: str
    cache_epoch: int
    precomputed_generation: int
    precomputed_expire_time: _timestamp_pb2.Timestamp
    precomputed_origin: _precomputed_pb2.PublishOrigin
    def __init__(self, digest: _Optional[str] = ..., cache_epoch: _Optional[int] = ..., precomputed_generation: _Optional[int] = ..., precomputed_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., precomputed_origin: _Optional[_Union[_precomputed_pb2.PublishOrigin, _Mapping]] = ...) -> None: ...

class ResolvedRule(_message.Message):
    __slots__ = ("name", "conditions", "variant")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    name: str
    conditions: _containers.RepeatedCompositeFieldContainer[_route_pb2.Condition]
    variant: int
    def __init__(self, name: _Optional[str] = ..., conditions: _Optional[_Iterable[_Union[_route_pb2.Condition, _Mapping]]] = ..., variant: _Optional[int] = ...) -> None: ...

class ResolvedVariant(_message.Message):
    __slots__ = ("name", "digest", "pool")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    pool: str
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., pool: _Optional[str] = ...) -> None: ...

class BucketRange(_message.Message):
    __slots__ = ("end", "variant")
    END_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    end: int
    variant: int
    def __init__(self, end: _Optional[int] = ..., variant: _Optional[int] = ...) -> None: ...

class WatchTablesRequest(_message.Message):
    __slots__ = ("data_plane",)
    DATA_PLANE_FIELD_NUMBER: _ClassVar[int]
    data_plane: str
    def __init__(self, data_plane: _Optional[str] = ...) -> None: ...

class WatchTablesResponse(_message.Message):
    __slots__ = ("table", "not_serving_model", "removed_model", "snapshot_complete", "incarnation", "newest_generation")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    NOT_SERVING_MODEL_FIELD_NUMBER: _ClassVar[int]
    REMOVED_MODEL_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    NEWEST_GENERATION_FIELD_NUMBER: _ClassVar[int]
    table: RouteTable
    not_serving_model: str
    removed_model: str
    snapshot_complete: bool
    incarnation: str
    newest_generation: int
    def __init__(self, table: _Optional[_Union[RouteTable, _Mapping]] = ..., not_serving_model: _Optional[str] = ..., removed_model: _Optional[str] = ..., snapshot_complete: _Optional[bool] = ..., incarnation: _Optional[str] = ..., newest_generation: _Optional[int] = ...) -> None: ...

class AcknowledgeGenerationsRequest(_message.Message):
    __slots__ = ("data_plane", "incarnation", "generation")
    DATA_PLANE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    data_plane: str
    incarnation: str
    generation: int
    def __init__(self, data_plane: _Optional[str] = ..., incarnation: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class AcknowledgeGenerationsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchDemandRequest(_message.Message):
    __slots__ = ("pool",)
    POOL_FIELD_NUMBER: _ClassVar[int]
    pool: str
    def __init__(self, pool: _Optional[str] = ...) -> None: ...

class WatchDemandResponse(_message.Message):
    __slots__ = ("versions", "incarnation")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[WantedVersion]
    incarnation: str
    def __init__(self, versions: _Optional[_Iterable[_Union[WantedVersion, _Mapping]]] = ..., incarnation: _Optional[str] = ...) -> None: ...

class WantedVersion(_message.Message):
    __slots__ = ("version", "need", "change")
    class Need(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        NEED_UNSPECIFIED: _ClassVar[WantedVersion.Need]
        NEED_ACTIVE: _ClassVar[WantedVersion.Need]
        NEED_PENDING: _ClassVar[WantedVersion.Need]
        NEED_REVERT: _ClassVar[WantedVersion.Need]
        NEED_LEASED: _ClassVar[WantedVersion.Need]
    NEED_UNSPECIFIED: WantedVersion.Need
    NEED_ACTIVE: WantedVersion.Need
    NEED_PENDING: WantedVersion.Need
    NEED_REVERT: WantedVersion.Need
    NEED_LEASED: WantedVersion.Need
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NEED_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    version: ResolvedVersion
    need: WantedVersion.Need
    change: str
    def __init__(self, version: _Optional[_Union[ResolvedVersion, _Mapping]] = ..., need: _Optional[_Union[WantedVersion.Need, str]] = ..., change: _Optional[str] = ...) -> None: ...

class ReportVersionsRequest(_message.Message):
    __slots__ = ("pool", "process", "address", "versions", "unwanted", "draining", "load", "gpu", "formats")
    POOL_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    UNWANTED_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    GPU_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    pool: str
    process: str
    address: str
    versions: _containers.RepeatedCompositeFieldContainer[VersionReport]
    unwanted: _containers.RepeatedCompositeFieldContainer[VersionReport]
    draining: bool
    load: _route_pb2.BatcherLoad
    gpu: _route_pb2.GpuLoad
    formats: _containers.RepeatedScalarFieldContainer[_registry_pb2.Format]
    def __init__(self, pool: _Optional[str] = ..., process: _Optional[str] = ..., address: _Optional[str] = ..., versions: _Optional[_Iterable[_Union[VersionReport, _Mapping]]] = ..., unwanted: _Optional[_Iterable[_Union[VersionReport, _Mapping]]] = ..., draining: _Optional[bool] = ..., load: _Optional[_Union[_route_pb2.BatcherLoad, _Mapping]] = ..., gpu: _Optional[_Union[_route_pb2.GpuLoad, _Mapping]] = ..., formats: _Optional[_Iterable[_Union[_registry_pb2.Format, str]]] = ...) -> None: ...

class VersionReport(_message.Message):
    __slots__ = ("digest", "state", "reason", "load", "load_duration", "compute", "serving_revision")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[VersionReport.State]
        STATE_LOADING: _ClassVar[VersionReport.State]
        STATE_READY: _ClassVar[VersionReport.State]
        STATE_FAILED: _ClassVar[VersionReport.State]
        STATE_DRAINING: _ClassVar[VersionReport.State]
    STATE_UNSPECIFIED: VersionReport.State
    STATE_LOADING: VersionReport.State
    STATE_READY: VersionReport.State
    STATE_FAILED: VersionReport.State
    STATE_DRAINING: VersionReport.State
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    LOAD_DURATION_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_FIELD_NUMBER: _ClassVar[int]
    SERVING_REVISION_FIELD_NUMBER: _ClassVar[int]
    digest: str
    state: VersionReport.State
    reason: str
    load: _route_pb2.BatcherLoad
    load_duration: _duration_pb2.Duration
    compute: _compute_pb2.Compute
    serving_revision: int
    def __init__(self, digest: _Optional[str] = ..., state: _Optional[_Union[VersionReport.State, str]] = ..., reason: _Optional[str] = ..., load: _Optional[_Union[_route_pb2.BatcherLoad, _Mapping]] = ..., load_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., compute: _Optional[_Union[_compute_pb2.Compute, _Mapping]] = ..., serving_revision: _Optional[int] = ...) -> None: ...

class ReportVersionsResponse(_message.Message):
    __slots__ = ("lease_expire_time",)
    LEASE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    lease_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, lease_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LeaseVersionRequest(_message.Message):
    __slots__ = ("model", "version", "pool", "holder", "ttl")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    pool: str
    holder: str
    ttl: _duration_pb2.Duration
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., pool: _Optional[str] = ..., holder: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class LeaseVersionResponse(_message.Message):
    __slots__ = ("lease_expire_time", "readiness", "digest")
    LEASE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    READINESS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    lease_expire_time: _timestamp_pb2.Timestamp
    readiness: _route_pb2.VersionReadiness
    digest: str
    def __init__(self, lease_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., readiness: _Optional[_Union[_route_pb2.VersionReadiness, _Mapping]] = ..., digest: _Optional[str] = ...) -> None: ...

class WatchClientLimitsRequest(_message.Message):
    __slots__ = ("revision",)
    REVISION_FIELD_NUMBER: _ClassVar[int]
    revision: str
    def __init__(self, revision: _Optional[str] = ...) -> None: ...

class WatchClientLimitsResponse(_message.Message):
    __slots__ = ("revision", "rate_limits", "budget_overruns")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    RATE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    BUDGET_OVERRUNS_FIELD_NUMBER: _ClassVar[int]
    revision: str
    rate_limits: _containers.RepeatedCompositeFieldContainer[_client_limits_pb2.RateLimit]
    budget_overruns: _containers.RepeatedCompositeFieldContainer[_client_limits_pb2.BudgetOverrun]
    def __init__(self, revision: _Optional[str] = ..., rate_limits: _Optional[_Iterable[_Union[_client_limits_pb2.RateLimit, _Mapping]]] = ..., budget_overruns: _Optional[_Iterable[_Union[_client_limits_pb2.BudgetOverrun, _Mapping]]] = ...) -> None: ...
