"""What the parameters of an inference request ask for, and which are refused."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from headrace_router.data.protocols.oip.parameters import NO_PARAMETERS, RequestParameters, request_parameters
from headrace_servicekit.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each


@each(
    "parameters,expected",
    [
        ({}, NO_PARAMETERS),
        ({"anything": 5, "content_type": "np"}, NO_PARAMETERS),
        ({"triton_enable_empty_final_response": True}, NO_PARAMETERS),
        ({"sequence_id": 0, "sequence_start": False, "sequence_end": False}, NO_PARAMETERS),
        ({"priority": 1}, RequestParameters(priority=1)),
        ({"priority": 100}, RequestParameters(priority=3)),
        ({"headrace_explain": True}, RequestParameters(explain=True)),
        ({"timeout": 1500}, RequestParameters(timeout_s=0.0015)),
        ({"timeout": 0}, RequestParameters(timeout_s=None)),
        ({"binary_data_output": True}, RequestParameters(binary_output=True)),
        ({"headrace_user_id": "u", "headrace_entity_id": "e"}, RequestParameters(user_id="u", entity_id="e")),
        ({"headrace_max_age_ms": 250}, RequestParameters(max_age_s=0.25)),
        ({"headrace_max_age_ms": 0.5}, RequestParameters(max_age_s=0.0005)),
        ({"headrace_attribute_country": "DE"}, RequestParameters(attributes={"country": "DE"})),
    ],
)
def test_what_parameters_ask_for(parameters: dict[str, Any], expected: RequestParameters):
    assert request_parameters(parameters) == expected


@each(
    "name,value,reason",
    [
        ("sequence_id", 7, "SEQUENCE_NOT_SERVED"),
        ("sequence_id", "s", "SEQUENCE_NOT_SERVED"),
        ("sequence_start", True, "SEQUENCE_NOT_SERVED"),
        ("triton_final_response", True, "RESERVED_PARAMETER"),
        ("headrace_user", "u", "UNKNOWN_FIELD"),
        ("headrace_attribute_", "u", "UNKNOWN_FIELD"),
        ("headrace_user_id", 5, "INVALID_FIELD"),
        ("headrace_user_id", "u" * 257, "INVALID_FIELD"),
        ("headrace_attribute_x", None, "INVALID_FIELD"),
        ("headrace_max_age_ms", -1, "INVALID_FIELD"),
        ("headrace_max_age_ms", float("nan"), "INVALID_FIELD"),
        ("headrace_max_age_ms", float("inf"), "INVALID_FIELD"),
        ("headrace_max_age_ms", True, "INVALID_FIELD"),
        ("priority", -1, "INVALID_FIELD"),
        ("priority", "high", "INVALID_FIELD"),
        pytest.param("priority", 2, "INVALID_FIELD", id="shadow is the platform's own"),
        ("timeout", -1, "INVALID_FIELD"),
        ("timeout", 0.5, "INVALID_FIELD"),
        ("binary_data_output", 1, "INVALID_FIELD"),
    ],
)
def test_what_cannot_be_is_refused_by_name(name: str, value: Any, reason: str):
    with pytest.raises(InvalidArgument) as caught:
        request_parameters({name: value})
    assert caught.value.reason == reason
    assert caught.value.violations[0].field == f"parameters.{name}"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300)
NAMES = st.sampled_from(["priority", "timeout", "sequence_id", "headrace_max_age_ms", "triton_x"]) | st.text(
    max_size=90
)


@given(
    st.dictionaries(NAMES, SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(), SCALARS, max_size=2))
)
def test_whatever_comes_is_understood_or_refused(parameters: dict[str, Any]):
    with contextlib.suppress(InvalidArgument):
        assert request_parameters(parameters).priority >= 0
