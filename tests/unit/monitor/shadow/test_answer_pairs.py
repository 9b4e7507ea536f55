"""Answers beside shadows': by hand, merged in any order, stored and back, and with bytes that are none."""

import math

import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace.telemetry.v1 import telemetry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_monitor.judge.shadow.decisions.answer_pairs import compare
from headrace_monitor.judge.shadow.decisions.comparisons import (
    SAMPLE,
    WORST,
    Comparison,
    SampledRow,
    from_json,
    merged,
    quantile,
    to_json,
)
from headrace_monitor.judge.shadow.decisions.measures import measures, rank_correlation, rounded
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

Contract = tensor_pb2.ServingContract
SCORES = Contract(
    outputs=[tensor_pb2.TensorSpec(name="scores", datatype="FP32", shape=[2])],
    task=Contract.TASK_CLASSIFICATION,
    labels=["no", "yes"],
)
QUANTITY = Contract(outputs=[tensor_pb2.TensorSpec(name="y", datatype="FP64")], task=Contract.TASK_REGRESSION)
VECTOR = Contract(outputs=[tensor_pb2.TensorSpec(name="v", datatype="FP32", shape=[3])])


def outputs(name: str, datatype: str, values) -> bytes:
    array = np.asarray(values, dtype={"FP32": "<f4", "FP64": "<f8"}[datatype])
    message = predict_pb2.PredictResponse(raw_output_contents=[array.tobytes()])
    message.outputs.add(name=name, datatype=datatype, shape=array.shape)
    return message.SerializeToString()


def pair(mine: bytes, other: bytes, number: int = 0, **fields) -> telemetry_pb2.ShadowPair:
    return telemetry_pb2.ShadowPair(
        model="m", version="v1", shadow_version="v2", prediction_id=f"p-{number}", rows=1, outputs=mine,
        shadow_outputs=other, **fields,
    )  # fmt: skip


def quantities(mine: list[float], other: list[float], number: int = 0, **fields) -> telemetry_pb2.ShadowPair:
    return pair(outputs("y", "FP64", mine), outputs("y", "FP64", other), number, **fields)


def scores(mine: float, other: float, number: int = 0, **fields) -> telemetry_pb2.ShadowPair:
    of_mine, of_other = (outputs("scores", "FP32", [[1 - one, one]]) for one in (mine, other))
    return pair(of_mine, of_other, number, **fields)


def test_labels_that_differ_are_flips_by_attribute_and_the_worst_of_rows():
    pairs = [
        scores(0.9, 0.8, 0, attributes="tier=gold"),
        scores(0.6, 0.4, 1, attributes="tier=gold\x1fcountry=AT"),
        scores(0.1, 0.2, 2, attributes="country=AT"),
    ]
    found = compare(pairs, SCORES, SCORES)
    assert (found.pairs, found.rows, found.flips.count, found.flips.of) == (3, 3, 1, 3)
    assert found.flips_squared == 1
    assert {name: (one.rows, one.flips) for name, one in found.slices.items()} == {
        "tier=gold": (2, 1),
        "country=AT": (2, 1),
    }
    assert found.worst[0].prediction_id == "p-1"
    assert (found.worst[0].answer, found.worst[0].shadow_answer) == ("yes: 0.6", "no: 0.4")
    assert found.largest == pytest.approx(0.2, abs=1e-6)


def test_numbers_differ_by_so_much_and_by_such_a_share():
    pairs = [quantities([10.0, 20.0], [10.0, 25.0], 0), quantities([-1.0], [-1.5], 1)]
    found = compare(pairs, QUANTITY, QUANTITY)
    assert (found.rows, found.same, found.largest, found.flips.of) == (3, 1, 5.0, 0)
    assert quantile(found.differences, found.same, 0.0) == 0.0
    assert quantile(found.differences, found.same, 1.0) == pytest.approx(5.0, rel=0.006)
    assert quantile(found.relative, found.same, 1.0) == pytest.approx(0.5 / 1.5, rel=0.006)
    assert [(one.prediction_id, one.row) for one in found.worst] == [("p-0", 1), ("p-1", 0)]


def test_rows_of_vectors_differ_as_much_as_their_furthest_number():
    both = outputs("v", "FP32", [[1, 2, 3]]), outputs("v", "FP32", [[1, 2.5, 2]])
    found = compare([pair(*both)], VECTOR, VECTOR)
    assert (found.largest, found.rows, found.sample) == (1.0, 1, ())


