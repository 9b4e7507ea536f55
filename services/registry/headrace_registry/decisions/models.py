"""What the registry knows, as frozen values. Enum values are what the database holds."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from headrace_runtime.pipelines.graph import Pipeline

from headrace_registry.decisions.files import ZEROS, Artifact, Example

# Stand for "not stored yet" in values that are made before the write.
NEVER = datetime.fromtimestamp(0, UTC)
NO_STORE = UUID(int=0)

# Share of a model's traffic for versions that are not promoted, where gates or approvals are set.
DEFAULT_UNPROMOTED_SHARE = 0.5


class Stage(enum.StrEnum):
    """The place of a version in its life."""

    REGISTERED = "registered"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


class MetricSource(enum.StrEnum):
    """Who vouches for a metric."""

    REPORTED = "reported"
    MEASURED = "measured"


class Action(enum.StrEnum):
    """What happened to a model."""

    MODEL_CREATED = "model_created"
    MODEL_UPDATED = "model_updated"
    VERSION_CREATED = "version_created"
    STAGE_CHANGED = "stage_changed"
    ALIAS_SET = "alias_set"
    ALIAS_DELETED = "alias_deleted"
    ROLLED_BACK = "rolled_back"
    MODEL_DELETED = "model_deleted"
    VERSION_COLLECTED = "version_collected"
    SERVING_CHANGED = "serving_changed"
    PROMOTION_REQUESTED = "promotion_requested"
    PROMOTION_APPROVED = "promotion_approved"
    PROMOTION_REJECTED = "promotion_rejected"
    PROMOTION_WITHDRAWN = "promotion_withdrawn"
    PROMOTION_EXPIRED = "promotion_expired"
    PROMOTION_FAILED = "promotion_failed"
    PROMOTION_ROLLED_OUT = "promotion_rolled_out"
    APPROVAL_POLICY_SET = "approval_policy_set"
    APPROVAL_OVERRIDDEN = "approval_overridden"


class Task(enum.StrEnum):
    """What the prediction of a version means."""

    UNSPECIFIED = "unspecified"
    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    RANKING = "ranking"


class TensorKind(enum.StrEnum):
    """How monitoring reads a tensor's values."""

    UNSPECIFIED = "unspecified"
    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    EMBEDDING = "embedding"


class BatchDimension(enum.StrEnum):
    """How a model file declares the dimension for rows of a tensor: of any size, as 1, or not at all."""

    UNSPECIFIED = "unspecified"
    ONE = "one"
    NONE = "none"


class Format(enum.StrEnum):
    """How a version keeps its model."""

    ONNX = "onnx"
    TORCHSCRIPT = "torchscript"
    PT2 = "pt2"
    SAVEDMODEL = "savedmodel"
    TENSORRT = "tensorrt"
    PYTHON = "python"
    FIL = "fil"
    OIP = "oip"


class Device(enum.StrEnum):
    """Where a version runs; ANY is where the pool runs."""

    ANY = "any"
    CPU = "cpu"
    GPU = "gpu"


class Bound(enum.StrEnum):
    """What a gate compares a metric with: a number, or the production version's value plus or times a number."""

    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    MINIMUM_DELTA = "minimum_delta"
    MAXIMUM_DELTA = "maximum_delta"
    MINIMUM_RATIO = "minimum_ratio"
    MAXIMUM_RATIO = "maximum_ratio"


@dataclass(frozen=True, slots=True)
class Gate:
    """One bound on one metric: exactly one of the fields that a Bound names is set."""

    metric: str
    minimum: float | None = None
    maximum: float | None = None
    measured_only: bool = False
    minimum_delta: float | None = None
    maximum_delta: float | None = None
    minimum_ratio: float | None = None
    maximum_ratio: float | None = None

    @property
    def bounds(self) -> dict[Bound, float]:
        """Return the bounds that are set, by their kind."""
        return {kind: value for kind in Bound if (value := getattr(self, kind.value)) is not None}


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """Who must agree before a version reaches one of some stages. approvers: patterns of clients, none for
    everybody. max_unpromoted_share: of the model's traffic, 0 to 1, for versions that are not promoted.
    """

    approvals: int
    approvers: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = (Stage.PRODUCTION,)
    expire_after: timedelta = timedelta(days=7)
    forbid_break_glass: bool = False
    max_unpromoted_share: float = DEFAULT_UNPROMOTED_SHARE


