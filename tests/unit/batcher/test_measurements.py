"""What is measured on a version: of executions, and against the outputs that it should give."""

import pytest
from headrace_batcher.loading.measurements import (
    P50,
    P99,
    Round,
    latencies,
)
from headrace_batcher.optional import RegistryReports
from headrace_runtime.contract import Contract, TensorSpec

CONTRACT = Contract((TensorSpec("x", "FP32", (2,)),), (TensorSpec("y", "FP32", ()), TensorSpec("label", "INT64", ())))


def test_the_median_is_of_one_row_and_the_99th_percentile_of_everything():
    found = latencies([Round([0.001] * 99 + [0.003], [0.010] * 98 + [0.020, 0.5])])
    assert found[P50] == pytest.approx(1.0)
    assert found[P99] == pytest.approx(10.1, abs=0.2)


def test_the_least_disturbed_round_counts():
    rounds = [Round([0.002] * 9, [0.9] * 9), Round([0.001] * 9, [0.5] * 9), Round([0.004] * 9, [0.010] * 9)]
    assert latencies(rounds) == {P50: pytest.approx(1.0), P99: pytest.approx(10.0)}


async def test_what_is_measured_of_a_pipelines_own_graph_is_told_to_nobody():
    registry = RegistryReports(object(), "batcher-0")  # whatever is called there fails
    assert await registry.record("digits", "v1--normalise", "d1", {P50: 1.0})
