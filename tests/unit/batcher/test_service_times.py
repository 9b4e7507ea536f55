"""How much executions of the same size vary, as batchers measure it."""

from __future__ import annotations

import numpy as np
import pytest
from headrace_batcher.decisions.service_times import ServiceTimes

from tests.kit.rows import each


@each("variation", [0.0, 0.25, 1.0])
def test_the_variation_is_that_of_executions_of_the_same_size(variation: float):
    draw, times = np.random.default_rng(5), ServiceTimes()
    sigma = np.sqrt(np.log1p(variation**2))
    found = []
    for at in range(4_000):
        rows = 1 if at % 2 else 32
        times.observe(rows, rows * 1e-3 * float(draw.lognormal(-(sigma**2) / 2, sigma)), at * 0.01)
        found.append(times.variation)
    assert float(np.mean(found[1_000:])) == pytest.approx(variation, rel=0.15, abs=1e-6)


def test_of_one_execution_nothing_is_known():
    times = ServiceTimes()
    times.observe(1, 0.01, 0.0)
    assert times.variation == 0.0