@dataclass(frozen=True, slots=True)
class Model:
    """A named line of versions.

    gates: None means the default gates, an empty tuple means none. production: id of the version, empty before the
    first promotion. rollback_targets: versions that were in production before it, the nearest last. epoch: 0 for a
    model that the present transaction is just making. incarnation: of the store that it was read from. delete_time: of
    a deleted model; only the order of changes and a transaction that would make it again still show it. approvals: what
    is asked of promotions; None for nothing. max_unpromoted_share: as stated beside the gates; None for what they make
    of it.
    """

    name: str
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    gates: tuple[Gate, ...] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    production: str = ""
    rollback_targets: tuple[str, ...] = ()
    epoch: int = 0
    create_time: datetime = NEVER
    update_time: datetime = NEVER
    incarnation: UUID = NO_STORE
    delete_time: datetime | None = None
    approvals: ApprovalPolicy | None = None
    max_unpromoted_share: float | None = None


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a contract says of one tensor. shape is that of one row; -1 varies by request."""

    name: str
    datatype: str
    shape: tuple[int, ...] = ()
    optional: bool = False
    nan_allowed: bool = False
    kind: TensorKind = TensorKind.UNSPECIFIED
    columns: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    sensitive: bool = False
    batch_dimension: BatchDimension = BatchDimension.UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Contract:
    """What callers of a version may rely on. decoupled: whether a request has any number of responses."""

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    prediction: str = ""
    task: Task = Task.UNSPECIFIED
    labels: tuple[str, ...] = ()
    example: Example = ZEROS
    decoupled: bool = False

    @property
    def row_by_row(self) -> bool:
        """Return whether only one row can be executed at a time.

        An output that is declared as 1 beside inputs of any size says nothing: some exporters write that.
        """
        ones = (spec.batch_dimension is BatchDimension.ONE for spec in self.inputs)
        nones = (spec.batch_dimension is BatchDimension.NONE for spec in (*self.inputs, *self.outputs))
        return any(ones) or any(nones)


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured quality of a version, its unit in its name."""

    name: str
    value: float
    source: MetricSource = MetricSource.REPORTED


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value that a process of Headrace measured. number: its place in the record, 0 until it is recorded."""

    name: str
    value: float
    source_process: str
    create_time: datetime
    number: int = 0


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a version was made from; empty text means unknown."""

    parent_version: str = ""
    run: str = ""
    dataset: str = ""
    code_revision: str = ""


@dataclass(frozen=True, slots=True)
class Padding:
    """How rows of different sizes are made to fit one batch. values: of the padding, by input; 0 for the others."""

    sizes: tuple[int, ...]
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """How batches of a version are formed, with every default filled in.

    warm: it is never unloaded for want of memory.
    """

    max_batch_rows: int
    preferred_batch_rows: tuple[int, ...]
    max_wait_ms: float
    instances: int
    device: Device = Device.ANY
    warm: bool = False
    padding: Padding | None = None


@dataclass(frozen=True, slots=True)
class ServingChange:
    """One change of a version's serving settings. revision: the number of those after it."""

    revision: int
    before: ServingSettings
    after: ServingSettings


@dataclass(frozen=True, slots=True)
class VersionRef:
    """The ids of a model and of one of its versions."""

    model: str
    version: str


@dataclass(frozen=True, slots=True)
class Member:
    """What a step of a pipeline runs: a registered version, or a graph of the pipeline's own, named after its step."""

    ref: VersionRef
    digest: str
    contract: Contract
    serving: ServingSettings
    artifacts: tuple[Artifact, ...] = ()
    signature_hash: str = ""
    format: Format = Format.ONNX
    serving_revision: int = 1


@dataclass(frozen=True, slots=True)
class Composition:
    """What a version is made of. members: each once, empty until they are found; digests: of a member, by step."""

    pipeline: Pipeline
    members: tuple[Member, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def by_step(self) -> dict[str, Member]:
        """Return what each step runs."""
        members = {member.digest: member for member in self.members}
        return {step: members[digest] for step, digest in self.digests.items()}


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable state of a model; only its stage changes, how it is served, and what Headrace measures and keeps
    of it.

    metrics: as registered. measured: what was measured since, the latest value of each name. collect_time: when its
    files were given up. epoch: of the model, when it was registered.
    serving_revision: 1 as registered. composition: of a pipeline, None of a model.
    """

    ref: VersionRef
    serving: ServingSettings
    contract: Contract = Contract()
    artifacts: tuple[Artifact, ...] = ()
    metrics: tuple[Metric, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    lineage: Lineage = Lineage()
    description: str = ""
    stage: Stage = Stage.REGISTERED
    signature_hash: str = ""
    digest: str = ""
    created_by: str = ""
    create_time: datetime = NEVER
    epoch: int = 0
    measured: tuple[Metric, ...] = ()
    collect_time: datetime | None = None
    format: Format = Format.ONNX
    serving_revision: int = 1
    composition: Composition | None = None

    @property
    def all_metrics(self) -> tuple[Metric, ...]:
        """Return what is known of its quality: at most one value of a name for each source, the latest."""
        since = {metric.name for metric in self.measured}
        kept = (m for m in self.metrics if m.source is not MetricSource.MEASURED or m.name not in since)
        return (*kept, *self.measured)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a model's history. Events of one change share its epoch and are numbered by ordinal.

    promotion_request: number of the one that it is about, or that took effect; 0 for none.
    """

    epoch: int
    ordinal: int
    action: Action
    client: str
    reason: str
    create_time: datetime
    version: str = ""
    from_stage: Stage | None = None
    to_stage: Stage | None = None
    alias: str = ""
    signature_breaks: tuple[str, ...] = ()
    serving_change: ServingChange | None = None
    promotion_request: int = 0


@dataclass(frozen=True, slots=True)
class PoolFormats:
    """One pool of batchers, and the formats that every one of them runs."""

    name: str
    formats: frozenset[Format]


@dataclass(frozen=True, slots=True)
class Hold:
    """A reason to keep a version, of one holder, until it expires."""

    ref: VersionRef
    holder: str
    reason: str
    client: str
    create_time: datetime
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class ModelState:
    """The whole state of one model, and the number of its last change in the order of all changes."""

    model: Model
    versions: tuple[Version, ...]
    sequence: int
