"""Models as files and folders: which format they are, and the files that a version of it has."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from headrace.registry.v1 import registry_pb2

from headrace_client.errors import InvalidArgument, invalid
from headrace_client.local_files import read_as

Artifact = registry_pb2.Artifact
MODEL_FILE = "model.onnx"
REQUIREMENTS = "requirements.txt"
CODE_SUFFIX = ".py"
_PACKED = (".onnx", ".pkl", ".joblib", ".skops", ".ubj", ".pt", ".pt2", ".plan", ".keras")
_DATA_SUFFIXES = (".json", ".parquet")
# ZIP archives have no times of their own, so that the same folder is the same bytes.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """A format of versions. file: the name that its model has. kind: how that is read. runs: what runs it, in a
    sentence. names: other names that its model may have."""

    number: registry_pb2.Format
    file: str
    kind: registry_pb2.Artifact.Type
    runs: str
    names: tuple[str, ...] = ()


_TRITON = (
    "pools whose Triton has the backend `{}` run it, as NVIDIA's image does; the one that `make up` starts does not"
)
FORMATS: Mapping[str, ModelFormat] = {
    "onnx": ModelFormat(registry_pb2.FORMAT_ONNX, MODEL_FILE, Artifact.TYPE_ONNX, "every pool runs it"),
    "torchscript": ModelFormat(
        registry_pb2.FORMAT_TORCHSCRIPT, "model.pt", Artifact.TYPE_TORCHSCRIPT, _TRITON.format("pytorch")
    ),
    "pt2": ModelFormat(
        registry_pb2.FORMAT_PT2,
        "model.pt2",
        Artifact.TYPE_PT2,
        _TRITON.format("pytorch") + "; as code it needs BATCHER_ALLOW_CODE there, and REGISTRY_ALLOW_CODE",
    ),
    "savedmodel": ModelFormat(
        registry_pb2.FORMAT_SAVEDMODEL, "model.savedmodel.zip", Artifact.TYPE_SAVEDMODEL, _TRITON.format("tensorflow")
    ),
    "tensorrt": ModelFormat(
        registry_pb2.FORMAT_TENSORRT, "model.plan", Artifact.TYPE_TENSORRT, _TRITON.format("tensorrt")
    ),
    "python": ModelFormat(
        registry_pb2.FORMAT_PYTHON,
        "model.py",
        Artifact.TYPE_PYTHON,
        "pools whose batchers have BATCHER_ALLOW_CODE run it, and the registry needs REGISTRY_ALLOW_CODE",
    ),
    "fil": ModelFormat(
        registry_pb2.FORMAT_FIL,
        "xgboost.json",
        Artifact.TYPE_TREES,
        _TRITON.format("fil"),
        ("xgboost.ubj", "lightgbm.txt"),
    ),
    "oip": ModelFormat(
        registry_pb2.FORMAT_OIP,
        "server.json",
        Artifact.TYPE_JSON,
        "every pool runs it, by asking the server; the registry must allow its address in REGISTRY_OIP_TARGETS",
    ),
}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The files of a version by the names that they have there. kept_as: its format, of FORMATS. left_out: files of a
    folder that no version has."""

    kept_as: str
    files: Mapping[str, Path] = field(default_factory=dict)
    left_out: Sequence[str] = ()


def files_of(path: Path, kept_as: str) -> ModelFiles:
    """Return the files of a model, a file or a folder, in a format. Raises InvalidArgument."""
    if kept_as not in FORMATS:
        raise invalid("format", f"'{kept_as}' is not one of {', '.join(FORMATS)}")
    if kept_as == "python":
        return _python(path)
    if path.is_dir():
        raise invalid("model", f"{path} is a folder, and a model of format {kept_as} is a file")
    model_format = FORMATS[kept_as]
    return ModelFiles(kept_as, {path.name if path.name in model_format.names else model_format.file: path})


