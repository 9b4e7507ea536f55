import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from headrace.access.v1 import access_pb2 as _access_pb2
from headrace.registry.v1 import pipeline_pb2 as _pipeline_pb2
from headrace.tensor.v1 import tensor_pb2 as _tensor_pb2
from headrace.validation.v1 import validation_pb2 as _validation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORMAT_UNSPECIFIED: _ClassVar[Format]
    FORMAT_ONNX: _ClassVar[Format]
    FORMAT_TORCHSCRIPT: _ClassVar[Format]
    FORMAT_PT2: _ClassVar[Format]
    FORMAT_SAVEDMODEL: _ClassVar[Format]
    FORMAT_TENSORRT: _ClassVar[Format]
    FORMAT_PYTHON: _ClassVar[Format]
    FORMAT_FIL: _ClassVar[Format]
    FORMAT_OIP: _ClassVar[Format]
FORMAT_UNSPECIFIED: Format
FORMAT_ONNX: Format
FORMAT_TORCHSCRIPT: Format
FORMAT_PT2: Format
FORMAT_SAVEDMODEL: Format
FORMAT_TENSORRT: Format
FORMAT_PYTHON: Format
FORMAT_FIL: Format
FORMAT_OIP: Format

class Model(_message.Message):
    __slots__ = ("name", "description", "labels", "promotion_policy", "aliases", "production_version", "epoch", "etag", "create_time", "update_time", "max_unpromoted_share", "rollback_versions")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class AliasesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PROMOTION_POLICY_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    PRODUCTION_VERSION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_UNPROMOTED_SHARE_FIELD_NUMBER: _ClassVar[int]
    ROLLBACK_VERSIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    labels: _containers.ScalarMap[str, str]
    promotion_policy: PromotionPolicy
    aliases: _containers.ScalarMap[str, str]
    production_version: str
    epoch: int
    etag: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    max_unpromoted_share: float
    rollback_versions: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., promotion_policy: _Optional[_Union[PromotionPolicy, _Mapping]] = ..., aliases: _Optional[_Mapping[str, str]] = ..., production_version: _Optional[str] = ..., epoch: _Optional[int] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., max_unpromoted_share: _Optional[float] = ..., rollback_versions: _Optional[_Iterable[str]] = ...) -> None: ...

class PromotionPolicy(_message.Message):
    __slots__ = ("gates", "max_unpromoted_share")
    GATES_FIELD_NUMBER: _ClassVar[int]
    MAX_UNPROMOTED_SHARE_FIELD_NUMBER: _ClassVar[int]
    gates: _containers.RepeatedCompositeFieldContainer[PromotionGate]
    max_unpromoted_share: float
    def __init__(self, gates: _Optional[_Iterable[_Union[PromotionGate, _Mapping]]] = ..., max_unpromoted_share: _Optional[float] = ...) -> None: ...

class PromotionGate(_message.Message):
    __slots__ = ("metric", "minimum", "maximum", "minimum_delta", "maximum_delta", "minimum_ratio", "maximum_ratio", "measured_only")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_DELTA_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_DELTA_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_RATIO_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_RATIO_FIELD_NUMBER: _ClassVar[int]
    MEASURED_ONLY_FIELD_NUMBER: _ClassVar[int]
    metric: str
    minimum: float
    maximum: float
    minimum_delta: float
    maximum_delta: float
    minimum_ratio: float
    maximum_ratio: float
    measured_only: bool
    def __init__(self, metric: _Optional[str] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ..., minimum_delta: _Optional[float] = ..., maximum_delta: _Optional[float] = ..., minimum_ratio: _Optional[float] = ..., maximum_ratio: _Optional[float] = ..., measured_only: _Optional[bool] = ...) -> None: ...

