"""Which steps of a pipeline the prediction log knows, and which tensors of pipeline and steps it never sees. Pure.

What one part of a pipeline calls sensitive keeps being so on its way: graphs and combiners move and rescale values, so
all that goes into one that touches such a tensor, and all that comes out of it, counts as sensitive too. What a model
makes of it is another value, for which the model's own contract speaks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from headrace_router.data.contract import Contract, sensitive_names
from headrace_router.data.served import REQUEST, PlannedStep, RecordedStep

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
