"""Whether callers of one version are served by another: what may be added, widened, and never taken away."""

from dataclasses import replace

import pytest
from headrace_registry.decisions import defaults, signature
from headrace_registry.decisions.models import Contract, TensorSpec, Version, VersionRef
from headrace_servicekit.errors import PreconditionFailed
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

X, Y = TensorSpec("x", "FP32", (4, -1)), TensorSpec("y", "INT64", (3,))
PRESENT = Contract((X,), (Y,))
OTHER = TensorSpec("z", "FP32", optional=True)


@each(
    "candidate,field,said",
    [
        pytest.param(
            Contract((TensorSpec("z", "FP32", optional=True),), (Y,)), "inputs.x", "removed", id="input removed"
        ),
        pytest.param(Contract((replace(X, datatype="FP64"),), (Y,)), "inputs.x", "FP32 to FP64", id="input retyped"),
        pytest.param(Contract((replace(X, shape=(5, -1)),), (Y,)), "inputs.x", "to [5, -1]", id="input reshaped"),
        pytest.param(Contract((replace(X, shape=(4, 7)),), (Y,)), "inputs.x", "to [4, 7]", id="input narrowed"),
        pytest.param(Contract((replace(X, shape=(4,)),), (Y,)), "inputs.x", "to [4]", id="input of another rank"),
        pytest.param(Contract((X, TensorSpec("z", "FP32")), (Y,)), "inputs.z", "new input", id="new required input"),
        pytest.param(Contract((X,), (TensorSpec("z", "FP32"),)), "outputs.y", "removed", id="output removed"),
        pytest.param(Contract((X,), (replace(Y, datatype="FP32"),)), "outputs.y", "INT64 to FP32", id="output retyped"),
        pytest.param(Contract((X,), (replace(Y, shape=(-1,)),)), "outputs.y", "to [-1]", id="output widened"),
    ],
)
def test_what_breaks_callers(candidate, field, said):
    (violation,) = signature.incompatibilities(PRESENT, candidate)
    assert violation.field == f"signature.{field}"
    assert said in violation.description


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(replace(X, optional=True), X, id="optional to required"),
        pytest.param(replace(X, nan_allowed=True), X, id="NaN no longer taken"),
    ],
)
def test_what_may_be_left_out_or_be_nan_stays_so(before, after):
    assert signature.incompatibilities(Contract((before,), (Y,)), Contract((after,), (Y,)))
    assert not signature.incompatibilities(Contract((after,), (Y,)), Contract((before,), (Y,)))


@pytest.mark.parametrize(
    "candidate",
    [
        pytest.param(PRESENT, id="the same"),
        pytest.param(Contract((X, TensorSpec("z", "FP32", optional=True)), (Y,)), id="new optional input"),
        pytest.param(Contract((X,), (Y, TensorSpec("z", "FP32"))), id="new output"),
        pytest.param(Contract((replace(X, shape=(-1, -1)),), (Y,)), id="wider input"),
        pytest.param(Contract((replace(X, minimum=0.0, sensitive=True),), (Y,), labels=("a",)), id="no part of it"),
    ],
)
def test_what_breaks_nobody(candidate):
    assert signature.incompatibilities(PRESENT, candidate) == []


def test_every_break_is_told():
    candidate = Contract((replace(X, datatype="FP64", shape=(9,)),), ())
    assert len(signature.incompatibilities(PRESENT, candidate)) == 3


def test_a_break_is_refused_or_returned_for_the_history():
    old = Version(VersionRef("digits", "v1"), defaults.filled(), contract=PRESENT)
    new = Version(VersionRef("digits", "v2"), defaults.filled(), contract=Contract((X,), ()))
    with pytest.raises(PreconditionFailed, match="breaks the signature of 'v1'") as caught:
        signature.breaks(new, old, allowed=False)
    assert (caught.value.reason, len(caught.value.violations)) == ("SIGNATURE_INCOMPATIBLE", 1)
    assert signature.breaks(new, old, allowed=True) == ("outputs.y: output removed",)
    assert signature.breaks(new, None, allowed=False) == ()


SPECS = st.lists(
    st.builds(
        TensorSpec,
        st.sampled_from("abc"),
        st.sampled_from(["FP32", "INT64"]),
        st.lists(st.sampled_from([-1, 2, 3]), max_size=2).map(tuple),
        optional=st.booleans(),
        nan_allowed=st.booleans(),
    ),
    unique_by=lambda spec: spec.name,
    max_size=3,
).map(tuple)
CONTRACTS = st.builds(Contract, SPECS, SPECS)


@given(CONTRACTS, CONTRACTS, CONTRACTS)
def test_compatibility_is_reflexive_and_carries_over(first, second, third):
    assert signature.incompatibilities(first, first) == []
    if not signature.incompatibilities(first, second) and not signature.incompatibilities(second, third):
        removed_then = {spec.name for spec in third.inputs if not spec.optional} - {s.name for s in first.inputs}
        assert not removed_then
        assert signature.incompatibilities(first, third) == []
