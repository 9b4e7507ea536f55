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

class ScoringSpec(_message.Message):
    __slots__ = ("version", "alias", "input", "derived_columns", "tensors", "keep_columns", "output_columns", "output", "options", "publishing")
    class Input(_message.Message):
        __slots__ = ("uri", "format", "source")
        class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            FORMAT_UNSPECIFIED: _ClassVar[ScoringSpec.Input.Format]
            FORMAT_PARQUET: _ClassVar[ScoringSpec.Input.Format]
            FORMAT_CSV: _ClassVar[ScoringSpec.Input.Format]
            FORMAT_JSONL: _ClassVar[ScoringSpec.Input.Format]
            FORMAT_ARROW: _ClassVar[ScoringSpec.Input.Format]
            FORMAT_DELTA: _ClassVar[ScoringSpec.Input.Format]
        FORMAT_UNSPECIFIED: ScoringSpec.Input.Format
        FORMAT_PARQUET: ScoringSpec.Input.Format
        FORMAT_CSV: ScoringSpec.Input.Format
        FORMAT_JSONL: ScoringSpec.Input.Format
        FORMAT_ARROW: ScoringSpec.Input.Format
        FORMAT_DELTA: ScoringSpec.Input.Format
        URI_FIELD_NUMBER: _ClassVar[int]
        FORMAT_FIELD_NUMBER: _ClassVar[int]
        SOURCE_FIELD_NUMBER: _ClassVar[int]
        uri: str
        format: ScoringSpec.Input.Format
        source: ScoringSpec.Source
        def __init__(self, uri: _Optional[str] = ..., format: _Optional[_Union[ScoringSpec.Input.Format, str]] = ..., source: _Optional[_Union[ScoringSpec.Source, _Mapping]] = ...) -> None: ...
    class Source(_message.Message):
        __slots__ = ("source", "query", "table")
        SOURCE_FIELD_NUMBER: _ClassVar[int]
        QUERY_FIELD_NUMBER: _ClassVar[int]
        TABLE_FIELD_NUMBER: _ClassVar[int]
        source: str
        query: str
        table: str
        def __init__(self, source: _Optional[str] = ..., query: _Optional[str] = ..., table: _Optional[str] = ...) -> None: ...
    class ColumnExpression(_message.Message):
        __slots__ = ("column", "expression")
        COLUMN_FIELD_NUMBER: _ClassVar[int]
        EXPRESSION_FIELD_NUMBER: _ClassVar[int]
        column: str
        expression: str
        def __init__(self, column: _Optional[str] = ..., expression: _Optional[str] = ...) -> None: ...
    class TensorColumns(_message.Message):
        __slots__ = ("tensor", "columns")
        TENSOR_FIELD_NUMBER: _ClassVar[int]
        COLUMNS_FIELD_NUMBER: _ClassVar[int]
        tensor: str
        columns: _containers.RepeatedScalarFieldContainer[str]
        def __init__(self, tensor: _Optional[str] = ..., columns: _Optional[_Iterable[str]] = ...) -> None: ...
    class Output(_message.Message):
        __slots__ = ("uri",)
        URI_FIELD_NUMBER: _ClassVar[int]
        uri: str
        def __init__(self, uri: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    DERIVED_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    KEEP_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PUBLISHING_FIELD_NUMBER: _ClassVar[int]
    version: str
    alias: str
    input: ScoringSpec.Input
    derived_columns: _containers.RepeatedCompositeFieldContainer[ScoringSpec.ColumnExpression]
    tensors: _containers.RepeatedCompositeFieldContainer[ScoringSpec.TensorColumns]
    keep_columns: _containers.RepeatedScalarFieldContainer[str]
    output_columns: _containers.RepeatedCompositeFieldContainer[ScoringSpec.ColumnExpression]
    output: ScoringSpec.Output
    options: ScoringOptions
    publishing: Publishing
    def __init__(self, version: _Optional[str] = ..., alias: _Optional[str] = ..., input: _Optional[_Union[ScoringSpec.Input, _Mapping]] = ..., derived_columns: _Optional[_Iterable[_Union[ScoringSpec.ColumnExpression, _Mapping]]] = ..., tensors: _Optional[_Iterable[_Union[ScoringSpec.TensorColumns, _Mapping]]] = ..., keep_columns: _Optional[_Iterable[str]] = ..., output_columns: _Optional[_Iterable[_Union[ScoringSpec.ColumnExpression, _Mapping]]] = ..., output: _Optional[_Union[ScoringSpec.Output, _Mapping]] = ..., options: _Optional[_Union[ScoringOptions, _Mapping]] = ..., publishing: _Optional[_Union[Publishing, _Mapping]] = ...) -> None: ...

class Publishing(_message.Message):
    __slots__ = ("entity_column", "ttl", "disappeared", "keep_for", "parity_rows", "absolute_tolerance", "relative_tolerance", "drift_tolerance")
    class Disappeared(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        DISAPPEARED_UNSPECIFIED: _ClassVar[Publishing.Disappeared]
        DISAPPEARED_ABSENT: _ClassVar[Publishing.Disappeared]
        DISAPPEARED_KEPT: _ClassVar[Publishing.Disappeared]
    DISAPPEARED_UNSPECIFIED: Publishing.Disappeared
    DISAPPEARED_ABSENT: Publishing.Disappeared
    DISAPPEARED_KEPT: Publishing.Disappeared
    ENTITY_COLUMN_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    DISAPPEARED_FIELD_NUMBER: _ClassVar[int]
    KEEP_FOR_FIELD_NUMBER: _ClassVar[int]
    PARITY_ROWS_FIELD_NUMBER: _ClassVar[int]
    ABSOLUTE_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    DRIFT_TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    entity_column: str
    ttl: _duration_pb2.Duration
    disappeared: Publishing.Disappeared
    keep_for: _duration_pb2.Duration
    parity_rows: int
    absolute_tolerance: float
    relative_tolerance: float
    drift_tolerance: float
    def __init__(self, entity_column: _Optional[str] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., disappeared: _Optional[_Union[Publishing.Disappeared, str]] = ..., keep_for: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., parity_rows: _Optional[int] = ..., absolute_tolerance: _Optional[float] = ..., relative_tolerance: _Optional[float] = ..., drift_tolerance: _Optional[float] = ...) -> None: ...

class ScoringOptions(_message.Message):
    __slots__ = ("batch_rows", "shard_rows", "workers", "max_rejected_share", "window", "engine", "pool")
    class Engine(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ENGINE_UNSPECIFIED: _ClassVar[ScoringOptions.Engine]
        ENGINE_WORKERS: _ClassVar[ScoringOptions.Engine]
        ENGINE_POOL: _ClassVar[ScoringOptions.Engine]
    ENGINE_UNSPECIFIED: ScoringOptions.Engine
    ENGINE_WORKERS: ScoringOptions.Engine
    ENGINE_POOL: ScoringOptions.Engine
    BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    SHARD_ROWS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    MAX_REJECTED_SHARE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    batch_rows: int
    shard_rows: int
    workers: int
    max_rejected_share: float
    window: _duration_pb2.Duration
    engine: ScoringOptions.Engine
    pool: str
    def __init__(self, batch_rows: _Optional[int] = ..., shard_rows: _Optional[int] = ..., workers: _Optional[int] = ..., max_rejected_share: _Optional[float] = ..., window: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., engine: _Optional[_Union[ScoringOptions.Engine, str]] = ..., pool: _Optional[str] = ...) -> None: ...

class ScoringJob(_message.Message):
    __slots__ = ("name", "spec", "version", "version_digest", "state", "reason", "failure", "progress", "output_uri", "manifest", "create_time", "start_time", "end_time", "client", "revision", "attempts", "late")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[ScoringJob.State]
        STATE_QUEUED: _ClassVar[ScoringJob.State]
        STATE_PLANNING: _ClassVar[ScoringJob.State]
        STATE_RUNNING: _ClassVar[ScoringJob.State]
        STATE_PAUSED: _ClassVar[ScoringJob.State]
        STATE_CANCELLING: _ClassVar[ScoringJob.State]
        STATE_SUCCEEDED: _ClassVar[ScoringJob.State]
        STATE_FAILED: _ClassVar[ScoringJob.State]
        STATE_CANCELLED: _ClassVar[ScoringJob.State]
    STATE_UNSPECIFIED: ScoringJob.State
    STATE_QUEUED: ScoringJob.State
    STATE_PLANNING: ScoringJob.State
    STATE_RUNNING: ScoringJob.State
    STATE_PAUSED: ScoringJob.State
    STATE_CANCELLING: ScoringJob.State
    STATE_SUCCEEDED: ScoringJob.State
    STATE_FAILED: ScoringJob.State
    STATE_CANCELLED: ScoringJob.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_URI_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    spec: ScoringSpec
    version: str
    version_digest: str
    state: ScoringJob.State
    reason: str
    failure: str
    progress: ScoringProgress
    output_uri: str
    manifest: Manifest
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    client: str
    revision: int
    attempts: int
    late: bool
    def __init__(self, name: _Optional[str] = ..., spec: _Optional[_Union[ScoringSpec, _Mapping]] = ..., version: _Optional[str] = ..., version_digest: _Optional[str] = ..., state: _Optional[_Union[ScoringJob.State, str]] = ..., reason: _Optional[str] = ..., failure: _Optional[str] = ..., progress: _Optional[_Union[ScoringProgress, _Mapping]] = ..., output_uri: _Optional[str] = ..., manifest: _Optional[_Union[Manifest, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., client: _Optional[str] = ..., revision: _Optional[int] = ..., attempts: _Optional[int] = ..., late: _Optional[bool] = ...) -> None: ...

class ScoringProgress(_message.Message):
    __slots__ = ("rows", "rows_done", "rows_rejected", "shards", "shards_done", "rows_per_second", "remaining", "input_bytes")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ROWS_DONE_FIELD_NUMBER: _ClassVar[int]
    ROWS_REJECTED_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    SHARDS_DONE_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    INPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    rows: int
    rows_done: int
    rows_rejected: int
    shards: int
    shards_done: int
    rows_per_second: float
    remaining: _duration_pb2.Duration
    input_bytes: int
    def __init__(self, rows: _Optional[int] = ..., rows_done: _Optional[int] = ..., rows_rejected: _Optional[int] = ..., shards: _Optional[int] = ..., shards_done: _Optional[int] = ..., rows_per_second: _Optional[float] = ..., remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., input_bytes: _Optional[int] = ...) -> None: ...

class Manifest(_message.Message):
    __slots__ = ("rows_in", "rows_out", "rows_rejected", "input_digest", "output_digest", "version_digest", "digest", "code_version", "duration", "cpu_seconds", "batch_rows", "files", "uri", "cost")
    ROWS_IN_FIELD_NUMBER: _ClassVar[int]
    ROWS_OUT_FIELD_NUMBER: _ClassVar[int]
    ROWS_REJECTED_FIELD_NUMBER: _ClassVar[int]
    INPUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CODE_VERSION_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    rows_in: int
    rows_out: int
    rows_rejected: int
    input_digest: str
    output_digest: str
    version_digest: str
    digest: str
    code_version: str
    duration: _duration_pb2.Duration
    cpu_seconds: float
    batch_rows: int
    files: int
    uri: str
    cost: float
    def __init__(self, rows_in: _Optional[int] = ..., rows_out: _Optional[int] = ..., rows_rejected: _Optional[int] = ..., input_digest: _Optional[str] = ..., output_digest: _Optional[str] = ..., version_digest: _Optional[str] = ..., digest: _Optional[str] = ..., code_version: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cpu_seconds: _Optional[float] = ..., batch_rows: _Optional[int] = ..., files: _Optional[int] = ..., uri: _Optional[str] = ..., cost: _Optional[float] = ...) -> None: ...

class ScoringJobEvent(_message.Message):
    __slots__ = ("number", "create_time", "type", "reason", "client")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    number: int
    create_time: _timestamp_pb2.Timestamp
    type: str
    reason: str
    client: str
    def __init__(self, number: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., type: _Optional[str] = ..., reason: _Optional[str] = ..., client: _Optional[str] = ...) -> None: ...

class CreateScoringJobRequest(_message.Message):
    __slots__ = ("parent", "spec", "request_id", "validate_only")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    parent: str
    spec: ScoringSpec
    request_id: str
    validate_only: bool
    def __init__(self, parent: _Optional[str] = ..., spec: _Optional[_Union[ScoringSpec, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class CreateScoringJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: ScoringJob
    def __init__(self, job: _Optional[_Union[ScoringJob, _Mapping]] = ...) -> None: ...

class GetScoringJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetScoringJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: ScoringJob
    def __init__(self, job: _Optional[_Union[ScoringJob, _Mapping]] = ...) -> None: ...

class ListScoringJobsRequest(_message.Message):
    __slots__ = ("model", "running", "page_size", "page_token", "version")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    model: str
    running: bool
    page_size: int
    page_token: str
    version: str
    def __init__(self, model: _Optional[str] = ..., running: _Optional[bool] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class ListScoringJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[ScoringJob]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[ScoringJob, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchScoringJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class WatchScoringJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: ScoringJob
    def __init__(self, job: _Optional[_Union[ScoringJob, _Mapping]] = ...) -> None: ...

class PauseScoringJobRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class PauseScoringJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: ScoringJob
    def __init__(self, job: _Optional[_Union[ScoringJob, _Mapping]] = ...) -> None: ...

class ResumeScoringJobRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ResumeScoringJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: ScoringJob
    def __init__(self, job: _Optional[_Union[ScoringJob, _Mapping]] = ...) -> None: ...

class CancelScoringJobRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelScoringJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: ScoringJob
    def __init__(self, job: _Optional[_Union[ScoringJob, _Mapping]] = ...) -> None: ...

class RetryScoringJobRequest(_message.Message):
    __slots__ = ("name", "reason")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    name: str
    reason: str
    def __init__(self, name: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class RetryScoringJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: ScoringJob
    def __init__(self, job: _Optional[_Union[ScoringJob, _Mapping]] = ...) -> None: ...

class ListScoringJobEventsRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListScoringJobEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[ScoringJobEvent]
    next_page_token: str
    def __init__(self, events: _Optional[_Iterable[_Union[ScoringJobEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class EstimateScoringJobRequest(_message.Message):
    __slots__ = ("parent", "spec")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    parent: str
    spec: ScoringSpec
    def __init__(self, parent: _Optional[str] = ..., spec: _Optional[_Union[ScoringSpec, _Mapping]] = ...) -> None: ...

class EstimateScoringJobResponse(_message.Message):
    __slots__ = ("rows", "rows_per_second", "duration", "cpu_hours", "cost", "fits_window", "sample_rows", "batch_rows", "workers")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    CPU_HOURS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    FITS_WINDOW_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_ROWS_FIELD_NUMBER: _ClassVar[int]
    BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    rows_per_second: float
    duration: _duration_pb2.Duration
    cpu_hours: float
    cost: float
    fits_window: bool
    sample_rows: int
    batch_rows: int
    workers: int
    def __init__(self, rows: _Optional[int] = ..., rows_per_second: _Optional[float] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cpu_hours: _Optional[float] = ..., cost: _Optional[float] = ..., fits_window: _Optional[bool] = ..., sample_rows: _Optional[int] = ..., batch_rows: _Optional[int] = ..., workers: _Optional[int] = ...) -> None: ...

class PutScoringWebhookRequest(_message.Message):
    __slots__ = ("webhook",)
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    webhook: _webhook_pb2.Webhook
    def __init__(self, webhook: _Optional[_Union[_webhook_pb2.Webhook, _Mapping]] = ...) -> None: ...

class PutScoringWebhookResponse(_message.Message):
    __slots__ = ("webhook",)
    WEBHOOK_FIELD_NUMBER: _ClassVar[int]
    webhook: _webhook_pb2.Webhook
    def __init__(self, webhook: _Optional[_Union[_webhook_pb2.Webhook, _Mapping]] = ...) -> None: ...

class ListScoringWebhooksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListScoringWebhooksResponse(_message.Message):
    __slots__ = ("webhooks",)
    WEBHOOKS_FIELD_NUMBER: _ClassVar[int]
    webhooks: _containers.RepeatedCompositeFieldContainer[_webhook_pb2.Webhook]
    def __init__(self, webhooks: _Optional[_Iterable[_Union[_webhook_pb2.Webhook, _Mapping]]] = ...) -> None: ...

class DeleteScoringWebhookRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteScoringWebhookResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
