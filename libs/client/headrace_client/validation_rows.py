"""Rows to ask a version for: those that it was validated on, or random ones."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from headrace.registry.v1 import registry_pb2

from headrace_client.client import Client
from headrace_client.errors import invalid
from headrace_client.operations.missing_values import VALIDATION_FILE
from headrace_client.tensors import NUMPY_TYPES

_RANDOM_ROWS = 256


@dataclass(frozen=True, slots=True)
class Rows:
    """The validation set of a version. labels: the truth of each row, None where it is not known."""

    inputs: Mapping[str, Sequence[Any]]
    labels: Sequence[Any] | None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values()), ()))

    def take(self, at: Sequence[int]) -> Rows:
        """Return some of the rows."""
        labels = None if self.labels is None else [self.labels[one] for one in at]
        return Rows({name: [rows[one] for one in at] for name, rows in self.inputs.items()}, labels)


def rows_in(path: Path) -> Rows:
    """Return the rows of a file as `validation.json` is. Raises InvalidArgument."""
    try:
        content = json.loads(path.read_bytes())
        inputs, labels = content["inputs"], content.get("labels")
        counts = {len(rows) for rows in inputs.values()} | ({len(labels)} if labels else set())
        if len(counts) != 1:
            raise ValueError("it does not have the same number of rows everywhere")
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise invalid("validation", f"{path.name} has no rows that can be read: {error}") from None
    return Rows(inputs, labels or None)


def rows_of(client: Client, model: str, version: registry_pb2.ModelVersion) -> dict[str, np.ndarray]:
    """Return rows to ask for: those of `validation.json`, else random numbers. Raises InvalidArgument for texts."""
    specs = {spec.name: spec for spec in version.contract.inputs}
    if any(artifact.name == VALIDATION_FILE for artifact in version.artifacts):
        with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
            path = Path(folder, VALIDATION_FILE)
            client.versions.download_artifact(model, version.name.rsplit("/", 1)[-1], VALIDATION_FILE, path)
            given = rows_in(path).inputs
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
