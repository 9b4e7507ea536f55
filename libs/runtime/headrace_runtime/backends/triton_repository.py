"""The folder that Triton loads models from: `<name>/config.pbtxt`, and the files of the model in `<name>/1`."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from headrace_runtime.backends.backend import USUAL_BUDGET, LoadBudget, ModelFiles
from headrace_runtime.contract import BYTES, BatchDimension, Contract, TensorSpec
from headrace_runtime.formats import PT2_NAME, Format

_pb: Any = model_config_pb2  # generated without type stubs

_KINDS = {
    "": _pb.ModelInstanceGroup.KIND_AUTO,
    "CPU": _pb.ModelInstanceGroup.KIND_CPU,
    "GPU": _pb.ModelInstanceGroup.KIND_GPU,
}


@dataclass(frozen=True, slots=True)
class _Placing:
    """How Triton takes a format.

    file: the name that it wants, empty for that of the version. inputs, outputs: what the backend calls tensors before
    their position, empty where it takes the names of the contract; own: other names that it knows. rows: whether it
    takes a dimension for rows as one of batches.
    """

    backend: str
    platform: str = ""
    file: str = ""
    inputs: str = ""
    outputs: str = ""
    own: re.Pattern[str] | None = None
    rows: bool = True


_PLACING: Mapping[Format, _Placing] = {
    Format.ONNX: _Placing("onnxruntime", file="model.onnx"),
    # Names that are neither those of the arguments nor end in a position are taken in the order of the contract.
    Format.TORCHSCRIPT: _Placing("pytorch", platform="pytorch_libtorch"),
    # Not batched by Triton: the backend warns that it cannot.
    Format.PT2: _Placing(
        "pytorch",
        platform="torch_aoti",
        inputs="INPUT__",
        outputs="OUTPUT__",
        own=PT2_NAME,
        rows=False,
    ),
    Format.SAVEDMODEL: _Placing("tensorflow", platform="tensorflow_savedmodel"),
    Format.TENSORRT: _Placing("tensorrt"),
    Format.PYTHON: _Placing("python"),
    Format.FIL: _Placing("fil", inputs="input__", outputs="output__", own=re.compile("treeshap_output")),
}
BACKENDS: Mapping[str, tuple[Format, ...]] = {
    "onnxruntime": (Format.ONNX,),
    "pytorch": (Format.TORCHSCRIPT, Format.PT2),
    "tensorflow": (Format.SAVEDMODEL,),
    "tensorrt": (Format.TENSORRT,),
    "fil": (Format.FIL,),
}
"""What Triton runs with each of its backends. Python versions have processes of ours, whichever backends there are."""
_TREES = {"xgboost.json": "xgboost_json", "xgboost.ubj": "xgboost_ubj", "lightgbm.txt": "lightgbm"}
_TREE_NAMES = {"lightgbm.txt": "model.txt"}


@dataclass(frozen=True, slots=True)
class TensorNames:
    """What Triton calls the tensors of a version, in the order of its contract."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def tensor_names(kept_as: Format, contract: Contract) -> TensorNames:
    """Return the names of tensors in `config.pbtxt`: some backends know them by their positions only."""
    placing = _PLACING[kept_as]
    return TensorNames(
        _names(contract.inputs, placing.inputs, placing.own), _names(contract.outputs, placing.outputs, placing.own)
    )


def _names(specs: Sequence[TensorSpec], prefix: str, own: re.Pattern[str] | None) -> tuple[str, ...]:
    return tuple(
        spec.name if not prefix or (own and own.fullmatch(spec.name)) else f"{prefix}{at}"
        for at, spec in enumerate(specs)
    )


def batched(kept_as: Format, contract: Contract) -> bool:
    """Return whether a version is declared with a batch dimension, which `config.pbtxt` does not list."""
    return contract.batched and _PLACING[kept_as].rows


