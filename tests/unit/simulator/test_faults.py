"""Which fault meets which call follows from what was set, from time and from the number of the call alone."""

import math

import pytest
from headrace_simulator.decisions.faults import (
    FAULT,
    FAULTS,
    Operation,
    concerns,
    first_problem,
    next_change_s,
    refuses_connections,
    scheduled,
    strikes,
)
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.kit.rows import each


def fault(kind: str, **fields: object):
    return FAULT.validate_python({"kind": kind, **fields})


def test_a_fault_is_in_force_from_its_beginning_to_before_its_end():
    one = scheduled("one", fault("dead", after_s=5, for_s=10), now=100.0)
    assert [one.active(at) for at in (100.0, 104.9, 105.0, 114.9, 115.0)] == [False, False, True, True, False]


def test_a_fault_without_an_end_goes_on():
    one = scheduled("one", fault("wedge"), now=0.0)
    assert one.active(1e12)
    assert one.ends_s == math.inf


@each(
    "kind,fields,met",
    [
        ("dead", {}, {Operation.INFER, Operation.LOAD, Operation.MODEL}),
        ("slow", {}, {Operation.INFER}),
        ("wedge", {}, {Operation.INFER, Operation.LOAD, Operation.MODEL, Operation.SERVER}),
        ("wedge", {"model": "digits--v2"}, {Operation.INFER, Operation.LOAD, Operation.MODEL}),
        ("out-of-memory", {}, {Operation.INFER}),
        ("out-of-memory", {"on": "load"}, {Operation.LOAD}),
        ("slow-load", {"delay_s": 1}, {Operation.LOAD}),
        ("wrong", {}, {Operation.INFER}),
    ],
)
def test_a_fault_is_about_the_calls_that_its_kind_names(kind: str, fields: dict, met: set[Operation]):
    one = fault(kind, **fields)
    assert {operation for operation in Operation if concerns(one, operation, "digits--v2")} == met


def test_a_fault_of_one_model_leaves_the_others_alone():
    one = fault("slow", model="digits--v2")
    assert concerns(one, Operation.INFER, "digits--v2")
    assert not concerns(one, Operation.INFER, "digits--v1")


@given(st.integers(0, 2**63 - 1), st.floats(0.01, 0.99))
def test_the_same_seed_meets_the_same_calls_and_about_its_share_of_them(seed: int, share: float):
    one = fault("dead", share=share, seed=seed)
    met = [strikes(one, number) for number in range(200)]
    assert met == [strikes(one, number) for number in range(200)]
    assert abs(sum(met) / 200 - share) < 0.2  # more than five standard deviations


def test_only_a_whole_backend_that_is_dead_refuses_connections():
    def refused(**fields: object) -> bool:
        return refuses_connections([scheduled("one", fault("dead", **fields), now=0.0)], 1.0)

    assert refused()
    assert not refused(share=0.5)
    assert not refused(model="digits--v2")
    assert not refused(after_s=2)
    assert not refused(for_s=1)


def test_the_next_change_is_the_first_beginning_or_end_to_come():
    faults = [scheduled("a", fault("dead", after_s=5, for_s=1), 0.0), scheduled("b", fault("wedge"), 0.0)]
    assert [next_change_s(faults, now) for now in (0.0, 5.0, 6.0)] == [5.0, 6.0, math.inf]


@each(
    "given_fault,field",
    [
        ({"kind": "dead", "share": 0}, "share"),
        ({"kind": "dead", "share": "nan"}, "share"),
        ({"kind": "dead", "for_s": -1}, "for_s"),
        ({"kind": "dead", "for_s": 1e9}, "for_s"),
        ({"kind": "dead", "after_s": "soon"}, "after_s"),
        ({"kind": "dead", "model": ""}, "model"),
        ({"kind": "slow", "base_ms": -5}, "base_ms"),
        ({"kind": "slow", "base_ms": float("inf")}, "base_ms"),
        ({"kind": "slow-load"}, "delay_s"),
        ({"kind": "wrong", "how": "upside-down"}, "how"),
        ({"kind": "out-of-memory", "on": "unload"}, "on"),
        ({"kind": "dead", "base_ms": 5}, "base_ms"),
        ({"kind": "tired"}, "kind"),
        ({}, "kind"),
        ([], "kind"),
    ],
)
def test_what_is_wrong_with_a_fault_is_named_by_its_field(given_fault: object, field: str):
    with pytest.raises(ValidationError) as caught:
        FAULT.validate_python(given_fault)
    assert first_problem(caught.value)[0] == field


def test_what_is_wrong_with_a_script_is_named_by_the_fault_and_its_field():
    with pytest.raises(ValidationError) as caught:
        FAULTS.validate_python({"late": {"kind": "slow", "base_ms": "much"}})
    assert first_problem(caught.value)[0] == "late.base_ms"
