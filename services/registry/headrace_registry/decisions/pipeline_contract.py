"""The contract of a pipeline: what follows from its members and edges, with what its version declares beside names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from headrace_runtime.pipelines.flow import Port, Signature
from headrace_runtime.pipelines.graph import OUTPUT, REQUEST, Combiner, Kind, ModelStep, Pipeline, Source

from headrace_registry.decisions import contract
from headrace_registry.decisions.compositions import file_of, flow_of
from headrace_registry.decisions.files import ModelFile
from headrace_registry.decisions.models import BatchDimension, Composition, Contract, Member, Task, TensorSpec


def contract_of(declared: Contract, composition: Composition, field: str) -> tuple[Contract, ModelFile]:
    """Return the contract of a pipeline, that of its edges with what is declared beside names, and what the edges say.

    Raises InvalidArgument, reason PIPELINE_INVALID.
    """
    pipeline, members = composition.pipeline, composition.by_step
    found = flow_of(pipeline, members, f"{field}.pipeline")
    own = Contract(
        tuple(_input(port, pipeline, members) for port in found.inputs),
        tuple(_output(port, out.source, members) for port, out in zip(found.outputs, pipeline.outputs, strict=True)),
    )
    merged = _inherited(contract.with_details(declared, own), pipeline, members)
    merged = _with_sensitive(merged, pipeline, members)
    return merged, file_of(Signature(found.inputs, found.outputs))


def _input(port: Port, pipeline: Pipeline, members: Mapping[str, Member]) -> TensorSpec:
    """Return an input as the models that take it describe it."""
    described: list[TensorSpec] = []
    for step in pipeline.steps:
        for edge in step.inputs:
            if edge.source == Source(REQUEST, port.name) and isinstance(step.runs, ModelStep):
                described += [spec for spec in members[step.name].contract.inputs if spec.name == edge.input]
    spec = TensorSpec(port.name, port.datatype, port.shape)
    if not described:
        return spec
    return replace(
        spec,
        nan_allowed=all(one.nan_allowed for one in described),
        kind=described[0].kind,
        columns=described[0].columns,
        minimum=described[0].minimum,
        maximum=described[0].maximum,
    )


def _output(port: Port, source: Source, members: Mapping[str, Member]) -> TensorSpec:
    spec = next(spec for spec in members[source.step].contract.outputs if spec.name == source.tensor)
    # Callers and members exchange rows first, however a member's file declares them.
    plain = BatchDimension.UNSPECIFIED
    return replace(spec, name=port.name, datatype=port.datatype, shape=port.shape, batch_dimension=plain)


def _with_sensitive(merged: Contract, pipeline: Pipeline, members: Mapping[str, Member]) -> Contract:
    """Return a contract in which all is sensitive that has values which a member calls so.

    Graphs and combiners move and rescale values; what a model makes of them is another value.
    """
    given_by = {output.name: output.source for output in pipeline.outputs}
    found = {Source(REQUEST, spec.name) for spec in merged.inputs if spec.sensitive}
    found |= {given_by[spec.name] for spec in merged.outputs if spec.sensitive and spec.name in given_by}
    through: list[set[Source]] = []
    for step in pipeline.steps:
        own = members[step.name].contract
        secret = {spec.name for spec in own.inputs if spec.sensitive}
        found |= {edge.source for edge in step.inputs if edge.input in secret}
        found |= {Source(step.name, spec.name) for spec in own.outputs if spec.sensitive}
        if not isinstance(step.runs, ModelStep):
            given = {Source(step.name, spec.name) for spec in own.outputs}
            through.append(given | {edge.source for edge in step.inputs})
    size = -1
    while size < len(found):
        size = len(found)
        for tensors in through:
            if tensors & found:
                found |= tensors
    return replace(
        merged,
        inputs=tuple(replace(spec, sensitive=Source(REQUEST, spec.name) in found) for spec in merged.inputs),
        outputs=tuple(replace(spec, sensitive=given_by.get(spec.name) in found) for spec in merged.outputs),
    )


def _inherited(merged: Contract, pipeline: Pipeline, members: Mapping[str, Member]) -> Contract:
    """Return a contract with task and labels of the model that the prediction comes from, unless it has its own."""
    if merged.labels or merged.task is not Task.UNSPECIFIED:
        return merged
    prediction = merged.prediction or merged.outputs[0].name
    source = next((output.source for output in pipeline.outputs if output.name == prediction), None)
    steps = pipeline.by_name
    while source is not None and isinstance(combiner := steps[source.step].runs, Combiner):
        alike = source.tensor == OUTPUT and combiner.kind is not Kind.STACK
        source = steps[source.step].voters[0].source if alike else None
    if source is None or not isinstance(steps[source.step].runs, ModelStep):
        return merged
    own = members[source.step].contract
    if source.tensor != (own.prediction or own.outputs[0].name):
        return merged
    return replace(merged, task=own.task, labels=own.labels)