class ModelVersion(_message.Message):
    __slots__ = ("name", "stage", "metrics", "parameters", "lineage", "contract", "serving", "artifacts", "signature_hash", "digest", "create_time", "created_by", "description", "collect_time", "format", "pipeline", "members", "serving_revision")
    class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STAGE_UNSPECIFIED: _ClassVar[ModelVersion.Stage]
        STAGE_REGISTERED: _ClassVar[ModelVersion.Stage]
        STAGE_STAGING: _ClassVar[ModelVersion.Stage]
        STAGE_PRODUCTION: _ClassVar[ModelVersion.Stage]
        STAGE_ARCHIVED: _ClassVar[ModelVersion.Stage]
    STAGE_UNSPECIFIED: ModelVersion.Stage
    STAGE_REGISTERED: ModelVersion.Stage
    STAGE_STAGING: ModelVersion.Stage
    STAGE_PRODUCTION: ModelVersion.Stage
    STAGE_ARCHIVED: ModelVersion.Stage
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    ARTIFACTS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_HASH_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    COLLECT_TIME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    SERVING_REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    stage: ModelVersion.Stage
    metrics: _containers.RepeatedCompositeFieldContainer[Metric]
    parameters: _containers.ScalarMap[str, str]
    lineage: Lineage
    contract: _tensor_pb2.ServingContract
    serving: ServingSettings
    artifacts: _containers.RepeatedCompositeFieldContainer[Artifact]
    signature_hash: str
    digest: str
    create_time: _timestamp_pb2.Timestamp
    created_by: str
    description: str
    collect_time: _timestamp_pb2.Timestamp
    format: Format
    pipeline: _pipeline_pb2.Pipeline
    members: _containers.RepeatedCompositeFieldContainer[ModelVersion]
    serving_revision: int
    def __init__(self, name: _Optional[str] = ..., stage: _Optional[_Union[ModelVersion.Stage, str]] = ..., metrics: _Optional[_Iterable[_Union[Metric, _Mapping]]] = ..., parameters: _Optional[_Mapping[str, str]] = ..., lineage: _Optional[_Union[Lineage, _Mapping]] = ..., contract: _Optional[_Union[_tensor_pb2.ServingContract, _Mapping]] = ..., serving: _Optional[_Union[ServingSettings, _Mapping]] = ..., artifacts: _Optional[_Iterable[_Union[Artifact, _Mapping]]] = ..., signature_hash: _Optional[str] = ..., digest: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_by: _Optional[str] = ..., description: _Optional[str] = ..., collect_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., format: _Optional[_Union[Format, str]] = ..., pipeline: _Optional[_Union[_pipeline_pb2.Pipeline, _Mapping]] = ..., members: _Optional[_Iterable[_Union[ModelVersion, _Mapping]]] = ..., serving_revision: _Optional[int] = ...) -> None: ...

class Metric(_message.Message):
    __slots__ = ("name", "value", "source")
    class Source(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SOURCE_UNSPECIFIED: _ClassVar[Metric.Source]
        SOURCE_REPORTED: _ClassVar[Metric.Source]
        SOURCE_MEASURED: _ClassVar[Metric.Source]
    SOURCE_UNSPECIFIED: Metric.Source
    SOURCE_REPORTED: Metric.Source
    SOURCE_MEASURED: Metric.Source
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    source: Metric.Source
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., source: _Optional[_Union[Metric.Source, str]] = ...) -> None: ...

class Lineage(_message.Message):
    __slots__ = ("parent_version", "run", "dataset", "code_revision")
    PARENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    CODE_REVISION_FIELD_NUMBER: _ClassVar[int]
    parent_version: str
    run: str
    dataset: str
    code_revision: str
    def __init__(self, parent_version: _Optional[str] = ..., run: _Optional[str] = ..., dataset: _Optional[str] = ..., code_revision: _Optional[str] = ...) -> None: ...

