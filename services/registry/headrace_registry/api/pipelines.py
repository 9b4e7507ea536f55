"""Pipelines as the API shows them, and as values."""

from __future__ import annotations

from google.protobuf import duration_pb2
from headrace.registry.v1 import pipeline_pb2
from headrace_runtime.pipelines import structure
from headrace_runtime.pipelines.graph import (
    Combiner,
    Edge,
    GraphStep,
    Kind,
    ModelStep,
    Output,
    Pipeline,
    Source,
    Step,
)
from headrace_servicekit.errors import FieldViolation, refuse
from headrace_servicekit.resource_names import invalid

from headrace_registry.decisions import compositions
from headrace_registry.decisions.models import Composition

_Combiner = pipeline_pb2.Combiner
KINDS: dict[int, Kind] = {_Combiner.Kind.Value(f"KIND_{kind.name}"): kind for kind in Kind}


def declared(message: pipeline_pb2.Pipeline, field: str) -> Composition:
    """Return what a caller declares of a pipeline. Raises InvalidArgument."""
    lists = [("steps", message.steps, structure.MAX_STEPS), ("outputs", message.outputs, structure.MAX_OUTPUTS)]
    lists += [
        (f"steps[{index}].inputs", step.inputs, structure.MAX_EDGES)
        for index, step in enumerate(message.steps[: structure.MAX_STEPS])
    ]
    # Before anything is made of the items: a message has room for a million.
    refuse(
        [
            FieldViolation(f"{field}.{name}", f"{len(items)} items; at most {most}")
            for name, items, most in lists
            if len(items) > most
        ],
        reason=compositions.REASON,
    )
    steps = tuple(_step(step, f"{field}.steps[{index}]") for index, step in enumerate(message.steps))
    outputs = tuple(Output(one.name, _source(one.source)) for one in message.outputs)
    return Composition(Pipeline(steps, outputs, message.fuse))


def _step(message: pipeline_pb2.PipelineStep, field: str) -> Step:
    return Step(
        message.name,
        _runs(message, field),
        tuple(Edge(edge.input, _source(edge.source)) for edge in message.inputs),
        message.pool,
        _milliseconds(message.timeout) if message.HasField("timeout") else None,
        message.retries,
        message.soft_fail,
        _milliseconds(message.cache_ttl) if message.HasField("cache_ttl") else None,
    )


def _milliseconds(duration: duration_pb2.Duration) -> float:
    return duration.seconds * 1000 + duration.nanos / 1e6


def _runs(message: pipeline_pb2.PipelineStep, field: str) -> ModelStep | GraphStep | Combiner:
    match message.WhichOneof("runs"):
        case "model":
            return ModelStep(message.model.model, message.model.version, message.model.alias)
        case "graph":
            return GraphStep(message.graph)
        case "combiner":
            combiner = message.combiner
            kind = KINDS.get(combiner.kind)
            if kind is None:
                known = ", ".join(f"KIND_{kind.name}" for kind in Kind)
                raise invalid(
                    f"{field}.combiner.kind", f"{combiner.kind} is not one of {known}", reason=compositions.REASON
                )
            cases = dict(combiner.cases)
            return Combiner(
                kind, tuple(combiner.weights), combiner.quorum, combiner.attribute, cases, combiner.default_input
            )
        case _:
            raise invalid(f"{field}.runs", "set one of model, graph and combiner", reason=compositions.REASON)


def _source(message: pipeline_pb2.TensorSource) -> Source:
    return Source(message.step, message.tensor)


def to_pipeline(composition: Composition) -> pipeline_pb2.Pipeline:
    """Return a pipeline as the API shows it."""
    return pipeline_pb2.Pipeline(
        steps=[_to_step(step, composition.digests.get(step.name, "")) for step in composition.pipeline.steps],
        outputs=[
            pipeline_pb2.PipelineOutput(name=output.name, source=_to_source(output.source))
            for output in composition.pipeline.outputs
        ],
        fuse=composition.pipeline.fuse,
    )


def _to_step(step: Step, digest: str) -> pipeline_pb2.PipelineStep:
    message = pipeline_pb2.PipelineStep(
        name=step.name,
        inputs=[pipeline_pb2.PipelineEdge(input=edge.input, source=_to_source(edge.source)) for edge in step.inputs],
        pool=step.pool,
        timeout=None if step.timeout_ms is None else _duration(step.timeout_ms),
        retries=step.retries,
        soft_fail=step.soft_fail,
        cache_ttl=None if step.cache_ms is None else _duration(step.cache_ms),
        digest=digest,
    )
    match step.runs:
        case ModelStep(model, version, alias):
            message.model.model = model
            if version:
                message.model.version = version
            elif alias:
                message.model.alias = alias
        case GraphStep(artifact):
            message.graph = artifact
        case Combiner() as combiner:
            message.combiner.CopyFrom(
                _Combiner(
                    kind=f"KIND_{combiner.kind.name}",
                    weights=combiner.weights,
                    quorum=combiner.quorum,
                    attribute=combiner.attribute,
                    cases=combiner.cases,
                    default_input=combiner.default_input,
                )
            )
    return message


def _to_source(source: Source) -> pipeline_pb2.TensorSource:
    return pipeline_pb2.TensorSource(step=source.step, tensor=source.tensor)


def _duration(milliseconds: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(round(milliseconds * 1e6))
    return duration
