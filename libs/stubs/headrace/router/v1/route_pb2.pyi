import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.registry.v1 import registry_pb2 as _registry_pb2
from headrace.router.v1 import compute_pb2 as _compute_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Route(_message.Message):
    __slots__ = ("name", "variants", "unit", "etag", "update_time", "updated_by", "max_wait", "rules", "managed_by", "lookup", "fallback", "hedging", "shadowing", "layer")
    class Unit(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNIT_UNSPECIFIED: _ClassVar[Route.Unit]
        UNIT_USER: _ClassVar[Route.Unit]
        UNIT_ENTITY: _ClassVar[Route.Unit]
        UNIT_REQUEST: _ClassVar[Route.Unit]
    UNIT_UNSPECIFIED: Route.Unit
    UNIT_USER: Route.Unit
    UNIT_ENTITY: Route.Unit
    UNIT_REQUEST: Route.Unit
    NAME_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATED_BY_FIELD_NUMBER: _ClassVar[int]
    MAX_WAIT_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    MANAGED_BY_FIELD_NUMBER: _ClassVar[int]
    LOOKUP_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    HEDGING_FIELD_NUMBER: _ClassVar[int]
    SHADOWING_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    name: str
    variants: _containers.RepeatedCompositeFieldContainer[Variant]
    unit: Route.Unit
    etag: str
    update_time: _timestamp_pb2.Timestamp
    updated_by: str
    max_wait: _duration_pb2.Duration
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    managed_by: str
    lookup: Lookup
    fallback: _containers.RepeatedCompositeFieldContainer[FallbackStep]
    hedging: Hedging
    shadowing: Shadowing
    layer: str
    def __init__(self, name: _Optional[str] = ..., variants: _Optional[_Iterable[_Union[Variant, _Mapping]]] = ..., unit: _Optional[_Union[Route.Unit, str]] = ..., etag: _Optional[str] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_by: _Optional[str] = ..., max_wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., managed_by: _Optional[str] = ..., lookup: _Optional[_Union[Lookup, _Mapping]] = ..., fallback: _Optional[_Iterable[_Union[FallbackStep, _Mapping]]] = ..., hedging: _Optional[_Union[Hedging, _Mapping]] = ..., shadowing: _Optional[_Union[Shadowing, _Mapping]] = ..., layer: _Optional[str] = ...) -> None: ...

class Variant(_message.Message):
    __slots__ = ("name", "version", "follow_production", "follow_alias", "weight", "serving_version", "pool")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_PRODUCTION_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_ALIAS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SERVING_VERSION_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    follow_production: bool
    follow_alias: str
    weight: float
    serving_version: str
    pool: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., follow_production: _Optional[bool] = ..., follow_alias: _Optional[str] = ..., weight: _Optional[float] = ..., serving_version: _Optional[str] = ..., pool: _Optional[str] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("name", "conditions", "variant")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    name: str
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    variant: str
    def __init__(self, name: _Optional[str] = ..., conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ..., variant: _Optional[str] = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("attribute", "equals", "any_of", "none_of", "prefix", "present")
    class Values(_message.Message):
        __slots__ = ("values",)
        VALUES_FIELD_NUMBER: _ClassVar[int]
        values: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...
    ATTRIBUTE_FIELD_NUMBER: _ClassVar[int]
    EQUALS_FIELD_NUMBER: _ClassVar[int]
    ANY_OF_FIELD_NUMBER: _ClassVar[int]
    NONE_OF_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    PRESENT_FIELD_NUMBER: _ClassVar[int]
    attribute: str
    equals: str
    any_of: Condition.Values
    none_of: Condition.Values
    prefix: str
    present: bool
    def __init__(self, attribute: _Optional[str] = ..., equals: _Optional[str] = ..., any_of: _Optional[_Union[Condition.Values, _Mapping]] = ..., none_of: _Optional[_Union[Condition.Values, _Mapping]] = ..., prefix: _Optional[str] = ..., present: _Optional[bool] = ...) -> None: ...

class Lookup(_message.Message):
    __slots__ = ("mode", "key", "ttl", "stale_while_revalidate", "stale_on_error", "max_precomputed_age", "cache_large_inputs")
    class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        MODE_UNSPECIFIED: _ClassVar[Lookup.Mode]
        MODE_HYBRID: _ClassVar[Lookup.Mode]
        MODE_ONLINE: _ClassVar[Lookup.Mode]
        MODE_BATCH: _ClassVar[Lookup.Mode]
    MODE_UNSPECIFIED: Lookup.Mode
    MODE_HYBRID: Lookup.Mode
    MODE_ONLINE: Lookup.Mode
    MODE_BATCH: Lookup.Mode
    class Key(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KEY_UNSPECIFIED: _ClassVar[Lookup.Key]
        KEY_INPUTS: _ClassVar[Lookup.Key]
        KEY_ENTITY: _ClassVar[Lookup.Key]
    KEY_UNSPECIFIED: Lookup.Key
    KEY_INPUTS: Lookup.Key
    KEY_ENTITY: Lookup.Key
    MODE_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    STALE_WHILE_REVALIDATE_FIELD_NUMBER: _ClassVar[int]
    STALE_ON_ERROR_FIELD_NUMBER: _ClassVar[int]
    MAX_PRECOMPUTED_AGE_FIELD_NUMBER: _ClassVar[int]
    CACHE_LARGE_INPUTS_FIELD_NUMBER: _ClassVar[int]
    mode: Lookup.Mode
    key: Lookup.Key
    ttl: _duration_pb2.Duration
    stale_while_revalidate: _duration_pb2.Duration
    stale_on_error: _duration_pb2.Duration
    max_precomputed_age: _duration_pb2.Duration
    cache_large_inputs: bool
    def __init__(self, mode: _Optional[_Union[Lookup.Mode, str]] = ..., key: _Optional[_Union[Lookup.Key, str]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., stale_while_revalidate: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., stale_on_error: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_precomputed_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cache_large_inputs: _Optional[bool] = ...) -> None: ...

class FallbackStep(_message.Message):
    __slots__ = ("name", "backup", "precomputed", "stale", "constant", "entity_table", "min_time_left")
    class Backup(_message.Message):
        __slots__ = ("version", "follow_production", "follow_alias", "pool", "serving_version")
        VERSION_FIELD_NUMBER: _ClassVar[int]
        FOLLOW_PRODUCTION_FIELD_NUMBER: _ClassVar[int]
        FOLLOW_ALIAS_FIELD_NUMBER: _ClassVar[int]
        POOL_FIELD_NUMBER: _ClassVar[int]
        SERVING_VERSION_FIELD_NUMBER: _ClassVar[int]
        version: str
        follow_production: bool
        follow_alias: str
        pool: str
        serving_version: str
        def __init__(self, version: _Optional[str] = ..., follow_production: _Optional[bool] = ..., follow_alias: _Optional[str] = ..., pool: _Optional[str] = ..., serving_version: _Optional[str] = ...) -> None: ...
    class Row(_message.Message):
        __slots__ = ("outputs",)
        class OutputsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: FallbackStep.Values
            def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[FallbackStep.Values, _Mapping]] = ...) -> None: ...
        OUTPUTS_FIELD_NUMBER: _ClassVar[int]
        outputs: _containers.MessageMap[str, FallbackStep.Values]
        def __init__(self, outputs: _Optional[_Mapping[str, FallbackStep.Values]] = ...) -> None: ...
    class Values(_message.Message):
        __slots__ = ("numbers", "strings")
        NUMBERS_FIELD_NUMBER: _ClassVar[int]
        STRINGS_FIELD_NUMBER: _ClassVar[int]
        numbers: _containers.RepeatedScalarFieldContainer[float]
        strings: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, numbers: _Optional[_Iterable[float]] = ..., strings: _Optional[_Iterable[str]] = ...) -> None: ...
    class EntityTable(_message.Message):
        __slots__ = ("rows",)
        class RowsEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: FallbackStep.Row
            def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[FallbackStep.Row, _Mapping]] = ...) -> None: ...
        ROWS_FIELD_NUMBER: _ClassVar[int]
        rows: _containers.MessageMap[str, FallbackStep.Row]
        def __init__(self, rows: _Optional[_Mapping[str, FallbackStep.Row]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    BACKUP_FIELD_NUMBER: _ClassVar[int]
    PRECOMPUTED_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    ENTITY_TABLE_FIELD_NUMBER: _ClassVar[int]
    MIN_TIME_LEFT_FIELD_NUMBER: _ClassVar[int]
    name: str
    backup: FallbackStep.Backup
    precomputed: bool
    stale: _duration_pb2.Duration
    constant: FallbackStep.Row
    entity_table: FallbackStep.EntityTable
    min_time_left: _duration_pb2.Duration
    def __init__(self, name: _Optional[str] = ..., backup: _Optional[_Union[FallbackStep.Backup, _Mapping]] = ..., precomputed: _Optional[bool] = ..., stale: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., constant: _Optional[_Union[FallbackStep.Row, _Mapping]] = ..., entity_table: _Optional[_Union[FallbackStep.EntityTable, _Mapping]] = ..., min_time_left: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Hedging(_message.Message):
    __slots__ = ("delay",)
    DELAY_FIELD_NUMBER: _ClassVar[int]
    delay: _duration_pb2.Duration
    def __init__(self, delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Shadowing(_message.Message):
    __slots__ = ("variant", "share", "keeps_answers")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    KEEPS_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    variant: str
    share: float
    keeps_answers: bool
    def __init__(self, variant: _Optional[str] = ..., share: _Optional[float] = ..., keeps_answers: _Optional[bool] = ...) -> None: ...

class RouteStatus(_message.Message):
    __slots__ = ("state", "generation", "registry_epoch", "reason", "active_time", "unacknowledged_data_planes", "versions", "wanted_registry_epoch", "data_planes")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[RouteStatus.State]
        STATE_ACTIVE: _ClassVar[RouteStatus.State]
        STATE_PENDING: _ClassVar[RouteStatus.State]
        STATE_NOT_SERVING: _ClassVar[RouteStatus.State]
    STATE_UNSPECIFIED: RouteStatus.State
    STATE_ACTIVE: RouteStatus.State
    STATE_PENDING: RouteStatus.State
    STATE_NOT_SERVING: RouteStatus.State
    STATE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    UNACKNOWLEDGED_DATA_PLANES_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    WANTED_REGISTRY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    DATA_PLANES_FIELD_NUMBER: _ClassVar[int]
    state: RouteStatus.State
    generation: int
    registry_epoch: int
    reason: str
    active_time: _timestamp_pb2.Timestamp
    unacknowledged_data_planes: _containers.RepeatedScalarFieldContainer[str]
    versions: _containers.RepeatedCompositeFieldContainer[VersionReadiness]
    wanted_registry_epoch: int
    data_planes: _containers.RepeatedCompositeFieldContainer[DataPlaneStatus]
    def __init__(self, state: _Optional[_Union[RouteStatus.State, str]] = ..., generation: _Optional[int] = ..., registry_epoch: _Optional[int] = ..., reason: _Optional[str] = ..., active_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unacknowledged_data_planes: _Optional[_Iterable[str]] = ..., versions: _Optional[_Iterable[_Union[VersionReadiness, _Mapping]]] = ..., wanted_registry_epoch: _Optional[int] = ..., data_planes: _Optional[_Iterable[_Union[DataPlaneStatus, _Mapping]]] = ...) -> None: ...

class VersionReadiness(_message.Message):
    __slots__ = ("version", "pool", "batchers", "ready_batchers", "loading_batchers", "failed_batchers", "failure", "in_force")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    BATCHERS_FIELD_NUMBER: _ClassVar[int]
    READY_BATCHERS_FIELD_NUMBER: _ClassVar[int]
    LOADING_BATCHERS_FIELD_NUMBER: _ClassVar[int]
    FAILED_BATCHERS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    version: str
    pool: str
    batchers: int
    ready_batchers: int
    loading_batchers: int
    failed_batchers: int
    failure: str
    in_force: bool
    def __init__(self, version: _Optional[str] = ..., pool: _Optional[str] = ..., batchers: _Optional[int] = ..., ready_batchers: _Optional[int] = ..., loading_batchers: _Optional[int] = ..., failed_batchers: _Optional[int] = ..., failure: _Optional[str] = ..., in_force: _Optional[bool] = ...) -> None: ...

class DataPlaneStatus(_message.Message):
    __slots__ = ("name", "acknowledged", "connected", "seen_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    acknowledged: bool
    connected: bool
    seen_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., acknowledged: _Optional[bool] = ..., connected: _Optional[bool] = ..., seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetRouteRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetRouteResponse(_message.Message):
    __slots__ = ("route", "status")
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    route: Route
    status: RouteStatus
    def __init__(self, route: _Optional[_Union[Route, _Mapping]] = ..., status: _Optional[_Union[RouteStatus, _Mapping]] = ...) -> None: ...

class ListRoutesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRoutesResponse(_message.Message):
    __slots__ = ("routes", "next_page_token")
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    routes: _containers.RepeatedCompositeFieldContainer[Route]
    next_page_token: str
    def __init__(self, routes: _Optional[_Iterable[_Union[Route, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateRouteRequest(_message.Message):
    __slots__ = ("route", "reason", "request_id", "manager", "release", "force", "validate_only")
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MANAGER_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    route: Route
    reason: str
    request_id: str
    manager: str
    release: bool
    force: bool
    validate_only: bool
    def __init__(self, route: _Optional[_Union[Route, _Mapping]] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., manager: _Optional[str] = ..., release: _Optional[bool] = ..., force: _Optional[bool] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class UpdateRouteResponse(_message.Message):
    __slots__ = ("route", "status", "moved_share")
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MOVED_SHARE_FIELD_NUMBER: _ClassVar[int]
    route: Route
    status: RouteStatus
    moved_share: float
    def __init__(self, route: _Optional[_Union[Route, _Mapping]] = ..., status: _Optional[_Union[RouteStatus, _Mapping]] = ..., moved_share: _Optional[float] = ...) -> None: ...

class AssignUnitRequest(_message.Message):
    __slots__ = ("name", "user_id", "entity_id", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    user_id: str
    entity_id: str
    attributes: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., user_id: _Optional[str] = ..., entity_id: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...

class AssignUnitResponse(_message.Message):
    __slots__ = ("variant", "version", "bucket", "generation", "rule")
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BUCKET_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    variant: str
    version: str
    bucket: int
    generation: int
    rule: str
    def __init__(self, variant: _Optional[str] = ..., version: _Optional[str] = ..., bucket: _Optional[int] = ..., generation: _Optional[int] = ..., rule: _Optional[str] = ...) -> None: ...

class DryRunRouteRequest(_message.Message):
    __slots__ = ("route", "manager", "examples")
    class Example(_message.Message):
        __slots__ = ("user_id", "entity_id", "attributes")
        class AttributesEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: str
            def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
        USER_ID_FIELD_NUMBER: _ClassVar[int]
        ENTITY_ID_FIELD_NUMBER: _ClassVar[int]
        ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
        user_id: str
        entity_id: str
        attributes: _containers.ScalarMap[str, str]
        def __init__(self, user_id: _Optional[str] = ..., entity_id: _Optional[str] = ..., attributes: _Optional[_Mapping[str, str]] = ...) -> None: ...
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    MANAGER_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    route: Route
    manager: str
    examples: _containers.RepeatedCompositeFieldContainer[DryRunRouteRequest.Example]
    def __init__(self, route: _Optional[_Union[Route, _Mapping]] = ..., manager: _Optional[str] = ..., examples: _Optional[_Iterable[_Union[DryRunRouteRequest.Example, _Mapping]]] = ...) -> None: ...

class DryRunRouteResponse(_message.Message):
    __slots__ = ("route", "variants", "moved_share", "moved_version_share", "versions", "waits_for", "managed_by", "examples", "unpromoted_excess")
    class VariantShift(_message.Message):
        __slots__ = ("variant", "share_before", "share_after", "version_before", "version_after")
        VARIANT_FIELD_NUMBER: _ClassVar[int]
        SHARE_BEFORE_FIELD_NUMBER: _ClassVar[int]
        SHARE_AFTER_FIELD_NUMBER: _ClassVar[int]
        VERSION_BEFORE_FIELD_NUMBER: _ClassVar[int]
        VERSION_AFTER_FIELD_NUMBER: _ClassVar[int]
        variant: str
        share_before: float
        share_after: float
        version_before: str
        version_after: str
        def __init__(self, variant: _Optional[str] = ..., share_before: _Optional[float] = ..., share_after: _Optional[float] = ..., version_before: _Optional[str] = ..., version_after: _Optional[str] = ...) -> None: ...
    class ExampleShift(_message.Message):
        __slots__ = ("before", "after")
        BEFORE_FIELD_NUMBER: _ClassVar[int]
        AFTER_FIELD_NUMBER: _ClassVar[int]
        before: DryRunRouteResponse.Assignment
        after: DryRunRouteResponse.Assignment
        def __init__(self, before: _Optional[_Union[DryRunRouteResponse.Assignment, _Mapping]] = ..., after: _Optional[_Union[DryRunRouteResponse.Assignment, _Mapping]] = ...) -> None: ...
    class Assignment(_message.Message):
        __slots__ = ("variant", "version", "rule")
        VARIANT_FIELD_NUMBER: _ClassVar[int]
        VERSION_FIELD_NUMBER: _ClassVar[int]
        RULE_FIELD_NUMBER: _ClassVar[int]
        variant: str
        version: str
        rule: str
        def __init__(self, variant: _Optional[str] = ..., version: _Optional[str] = ..., rule: _Optional[str] = ...) -> None: ...
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    MOVED_SHARE_FIELD_NUMBER: _ClassVar[int]
    MOVED_VERSION_SHARE_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    MANAGED_BY_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    UNPROMOTED_EXCESS_FIELD_NUMBER: _ClassVar[int]
    route: Route
    variants: _containers.RepeatedCompositeFieldContainer[DryRunRouteResponse.VariantShift]
    moved_share: float
    moved_version_share: float
    versions: _containers.RepeatedCompositeFieldContainer[VersionReadiness]
    waits_for: str
    managed_by: str
    examples: _containers.RepeatedCompositeFieldContainer[DryRunRouteResponse.ExampleShift]
    unpromoted_excess: str
    def __init__(self, route: _Optional[_Union[Route, _Mapping]] = ..., variants: _Optional[_Iterable[_Union[DryRunRouteResponse.VariantShift, _Mapping]]] = ..., moved_share: _Optional[float] = ..., moved_version_share: _Optional[float] = ..., versions: _Optional[_Iterable[_Union[VersionReadiness, _Mapping]]] = ..., waits_for: _Optional[str] = ..., managed_by: _Optional[str] = ..., examples: _Optional[_Iterable[_Union[DryRunRouteResponse.ExampleShift, _Mapping]]] = ..., unpromoted_excess: _Optional[str] = ...) -> None: ...

class RouteEvent(_message.Message):
    __slots__ = ("change", "kind", "create_time", "end_time", "client", "reason", "outcome", "outcome_reason", "generation", "registry_epoch", "moved_share", "route", "manager", "displaced_manager")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[RouteEvent.Kind]
        KIND_DECLARED: _ClassVar[RouteEvent.Kind]
        KIND_FOLLOWED: _ClassVar[RouteEvent.Kind]
    KIND_UNSPECIFIED: RouteEvent.Kind
    KIND_DECLARED: RouteEvent.Kind
    KIND_FOLLOWED: RouteEvent.Kind
    class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        OUTCOME_UNSPECIFIED: _ClassVar[RouteEvent.Outcome]
        OUTCOME_PENDING: _ClassVar[RouteEvent.Outcome]
        OUTCOME_ACTIVE: _ClassVar[RouteEvent.Outcome]
        OUTCOME_NOT_READY: _ClassVar[RouteEvent.Outcome]
        OUTCOME_SUPERSEDED: _ClassVar[RouteEvent.Outcome]
    OUTCOME_UNSPECIFIED: RouteEvent.Outcome
    OUTCOME_PENDING: RouteEvent.Outcome
    OUTCOME_ACTIVE: RouteEvent.Outcome
    OUTCOME_NOT_READY: RouteEvent.Outcome
    OUTCOME_SUPERSEDED: RouteEvent.Outcome
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_REASON_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    MOVED_SHARE_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    MANAGER_FIELD_NUMBER: _ClassVar[int]
    DISPLACED_MANAGER_FIELD_NUMBER: _ClassVar[int]
    change: str
    kind: RouteEvent.Kind
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    client: str
    reason: str
    outcome: RouteEvent.Outcome
    outcome_reason: str
    generation: int
    registry_epoch: int
    moved_share: float
    route: Route
    manager: str
    displaced_manager: str
    def __init__(self, change: _Optional[str] = ..., kind: _Optional[_Union[RouteEvent.Kind, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., client: _Optional[str] = ..., reason: _Optional[str] = ..., outcome: _Optional[_Union[RouteEvent.Outcome, str]] = ..., outcome_reason: _Optional[str] = ..., generation: _Optional[int] = ..., registry_epoch: _Optional[int] = ..., moved_share: _Optional[float] = ..., route: _Optional[_Union[Route, _Mapping]] = ..., manager: _Optional[str] = ..., displaced_manager: _Optional[str] = ...) -> None: ...

class ListRouteEventsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRouteEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[RouteEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[RouteEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class AwaitRegistryEpochRequest(_message.Message):
    __slots__ = ("name", "registry_epoch")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_EPOCH_FIELD_NUMBER: _ClassVar[int]
    name: str
    registry_epoch: int
    def __init__(self, name: _Optional[str] = ..., registry_epoch: _Optional[int] = ...) -> None: ...

class AwaitRegistryEpochResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: RouteStatus
    def __init__(self, status: _Optional[_Union[RouteStatus, _Mapping]] = ...) -> None: ...

class PurgeCacheRequest(_message.Message):
    __slots__ = ("name", "version", "reason", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    reason: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class PurgeCacheResponse(_message.Message):
    __slots__ = ("version", "cache_epoch", "status")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CACHE_EPOCH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    version: str
    cache_epoch: int
    status: RouteStatus
    def __init__(self, version: _Optional[str] = ..., cache_epoch: _Optional[int] = ..., status: _Optional[_Union[RouteStatus, _Mapping]] = ...) -> None: ...

class ListBatchersRequest(_message.Message):
    __slots__ = ("pool", "page_size", "page_token")
    POOL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    pool: str
    page_size: int
    page_token: str
    def __init__(self, pool: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBatchersResponse(_message.Message):
    __slots__ = ("batchers", "next_page_token", "read_time")
    BATCHERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    READ_TIME_FIELD_NUMBER: _ClassVar[int]
    batchers: _containers.RepeatedCompositeFieldContainer[Batcher]
    next_page_token: str
    read_time: _timestamp_pb2.Timestamp
    def __init__(self, batchers: _Optional[_Iterable[_Union[Batcher, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., read_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Batcher(_message.Message):
    __slots__ = ("process", "pool", "address", "draining", "load", "report_time", "versions", "gpu", "formats")
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    REPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    GPU_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    process: str
    pool: str
    address: str
    draining: bool
    load: BatcherLoad
    report_time: _timestamp_pb2.Timestamp
    versions: _containers.RepeatedCompositeFieldContainer[BatcherVersion]
    gpu: GpuLoad
    formats: _containers.RepeatedScalarFieldContainer[_registry_pb2.Format]
    def __init__(self, process: _Optional[str] = ..., pool: _Optional[str] = ..., address: _Optional[str] = ..., draining: _Optional[bool] = ..., load: _Optional[_Union[BatcherLoad, _Mapping]] = ..., report_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., versions: _Optional[_Iterable[_Union[BatcherVersion, _Mapping]]] = ..., gpu: _Optional[_Union[GpuLoad, _Mapping]] = ..., formats: _Optional[_Iterable[_Union[_registry_pb2.Format, str]]] = ...) -> None: ...

class GpuLoad(_message.Message):
    __slots__ = ("utilisation", "memory")
    UTILISATION_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    utilisation: float
    memory: float
    def __init__(self, utilisation: _Optional[float] = ..., memory: _Optional[float] = ...) -> None: ...

class BatcherVersion(_message.Message):
    __slots__ = ("model", "version", "digest", "state", "reason", "wanted", "load", "load_duration", "compute", "serving_revision")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[BatcherVersion.State]
        STATE_LOADING: _ClassVar[BatcherVersion.State]
        STATE_READY: _ClassVar[BatcherVersion.State]
        STATE_FAILED: _ClassVar[BatcherVersion.State]
        STATE_DRAINING: _ClassVar[BatcherVersion.State]
    STATE_UNSPECIFIED: BatcherVersion.State
    STATE_LOADING: BatcherVersion.State
    STATE_READY: BatcherVersion.State
    STATE_FAILED: BatcherVersion.State
    STATE_DRAINING: BatcherVersion.State
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WANTED_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    LOAD_DURATION_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_FIELD_NUMBER: _ClassVar[int]
    SERVING_REVISION_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    digest: str
    state: BatcherVersion.State
    reason: str
    wanted: bool
    load: BatcherLoad
    load_duration: _duration_pb2.Duration
    compute: _compute_pb2.Compute
    serving_revision: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ..., state: _Optional[_Union[BatcherVersion.State, str]] = ..., reason: _Optional[str] = ..., wanted: _Optional[bool] = ..., load: _Optional[_Union[BatcherLoad, _Mapping]] = ..., load_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., compute: _Optional[_Union[_compute_pb2.Compute, _Mapping]] = ..., serving_revision: _Optional[int] = ...) -> None: ...

class BatcherLoad(_message.Message):
    __slots__ = ("rows", "predicted_wait", "queued_rows", "answered_requests", "shed_requests", "compute", "variation")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_WAIT_FIELD_NUMBER: _ClassVar[int]
    QUEUED_ROWS_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    SHED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_FIELD_NUMBER: _ClassVar[int]
    VARIATION_FIELD_NUMBER: _ClassVar[int]
    rows: int
    predicted_wait: _duration_pb2.Duration
    queued_rows: int
    answered_requests: int
    shed_requests: int
    compute: _duration_pb2.Duration
    variation: float
    def __init__(self, rows: _Optional[int] = ..., predicted_wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., queued_rows: _Optional[int] = ..., answered_requests: _Optional[int] = ..., shed_requests: _Optional[int] = ..., compute: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., variation: _Optional[float] = ...) -> None: ...
