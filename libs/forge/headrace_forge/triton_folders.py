"""A model's folder as Triton serves it, read into our settings: `config.pbtxt` and the newest version beside it.

A Triton configuration is never copied: settings with an equivalent are converted, and the others are listed, so that
users see what is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.tensor.v1 import tensor_pb2
from headrace_client.errors import invalid
from headrace_client.local_files import read_as
from headrace_client.model_files import FORMATS, ModelFiles, files_of, inside, zipped
from headrace_client.operations.registration import Serving

from headrace_forge.triton_configurations import (
    CONFIGURATION,
    configuration,
    contract_of,
    dropped_of,
    refuse_unservable,
    serving_of,
)

_FORMATS = {
    "onnxruntime": "onnx", "onnxruntime_onnx": "onnx", "python": "python", "pytorch": "torchscript",
    "pytorch_libtorch": "torchscript", "torch_aoti": "pt2", "tensorflow": "savedmodel",
    "tensorflow_savedmodel": "savedmodel",
    "tensorrt": "tensorrt", "tensorrt_plan": "tensorrt", "fil": "fil",
}  # fmt: skip
_TREES = {"xgboost_json": "xgboost.json", "xgboost_ubj": "xgboost.ubj", "lightgbm": "lightgbm.txt"}
_TREE_FILES = {"xgboost_json": "xgboost.json", "xgboost_ubj": "xgboost.ubj", "lightgbm": "model.txt"}
_FILES = {"onnx": "model.onnx", "torchscript": "model.pt", "pt2": "model.pt2", "tensorrt": "model.plan"}
# Backend of a folder that names none: by its files, as Triton does.
_BY_FILE = {
    "model.onnx": "onnx", "model.pt": "torchscript", "model.pt2": "pt2", "model.plan": "tensorrt",
    "model.savedmodel": "savedmodel", "model.py": "python",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TritonModel:
    """What a folder says in our terms. contract: None where the file of the model says it. version: of the folder.
    dropped: what the configuration says beyond that, each with a reason where there is one to give."""

    name: str
    version: str
    model: ModelFiles
    contract: tensor_pb2.ServingContract | None
    serving: Serving
    dropped: Sequence[str]


def read_triton(folder: Path, scratch: Path) -> TritonModel:
    """Read a folder. scratch: for an archive of a SavedModel. Raises InvalidArgument, naming what is wrong."""
    with read_as("a model of Triton", folder, "model"):
        return _read(folder, scratch)


def _read(folder: Path, scratch: Path) -> TritonModel:
    config = configuration(folder / CONFIGURATION)
    refuse_unservable(config, folder)
    version = _newest(folder, set(config.version_policy.specific.versions))
    kept_as = _format_of(config, folder, version)
    if config.model_transaction_policy.decoupled and kept_as != "python":
        raise invalid("model", f"{folder} answers in parts (decoupled), which no pool does for {kept_as}")
    model = _model(config, kept_as, version, scratch)
    dropped = [*dropped_of(config), *(f"{version.name}/{name}: no file of a version" for name in model.left_out)]
    others = sorted(one.name for one in folder.iterdir() if one.is_dir() and one.name.isdecimal() and one != version)
    if others:
        dropped.append(
            f"versions {', '.join(others)}: {version.name} is imported; import the others from folders of their own"
        )
    contract = None if kept_as == "onnx" else contract_of(config)
    return TritonModel(config.name or folder.name, version.name, model, contract, serving_of(config), dropped)


def _format_of(config: Any, folder: Path, version: Path) -> str:
    named = config.platform if config.platform in _FORMATS else config.backend or config.platform
    found = _FORMATS.get(named)
    if not named:
        file = config.default_model_filename
        found = _BY_FILE.get(file) or next((_BY_FILE[name] for name in _BY_FILE if (version / name).exists()), None)
    if found is None:
        known = ", ".join(sorted(_FORMATS))
        why = f"has the backend '{named}', which no pool runs" if named else "names no backend, nor does a file tell it"
        raise invalid("model", f"{folder} {why}; these are known: {known}")
    return found


def _newest(folder: Path, served: Collection[int]) -> Path:
    """Return the newest of the versions that are served: all where a configuration names none."""
    versions = [one for one in folder.iterdir() if one.is_dir() and not one.is_symlink() and one.name.isdecimal()]
    versions = [one for one in versions if not served or int(one.name) in served]
    if not versions:
        raise invalid("model", f"{folder} has no version: a folder whose name is a number, which version_policy serves")
    return max(versions, key=lambda one: int(one.name))


def _model(config: Any, kept_as: str, version: Path, scratch: Path) -> ModelFiles:
    """Return the files of a version by the names that they have with us."""
    if kept_as == "savedmodel":
        folder = _there(version, config.default_model_filename or "model.savedmodel")
        return files_of(zipped(folder, scratch / FORMATS[kept_as].file), kept_as)
    if kept_as == "python":
        code = files_of(version, kept_as)
        beside = version.parent / "requirements.txt"
        if "requirements.txt" not in code.files and beside.is_file() and not beside.is_symlink():
            return ModelFiles(kept_as, {**code.files, "requirements.txt": beside}, code.left_out)
        return code
    if kept_as == "fil":
        kind = config.parameters["model_type"].string_value or "xgboost_json"
        if kind not in _TREES:
            raise invalid("model", f"trees of type '{kind}' are not taken: {', '.join(_TREES)} are")
        return ModelFiles(kept_as, {_TREES[kind]: _there(version, config.default_model_filename or _TREE_FILES[kind])})
    return files_of(_there(version, config.default_model_filename or _FILES[kept_as]), kept_as)


def _there(version: Path, name: str) -> Path:
    """Return what a version's folder has under a name. Raises InvalidArgument, also for a name that leads out of it."""
    if not (path := version / name).exists():
        raise invalid("model", f"{path} is not there")
    return inside(version, name, CONFIGURATION)
