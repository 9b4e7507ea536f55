"""One version, with all that is known of it, and what its promotion would be asked now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from shlex import quote

from headrace.registry.v1 import pipeline_pb2, registry_pb2
from starlette.responses import Response

from headrace_console.pages.gates import gate_text
from headrace_console.pages.markup import seconds, word
from headrace_console.pages.spans import HOURS
from headrace_console.pages.timeline import timeline_of
from headrace_console.pages.visits import READ_S, Visit, signed_in

_MEASUREMENTS = 20


@signed_in
async def version(visit: Visit) -> Response:
    """Show a version."""
    name, version_id, client = visit.argument("model"), visit.argument("version"), visit.client
    found = await client.versions.get(name, version_id, timeout=READ_S)
    serves = found.stage == registry_pb2.ModelVersion.STAGE_PRODUCTION
    readings: dict[str, tuple[str, Awaitable[object]]] = {
        "measurements": (
            "registry",
            client.versions.list_measurements(name, version_id, limit=_MEASUREMENTS, timeout=READ_S),
        ),
        "holds": ("registry", client.versions.list_holds(name, timeout=READ_S)),
    }
    if not serves:  # a review locks the model: it waits for its writes, and they for it
        readings["review"] = ("registry", client.approvals.review(name, version_id, timeout=READ_S))
    drawing, parts = await asyncio.gather(timeline_of(visit, name, version_id), visit.parts(**readings))
    return visit.page(
        "version.html",
        f"{name} {version_id}",
        f"headrace models review {quote(name)} {quote(version_id)}",
        model=name,
        version=found,
        serves=serves,
        timeline=drawing(()),
        choices=HOURS,
        gate_text=gate_text,
        steps=steps_of(found),
        **parts,
    )


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step of a pipeline. model, version: of the member that it runs; empty for a graph or a combiner, which `runs`
    says. takes: tensors, `step.tensor`."""

    name: str
    runs: str
    model: str
    version: str
    takes: tuple[str, ...]
    limits: tuple[str, ...]


def steps_of(version: registry_pb2.ModelVersion) -> list[StepRow]:
    """Return the steps of a version that is a pipeline, in the order of its file."""
    members = {one.digest: one.name.split("/") for one in version.members}
    found = []
    for step in version.pipeline.steps:
        named = members.get(step.digest, []) if step.HasField("model") else []
        model, member = (named[1], named[3]) if len(named) == 4 else ("", "")
        takes = (f"{edge.source.step or 'request'}.{edge.source.tensor}" for edge in step.inputs)
        found.append(StepRow(step.name, _runs(step), model, member, tuple(takes), tuple(_limits(step))))
    return found


def _runs(step: pipeline_pb2.PipelineStep) -> str:
    if step.HasField("combiner"):
        combiner = step.combiner
        quorum = f", {combiner.quorum} of {len(step.inputs)} enough" if combiner.quorum else ""
        return f"{word(combiner, 'kind')}{quorum}"
    return step.graph or step.model.model


def _limits(step: pipeline_pb2.PipelineStep) -> Iterator[str]:
    if step.pool:
        yield f"pool {step.pool}"
    if step.HasField("timeout"):
        yield f"at most {seconds(step.timeout)}"
    if step.retries:
        yield f"{step.retries} more {'try' if step.retries == 1 else 'tries'}"
    if step.HasField("cache_ttl"):
        yield f"cached for {seconds(step.cache_ttl)}"
    if step.soft_fail:
        yield "zeros when it fails"
