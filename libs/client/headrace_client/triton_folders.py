"""A model's folder as Triton serves it, read into our settings: `config.pbtxt` and the newest version beside it.

A configuration of Triton's is never taken as it is: what it says in terms of ours is, and what it says beyond that is
named, so that nobody takes it for kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from headrace.tensor.v1 import tensor_pb2

from headrace_client.errors import invalid
from headrace_client.local_files import text_of
from headrace_client.model_files import FORMATS, ModelFiles, files_of, inside, zipped
from headrace_client.operations.registration import Serving

CONFIGURATION = "config.pbtxt"
_FORMATS = {
    "onnxruntime": "onnx", "onnxruntime_onnx": "onnx", "python": "python", "pytorch": "torchscript",
    "pytorch_libtorch": "torchscript", "torch_aoti": "pt2", "tensorflow": "savedmodel",
    "tensorflow_savedmodel": "savedmodel",
    "tensorrt": "tensorrt", "tensorrt_plan": "tensorrt", "fil": "fil",
}  # fmt: skip
_TREES = {"xgboost_json": "xgboost.json", "xgboost_ubj": "xgboost.ubj", "lightgbm": "lightgbm.txt"}
_TREE_FILES = {"xgboost_json": "xgboost.json", "xgboost_ubj": "xgboost.ubj", "lightgbm": "model.txt"}
_FILES = {"onnx": "model.onnx", "torchscript": "model.pt", "pt2": "model.pt2", "tensorrt": "model.plan"}
# Members that are read below; every other one that is set is named as dropped.
_READ = frozenset(
    (
        *("name", "platform", "backend", "max_batch_size", "input", "output", "instance_group", "dynamic_batching"),
        *("default_model_filename", "parameters"),
    )
)
_BATCHING_READ = frozenset(("preferred_batch_size", "max_queue_delay_microseconds"))
_TENSOR_READ = frozenset(("name", "data_type", "dims", "reshape", "optional"))


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
    config = _configuration(folder / CONFIGURATION)
    kept_as = _format_of(config, folder)
    version = _newest(folder)
    model = _model(config, kept_as, version, scratch)
    dropped = [*_dropped(config), *(f"{version.name}/{name}: no file of a version" for name in model.left_out)]
    others = sorted(one.name for one in folder.iterdir() if one.is_dir() and one.name.isdigit() and one != version)
    if others:
        dropped.append(
            f"versions {', '.join(others)}: {version.name} is the newest; import the others from folders of their own"
        )
    contract = None if kept_as == "onnx" else _contract(config)
    return TritonModel(config.name or folder.name, version.name, model, contract, _serving(config), dropped)


def _configuration(path: Path) -> Any:
    try:
        from google.protobuf import text_format
        from tritonclient.grpc import model_config_pb2
    except ImportError:
        raise invalid("model", "reading config.pbtxt takes `pip install headrace-client[triton]`") from None
    messages: Any = model_config_pb2
    try:
        return text_format.Parse(text_of(path, "model", "a configuration of Triton"), messages.ModelConfig())
    except text_format.ParseError as error:
        raise invalid("model", f"{path} is no configuration of Triton: {error}") from None


def _format_of(config: Any, folder: Path) -> str:
    if config.HasField("ensemble_scheduling"):
        raise invalid("model", f"{folder} is an ensemble: write its steps as a pipeline.yaml, and register that")
    named = config.platform if config.platform in _FORMATS else config.backend or config.platform
    kept_as = _FORMATS.get(named)
    if kept_as is None:
        known = ", ".join(sorted(_FORMATS))
        raise invalid("model", f"{folder} has the backend '{named}', which no pool runs; these are known: {known}")
    return kept_as


def _newest(folder: Path) -> Path:
    versions = [one for one in folder.iterdir() if one.is_dir() and not one.is_symlink() and one.name.isdigit()]
    if not versions:
        raise invalid("model", f"{folder} has no version: a folder whose name is a number")
    return max(versions, key=lambda one: int(one.name))


def _model(config: Any, kept_as: str, version: Path, scratch: Path) -> ModelFiles:
    """Return the files of a version by the names that they have with us."""
    if kept_as == "savedmodel":
        folder = _there(version, config.default_model_filename or "model.savedmodel")
        return files_of(zipped(folder, scratch / FORMATS[kept_as].file), kept_as)
    if kept_as == "python":
        code = files_of(version, kept_as)
        beside = version.parent / "requirements.txt"
        if "requirements.txt" not in code.files and beside.is_file():
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


def _serving(config: Any) -> Serving:
    groups = list(config.instance_group)
    kinds = {group.Kind.Name(group.kind) for group in groups}
    device = "gpu" if kinds == {"KIND_GPU"} else "cpu" if kinds == {"KIND_CPU"} else None
    batching = config.dynamic_batching
    wait = batching.max_queue_delay_microseconds
    return Serving(
        max_batch_rows=config.max_batch_size or None,
        preferred_batch_rows=tuple(size for size in batching.preferred_batch_size if 0 < size <= config.max_batch_size),
        max_wait=timedelta(microseconds=wait) if wait else None,
        instances=sum(group.count or 1 for group in groups) or None,
        device=device,
    )


def _contract(config: Any) -> tensor_pb2.ServingContract:
    contract, rows_first = tensor_pb2.ServingContract(), config.max_batch_size > 0
    for side, entries in (("inputs", config.input), ("outputs", config.output)):
        for entry in entries:
            shape = list(entry.reshape.shape if entry.HasField("reshape") else entry.dims)
            if not rows_first and shape[:1] in ([-1], [1]):
                shape = shape[1:]
            kind = config.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number[entry.data_type].name
            datatype = "BYTES" if kind == "TYPE_STRING" else kind.removeprefix("TYPE_")
            getattr(contract, side).add(name=entry.name, datatype=datatype, shape=shape)
            if side == "inputs" and entry.optional:
                contract.inputs[-1].optional = True
    return contract


def _dropped(config: Any) -> Iterator[str]:
    """Yield what a configuration says that we do not keep."""
    for told, value in config.ListFields():
        if told.name not in _READ:
            yield told.name
        elif told.name == "dynamic_batching":
            yield from (
                f"dynamic_batching.{one.name}" for one, _ in value.ListFields() if one.name not in _BATCHING_READ
            )
        elif told.name in ("input", "output"):
            for entry in value:
                wrong = (one.name for one, _ in entry.ListFields() if one.name not in _TENSOR_READ)
                yield from (f"{told.name} {entry.name}: {name}" for name in wrong)
        elif told.name == "parameters":
            yield from (f"parameter {name}{_instead(name)}" for name in sorted(value) if name != "model_type")


def _instead(name: str) -> str:
    if name == "EXECUTION_ENV_PATH":
        return ": name the packages in a requirements.txt, with their hashes"
    return ""
