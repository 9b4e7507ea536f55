"""All steps of a pipeline as one ONNX graph, which is one execution: no bytes go from step to step through anybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from headrace_servicekit.errors import FieldViolation

from headrace_runtime.pipelines.combiners import ELEMENTS
from headrace_runtime.pipelines.flow import Flow, Port
from headrace_runtime.pipelines.graph import PRESENT, REQUEST, Combiner, Kind, Pipeline, Step, levels

if TYPE_CHECKING:
    import onnx


class NotFusible(Exception):
    """The files of the steps cannot be one graph; the message names the step."""


def violations(pipeline: Pipeline, field: str) -> list[FieldViolation]:
    """Return what a pipeline asks of its steps that one execution cannot give, fields named below `field`."""
    return [
        FieldViolation(f"{field}.steps[{index}].{name}", f"steps of one graph are one execution: leave out {what}")
        for index, step in enumerate(pipeline.steps)
        for name, what in _separate(step)
    ]


def _separate(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the fields by which a step is to be executed by itself."""
    if step.pool:
        yield "pool", "its pool"
    if step.timeout_ms is not None:
        yield "timeout", "its timeout"
    if step.retries:
        yield "retries", "its retries"
    if step.cache_ms is not None:
        yield "cache_ttl", "how long its output is cached"
    if step.soft_fail:
        yield "soft_fail", "what stands for it when it fails"
    if isinstance(step.runs, Combiner):
        if step.runs.quorum not in (0, len(step.voters)):
            yield "combiner.quorum", "its quorum"
        if step.runs.kind is Kind.SWITCH and step.runs.attribute:
            yield "combiner.attribute", "the attribute, which no tensor holds"


def fused(pipeline: Pipeline, flow: Flow, files: Mapping[str, bytes]) -> bytes:
    """Return the ONNX file of a whole pipeline. files: of each step. Raises NotFusible."""
    import onnx
    from onnx import helper

    steps = [step for level in levels(pipeline) for step in level]
    loaded = {step.name: onnx.load_from_string(files[step.name]) for step in steps}
    imports = _imports(loaded)
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    sparse: list[onnx.SparseTensorProto] = []
    for step in steps:
        model = _prefixed(step.name, loaded.pop(step.name), imports[""])
        nodes += _edges(step, helper)
        if isinstance(step.runs, Combiner):
            nodes += _all_present(step, helper, constants)
        nodes += model.graph.node
        # Of an optional input its file has a default, which is of no use where an edge brings something.
        brought = {f"{step.name}/{edge.input}" for edge in step.inputs}
        constants += [one for one in model.graph.initializer if one.name not in brought]
        sparse += model.graph.sparse_initializer
    nodes += [
        helper.make_node("Identity", [f"{one.source.step}/{one.source.tensor}"], [one.name]) for one in pipeline.outputs
    ]
    graph = helper.make_graph(
        nodes,
        "pipeline",
        [_value(port, helper) for port in flow.inputs],
        [_value(port, helper) for port in flow.outputs],
        constants,
        sparse_initializer=sparse,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in sorted(imports.items())]
    whole = helper.make_model(graph, opset_imports=opsets, producer_name="headrace")
    whole.ir_version = helper.find_min_ir_version_for(opsets)
    return whole.SerializeToString(deterministic=True)


def _imports(models: Mapping[str, onnx.ModelProto]) -> dict[str, int]:
    """Return the operator sets of all steps: the newest of ONNX's own, and the others, which must be the same."""
    found: dict[str, tuple[int, str]] = {}
    for step, model in models.items():
        if model.functions:
            raise NotFusible(f"the file of step '{step}' has functions of its own")
        for one in model.opset_import:
            domain = "" if one.domain == "ai.onnx" else one.domain
            known, other = found.setdefault(domain, (one.version, step))
            if domain and known != one.version:
                raise NotFusible(f"steps '{other}' and '{step}' use {domain} {known} and {one.version}")
            if one.version > known:
                found[domain] = (one.version, step)
    return {"": 17} | {domain: version for domain, (version, _) in found.items()}


def _prefixed(step: str, model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return a step's model by the common operator set, every name in it below that of the step."""
    from onnx import version_converter

    present = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), opset)
    if present != opset:
        try:
            model = version_converter.convert_version(model, opset)
        except Exception as error:  # the converter raises what its parts do
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise NotFusible(f"the file of step '{step}' cannot be brought to operator set {opset}: {first}") from None
    _prefix(model.graph, f"{step}/")
    return model


def _prefix(graph: onnx.GraphProto, prefix: str) -> None:
    """Put a prefix before every name of a graph, and of those within its nodes, which see the names around them."""
    for named in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        named.name = prefix + named.name
    for tensor in graph.sparse_initializer:
        tensor.values.name = prefix + tensor.values.name
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [name and prefix + name for name in names]
        node.name = node.name and prefix + node.name
        for attribute in node.attribute:
            for within in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _prefix(within, prefix)


def _edges(step: Step, helper) -> list[onnx.NodeProto]:
    """Return what brings tensors to the inputs of a step; runtimes take it out again."""
    found = []
    for edge in step.inputs:
        source = edge.source
        given = source.tensor if source.step == REQUEST else f"{source.step}/{source.tensor}"
        found.append(helper.make_node("Identity", [given], [f"{step.name}/{edge.input}"]))
    return found


def _all_present(step: Step, helper, constants: list[onnx.TensorProto]) -> list[onnx.NodeProto]:
    """Return what says to a combiner that all its inputs are there, for as many rows as these have."""
    name, voters = step.name, len(step.voters)
    constants += [
        helper.make_tensor(f"{name}/{PRESENT}/yes", ELEMENTS["BOOL"], [1], [True]),
        helper.make_tensor(f"{name}/{PRESENT}/voters", ELEMENTS["INT64"], [1], [voters]),
    ]
    rows, shape = f"{name}/{PRESENT}/rows", f"{name}/{PRESENT}/shape"
    return [
        helper.make_node("Shape", [f"{name}/{step.voters[0].input}"], [rows], start=0, end=1),
        helper.make_node("Concat", [rows, f"{name}/{PRESENT}/voters"], [shape], axis=0),
        helper.make_node("Expand", [f"{name}/{PRESENT}/yes", shape], [f"{name}/{PRESENT}"]),
    ]


def _value(port: Port, helper) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        port.name, ELEMENTS[port.datatype], ["rows", *(None if size < 0 else size for size in port.shape)]
    )