def test_a_nan_of_the_shadow_alone_is_counted_and_no_difference():
    pairs = [quantities([1.0], [math.nan], 0), quantities([math.nan], [math.nan], 1), quantities([1.0], [math.inf], 2)]
    found = compare(pairs, QUANTITY, QUANTITY)
    assert (found.nan, found.rows, found.same, found.differences.count) == (1, 3, 0, 0)


def test_errors_and_what_has_nothing_in_common_are_counted_apart():
    pairs = [
        quantities([1.0], [2.0], shadow_code=13),
        pair(outputs("y", "FP64", [1.0]), b"\xff\xff"),
        pair(outputs("y", "FP64", [1.0]), outputs("y", "FP64", [1.0, 2.0])),
    ]
    found = compare(pairs, QUANTITY, QUANTITY)
    assert (found.errors, found.pairs, found.unlike, found.rows) == ({13: 1}, 2, 2, 0)


def test_what_answers_took_is_kept_of_both_sides():
    found = compare([quantities([1.0], [1.0], took_us=2_000, shadow_took_us=8_000)], QUANTITY, QUANTITY)
    assert found.took.quantile_s(0.5) == pytest.approx(0.002, rel=0.006)
    assert found.shadow_took.quantile_s(0.5) == pytest.approx(0.008, rel=0.006)


ROWS = st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=1, max_size=30)


@given(ROWS, st.integers(0, 30), st.randoms())
def test_comparisons_merge_to_that_of_all_pairs_in_any_order_and_come_back_from_json(rows, cut, rng):
    pairs = [
        scores(a, b, number, attributes=f"g={number % 3}", took_us=number + 1) for number, (a, b) in enumerate(rows)
    ]
    whole = compare(pairs, SCORES, SCORES)
    rng.shuffle(pairs)
    parts = [compare(some, SCORES, SCORES) for some in (pairs[:cut], pairs[cut:]) if some]
    assert merged(parts) == whole
    assert from_json(to_json(whole)) == whole


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_bytes_that_are_no_answer_are_no_trouble(mine, other):
    found = compare([pair(mine, other), scores(0.5, 0.5)], SCORES, QUANTITY)
    assert found.pairs == 2


def test_what_is_kept_is_bounded():
    pairs = [scores(0.4, 0.6, number, attributes=f"user={number}") for number in range(1_000)]
    found = compare(pairs, SCORES, SCORES)
    assert (len(found.sample), len(found.worst), len(found.slices)) == (SAMPLE, WORST, 200)
    assert len(to_json(found)) < 200_000


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=10, max_size=60))
def test_the_rank_correlation_is_scipys(rows):
    sample = [SampledRow(number, float(a), float(b)) for number, (a, b) in enumerate(rows)]
    mine, other = zip(*rows, strict=True)
    found = rank_correlation(sample)
    if len(set(mine)) == 1 or len(set(other)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(stats.spearmanr(mine, other)[0], abs=1e-9)


def test_nothing_merged_is_nothing():
    assert merged([]) == Comparison()


def test_what_is_measured_is_rounded_to_the_worse_side():
    pairs = [scores(0.9, 0.4 if number % 40 == 0 else 0.9, number, attributes="country=AT") for number in range(1_019)]
    failed = [scores(0.9, 0.9, 2_000, shadow_code=13)]
    found = measures(compare([*pairs, *failed], SCORES, SCORES))
    assert found == {
        "shadow_pairs": 1000.0,
        "shadow_error_rate": 0.000981,
        "shadow_nan_rate": 0.0,
        "shadow_flip_rate": 0.0256,
        "shadow_flip_rate_worst_slice": 0.0256,
        "shadow_flip_rate_country_at": 0.0256,
    }
    assert measures(Comparison()) == {}


@given(st.floats(1e-9, 1e9), st.integers(1, 5), st.booleans())
def test_rounding_goes_one_way_and_not_far(value, digits, up):
    found = rounded(value, digits, up=up)
    assert (found >= value * (1 - 1e-9)) if up else (found <= value * (1 + 1e-9))
    assert found == pytest.approx(value, rel=10.0 ** (1 - digits))
