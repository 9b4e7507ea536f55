"""What is wrong with a pipeline before anything is known of its members: names, bounds, cycles, combiners."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from headrace_servicekit.errors import FieldViolation

from headrace_runtime.pipelines.graph import (
    PRESENT,
    REQUEST,
    SELECTOR,
    Combiner,
    Edge,
    GraphStep,
    Kind,
    ModelStep,
    Pipeline,
    Source,
    Step,
    leading_to_outputs,
    levels,
)

MAX_STEPS = 100
MAX_EDGES = 64
MAX_OUTPUTS = 64
MAX_RETRIES = 3
MAX_CASES = 100
MAX_TIMEOUT_MS = 600_000.0
MAX_CACHE_MS = 7 * 24 * 3600 * 1000.0
MAX_NAME_CHARS = 63
MAX_TEXT_CHARS = 256

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_WEIGHTED = (Kind.WEIGHTED, Kind.VOTE)


def violations(pipeline: Pipeline, field: str) -> list[FieldViolation]:
    """Return what is wrong with a pipeline in itself, fields named below `field`."""
    if found := list(_bounds(pipeline, field)):
        return found
    found = [*_names(pipeline, field), *_sources(pipeline, field)]
    for index, step in enumerate(pipeline.steps):
        found += _step(step, f"{field}.steps[{index}]")
    return found or list(_cycles(pipeline, field)) or list(_idle(pipeline, field))


def _bounds(pipeline: Pipeline, field: str) -> Iterator[FieldViolation]:
    for name, items, most in (("steps", pipeline.steps, MAX_STEPS), ("outputs", pipeline.outputs, MAX_OUTPUTS)):
        if not items:
            yield FieldViolation(f"{field}.{name}", "is empty")
        elif len(items) > most:
            yield FieldViolation(f"{field}.{name}", f"{len(items)} {name}; at most {most}")
    for index, step in enumerate(pipeline.steps[:MAX_STEPS]):
        if len(step.inputs) > MAX_EDGES:
            yield FieldViolation(f"{field}.steps[{index}].inputs", f"{len(step.inputs)} inputs; at most {MAX_EDGES}")


def _names(pipeline: Pipeline, field: str) -> Iterator[FieldViolation]:
    seen: set[str] = set()
    for index, step in enumerate(pipeline.steps):
        place = f"{field}.steps[{index}].name"
        if len(step.name) > MAX_NAME_CHARS or _NAME.fullmatch(step.name) is None:
            yield FieldViolation(place, f"{step.name[:100]!r} must be lower-case words joined by single hyphens")
        elif step.name == "request":
            yield FieldViolation(place, "'request' stands for what callers send: rename the step")
        elif step.name in seen:
            yield FieldViolation(place, f"'{step.name}' appears twice")
        seen.add(step.name)
    answered: set[str] = set()
    for index, output in enumerate(pipeline.outputs):
        place = f"{field}.outputs[{index}].name"
        if not 0 < len(output.name) <= MAX_TEXT_CHARS:
            yield FieldViolation(place, f"must have 1 to {MAX_TEXT_CHARS} characters")
        elif output.name in answered:
            yield FieldViolation(place, f"'{output.name}' appears twice")
        answered.add(output.name)


def _sources(pipeline: Pipeline, field: str) -> Iterator[FieldViolation]:
    """Yield what is wrong with where tensors come from."""
    steps = pipeline.by_name
    for index, step in enumerate(pipeline.steps):
        taken: set[str] = set()
        for number, edge in enumerate(step.inputs):
            place = f"{field}.steps[{index}].inputs[{number}]"
            if not 0 < len(edge.input) <= MAX_TEXT_CHARS:
                yield FieldViolation(f"{place}.input", f"must have 1 to {MAX_TEXT_CHARS} characters")
            elif edge.input in taken:
                yield FieldViolation(f"{place}.input", f"input '{edge.input}' of step '{step.name}' appears twice")
            taken.add(edge.input)
            yield from _source(edge.source, steps, place)
    for index, output in enumerate(pipeline.outputs):
        place = f"{field}.outputs[{index}]"
        if output.source.step == REQUEST:
            yield FieldViolation(f"{place}.source.step", "an output comes from a step, not from the request")
        yield from _source(output.source, steps, place)


def _source(source: Source, steps: dict[str, Step], place: str) -> Iterator[FieldViolation]:
    if source.step != REQUEST and source.step not in steps:
        known = ", ".join(sorted(steps)[:16])
        yield FieldViolation(f"{place}.source.step", f"there is no step '{source.step[:100]}'; there are: {known}")
    if not 0 < len(source.tensor) <= MAX_TEXT_CHARS:
        yield FieldViolation(f"{place}.source.tensor", f"must have 1 to {MAX_TEXT_CHARS} characters")


def _step(step: Step, place: str) -> Iterator[FieldViolation]:
    if not step.inputs:
        yield FieldViolation(f"{place}.inputs", f"step '{step.name}' takes nothing")
    if step.pool and (len(step.pool) > MAX_NAME_CHARS or _NAME.fullmatch(step.pool) is None):
        yield FieldViolation(f"{place}.pool", f"{step.pool[:100]!r} must be lower-case words joined by single hyphens")
    if step.timeout_ms is not None and not 0 < step.timeout_ms <= MAX_TIMEOUT_MS:
        yield FieldViolation(f"{place}.timeout", f"{step.timeout_ms:g} ms is not between 0 and 10 minutes")
    if step.cache_ms is not None and not isinstance(step.runs, ModelStep):
        yield FieldViolation(
            f"{place}.cache_ttl", f"only the output of a model is cached; step '{step.name}' runs none"
        )
    elif step.cache_ms is not None and not 1 <= step.cache_ms <= MAX_CACHE_MS:
        yield FieldViolation(f"{place}.cache_ttl", f"{step.cache_ms:g} ms is not between 1 ms and a week")
    if not 0 <= step.retries <= MAX_RETRIES:
        yield FieldViolation(f"{place}.retries", f"{step.retries} is not between 0 and {MAX_RETRIES}")
    if isinstance(step.runs, Combiner):
        yield from _combiner(step, step.runs, place)
    elif isinstance(step.runs, GraphStep) and not step.runs.artifact:
        yield FieldViolation(f"{place}.graph", "is empty: name an ONNX artifact of the version")


def _combiner(step: Step, combiner: Combiner, place: str) -> Iterator[FieldViolation]:
    voters = step.voters
    for number, edge in enumerate(step.inputs):
        if edge.input == PRESENT:
            yield FieldViolation(f"{place}.inputs[{number}].input", f"'{PRESENT}' is the registry's own: rename it")
        if edge.source.step == REQUEST and edge in voters:
            yield FieldViolation(f"{place}.inputs[{number}].source.step", "a combiner takes what steps give")
    if not voters:
        yield FieldViolation(f"{place}.inputs", f"step '{step.name}' has nothing to combine")
    where = f"{place}.combiner"
    if combiner.kind is Kind.SWITCH:
        yield from _switch(step, combiner, voters, where)
        return
    if combiner.attribute or combiner.cases or combiner.default_input:
        yield FieldViolation(f"{where}.cases", f"{combiner.kind} selects nothing: cases are for switch")
    if not 0 <= combiner.quorum <= len(voters):
        yield FieldViolation(f"{where}.quorum", f"{combiner.quorum} of {len(voters)} inputs")
    yield from _weights(combiner, len(voters), where)


def _weights(combiner: Combiner, voters: int, where: str) -> Iterator[FieldViolation]:
    weights = combiner.weights
    if weights and combiner.kind not in _WEIGHTED:
        yield FieldViolation(f"{where}.weights", f"{combiner.kind} has no weights")
    elif len(weights) != voters and (weights or combiner.kind is Kind.WEIGHTED):
        yield FieldViolation(f"{where}.weights", f"{len(weights)} weights for {voters} inputs")
    elif any(not (math.isfinite(weight) and weight > 0) for weight in weights):
        yield FieldViolation(f"{where}.weights", "each must be above zero and finite")


def _switch(step: Step, combiner: Combiner, voters: tuple[Edge, ...], where: str) -> Iterator[FieldViolation]:
    names = {edge.input for edge in voters}
    if combiner.quorum or combiner.weights:
        yield FieldViolation(f"{where}.quorum", "a switch has neither quorum nor weights")
    if step.selects_by_row and not any(edge.input == SELECTOR for edge in step.inputs):
        yield FieldViolation(f"{where}.attribute", f"set it, or give the step an input named '{SELECTOR}'")
    if not 0 < len(combiner.cases) <= MAX_CASES:
        yield FieldViolation(f"{where}.cases", f"{len(combiner.cases)} cases; 1 to {MAX_CASES} are allowed")
    for value, name in sorted(combiner.cases.items())[:MAX_CASES]:
        if len(value) > MAX_TEXT_CHARS:
            yield FieldViolation(f"{where}.cases", f"a value has {len(value)} characters; at most {MAX_TEXT_CHARS}")
        if name not in names:
            yield FieldViolation(f"{where}.cases[{value[:40]}]", f"the step has no input '{name[:100]}'")
    if combiner.default_input not in names:
        yield FieldViolation(f"{where}.default_input", f"the step has no input '{combiner.default_input[:100]}'")
    for name in sorted(names - {*combiner.cases.values(), combiner.default_input}):
        yield FieldViolation(f"{where}.cases", f"no case selects input '{name[:100]}'")


def _cycles(pipeline: Pipeline, field: str) -> Iterator[FieldViolation]:
    """Yield one edge of each cycle that is found by walking back from what cannot be ordered."""
    ordered = {step.name for level in levels(pipeline) for step in level}
    left = {step.name: step for step in pipeline.steps if step.name not in ordered}
    seen: set[str] = set()
    for start in left:
        path: list[tuple[str, int]] = []
        name = start
        while name not in seen:
            seen.add(name)
            number = next(n for n, edge in enumerate(left[name].inputs) if edge.source.step in left)
            path.append((name, number))
            name = left[name].inputs[number].source.step
        if name in (walked := [step for step, _ in path]):
            cycle = path[walked.index(name) :]
            step, number = cycle[0]
            index = next(i for i, one in enumerate(pipeline.steps) if one.name == step)
            ring = " ← ".join([*(one for one, _ in cycle), step])
            yield FieldViolation(f"{field}.steps[{index}].inputs[{number}]", f"steps wait for each other: {ring}")


def _idle(pipeline: Pipeline, field: str) -> Iterator[FieldViolation]:
    leading = leading_to_outputs(pipeline)
    for index, step in enumerate(pipeline.steps):
        if step.name not in leading:
            yield FieldViolation(f"{field}.steps[{index}]", f"step '{step.name}' leads to no output")
