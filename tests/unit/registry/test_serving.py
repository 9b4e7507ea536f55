"""Serving settings: defaults are filled in, bounds are checked by field."""

import pytest
from headrace_registry.decisions import defaults
from headrace_registry.decisions.models import ServingSettings
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each


def test_what_is_unset_has_its_default():
    assert defaults.filled() == ServingSettings(32, (8, 16, 32), 5.0, 1)


def test_default_preferred_sizes_respect_a_smaller_maximum():
    assert defaults.filled(defaults.Declared(max_batch_rows=16)).preferred_batch_rows == (8, 16)
    assert defaults.filled(defaults.Declared(max_batch_rows=4)).preferred_batch_rows == ()


def test_no_wait_is_not_the_default_wait():
    assert defaults.filled(defaults.Declared(max_wait_ms=0.0)).max_wait_ms == 0.0


@given(st.integers(1, defaults.MAX_BATCH_ROWS))
def test_defaults_are_valid_for_every_maximum(rows):
    assert not defaults.violations(defaults.filled(defaults.Declared(max_batch_rows=rows)), "serving")


@each(
    "settings,field",
    [
        pytest.param(
            defaults.filled(defaults.Declared(max_batch_rows=-1)),
            "serving.max_batch_rows",
            id="negative rows",
        ),
        pytest.param(
            defaults.filled(defaults.Declared(max_batch_rows=5000)),
            "serving.max_batch_rows",
            id="too many rows",
        ),
        pytest.param(
            defaults.filled(defaults.Declared(preferred_batch_rows=(8, 64))),
            "serving.preferred_batch_rows[1]",
            id="above the maximum",
        ),
        pytest.param(
            defaults.filled(defaults.Declared(preferred_batch_rows=(8, 8))),
            "serving.preferred_batch_rows[1]",
            id="not rising",
        ),
        pytest.param(
            defaults.filled(defaults.Declared(preferred_batch_rows=(0, 8))),
            "serving.preferred_batch_rows[0]",
            id="zero",
        ),
        pytest.param(
            defaults.filled(defaults.Declared(preferred_batch_rows=tuple(range(1, 30)))),
            "serving.preferred_batch_rows",
            id="too many",
        ),
        pytest.param(defaults.filled(defaults.Declared(max_wait_ms=-1.0)), "serving.max_wait", id="negative wait"),
        pytest.param(defaults.filled(defaults.Declared(max_wait_ms=1001.0)), "serving.max_wait", id="long wait"),
        pytest.param(
            defaults.filled(defaults.Declared(instances=-1)),
            "serving.instances",
            id="negative instances",
        ),
        pytest.param(defaults.filled(defaults.Declared(instances=65)), "serving.instances", id="many instances"),
    ],
)
def test_a_bad_setting_is_named(settings, field):
    assert field in [violation.field for violation in defaults.violations(settings, "serving")]
