"""What the registry knows of files, as frozen values: artifacts, what they declare, uploads, who needs them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


class ArtifactType(enum.StrEnum):
    """How the bytes of an artifact are read."""

    ONNX = "onnx"
    PARQUET = "parquet"
    JSON = "json"
    TORCHSCRIPT = "torchscript"
    PT2 = "pt2"
    SAVEDMODEL = "savedmodel"
    TENSORRT = "tensorrt"
    PYTHON = "python"
    REQUIREMENTS = "requirements"
    TREES = "trees"
    OPAQUE = "opaque"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a version. size_bytes is 0 until the blob is known."""

    name: str
    type: ArtifactType
    sha256: str
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ModelPort:
    """An input or output as a model file declares it.

    datatype: of the Open Inference Protocol, empty when it has none for it; declared says what it is then.
    shape: with the rows first, None for a dimension that varies; None as a whole when the file does not say.
    required: False for an input that has a default in the file.
    """

    name: str
    datatype: str
    declared: str
    shape: tuple[int | None, ...] | None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Example:
    """One row that a model answers: raw bytes of each input in Base64; none for a row of zeros and empty texts.

    dims: sizes of the variable dimensions, in the order of the inputs; none stand for 1 each.
    """

    inputs: tuple[str, ...] = ()
    dims: tuple[int, ...] = ()


ZEROS = Example()

# Rows that a version brings along; the registry and batchers compare its answers with them.
VALIDATION_FILE = "validation.json"


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of loading and running a model once. problem: why it does not run, empty when it does.

    example: the row that it answered. difference: how its answers differ from the expected ones that were given, beyond
    their tolerance; empty where they hold or none were given. unreadable: why these cannot be compared.
    """

    problem: str = ""
    example: Example = ZEROS
    difference: str = ""
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What a model file says of itself.

    trial: of the contract that the file states by itself; None where it states none, or was not tried.
    """

    inputs: tuple[ModelPort, ...]
    outputs: tuple[ModelPort, ...]
    trial: Trial | None = None


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored bytes that were found to be of a type. model_file is set for ONNX."""

    sha256: str
    type: ArtifactType
    size_bytes: int
    model_file: ModelFile | None = None


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes on their way. sha256: empty while it is not known. staged: whether they come by way of an URL. completed:
    whether they came, and were stored.

    What an upload brings is not collected before it expires.
    """

    id: UUID
    sha256: str
    type: ArtifactType
    size_bytes: int
    client: str
    staged: bool
    create_time: datetime
    expire_time: datetime
    completed: bool = False


@dataclass(frozen=True, slots=True)
class ContentUse:
    """Who needs the bytes of one SHA-256.

    touch_time: of their last upload; None when nothing is recorded of them. collected: whether they were removed.
    needed: whether a version names them that was not given up. given_up_time: when the last that named them was.
    uploading: whether an upload of them is under way.
    """

    sha256: str
    size_bytes: int = 0
    touch_time: datetime | None = None
    collected: bool = False
    needed: bool = False
    given_up_time: datetime | None = None
    uploading: bool = False
