"""Models as real exporters write them (`tests/golden/exported`), with the contract that the registry takes of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
from headrace_registry.api import answers
from headrace_registry.artifacts import onnx_check
from headrace_registry.decisions import file_contract, task
from headrace_runtime.contract import Contract, TensorSpec

from tests.kit.models.bytes_tensors import encoded_texts
from tests.kit.models.onnx_models import Arrays, TinyModel

FOLDER = Path(__file__).parents[2] / "golden" / "exported"

NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.onnx")))

# Those that take several rows at a time.
BATCHED = frozenset(("lightgbm-classifier", "sklearn-known-categories", "sklearn-texts"))

_TEXTS = {"city": ["Oslo", "Rome"], "job": ["a", "d"]}


def path(name: str) -> Path:
    """Return the file of a model."""
    return FOLDER / f"{name}.onnx"


def exported(name: str) -> TinyModel:
    """Return a model with the contract that the registry reads from it; what it answers, ONNX Runtime says."""
    file = onnx_check.read(str(path(name)))
    read = file_contract.with_batch_dimensions(file_contract.of_file(file), file)
    read = task.completed(read)
    if file.trial is not None:
        read = replace(read, example=file.trial.example)

    def expected(given: Arrays) -> dict[str, np.ndarray]:
        session = onnxruntime.InferenceSession(path(name))
        names = [output.name for output in session.get_outputs()]
        return {name: np.asarray(value) for name, value in zip(names, session.run(names, dict(given)), strict=True)}

    return TinyModel(path(name).read_bytes(), answers.to_contract(read), expected)


def rows_for(contract: Contract, rows: int) -> dict[TensorSpec, np.ndarray]:
    """Return rows for each input of a contract, rows first."""
    rng = np.random.default_rng(0)

    def one(spec: TensorSpec) -> np.ndarray:
        shape = (rows, *spec.row_shape)
        if spec.datatype == "BYTES":
            return np.resize(np.array(_TEXTS.get(spec.name, ["a GOOD film", "Bad", ""]), dtype=object), shape)
        return rng.normal(size=shape).astype(np.float32)

    return {spec: one(spec) for spec in contract.inputs}


def raw(array: np.ndarray) -> bytes:
    """Return the bytes of a tensor."""
    return encoded_texts([text.encode() for text in array.ravel()]) if array.dtype == object else array.tobytes()
