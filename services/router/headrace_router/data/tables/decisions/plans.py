"""The steps of a pipeline, as a table has them, in an order in which they can run. Pure: messages in, values out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from headrace.registry.v1 import pipeline_pb2

from headrace_router.data.tables.contract import Contract, sensitive_names
from headrace_router.data.tables.served import (
    REQUEST,
    Choice,
    Plan,
    PlannedStep,
    RecordedStep,
    ServedVersion,
    Take,
)

# Inputs of combiners by which they know what is there, and by which a switch selects row by row.
PRESENT, SELECTOR = "present", "selector"
# As many as the registry takes.
MAX_STEPS = 100

_SWITCH, _FIRST_GOOD = pipeline_pb2.Combiner.KIND_SWITCH, pipeline_pb2.Combiner.KIND_FIRST_GOOD


def plan_of(
    proto: pipeline_pb2.Pipeline, members: Mapping[str, ServedVersion], contract: Contract, *, name: str
) -> tuple[Plan, Contract]:
    """Return the plan of a pipeline, and its contract with what members call sensitive.

    Raises ValueError for one that could not be run. members: by digest. contract: of the pipeline. name: its, as
    `model/version`.
    """
    if not 1 <= len(proto.steps) <= MAX_STEPS:
        raise ValueError(f"a pipeline has {len(proto.steps)} steps, not 1 to {MAX_STEPS}")
    ordered = _in_order(proto.steps)
    names = {step.name: at for at, step in enumerate(ordered)}
    runs = [_member(step, members) for step in ordered]
    takes = [_takes(step, names, runs, contract, runs[at]) for at, step in enumerate(ordered)]
    outputs = _outputs(proto, names, runs, contract)
    used = {(take.step, take.tensor) for one in takes for take in one} | set(outputs)
    steps = tuple(
        _step(step, runs[at], takes[at], tuple(sorted(tensor for source, tensor in used if source == at)))
        for at, step in enumerate(ordered)
    )
    models = {step.name for step in ordered if step.WhichOneof("runs") == "model"}
    contract = with_sensitive(contract, steps, outputs, models)
    steps = with_records(name, contract, steps, outputs, models)
    attributes = tuple(dict.fromkeys(step.choice.attribute for step in steps if step.choice is not None))
    return Plan(steps, outputs, attributes), contract


def _in_order(steps: Sequence[pipeline_pb2.PipelineStep]) -> list[pipeline_pb2.PipelineStep]:
    """Return the steps so that each comes behind those that it takes tensors from."""
    done, left = {""}, list(steps)
    if len({step.name for step in steps} | {""}) != len(steps) + 1:
        raise ValueError("two steps of a pipeline have the same name, or one has none")
    ordered: list[pipeline_pb2.PipelineStep] = []
    while left:
        ready = [step for step in left if all(edge.source.step in done for edge in step.inputs)]
        if not ready:
            raise ValueError(f"step {left[0].name!r} can never begin: it is on a cycle, or takes from an unknown step")
        ordered += ready
        done.update(step.name for step in ready)
        left = [step for step in left if step.name not in done]
    return ordered


def _member(step: pipeline_pb2.PipelineStep, members: Mapping[str, ServedVersion]) -> ServedVersion:
    if step.digest not in members:
        raise ValueError(f"step {step.name!r} runs {step.digest!r}, which is not among the members")
    return members[step.digest]


def _takes(
    step: pipeline_pb2.PipelineStep,
    names: Mapping[str, int],
    runs: Sequence[ServedVersion],
    contract: Contract,
    member: ServedVersion,
) -> tuple[Take, ...]:
    inputs = {spec.name: position for position, spec in enumerate(member.contract.inputs)}
    takes = []
    for edge in step.inputs:
        source = names[edge.source.step] if edge.source.step else REQUEST
        specs = contract.inputs if source == REQUEST else runs[source].contract.outputs
        tensors = {spec.name: position for position, spec in enumerate(specs)}
        if edge.input not in inputs or edge.source.tensor not in tensors:
            raise ValueError(f"step {step.name!r}: input {edge.input!r} or tensor {edge.source.tensor!r} is unknown")
        takes.append(Take(inputs[edge.input], source, tensors[edge.source.tensor]))
    return tuple(takes)


def _outputs(
    proto: pipeline_pb2.Pipeline, names: Mapping[str, int], runs: Sequence[ServedVersion], contract: Contract
) -> tuple[tuple[int, int], ...]:
    """Return what gives each output of the contract."""
    sources = {output.name: output.source for output in proto.outputs}
    found = []
    for spec in contract.outputs:
        source = sources.get(spec.name)
        at = None if source is None else names.get(source.step)
        if source is None or at is None:
            raise ValueError(f"no step gives output {spec.name!r}")
        tensors = [one.name for one in runs[at].contract.outputs]
        if source.tensor not in tensors:
            raise ValueError(f"output {spec.name!r}: step {source.step!r} gives no {source.tensor!r}")
        found.append((at, tensors.index(source.tensor)))
    return tuple(found)


def _step(
    proto: pipeline_pb2.PipelineStep, member: ServedVersion, takes: tuple[Take, ...], gives: tuple[int, ...]
) -> PlannedStep:
    voters: tuple[int, ...] = ()
    needed, present, choice = 0, None, None
    if proto.WhichOneof("runs") == "combiner":
        combiner = proto.combiner
        by_row = combiner.kind == _SWITCH and not combiner.attribute
        voters = tuple(index for index, edge in enumerate(proto.inputs) if not (by_row and edge.input == SELECTOR))
        present = next((at for at, spec in enumerate(member.contract.inputs) if spec.name == PRESENT), None)
        if present is None or not voters:
            raise ValueError(f"combiner {proto.name!r} has no input {PRESENT!r}, or nothing to combine")
        if combiner.kind == _SWITCH and combiner.attribute:
            choice = _choice(proto, [proto.inputs[index].input for index in voters])
        needed = _needed(combiner, len(voters))
    return PlannedStep(
        proto.name,
        member,
        proto.pool,
        takes,
        gives,
        voters,
        needed,
        present,
        choice,
        proto.timeout.ToMicroseconds() / 1e6 if proto.HasField("timeout") else None,
        proto.retries,
        proto.soft_fail,
        cache_s=proto.cache_ttl.ToMicroseconds() / 1e6,
    )


def _needed(combiner: pipeline_pb2.Combiner, voters: int) -> int:
    if combiner.kind == _SWITCH:
        return 1 if combiner.attribute else voters
    return min(combiner.quorum, voters) or (1 if combiner.kind == _FIRST_GOOD else voters)


def _choice(proto: pipeline_pb2.PipelineStep, voters: Sequence[str]) -> Choice:
    combiner = proto.combiner
    unknown = {*combiner.cases.values(), combiner.default_input} - set(voters)
    if unknown:
        raise ValueError(f"switch {proto.name!r} names inputs that it does not have: {sorted(unknown)}")
    cases = {value: voters.index(name) for value, name in combiner.cases.items()}
    return Choice(combiner.attribute, cases, voters.index(combiner.default_input))


Tensor = tuple[int, int]
"""The step that gives it, or REQUEST, and its position among what that has."""


def with_sensitive(
    contract: Contract, steps: Sequence[PlannedStep], outputs: Sequence[Tensor], models: Collection[str]
) -> Contract:
    """Return the contract of a pipeline, with all that its members call sensitive marked as that.

    outputs, models: as in `with_records`.
    """
    hidden = _sensitive(contract, steps, outputs, models)
    return contract._replace(
        inputs=tuple(spec._replace(sensitive=(REQUEST, at) in hidden) for at, spec in enumerate(contract.inputs)),
        outputs=tuple(
            spec._replace(sensitive=source in hidden) for spec, source in zip(contract.outputs, outputs, strict=True)
        ),
    )


def with_records(
    name: str,
    contract: Contract,
    steps: Sequence[PlannedStep],
    outputs: Sequence[Tensor],
    models: Collection[str],
) -> tuple[PlannedStep, ...]:
    """Return the steps, those that run models with what the log knows them by.

    name: of the pipeline, as `model/version`. outputs: what gives each output of the contract. models: names of steps
    that run one.
    """
    hidden = _sensitive(contract, steps, outputs, models)
    attributes = sensitive_names(contract).union(*(step.served.sensitive_attributes for step in steps))

    def recorded(at: int, step: PlannedStep) -> RecordedStep:
        inputs, given = step.served.contract.inputs, step.served.contract.outputs
        return RecordedStep(
            name,
            step.name,
            step.served,
            frozenset(inputs[take.position].name for take in step.takes if (take.step, take.tensor) in hidden),
            frozenset(spec.name for position, spec in enumerate(given) if (at, position) in hidden),
            attributes,
        )

    return tuple(
        replace(step, recorded=recorded(at, step)) if step.name in models else step for at, step in enumerate(steps)
    )


def _sensitive(
    contract: Contract, steps: Sequence[PlannedStep], outputs: Sequence[Tensor], models: Collection[str]
) -> set[Tensor]:
    """Return the tensors that some part of the pipeline calls sensitive, or that have such values in them."""
    found = {(REQUEST, at) for at, spec in enumerate(contract.inputs) if spec.sensitive}
    found |= {source for source, spec in zip(outputs, contract.outputs, strict=True) if spec.sensitive}
    through: list[set[Tensor]] = []
    for at, step in enumerate(steps):
        member = step.served.contract
        given = {(at, position) for position in range(len(member.outputs))}
        found |= {(at, position) for position, spec in enumerate(member.outputs) if spec.sensitive}
        found |= {(take.step, take.tensor) for take in step.takes if member.inputs[take.position].sensitive}
        if step.name not in models:
            through.append(given | {(take.step, take.tensor) for take in step.takes})
    size = -1
    while size < len(found):
        size = len(found)
        for tensors in through:
            if tensors & found:
                found |= tensors
    return found