def model_config(files: ModelFiles, budget: LoadBudget = USUAL_BUDGET, file_bytes: int = 0) -> str:
    """Return the config.pbtxt of a version. Without dynamic batching: batches are formed here, not there.

    budget: which the backend keeps to while it loads (`deploy/triton/backend`).
    """
    placing, names = _PLACING[files.kept_as], tensor_names(files.kept_as, files.contract)
    rows = batched(files.kept_as, files.contract)
    config = _pb.ModelConfig(
        name=files.name,
        backend=placing.backend,
        platform=placing.platform,
        max_batch_size=files.max_rows if rows else 0,
    )
    describe = _describe_whole if not rows else _describe_values if files.kept_as is Format.FIL else _describe_row
    for name, spec in zip(names.inputs, files.contract.inputs, strict=True):
        describe(config.input.add(name=name, optional=spec.optional), spec)
    for name, spec in zip(names.outputs, files.contract.outputs, strict=True):
        describe(config.output.add(name=name), spec)
    if files.contract.decoupled:
        config.model_transaction_policy.decoupled = True
    config.instance_group.add(count=files.instances, kind=_KINDS[files.device])
    if files.kept_as is Format.FIL:
        for name, value in _trees(files).items():
            config.parameters[name].string_value = value
    config.parameters["headrace_load_cpu_s"].string_value = str(budget.cpu_s)
    config.parameters["headrace_load_memory_bytes"].string_value = str(budget.memory_for(file_bytes))
    return text_format.MessageToString(config)


class Repository:
    """Writes and removes model folders. One process owns a repository; the methods block."""

    def __init__(self, root: Path, budget: LoadBudget = USUAL_BUDGET) -> None:
        self.root = root
        self.budget = budget

    def write(self, files: ModelFiles) -> None:
        """Write the folder of a version; a reader never sees half of one."""
        being_made = self.root / f".{files.name}"
        shutil.rmtree(being_made, ignore_errors=True)
        (being_made / "1").mkdir(parents=True)
        (being_made / "config.pbtxt").write_text(model_config(files, self.budget, files.path.stat().st_size))
        if files.kept_as is Format.SAVEDMODEL:
            _unpack(files.path, being_made / "1" / "model.savedmodel")
        else:
            name = _PLACING[files.kept_as].file or files.model_file
            _link_or_copy(files.path, being_made / "1" / _TREE_NAMES.get(name, name))
        for name, path in files.others.items():
            _link_or_copy(path, being_made / "1" / name)
        self.remove(files.name)
        being_made.rename(self.root / files.name)

    def remove(self, name: str) -> None:
        """Remove the folder of a version, if there is one."""
        shutil.rmtree(self.root / name, ignore_errors=True)

    def clear(self) -> None:
        """Make the repository exist, and be empty."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True, exist_ok=True)


def _trees(files: ModelFiles) -> Mapping[str, str]:
    """Return the configuration of the FIL backend (trees): they return scores, one a class where there are several.

    `is_classifier` is what releases from 25.09 on read, `output_class` those before; a classifier needs a threshold.
    """
    classes = any(spec.row_shape and spec.row_shape[-1] > 1 for spec in files.contract.outputs)
    scores = str(classes).lower()
    outputs = dict.fromkeys(("predict_proba", "is_classifier", "output_class"), scores)
    return {"model_type": _TREES[files.model_file], **outputs, "threshold": "0.5"}


def _describe_whole(entry: Any, spec: TensorSpec) -> None:
    """Describe a tensor just as the file declares it: for Triton, the model has no batch dimension."""
    entry.data_type = _data_type(spec)
    rows = 1 if spec.batch_dimension is BatchDimension.ONE else -1
    entry.dims.extend(spec.shape(rows, spec.row_shape) or (1,))  # Triton has no tensors without a dimension


def _describe_row(entry: Any, spec: TensorSpec) -> None:
    _describe_values(entry, spec)
    if not spec.row_shape:
        # Triton wants a dimension beside the batch: it is there on the wire and taken away before the model.
        entry.reshape.SetInParent()


def _describe_values(entry: Any, spec: TensorSpec) -> None:
    """Describe a tensor of rows where the model itself has a dimension for one value."""
    entry.data_type = _data_type(spec)
    entry.dims.extend(spec.row_shape or (1,))


def _data_type(spec: TensorSpec) -> Any:
    return _pb.DataType.Value("TYPE_STRING" if spec.datatype == BYTES else f"TYPE_{spec.datatype}")


def _unpack(archive: Path, target: Path) -> None:
    """Unpack a ZIP archive, which the registry looked into; what would leave the folder is left out by `extractall`."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(target)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