class ServingSettings(_message.Message):
    __slots__ = ("max_batch_rows", "preferred_batch_rows", "max_wait", "instances", "device", "warm", "padding")
    class Device(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DEVICE_UNSPECIFIED: _ClassVar[ServingSettings.Device]
        DEVICE_CPU: _ClassVar[ServingSettings.Device]
        DEVICE_GPU: _ClassVar[ServingSettings.Device]
    DEVICE_UNSPECIFIED: ServingSettings.Device
    DEVICE_CPU: ServingSettings.Device
    DEVICE_GPU: ServingSettings.Device
    class Padding(_message.Message):
        __slots__ = ("sizes", "values")
        class ValuesEntry(_message.Message):
            __slots__ = ("key", "value")
            KEY_FIELD_NUMBER: _ClassVar[int]
            VALUE_FIELD_NUMBER: _ClassVar[int]
            key: str
            value: float
            def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
        SIZES_FIELD_NUMBER: _ClassVar[int]
        VALUES_FIELD_NUMBER: _ClassVar[int]
        sizes: _containers.RepeatedScalarFieldContainer[int]
        values: _containers.ScalarMap[str, float]
        def __init__(self, sizes: _Optional[_Iterable[int]] = ..., values: _Optional[_Mapping[str, float]] = ...) -> None: ...
    MAX_BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_WAIT_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    WARM_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    max_batch_rows: int
    preferred_batch_rows: _containers.RepeatedScalarFieldContainer[int]
    max_wait: _duration_pb2.Duration
    instances: int
    device: ServingSettings.Device
    warm: bool
    padding: ServingSettings.Padding
    def __init__(self, max_batch_rows: _Optional[int] = ..., preferred_batch_rows: _Optional[_Iterable[int]] = ..., max_wait: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., instances: _Optional[int] = ..., device: _Optional[_Union[ServingSettings.Device, str]] = ..., warm: _Optional[bool] = ..., padding: _Optional[_Union[ServingSettings.Padding, _Mapping]] = ...) -> None: ...

class Artifact(_message.Message):
    __slots__ = ("name", "type", "sha256", "size_bytes")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TYPE_UNSPECIFIED: _ClassVar[Artifact.Type]
        TYPE_ONNX: _ClassVar[Artifact.Type]
        TYPE_PARQUET: _ClassVar[Artifact.Type]
        TYPE_JSON: _ClassVar[Artifact.Type]
        TYPE_TORCHSCRIPT: _ClassVar[Artifact.Type]
        TYPE_PT2: _ClassVar[Artifact.Type]
        TYPE_SAVEDMODEL: _ClassVar[Artifact.Type]
        TYPE_TENSORRT: _ClassVar[Artifact.Type]
        TYPE_PYTHON: _ClassVar[Artifact.Type]
        TYPE_REQUIREMENTS: _ClassVar[Artifact.Type]
        TYPE_TREES: _ClassVar[Artifact.Type]
        TYPE_OPAQUE: _ClassVar[Artifact.Type]
    TYPE_UNSPECIFIED: Artifact.Type
    TYPE_ONNX: Artifact.Type
    TYPE_PARQUET: Artifact.Type
    TYPE_JSON: Artifact.Type
    TYPE_TORCHSCRIPT: Artifact.Type
    TYPE_PT2: Artifact.Type
    TYPE_SAVEDMODEL: Artifact.Type
    TYPE_TENSORRT: Artifact.Type
    TYPE_PYTHON: Artifact.Type
    TYPE_REQUIREMENTS: Artifact.Type
    TYPE_TREES: Artifact.Type
    TYPE_OPAQUE: Artifact.Type
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: Artifact.Type
    sha256: str
    size_bytes: int
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[Artifact.Type, str]] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class ModelEvent(_message.Message):
    __slots__ = ("epoch", "action", "version", "from_stage", "to_stage", "alias", "client", "reason", "create_time", "signature_breaks", "serving_change", "promotion_request")
    class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTION_UNSPECIFIED: _ClassVar[ModelEvent.Action]
        ACTION_MODEL_CREATED: _ClassVar[ModelEvent.Action]
        ACTION_MODEL_UPDATED: _ClassVar[ModelEvent.Action]
        ACTION_VERSION_CREATED: _ClassVar[ModelEvent.Action]
        ACTION_STAGE_CHANGED: _ClassVar[ModelEvent.Action]
        ACTION_ALIAS_SET: _ClassVar[ModelEvent.Action]
        ACTION_ALIAS_DELETED: _ClassVar[ModelEvent.Action]
        ACTION_ROLLED_BACK: _ClassVar[ModelEvent.Action]
        ACTION_MODEL_DELETED: _ClassVar[ModelEvent.Action]
        ACTION_VERSION_COLLECTED: _ClassVar[ModelEvent.Action]
        ACTION_SERVING_CHANGED: _ClassVar[ModelEvent.Action]
        ACTION_PROMOTION_REQUESTED: _ClassVar[ModelEvent.Action]
        ACTION_PROMOTION_APPROVED: _ClassVar[ModelEvent.Action]
        ACTION_PROMOTION_REJECTED: _ClassVar[ModelEvent.Action]
        ACTION_PROMOTION_WITHDRAWN: _ClassVar[ModelEvent.Action]
        ACTION_PROMOTION_EXPIRED: _ClassVar[ModelEvent.Action]
        ACTION_PROMOTION_FAILED: _ClassVar[ModelEvent.Action]
        ACTION_APPROVAL_POLICY_SET: _ClassVar[ModelEvent.Action]
        ACTION_APPROVAL_OVERRIDDEN: _ClassVar[ModelEvent.Action]
        ACTION_PROMOTION_ROLLED_OUT: _ClassVar[ModelEvent.Action]
    ACTION_UNSPECIFIED: ModelEvent.Action
    ACTION_MODEL_CREATED: ModelEvent.Action
    ACTION_MODEL_UPDATED: ModelEvent.Action
    ACTION_VERSION_CREATED: ModelEvent.Action
    ACTION_STAGE_CHANGED: ModelEvent.Action
    ACTION_ALIAS_SET: ModelEvent.Action
    ACTION_ALIAS_DELETED: ModelEvent.Action
    ACTION_ROLLED_BACK: ModelEvent.Action
    ACTION_MODEL_DELETED: ModelEvent.Action
    ACTION_VERSION_COLLECTED: ModelEvent.Action
    ACTION_SERVING_CHANGED: ModelEvent.Action
    ACTION_PROMOTION_REQUESTED: ModelEvent.Action
    ACTION_PROMOTION_APPROVED: ModelEvent.Action
    ACTION_PROMOTION_REJECTED: ModelEvent.Action
    ACTION_PROMOTION_WITHDRAWN: ModelEvent.Action
    ACTION_PROMOTION_EXPIRED: ModelEvent.Action
    ACTION_PROMOTION_FAILED: ModelEvent.Action
    ACTION_APPROVAL_POLICY_SET: ModelEvent.Action
    ACTION_APPROVAL_OVERRIDDEN: ModelEvent.Action
    ACTION_PROMOTION_ROLLED_OUT: ModelEvent.Action
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FROM_STAGE_FIELD_NUMBER: _ClassVar[int]
    TO_STAGE_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_BREAKS_FIELD_NUMBER: _ClassVar[int]
    SERVING_CHANGE_FIELD_NUMBER: _ClassVar[int]
    PROMOTION_REQUEST_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    action: ModelEvent.Action
    version: str
    from_stage: ModelVersion.Stage
    to_stage: ModelVersion.Stage
    alias: str
    client: str
    reason: str
    create_time: _timestamp_pb2.Timestamp
    signature_breaks: _containers.RepeatedScalarFieldContainer[str]
    serving_change: ServingChange
    promotion_request: int
    def __init__(self, epoch: _Optional[int] = ..., action: _Optional[_Union[ModelEvent.Action, str]] = ..., version: _Optional[str] = ..., from_stage: _Optional[_Union[ModelVersion.Stage, str]] = ..., to_stage: _Optional[_Union[ModelVersion.Stage, str]] = ..., alias: _Optional[str] = ..., client: _Optional[str] = ..., reason: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., signature_breaks: _Optional[_Iterable[str]] = ..., serving_change: _Optional[_Union[ServingChange, _Mapping]] = ..., promotion_request: _Optional[int] = ...) -> None: ...

