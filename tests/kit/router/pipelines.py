"""Pipelines for tests: written down in few words, and run step by step with ONNX Runtime, as any executor must answer.

composed({"a": {"model": "digits@v1", "inputs": {"features": "request.x"}}}, {"scores": "a.scores"})
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from google.protobuf import json_format
from headrace.registry.v1 import pipeline_pb2
from headrace_runtime.pipelines.flow import Flow, Port, Signature
from headrace_runtime.pipelines.graph import PRESENT, REQUEST, Combiner, Kind, Pipeline, Step, levels

Arrays = Mapping[str, np.ndarray]
Run = Callable[[Arrays], dict[str, np.ndarray]]

NUMPY = {
    "BOOL": np.bool_, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "INT8": np.int8, "INT16": np.int16,
    "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32,
    "UINT64": np.uint64, "BYTES": np.object_,
}  # fmt: skip


def composed(steps: Mapping[str, Mapping[str, Any]], outputs: Mapping[str, str]) -> pipeline_pb2.Pipeline:
    """Return a pipeline. A tensor is `step.tensor`, of the request `request.tensor`.

    A model is `model@version`, `model@@alias`, or `model` for the version in production; other fields of a step are
    those of its message.
    """
    pipeline = pipeline_pb2.Pipeline()
    for name, told in steps.items():
        fields = {key: value for key, value in told.items() if key not in ("model", "inputs")}
        step = json_format.ParseDict({"name": name, **fields}, pipeline.steps.add())
        if "model" in told:
            model, _, version = told["model"].partition("@")
            step.model.model = model
            if version.startswith("@"):
                step.model.alias = version[1:]
            elif version:
                step.model.version = version
        for taken, source in told["inputs"].items():
            step.inputs.add(input=taken, source=_source_of(source))
    for name, source in outputs.items():
        pipeline.outputs.add(name=name, source=_source_of(source))
    return pipeline


def _source_of(text: str) -> pipeline_pb2.TensorSource:
    step, _, tensor = text.partition(".")
    return pipeline_pb2.TensorSource(step="" if step == "request" else step, tensor=tensor)


@dataclass(frozen=True, slots=True)
class Answer:
    """outputs: by name; None when one is missing. failed: steps that failed. degraded: whether it lacks some."""

    outputs: dict[str, np.ndarray] | None
    failed: frozenset[str]
    degraded: bool


def onnx_run(content: bytes) -> Run:
    """Return what runs an ONNX file."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = {value.name for value in session.get_inputs()}

    def run(arrays: Arrays) -> dict[str, np.ndarray]:
        given = {name: array for name, array in arrays.items() if name in wanted}
        return {name: np.asarray(array) for name, array in zip(names, session.run(names, given), strict=True)}

    return run


def execute(
    pipeline: Pipeline,
    flow: Flow,
    runs: Mapping[str, Run],
    request: Arrays,
    *,
    failing: Collection[str] = (),
    attributes: Mapping[str, str] | None = None,
) -> Answer:
    """Return what a pipeline answers. runs: by step. failing: steps that fail whenever they are run."""
    rows = len(next(iter(request.values())))
    given: dict[tuple[str, str], np.ndarray] = {(REQUEST, name): array for name, array in request.items()}
    failed: set[str] = set()
    for level in levels(pipeline):
        for step in level:
            signature = flow.signatures[step.name]
            arrays = _inputs(step, signature, given, rows, attributes or {})
            if arrays is None:
                answered = None
            elif step.name in failing:
                failed.add(step.name)
                answered = None
            else:
                answered = runs[step.name](arrays)
            if answered is None and step.soft_fail:
                answered = {port.name: zeros(port, rows) for port in signature.outputs}
                failed.add(step.name)
            for name, array in (answered or {}).items():
                given[step.name, name] = array
    sources = {output.name: (output.source.step, output.source.tensor) for output in pipeline.outputs}
    if any(source not in given for source in sources.values()):
        return Answer(None, frozenset(failed), bool(failed))
    return Answer({name: given[source] for name, source in sources.items()}, frozenset(failed), bool(failed))


def zeros(port: Port, rows: int, like: np.ndarray | None = None) -> np.ndarray:
    """Return what stands for a tensor that is missing."""
    shape = (rows, *port.shape) if like is None else like.shape
    return np.full(shape, "", np.object_) if port.datatype == "BYTES" else np.zeros(shape, NUMPY[port.datatype])


def _inputs(
    step: Step,
    signature: Signature,
    given: Mapping[tuple[str, str], np.ndarray],
    rows: int,
    attributes: Mapping[str, str],
) -> dict[str, np.ndarray] | None:
    """Return what goes into a step, None when too much of it is missing."""
    found = {edge.input: given.get((edge.source.step, edge.source.tensor)) for edge in step.inputs}
    ports = {port.name: port for port in signature.inputs}
    voters = [edge.input for edge in step.voters]
    if not isinstance(step.runs, Combiner):
        return (
            None
            if any(array is None for array in found.values())
            else {k: v for k, v in found.items() if v is not None}
        )
    if step.runs.kind is Kind.SWITCH and step.runs.attribute:
        chosen = step.runs.cases.get(attributes.get(step.runs.attribute, ""), step.runs.default_input)
        found = {name: array if name == chosen else None for name, array in found.items()}
    present = [found[name] is not None for name in voters]
    if sum(present) < step.needed or any(found[name] is None for name in found if name not in voters):
        return None
    like = next(found[name] for name, there in zip(voters, present, strict=True) if there)
    same_shape = step.runs.kind is not Kind.STACK
    arrays = {
        name: array if array is not None else zeros(ports[name], rows, like if same_shape else None)
        for name, array in found.items()
    }
    arrays[PRESENT] = np.tile(np.array(present), (rows, 1))
    return arrays