def type_in(kept_as: str, name: str) -> registry_pb2.Artifact.Type | None:
    """Return how a file of that name is read in a version of a format; None where its name alone says it."""
    model_format = FORMATS[kept_as]
    if name == model_format.file or name in model_format.names:
        return model_format.kind
    if kept_as == "python" and name == REQUIREMENTS:
        return Artifact.TYPE_REQUIREMENTS
    if kept_as == "python" and name.endswith(CODE_SUFFIX):
        return Artifact.TYPE_PYTHON
    if kept_as == "python" and Path(name).suffix.lower() not in _DATA_SUFFIXES:
        return Artifact.TYPE_OPAQUE
    return None


def zipped(folder: Path, target: Path) -> Path:
    """Write a folder as a ZIP archive, the same bytes for the same files. Raises InvalidArgument for links."""
    with read_as("a folder", folder, "model"), zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                raise invalid("model", f"{path} is a link: a version has its own files")
            if path.is_file():
                with archive.open(zipfile.ZipInfo(name, _NO_TIME), "w") as entry, path.open("rb") as content:
                    while chunk := content.read(1024 * 1024):
                        entry.write(chunk)
    return target


def inside(folder: Path, name: object, what: str) -> Path:
    """Return a file that a folder names, which must lie in it. Raises InvalidArgument. what: that names it."""
    if not isinstance(name, str) or not name:
        raise invalid("model", f"{what} names no file")
    path = folder / name
    with read_as("a name of a file", path, "model"):  # one with a null byte, or longer than a file system takes
        if not path.resolve().is_relative_to(folder.resolve()):
            raise invalid("model", f"{what} names {name!r}, which does not lie in {folder}")
        if not path.exists():
            raise invalid("model", f"{what} names {name!r}, which is not there")
    return path


def names_in(path: Path) -> list[str]:
    """Return the names in a ZIP archive. Raises InvalidArgument, with what to do about one that is broken."""
    with read_as("a ZIP archive", path, "model"):
        try:
            with zipfile.ZipFile(path) as archive:
                return archive.namelist()
        except zipfile.BadZipFile:
            raise _unknown(path) from None


def of_archive(path: Path) -> str:
    """Return the format of a ZIP archive, `exported` for a program of torch.export.

    Raises InvalidArgument with what to do about one that is no model.
    """
    names = names_in(path)
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return "torchscript"
    if any(name.startswith("data/aotinductor/") for name in inner):
        return "pt2"
    if any(name.startswith(("models/", "serialized_exported_program")) for name in inner):
        return "exported"
    if "saved_model.pb" in names:
        return "savedmodel"
    if "data.pkl" in inner:
        raise invalid(
            "model",
            f"{path} has weights and no code, or a pickle that needs its source, as torch.save writes: write the "
            f"network with torch.export.save(torch.export.export(module, inputs), FILE)",
        )
    if {"config.json", "model.weights.h5"} <= set(names):
        raise invalid("model", f"{path} is of Keras: write a SavedModel with model.export(FOLDER), and register that")
    if names and all(name.endswith(".npy") for name in names):
        raise invalid("model", f"{path} has arrays of NumPy, and no model")
    if any(name.endswith("saved_model.pb") or Path(name).suffix in _PACKED for name in names):
        raise invalid("model", f"{path} is a ZIP archive with a model in it: unpack it, and name that")
    raise _unknown(path)


def _unknown(path: Path) -> InvalidArgument:
    advice = "is a ZIP archive with no model that is known: write one with torch.onnx.export or tf2onnx"
    return invalid("model", f"{path} {advice}")


def _python(path: Path) -> ModelFiles:
    """Return the files of Python code: model.py alone, or all of its folder that a version may have."""
    if not path.is_dir():
        return ModelFiles("python", {"model.py": path})
    files, left_out = dict[str, Path](), []
    for name in sorted(os.listdir(path)):
        found = path / name
        if found.is_file() and not found.is_symlink() and not name.startswith("."):
            files[name] = found
        elif name != "__pycache__":
            left_out.append(name)
    if "model.py" not in files:
        raise invalid("model", f"{path} has no model.py, with the class TritonPythonModel")
    return ModelFiles("python", files, left_out)