class ServingChange(_message.Message):
    __slots__ = ("revision", "before", "after")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    revision: int
    before: ServingSettings
    after: ServingSettings
    def __init__(self, revision: _Optional[int] = ..., before: _Optional[_Union[ServingSettings, _Mapping]] = ..., after: _Optional[_Union[ServingSettings, _Mapping]] = ...) -> None: ...

class Hold(_message.Message):
    __slots__ = ("name", "holder", "reason", "client", "create_time", "expire_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    holder: str
    reason: str
    client: str
    create_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., holder: _Optional[str] = ..., reason: _Optional[str] = ..., client: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Measurement(_message.Message):
    __slots__ = ("metric", "source_process", "create_time")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    SOURCE_PROCESS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    metric: Metric
    source_process: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, metric: _Optional[_Union[Metric, _Mapping]] = ..., source_process: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateModelRequest(_message.Message):
    __slots__ = ("model", "request_id", "validate_only")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    model: Model
    request_id: str
    validate_only: bool
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class CreateModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "contains", "order")
    class Order(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ORDER_UNSPECIFIED: _ClassVar[ListModelsRequest.Order]
        ORDER_NAME: _ClassVar[ListModelsRequest.Order]
        ORDER_LATEST_CHANGE: _ClassVar[ListModelsRequest.Order]
    ORDER_UNSPECIFIED: ListModelsRequest.Order
    ORDER_NAME: ListModelsRequest.Order
    ORDER_LATEST_CHANGE: ListModelsRequest.Order
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CONTAINS_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    contains: str
    order: ListModelsRequest.Order
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., contains: _Optional[str] = ..., order: _Optional[_Union[ListModelsRequest.Order, str]] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateModelRequest(_message.Message):
    __slots__ = ("model", "reason", "request_id", "validate_only")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    model: Model
    reason: str
    request_id: str
    validate_only: bool
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class UpdateModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class UploadArtifactRequest(_message.Message):
    __slots__ = ("header", "chunk")
    class Header(_message.Message):
        __slots__ = ("type", "sha256", "size_bytes")
        TYPE_FIELD_NUMBER: _ClassVar[int]
        SHA256_FIELD_NUMBER: _ClassVar[int]
        SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
        type: Artifact.Type
        sha256: str
        size_bytes: int
        def __init__(self, type: _Optional[_Union[Artifact.Type, str]] = ..., sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: UploadArtifactRequest.Header
    chunk: bytes
    def __init__(self, header: _Optional[_Union[UploadArtifactRequest.Header, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class UploadArtifactResponse(_message.Message):
    __slots__ = ("sha256", "size_bytes")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    size_bytes: int
    def __init__(self, sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class StreamCodeRequest(_message.Message):
    __slots__ = ("header", "chunk")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    header: UploadArtifactRequest.Header
    chunk: bytes
    def __init__(self, header: _Optional[_Union[UploadArtifactRequest.Header, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class StreamCodeResponse(_message.Message):
    __slots__ = ("sha256", "size_bytes")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    size_bytes: int
    def __init__(self, sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class UploadCodeRequest(_message.Message):
    __slots__ = ("type", "content", "sha256")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    type: Artifact.Type
    content: bytes
    sha256: str
    def __init__(self, type: _Optional[_Union[Artifact.Type, str]] = ..., content: _Optional[bytes] = ..., sha256: _Optional[str] = ...) -> None: ...

class UploadCodeResponse(_message.Message):
    __slots__ = ("sha256", "size_bytes")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    size_bytes: int
    def __init__(self, sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class CreateModelVersionRequest(_message.Message):
    __slots__ = ("version", "request_id", "skip_trial")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SKIP_TRIAL_FIELD_NUMBER: _ClassVar[int]
    version: ModelVersion
    request_id: str
    skip_trial: bool
    def __init__(self, version: _Optional[_Union[ModelVersion, _Mapping]] = ..., request_id: _Optional[str] = ..., skip_trial: _Optional[bool] = ...) -> None: ...

class CreateModelVersionResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: ModelVersion
    def __init__(self, version: _Optional[_Union[ModelVersion, _Mapping]] = ...) -> None: ...

class GetModelVersionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModelVersionResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: ModelVersion
    def __init__(self, version: _Optional[_Union[ModelVersion, _Mapping]] = ...) -> None: ...

class GetModelOpenApiRequest(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class DownloadArtifactRequest(_message.Message):
    __slots__ = ("name", "artifact")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARTIFACT_FIELD_NUMBER: _ClassVar[int]
    name: str
    artifact: str
    def __init__(self, name: _Optional[str] = ..., artifact: _Optional[str] = ...) -> None: ...

class DownloadArtifactResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...

class UpdateServingSettingsRequest(_message.Message):
    __slots__ = ("name", "serving", "etag", "reason", "request_id", "validate_only")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    name: str
    serving: ServingSettings
    etag: str
    reason: str
    request_id: str
    validate_only: bool
    def __init__(self, name: _Optional[str] = ..., serving: _Optional[_Union[ServingSettings, _Mapping]] = ..., etag: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class UpdateServingSettingsResponse(_message.Message):
    __slots__ = ("version", "model")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    version: ModelVersion
    model: Model
    def __init__(self, version: _Optional[_Union[ModelVersion, _Mapping]] = ..., model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class ListModelVersionsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token", "stage")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    stage: ModelVersion.Stage
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., stage: _Optional[_Union[ModelVersion.Stage, str]] = ...) -> None: ...

class ListModelVersionsResponse(_message.Message):
    __slots__ = ("versions", "next_page_token")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[ModelVersion]
    next_page_token: str
    def __init__(self, versions: _Optional[_Iterable[_Union[ModelVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PromoteModelVersionRequest(_message.Message):
    __slots__ = ("name", "target_stage", "etag", "reason", "request_id", "allow_incompatible_signature", "end_rollout", "rollout", "validate_only", "promotion_request", "measured_later")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TARGET_STAGE_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOW_INCOMPATIBLE_SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    END_ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    PROMOTION_REQUEST_FIELD_NUMBER: _ClassVar[int]
    MEASURED_LATER_FIELD_NUMBER: _ClassVar[int]
    name: str
    target_stage: ModelVersion.Stage
    etag: str
    reason: str
    request_id: str
    allow_incompatible_signature: bool
    end_rollout: bool
    rollout: str
    validate_only: bool
    promotion_request: str
    measured_later: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., target_stage: _Optional[_Union[ModelVersion.Stage, str]] = ..., etag: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., allow_incompatible_signature: _Optional[bool] = ..., end_rollout: _Optional[bool] = ..., rollout: _Optional[str] = ..., validate_only: _Optional[bool] = ..., promotion_request: _Optional[str] = ..., measured_later: _Optional[_Iterable[str]] = ...) -> None: ...

class PromoteModelVersionResponse(_message.Message):
    __slots__ = ("version", "model")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    version: ModelVersion
    model: Model
    def __init__(self, version: _Optional[_Union[ModelVersion, _Mapping]] = ..., model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class RollbackModelRequest(_message.Message):
    __slots__ = ("name", "etag", "reason", "request_id", "end_rollout")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    END_ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    reason: str
    request_id: str
    end_rollout: bool
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., end_rollout: _Optional[bool] = ...) -> None: ...

class RollbackModelResponse(_message.Message):
    __slots__ = ("version", "model")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    version: ModelVersion
    model: Model
    def __init__(self, version: _Optional[_Union[ModelVersion, _Mapping]] = ..., model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class SetAliasRequest(_message.Message):
    __slots__ = ("name", "version", "reason", "request_id", "etag")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    reason: str
    request_id: str
    etag: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class SetAliasResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class DeleteAliasRequest(_message.Message):
    __slots__ = ("name", "reason", "request_id", "etag")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    request_id: str
    etag: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class DeleteAliasResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class ListModelEventsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[ModelEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[ModelEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteModelRequest(_message.Message):
    __slots__ = ("name", "etag", "reason", "request_id", "with_route")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    WITH_ROUTE_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    reason: str
    request_id: str
    with_route: bool
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ..., reason: _Optional[str] = ..., request_id: _Optional[str] = ..., with_route: _Optional[bool] = ...) -> None: ...

class DeleteModelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetModelAsOfRequest(_message.Message):
    __slots__ = ("name", "time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetModelAsOfResponse(_message.Message):
    __slots__ = ("epoch", "production_version", "production_event", "aliases", "stages")
    class AliasesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class StagesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: ModelVersion.Stage
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[ModelVersion.Stage, str]] = ...) -> None: ...
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PRODUCTION_VERSION_FIELD_NUMBER: _ClassVar[int]
    PRODUCTION_EVENT_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    STAGES_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    production_version: str
    production_event: ModelEvent
    aliases: _containers.ScalarMap[str, str]
    stages: _containers.ScalarMap[str, ModelVersion.Stage]
    def __init__(self, epoch: _Optional[int] = ..., production_version: _Optional[str] = ..., production_event: _Optional[_Union[ModelEvent, _Mapping]] = ..., aliases: _Optional[_Mapping[str, str]] = ..., stages: _Optional[_Mapping[str, ModelVersion.Stage]] = ...) -> None: ...

class HoldVersionRequest(_message.Message):
    __slots__ = ("name", "holder", "ttl", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    holder: str
    ttl: _duration_pb2.Duration
    reason: str
    def __init__(self, name: _Optional[str] = ..., holder: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class HoldVersionResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: Hold
    def __init__(self, hold: _Optional[_Union[Hold, _Mapping]] = ...) -> None: ...

class ReleaseHoldRequest(_message.Message):
    __slots__ = ("name", "holder")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    name: str
    holder: str
    def __init__(self, name: _Optional[str] = ..., holder: _Optional[str] = ...) -> None: ...

class ReleaseHoldResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListHoldsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListHoldsResponse(_message.Message):
    __slots__ = ("holds", "next_page_token")
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    holds: _containers.RepeatedCompositeFieldContainer[Hold]
    next_page_token: str
    def __init__(self, holds: _Optional[_Iterable[_Union[Hold, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListMeasurementsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMeasurementsResponse(_message.Message):
    __slots__ = ("measurements", "next_page_token")
    MEASUREMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    measurements: _containers.RepeatedCompositeFieldContainer[Measurement]
    next_page_token: str
    def __init__(self, measurements: _Optional[_Iterable[_Union[Measurement, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class BeginUploadRequest(_message.Message):
    __slots__ = ("type", "size_bytes", "sha256")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    type: Artifact.Type
    size_bytes: int
    sha256: str
    def __init__(self, type: _Optional[_Union[Artifact.Type, str]] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class BeginUploadResponse(_message.Message):
    __slots__ = ("name", "url", "headers", "expire_time")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    url: str
    headers: _containers.ScalarMap[str, str]
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., url: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CompleteUploadRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CompleteUploadResponse(_message.Message):
    __slots__ = ("sha256", "size_bytes")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    sha256: str
    size_bytes: int
    def __init__(self, sha256: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class RecordMeasuredMetricsRequest(_message.Message):
    __slots__ = ("name", "digest", "metrics", "source_process")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_PROCESS_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    metrics: _containers.RepeatedCompositeFieldContainer[Metric]
    source_process: str
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., metrics: _Optional[_Iterable[_Union[Metric, _Mapping]]] = ..., source_process: _Optional[str] = ...) -> None: ...

class RecordMeasuredMetricsResponse(_message.Message):
    __slots__ = ("version",)
    VERSION_FIELD_NUMBER: _ClassVar[int]
    version: ModelVersion
    def __init__(self, version: _Optional[_Union[ModelVersion, _Mapping]] = ...) -> None: ...

class ReportPoolsRequest(_message.Message):
    __slots__ = ("pools",)
    class Pool(_message.Message):
        __slots__ = ("name", "formats")
        NAME_FIELD_NUMBER: _ClassVar[int]
        FORMATS_FIELD_NUMBER: _ClassVar[int]
        name: str
        formats: _containers.RepeatedScalarFieldContainer[Format]
        def __init__(self, name: _Optional[str] = ..., formats: _Optional[_Iterable[_Union[Format, str]]] = ...) -> None: ...
    POOLS_FIELD_NUMBER: _ClassVar[int]
    pools: _containers.RepeatedCompositeFieldContainer[ReportPoolsRequest.Pool]
    def __init__(self, pools: _Optional[_Iterable[_Union[ReportPoolsRequest.Pool, _Mapping]]] = ...) -> None: ...

class ReportPoolsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WatchModelsRequest(_message.Message):
    __slots__ = ("resume_token",)
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    resume_token: str
    def __init__(self, resume_token: _Optional[str] = ...) -> None: ...

class WatchModelsResponse(_message.Message):
    __slots__ = ("model", "versions", "removed", "snapshot_complete", "resume_token", "incarnation")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    RESUME_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    model: Model
    versions: _containers.RepeatedCompositeFieldContainer[ModelVersion]
    removed: bool
    snapshot_complete: bool
    resume_token: str
    incarnation: str
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ..., versions: _Optional[_Iterable[_Union[ModelVersion, _Mapping]]] = ..., removed: _Optional[bool] = ..., snapshot_complete: _Optional[bool] = ..., resume_token: _Optional[str] = ..., incarnation: _Optional[str] = ...) -> None: ...
