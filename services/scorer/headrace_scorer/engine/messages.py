"""Orders to the processes that read and score, and their answers: one JSON document per line."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from headrace.tensor.v1 import tensor_pb2
from headrace_runtime.contract import Contract, from_proto
from pydantic import TypeAdapter

from headrace_scorer.decisions.columns import Mismatch
from headrace_scorer.decisions.shards import Shard
from headrace_scorer.decisions.specs import Location, Spec, TensorColumns

T = TypeVar("T")

# A plan sends one shard per line; the order of a run has all remaining shards in one line.
LONGEST_LINE = 64 << 20


@dataclass(frozen=True, slots=True)
class Access:
    """How S3 is reached. credentials_file: None means what the SDK finds by itself."""

    endpoint: str
    region: str
    credentials_file: str | None
    artifacts_bucket: str


@dataclass(frozen=True, slots=True)
class SourceAccess:
    """How a declared source is reached. uri: of a database. properties: of an Iceberg catalog, as in PyIceberg."""

    type: str
    uri: str = ""
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolAccess:
    """How the batchers that answer online requests are reached, for one version.

    control: the router's control plane, which knows them. pool: empty for every one that has the version. inputs: how
    many the contract has. max_message_bytes: of requests and answers. tls_names: that certificates have, by pool; of
    others it is that of the address.
    """

    control: str
    pool: str
    model: str
    version: str
    digest: str
    inputs: int
    client: str
    max_message_bytes: int
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_ca: str | None = None
    tls_names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Work:
    """A job as its worker processes see it. contract: serialized `ServingContract` in base64. pool: batcher pool that
    runs the model; None if the process that reads the rows runs it.
    """

    job: str
    spec: Spec
    contract: str
    model_sha256: str
    output: Location
    access: Access
    pool: PoolAccess | None = None

    def serving_contract(self) -> Contract:
        """Return what the version takes and gives."""
        return from_proto(tensor_pb2.ServingContract.FromString(base64.b64decode(self.contract)))


@dataclass(frozen=True, slots=True)
class PlanOrder:
    """Check an input. whole: all of it, and cut it into shards; else only the first object. source: whose rows are
    copied first, with folder for what is on its way.
    """

    work: Work
    whole: bool
    max_objects: int
    source: SourceAccess | None = None
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found. read: columns of the input that are needed. types: of files that do not declare them."""

    mismatches: tuple[Mismatch, ...] = ()
    failure: str = ""
    reason: str = ""
    tensors: tuple[TensorColumns, ...] = ()
    read: tuple[str, ...] = ()
    types: tuple[tuple[str, str], ...] = ()
    objects: int = 0
    input_bytes: int = 0
    input_digest: str = ""


@dataclass(frozen=True, slots=True)
class PlanAnswer:
    """One line of a plan: shards, and in the end what was found."""

    shards: tuple[Shard, ...] = ()
    checked: Checked | None = None
    transient: bool = False


@dataclass(frozen=True, slots=True)
class RunOrder:
    """Order to score shards. ray_address: empty for a local Ray. batch_rows: 0 to measure it. folder: for files."""

    work: Work
    checked: Checked
    shards: tuple[Shard, ...]
    workers: int
    batch_rows: int
    ray_address: str
    folder: str
    object_store_bytes: int


@dataclass(frozen=True, slots=True)
class ShardResult:
    """A shard that is done. key, sha256: of the file with its results; rejected_*: of its dead-letter file, if any."""

    number: int
    rows: int
    rejected: int
    key: str
    sha256: str
    size_bytes: int
    rejected_key: str = ""
    rejected_sha256: str = ""
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """One line of a run: the batch size, a shard that is done, or why it ends. transient: trying again may help."""

    batch_rows: int = 0
    result: ShardResult | None = None
    failure: str = ""
    reason: str = ""
    transient: bool = False


@dataclass(frozen=True, slots=True)
class EstimateOrder:
    """Score a sample: the first of some shards, for some seconds. batch_rows: 0 means by measuring."""

    work: Work
    checked: Checked
    shards: tuple[Shard, ...]
    batch_rows: int
    folder: str


@dataclass(frozen=True, slots=True)
class EstimateAnswer:
    """What it took. load_s: until the model was loaded. failure: why there is none.

    transient: trying again may help.
    """

    rows: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    load_s: float = 0.0
    read_bytes: int = 0
    batch_rows: int = 0
    failure: str = ""
    reason: str = ""
    transient: bool = False


def to_json(document: object) -> bytes:
    """Return a document as a line."""
    return TypeAdapter(type(document)).dump_json(document) + b"\n"


def from_json(kind: type[T], line: bytes) -> T:
    """Return the document of a line. Raises ValueError."""
    return TypeAdapter(kind).validate_json(line)
