"""Padding is declared within what a version's contract allows, and every fault is named by its field."""

import pytest
from headrace_registry.decisions import defaults, padded_sizes
from headrace_registry.decisions.models import BatchDimension, Contract, Padding, TensorSpec

from tests.kit.rows import each

IDS = TensorSpec("ids", "INT64", (-1,))
WORDS = Contract((IDS, TensorSpec("age", "FP32", (3,))), (TensorSpec("scores", "FP32", (-1,)),))


def settings(*sizes: int, **values: float):
    return defaults.filled(defaults.Declared(padding=Padding(sizes, values)))


def fields(found) -> list[str]:
    return [violation.field for violation in found]


@pytest.mark.parametrize(
    ("sizes", "field"),
    [
        pytest.param((0, 4), "serving.padding.sizes[0]", id="zero"),
        pytest.param((4, 4), "serving.padding.sizes[1]", id="not rising"),
        pytest.param((70000,), "serving.padding.sizes[0]", id="too large"),
        pytest.param(tuple(range(1, 30)), "serving.padding.sizes", id="too many"),
    ],
)
def test_a_bad_size_is_named(sizes, field):
    assert fields(defaults.violations(settings(*sizes), "serving")) == [field]


def test_what_fits_has_no_faults_and_no_padding_never_has():
    assert not defaults.violations(settings(8, 32), "serving")
    assert not padded_sizes.misfits(settings(8, 32, ids=7.0), WORDS, "serving")
    assert not padded_sizes.misfits(defaults.filled(), Contract(), "serving")


@each(
    "contract,values,field",
    [
        pytest.param(Contract((TensorSpec("x", "FP32", (3,)),)), {}, "padding", id="nothing varies"),
        pytest.param(WORDS, {"age": 1.0}, "padding.values[age]", id="that input does not vary"),
        pytest.param(WORDS, {"ids": 0.5}, "padding.values[ids]", id="no integer"),
        pytest.param(Contract((TensorSpec("x", "INT8", (-1,)),)), {"x": 200.0}, "padding.values[x]", id="out of range"),
        pytest.param(Contract((TensorSpec("x", "FP32", (-1,)),)), {"x": float("nan")}, "padding.values[x]", id="NaN"),
        pytest.param(Contract((TensorSpec("x", "BYTES", (-1,)),)), {}, "padding.values[x]", id="texts"),
        pytest.param(Contract((TensorSpec("x", "FP32", (-1,), minimum=1.0),)), {}, "padding.values[x]", id="below it"),
        pytest.param(
            Contract((IDS,), (TensorSpec("words", "BYTES", (-1,)),)), {}, "padding", id="texts cannot be cut back"
        ),
        pytest.param(
            Contract((TensorSpec("x", "FP32", (-1,), batch_dimension=BatchDimension.ONE),)), {}, "padding", id="one row"
        ),
    ],
)
def test_what_a_contract_does_not_allow_is_named(contract, values, field):
    assert f"serving.{field}" in fields(padded_sizes.misfits(settings(8, **values), contract, "serving"))


def test_a_padding_without_sizes_takes_it_away_and_none_keeps_it():
    before = settings(8, 32)
    assert defaults.changed(before, defaults.Declared(padding=Padding(()))).padding is None
    assert defaults.changed(before, defaults.Declared(instances=2)).padding == before.padding


def test_warm_stays_until_it_is_taken_back():
    warm = defaults.filled(defaults.Declared(warm=True))
    assert defaults.changed(warm, defaults.Declared(instances=2)).warm
    assert not defaults.changed(warm, defaults.Declared(warm=False)).warm
