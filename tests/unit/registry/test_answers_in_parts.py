"""What a version that answers in parts cannot be: a step of a pipeline, or padded."""

from __future__ import annotations

from dataclasses import replace

import pytest
from headrace_registry.decisions import compositions, defaults, padded_sizes
from headrace_registry.decisions.models import Contract, Format, Padding, TensorSpec, Version, VersionRef
from headrace_servicekit.errors import InvalidArgument

ONCE = Contract((TensorSpec("ids", "INT64", (-1,)),), (TensorSpec("y", "FP32", (1,)),))
IN_PARTS = replace(ONCE, decoupled=True)


def test_it_is_no_step_of_a_pipeline():
    version = Version(VersionRef("words", "v1"), defaults.filled(), ONCE, format=Format.PYTHON)
    assert compositions.member_of(version, "steps[0]").ref == version.ref
    with pytest.raises(InvalidArgument) as caught:
        compositions.member_of(replace(version, contract=IN_PARTS), "steps[0]")
    assert caught.value.reason == compositions.REASON
    (violation,) = caught.value.violations
    assert violation.field == "steps[0]"
    assert violation.description == "'words@v1' answers in parts, and a step answers once"


def test_it_has_no_padding_as_each_request_is_executed_by_itself():
    settings = defaults.filled(defaults.Declared(padding=Padding((8, 32), {})))
    assert not padded_sizes.misfits(settings, ONCE, "serving")
    (violation,) = padded_sizes.misfits(settings, IN_PARTS, "serving")
    assert (violation.field, "in parts" in violation.description) == ("serving.padding", True)
    assert not padded_sizes.misfits(defaults.filled(), IN_PARTS, "serving")
