"""Triton with the members of the benchmark's ensemble, and the two ways in which it combines them itself."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from headrace_servicekit.testing import free_port
from tritonclient.grpc import service_pb2

from benchmarks.checkout import ROOT
from benchmarks.systems.references import Reference, process, until_listening

# Made when it is imported, which type checkers do not see.
_pb: Any = service_pb2

ENSEMBLE, BLS = "triton-ensemble", "triton-bls"
_MEAN = "triton-mean"
_HERE = Path(__file__).parent

_COLUMNS, _CLASSES = 4, 3
_FEATURES = f'input [ {{ name: "features" data_type: TYPE_FP32 dims: [ {_COLUMNS} ] }} ]'
_SCORES = f'output [ {{ name: "scores" data_type: TYPE_FP32 dims: [ {_CLASSES} ] }} ]'
# As one who wants throughput configures it: what waits is joined, and nothing waits for company.
_PYTHON = """backend: "python"
max_batch_size: 32
{ports}
instance_group [ {{ count: 1 kind: KIND_CPU }} ]
dynamic_batching {{ }}
"""


@contextlib.contextmanager
def running(scratch: Path, members: Mapping[str, bytes]) -> Iterator[Reference]:
    """Run Triton with members, their ensemble, and a model that asks them.

    members: ONNX files, from `features` to `scores`, by name.
    """
    repository = scratch / "triton-pipelines"
    names = list(members)
    for name, content in members.items():
        folder = _model(repository, name, f"{_FEATURES}\n{_SCORES}", _HERE.parent / "triton_model.py")
        (folder / "model.onnx").write_bytes(content)
    voters = ",".join(f' {{ name: "{name}" data_type: TYPE_FP32 dims: [ {_CLASSES} ] }}' for name in names)
    output = f'output [ {{ name: "output" data_type: TYPE_FP32 dims: [ {_CLASSES} ] }} ]'
    _model(repository, _MEAN, f"input [{voters} ]\n{output}", _HERE / "mean.py")
    parameter = f'parameters {{ key: "members" value: {{ string_value: "{",".join(names)}" }} }}'
    _model(repository, BLS, f"{_FEATURES}\n{_SCORES}\n{parameter}", _HERE / "bls.py")
    _ensemble(repository, names)
    port, log = free_port(), scratch / "triton-pipelines.log"
    command = [
        ROOT / "deploy" / "triton" / "launch",
        f"--model-repository={repository}",
        f"--grpc-port={port}",
        "--allow-metrics=false",
        *(f"--load-model={name}" for name in (*names, _MEAN, BLS, ENSEMBLE)),
    ]
    with process(log, command) as pid:
        until_listening(port, log)
        yield Reference(("127.0.0.1", port), {"triton": pid})


def request_of(model: str, row: np.ndarray) -> Any:
    """Return a request for one row."""
    made = _pb.ModelInferRequest(model_name=model, raw_input_contents=[row.tobytes()])
    made.inputs.add(name="features", datatype="FP32", shape=row.shape)
    return made


def _model(repository: Path, name: str, ports: str, code: Path) -> Path:
    """Write a model of the Python backend; return the folder of its version."""
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    shutil.copyfile(code, folder / "model.py")
    (repository / name / "config.pbtxt").write_text(_PYTHON.format(ports=ports))
    return folder


def _ensemble(repository: Path, members: list[str]) -> None:
    """Write the ensemble of Triton's own scheduler: the members beside each other, then their mean."""
    steps = [
        f'{{ model_name: "{name}" model_version: -1 input_map {{ key: "features" value: "features" }} '
        f'output_map {{ key: "scores" value: "of_{name}" }} }}'
        for name in members
    ]
    taken = " ".join(f'input_map {{ key: "{name}" value: "of_{name}" }}' for name in members)
    steps.append(
        f'{{ model_name: "{_MEAN}" model_version: -1 {taken} output_map {{ key: "output" value: "scores" }} }}'
    )
    (repository / ENSEMBLE / "1").mkdir(parents=True)
    (repository / ENSEMBLE / "config.pbtxt").write_text(
        f'platform: "ensemble"\nmax_batch_size: 32\n{_FEATURES}\n{_SCORES}\n'
        f"ensemble_scheduling {{ step [ {', '.join(steps)} ] }}\n"
    )
