"""What a job does, as values. scorer.proto says what each means."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from datetime import timedelta

from headrace_scorer.decisions.publish_specs import PublishSpec

DEFAULT_SHARD_ROWS = 250_000
DEFAULT_REJECTED_SHARE = 0.01
MAX_BATCH_ROWS = 65_536
MIN_SHARD_ROWS, MAX_SHARD_ROWS = 1_000, 10_000_000
MAX_WORKERS = 1_000
LONGEST_WINDOW = timedelta(days=30)

# Below the results of a job, where rows of a source are copied to.
COPIES = "_input"

_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_URI = re.compile(rf"s3://({_BUCKET})(?:/([^\x00-\x1f\x7f]*))?")
_MAX_KEY_BYTES = 900


class Format(enum.StrEnum):
    """How files are read; EXTENSION: by the ending of their names."""

    EXTENSION = "extension"
    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"
    ARROW = "arrow"
    DELTA = "delta"


class Engine(enum.StrEnum):
    """Who runs the model: a process for each worker, or the batchers that answer online requests."""

    WORKERS = "workers"
    POOL = "pool"


_ENDINGS = {
    ".parquet": Format.PARQUET,
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".arrow": Format.ARROW,
    ".feather": Format.ARROW,
}
ENDINGS = ", ".join(_ENDINGS)


@dataclass(frozen=True, slots=True)
class Location:
    """A place in S3. prefix: of the names of objects, or the name of one; without a slash at either end."""

    bucket: str
    prefix: str

    @property
    def uri(self) -> str:
        """The place as people write it."""
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"

    def below(self, *names: str) -> Location:
        """Return a place below this one."""
        return Location(self.bucket, "/".join(part for part in (self.prefix, *names) if part))


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of a system that is no S3: those of a table, or what a query answers. name: under which it was declared."""

    name: str
    query: str = ""
    table: str = ""

    @property
    def described(self) -> str:
        """The rows as people call them."""
        return f"table {self.table} of {self.name}" if self.table else f"a query of {self.name}"


@dataclass(frozen=True, slots=True)
class ColumnExpression:
    """A column, and the SQL expression that computes it."""

    column: str
    expression: str


@dataclass(frozen=True, slots=True)
class TensorColumns:
    """The columns that a tensor is made of."""

    tensor: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """How a job runs. batch_rows: 0 means by measuring. workers: 0 means as many as the service has. window: how long
    after its creation a job is to be over. pool: of batchers; empty for every one that has the version.
    """

    batch_rows: int = 0
    shard_rows: int = DEFAULT_SHARD_ROWS
    workers: int = 0
    max_rejected_share: float = DEFAULT_REJECTED_SHARE
    window: timedelta | None = None
    engine: Engine = Engine.WORKERS
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Spec:
    """What a job does. output: None means the scorer's own bucket. source: whose rows are copied to `input` first."""

    input: Location
    format: Format = Format.EXTENSION
    version: str = ""
    alias: str = ""
    derived: tuple[ColumnExpression, ...] = ()
    tensors: tuple[TensorColumns, ...] = ()
    keep: tuple[str, ...] = ()
    outputs: tuple[ColumnExpression, ...] = ()
    output: Location | None = None
    options: Options = Options()
    publish: PublishSpec | None = None
    source: Source | None = None

    @property
    def reads(self) -> str:
        """What is scored, as people call it."""
        return self.source.described if self.source is not None else self.input.uri


def location_of(uri: str) -> Location | None:
    """Return the place that a URI names, None for a text that names none.

    >>> location_of("s3://tables/2026/11/")
    Location(bucket='tables', prefix='2026/11')
    """
    match = _URI.fullmatch(uri)
    if match is None or len(uri.encode()) > _MAX_KEY_BYTES:
        return None
    prefix = (match[2] or "").strip("/")
    return None if any(part in ("", ".", "..") for part in prefix.split("/") if prefix) else Location(match[1], prefix)


def format_of(key: str, declared: Format) -> Format | None:
    """Return the format of an object; None if none was declared and its name has no known suffix."""
    if declared is Format.DELTA:
        return Format.PARQUET  # as what such a table's files are
    if declared is not Format.EXTENSION:
        return declared
    return next((format_ for ending, format_ in _ENDINGS.items() if key.lower().endswith(ending)), None)


def is_input(key: str, prefix: str) -> bool:
    """Return whether an object below a prefix is input: names that begin with `_` or `.` are bookkeeping of others.

    >>> is_input("sales/day=1/0.parquet", "sales"), is_input("sales/_SUCCESS", "sales"), is_input("sales2/a", "sales")
    (True, False, False)
    """
    if key == prefix:
        return True
    if prefix and not key.startswith(f"{prefix}/"):
        return False
    names = key.removeprefix(prefix).strip("/").split("/")
    return not key.endswith("/") and not any(name.startswith(("_", ".")) for name in names)
