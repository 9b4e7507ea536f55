"""Rows to ask a version for, where somebody wants to ask it and has none at hand."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from headrace.registry.v1 import registry_pb2

from headrace_client.client import Client
from headrace_client.errors import invalid
from headrace_client.operations.missing_values import VALIDATION_FILE
from headrace_client.optimisation import process
from headrace_client.tensors import NUMPY_TYPES

_RANDOM_ROWS = 256


def rows_of(client: Client, model: str, version: registry_pb2.ModelVersion) -> dict[str, np.ndarray]:
    """Return rows to ask for: those of `validation.json`, else random numbers. Raises InvalidArgument for texts."""
    specs = {spec.name: spec for spec in version.contract.inputs}
    if any(artifact.name == VALIDATION_FILE for artifact in version.artifacts):
        with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
            path = Path(folder, VALIDATION_FILE)
            client.versions.download_artifact(model, version.name.rsplit("/", 1)[-1], VALIDATION_FILE, path)
            given = process.rows_of(path).inputs
        return {
            name: np.array(values, NUMPY_TYPES.get(specs[name].datatype, np.dtype(object))).reshape(
                len(values), *specs[name].shape
            )
            for name, values in given.items()
            if name in specs
        }
    random, rows = np.random.default_rng(0), {}
    for name, spec in specs.items():
        if spec.datatype not in NUMPY_TYPES:
            raise invalid("version", f"input '{name}' is {spec.datatype}: register rows with it (validation.json)")
        shape = (_RANDOM_ROWS, *(max(1, size) for size in spec.shape))
        rows[name] = random.normal(size=shape).astype(NUMPY_TYPES[spec.datatype])
    return rows
