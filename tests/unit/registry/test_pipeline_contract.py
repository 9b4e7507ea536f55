"""The contract of a pipeline, from its members and what is declared."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headrace_registry.decisions import pipeline_contract
from headrace_registry.decisions.models import (
    Composition,
    Contract,
    Member,
    ServingSettings,
    TensorSpec,
    VersionRef,
)
from headrace_runtime.pipelines.graph import Edge, GraphStep, ModelStep, Output, Pipeline, Source, Step

NOTHING = Contract()
X, Y = TensorSpec("x", "FP32", (4,)), TensorSpec("y", "FP32", (4,))


def step(name: str, runs: ModelStep | GraphStep, takes: Source) -> Step:
    return Step(name, runs, (Edge("x", takes),))


# A graph before the model, and one after it.
PIPELINE = Pipeline(
    (
        step("before", GraphStep("before.onnx"), Source("", "rows")),
        step("model", ModelStep("m"), Source("before", "y")),
        step("after", GraphStep("after.onnx"), Source("model", "y")),
    ),
    (Output("scores", Source("after", "y")),),
)


def contract_with(model: Contract, declared: Contract = NOTHING, *, fuse: bool = False) -> Contract:
    """Return the contract of the pipeline. model: of the model in it."""
    contracts = {"before": Contract((X,), (Y,)), "model": model, "after": Contract((X,), (Y,))}
    members = [
        Member(VersionRef("m", name), name, contract, ServingSettings(32, (), 5.0, 1))
        for name, contract in contracts.items()
    ]
    made_of = Composition(replace(PIPELINE, fuse=fuse), tuple(members), {name: name for name in contracts})
    return pipeline_contract.contract_of(declared, made_of, "version")[0]


def sensitive(contract: Contract) -> set[str]:
    return {spec.name for spec in (*contract.inputs, *contract.outputs) if spec.sensitive}


@pytest.mark.parametrize("fuse", [False, True])
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Contract((X,), (Y,)), set()),
        (Contract((replace(X, sensitive=True),), (Y,)), {"rows"}),
        (Contract((X,), (replace(Y, sensitive=True),)), {"scores"}),
    ],
)
def test_what_a_model_calls_sensitive_is_so_beyond_graphs(model: Contract, expected: set[str], fuse: bool):
    assert sensitive(contract_with(model, fuse=fuse)) == expected


def test_what_is_declared_beside_the_name_of_a_tensor_makes_nothing_public():
    secret = Contract((replace(X, sensitive=True),), (Y,))
    found = contract_with(secret, Contract((TensorSpec("rows", "", (), minimum=0.0),)))
    assert (found.inputs[0].minimum, sensitive(found)) == (0.0, {"rows"})


def test_what_the_pipeline_calls_sensitive_stays_so():
    found = contract_with(Contract((X,), (Y,)), Contract((), (TensorSpec("scores", "", (), sensitive=True),)))
    assert sensitive(found) == {"scores"}
