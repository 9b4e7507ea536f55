"""`headrace models graph`: a pipeline as a picture, in the terminal or for Mermaid."""

from __future__ import annotations

from pathlib import Path

import click
from headrace.registry.v1 import pipeline_pb2

from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, last, message_json, shown
from headrace_client.client import Client
from headrace_client.errors import invalid
from headrace_client.pipeline_files import COMBINERS, REQUEST, is_pipeline, read_pipeline

_KINDS = {kind: name for name, kind in COMBINERS.items()}
_SHAPES = {"model": ('["', '"]'), "graph": ('[["', '"]]'), "combiner": ('{{"', '"}}')}


@click.command()
@click.argument("model")
@click.argument("version", required=False)
@click.option("--mermaid", is_flag=True, help="Print a Mermaid flowchart, for documents.")
@connected
def graph(client: Client, output: Output, model: str, version: str | None, mermaid: bool) -> None:
    """Draw the pipeline of VERSION of MODEL, by default the one in production; or of a file pipeline.yaml.

    Steps of one level run at once; each level needs those above it. The version of a model is the one that was found
    when the pipeline was registered.

    \b
    Examples:
      headrace models graph ensemble
      headrace models graph ensemble v2 --mermaid
      headrace models graph pipeline.yaml
    """
    found: dict[str, str] = {}
    if version is None and is_pipeline(Path(model)) and Path(model).is_file():
        pipeline = read_pipeline(Path(model)).pipeline
    else:
        registered = client.versions.get(model, version or _production(client, model))
        if not registered.HasField("pipeline"):
            raise invalid("version", f"'{last(registered.name)}' of '{model}' is no pipeline: it has no graph")
        pipeline = registered.pipeline
        found = {one.digest: "@".join(one.name.split("/")[1::2]) for one in registered.members}
    if output.as_json:
        output.document({"pipeline": message_json(pipeline)})
    elif mermaid:
        click.echo(as_mermaid(pipeline, found))
    else:
        _draw(output, pipeline, found)


def _production(client: Client, model: str) -> str:
    version = client.models.get(model).production_version
    if not version:
        raise invalid("version", f"'{model}' has no version in production: name one")
    return version


def runs(step: pipeline_pb2.PipelineStep, found: dict[str, str]) -> str:
    """Return what a step runs, for people. found: `model@version` by digest."""
    match step.WhichOneof("runs"):
        case "model":
            named = step.model.version or step.model.alias or "production"
            return found.get(step.digest) or f"{step.model.model}@{named}"
        case "graph":
            return step.graph
        case _:
            return _combines(step)


def _combines(step: pipeline_pb2.PipelineStep) -> str:
    combiner = step.combiner
    kinds = pipeline_pb2.Combiner.Kind
    text = _KINDS[kinds.Name(combiner.kind)] if combiner.kind in kinds.values() and combiner.kind else "unknown"
    if combiner.kind == pipeline_pb2.Combiner.KIND_SWITCH:
        return f"{text} by {combiner.attribute or 'selector'}"
    return f"{text}, {combiner.quorum} of {len(step.inputs)}" if combiner.quorum else text


def levels(pipeline: pipeline_pb2.Pipeline) -> list[list[pipeline_pb2.PipelineStep]]:
    """Return the steps by level: each needs only those of levels before."""
    found: list[list[pipeline_pb2.PipelineStep]] = []
    done, left = {""}, list(pipeline.steps)
    while ready := [step for step in left if all(edge.source.step in done for edge in step.inputs)]:
        found.append(ready)
        done |= {step.name for step in ready}
        left = [step for step in left if step.name not in done]
    return found


def as_mermaid(pipeline: pipeline_pb2.Pipeline, found: dict[str, str]) -> str:
    """Return a Mermaid flowchart of a pipeline."""
    # Not by their names: `end` is a word of Mermaid's.
    ids = {"": REQUEST} | {step.name: f"step{number}" for number, step in enumerate(pipeline.steps, 1)}
    lines = ["flowchart TD", f'    {REQUEST}(["{REQUEST}"])']
    for step in pipeline.steps:
        left, right = _SHAPES[step.WhichOneof("runs") or "model"]
        lines.append(f"    {ids[step.name]}{left}{step.name}<br>{_text(runs(step, found))}{right}")
    for step in pipeline.steps:
        tensors: dict[str, list[str]] = {}
        for edge in step.inputs:
            tensors.setdefault(edge.source.step, []).append(edge.source.tensor)
        for source, names in tensors.items():
            lines.append(f'    {ids[source]} -- "{_text(", ".join(names))}" --> {ids[step.name]}')
    lines.append('    answer(["answer"])')
    lines += [f'    {ids[one.source.step]} -- "{_text(one.name)}" --> answer' for one in pipeline.outputs]
    return "\n".join(lines)


def _text(text: str) -> str:
    """Return text escaped for a quoted Mermaid label."""
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def _draw(output: Output, pipeline: pipeline_pb2.Pipeline, found: dict[str, str]) -> None:
    inputs = dict.fromkeys(e.source.tensor for step in pipeline.steps for e in step.inputs if not e.source.step)
    output.say(f"[bold]{REQUEST}[/]  {shown(', '.join(inputs))}")
    for level in levels(pipeline):
        output.say("[dim]│[/]")
        for step in level:
            mark = "├─" if step is not level[-1] else "╰─"
            output.say(f"[dim]{mark}[/] [bold]{step.name}[/]  {shown(runs(step, found))}{shown(limits(step))}")
            bar = "│ " if step is not level[-1] else "  "
            for edge in step.inputs:
                source = f"{edge.source.step or REQUEST}.{edge.source.tensor}"
                output.say(f"[dim]{bar}     {shown(edge.input)} ← {shown(source)}[/]")
    output.say("[dim]│[/]")
    output.say(f"[bold]answer[/]{'  of one ONNX graph' if pipeline.fuse else ''}")
    for one in pipeline.outputs:
        output.say(f"[dim]       {shown(one.name)} ← {shown(f'{one.source.step}.{one.source.tensor}')}[/]")


def limits(step: pipeline_pb2.PipelineStep) -> str:
    """Return how a step is run where that is declared, for the end of its line."""
    parts = [f"pool {step.pool}"] if step.pool else []
    if step.HasField("timeout"):
        parts.append(f"at most {step.timeout.ToMilliseconds()} ms")
    if step.retries:
        parts.append(f"{step.retries} {'retry' if step.retries == 1 else 'retries'}")
    if step.HasField("cache_ttl"):
        parts.append(f"cached for {step.cache_ttl.ToMilliseconds() / 1000:g} s")
    if step.soft_fail:
        parts.append("zeros when it fails")
    return f"  ({', '.join(parts)})" if parts else ""
