"""What a model file is, by its content; what cannot be converted, with what to do instead."""

from __future__ import annotations

import enum
import json
from pathlib import Path

from headrace_client.errors import InvalidArgument, invalid
from headrace_client.local_files import read_as
from headrace_client.model_files import names_in, of_archive

_HEAD_BYTES = 64 * 1024


class Kind(enum.StrEnum):
    """How a file is read. PICKLE: by running what is in it. SKOPS: only where it has nothing but known types. EXPORTED:
    a program of torch.export."""

    ONNX = "onnx"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    PICKLE = "pickle"
    SKOPS = "skops"
    TORCHSCRIPT = "torchscript"
    PT2 = "pt2"
    SAVEDMODEL = "savedmodel"
    TENSORRT = "tensorrt"
    PYTHON = "python"
    EXPORTED = "exported"


TAKEN = frozenset((Kind.ONNX, Kind.TORCHSCRIPT, Kind.PT2, Kind.SAVEDMODEL, Kind.TENSORRT, Kind.PYTHON))
"""What is registered as it is, in the format of that name; the others are converted first."""
CONVERTED_TOO = frozenset((Kind.TORCHSCRIPT, Kind.SAVEDMODEL))
"""Those of them that are converted unless somebody states their contract, which their files do not say."""
PROGRAMS = frozenset((Kind.PICKLE, Kind.EXPORTED, *CONVERTED_TOO))
"""What can do anything when it is read or run, as its framework says."""


# By the first bytes: what others save, and how ONNX comes from it.
_ADVICE = {
    b"\x89HDF": "is an HDF5 file, as Keras saves: export a SavedModel and write it with tf2onnx",
    b"\x1f\x8b": "is a gzip archive: unpack it",
}
# Protocols 2 to 5 of pickle; joblib writes the same.
_PLANS = (b"ptrt", b"ftrt")
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def recognise(path: Path) -> Kind:
    """Return what a file is. Raises InvalidArgument with what to do about one that cannot be converted."""
    if path.is_dir():
        return _of_folder(path)
    with read_as("a model file", path, "model"), path.open("rb") as opened:
        head = opened.read(_HEAD_BYTES)
    if not head:
        raise invalid("model", f"{path} is empty")
    if head.startswith(_PICKLES):
        return Kind.PICKLE
    if head.startswith(b"PK\x03\x04"):
        # What skops writes, and MLflow by it: a description and arrays.
        return Kind.SKOPS if "schema.json" in names_in(path) else Kind(of_archive(path))
    if head.startswith(_PLANS):
        return Kind.TENSORRT
    if path.suffix == ".py":
        return Kind.PYTHON
    for magic, advice in _ADVICE.items():
        if head.startswith(magic):
            raise _refused(path, advice)
    if head.startswith(b"tree\n"):
        return Kind.LIGHTGBM
    if head.lstrip()[:1] == b"{":
        return _of_object(path, head)
    return Kind.ONNX  # the registry says what is wrong with one that is none


def _of_folder(path: Path) -> Kind:
    if (path / "saved_model.pb").is_file():
        return Kind.SAVEDMODEL
    if (path / "model.py").is_file():
        return Kind.PYTHON
    if (path / "config.pbtxt").is_file():
        raise invalid("model", f"{path} is a model of Triton: headrace models import triton {path}")
    raise invalid("model", f"{path} is a folder with no model: no MLmodel, saved_model.pb or model.py")


def _of_object(path: Path, head: bytes) -> Kind:
    """XGBoost writes an object with the member `learner`: as JSON, or as UBJSON, whose keys begin with their length."""
    if b'"learner"' in head or head.startswith(b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner"):
        return Kind.XGBOOST
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return Kind.ONNX
    except RecursionError:  # no model of ours is nested as deeply
        pass
    raise _refused(path, "is JSON, but no XGBoost model: write one with Booster.save_model")


def _refused(path: Path, advice: str) -> InvalidArgument:
    return invalid("model", f"{path} {advice}")
