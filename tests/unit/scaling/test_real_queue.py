"""The fluid queue of the simulator beside the real queue, admission and policy of the batcher."""

from __future__ import annotations

import math

import numpy as np
import pytest
from headrace_batcher.decisions.policy import Limits
from headrace_scaling.simulation.deciders import FixedDecider
from headrace_scaling.simulation.run import simulate as simulate_fluid
from headrace_scaling.simulation.service_curves import ServiceCurve
from headrace_scaling.simulation.setup import Setup
from headrace_scaling.simulation.traces import Trace

from tests.kit.batcher.queue_simulation import Sender, simulate

SLO_S = 0.1
SECONDS = 4


def service_s(rows: int) -> float:
    return 0.004 + 0.0005 * rows


CURVE = ServiceCurve.of([(rows, service_s(rows)) for rows in (1, 2, 4, 8, 16, 32)])
_, CAPACITY = CURVE.best(SLO_S)


@pytest.mark.parametrize("load", [0.3, 0.7, 0.9, 1.3, 2.0])
def test_as_many_requests_are_in_time_as_in_a_real_batcher(load: float):
    sender = Sender("all", per_s=load * CAPACITY, deadline_s=SLO_S)
    real = simulate([sender], service_s=service_s, seconds=SECONDS)["all"]
    broken = 1.0 - real.in_time / real.sent
    trace = Trace("constant", np.full(SECONDS, load * CAPACITY))
    pool = Setup(curve=CURVE, slo_s=SLO_S, deadline_s=SLO_S, initial_replicas=1)
    assert simulate_fluid("", trace, FixedDecider(1), pool).violations == pytest.approx(broken, abs=0.05)


@pytest.mark.parametrize(("variation", "load"), [(0.5, 0.5), (0.5, 0.8), (1.0, 0.5), (1.0, 0.8)])
def test_as_many_are_late_as_in_a_real_batcher_whose_executions_vary(variation: float, load: float):
    rng, sigma = np.random.default_rng(3), math.sqrt(math.log1p(variation**2))

    def varied_s(rows: int) -> float:
        return 0.02 * rng.lognormal(-sigma * sigma / 2.0, sigma)

    sender = Sender("all", per_s=load * 500.0, deadline_s=1.0)
    real = simulate([sender], service_s=varied_s, seconds=40, limits=Limits(max_rows=10))["all"]
    late = 1.0 - sum(latency_s <= SLO_S for latency_s in real.latencies_s) / real.sent
    trace = Trace("constant", np.full(100, load * 500.0))
    pool = Setup(variation=variation, initial_replicas=1)
    assert simulate_fluid("", trace, FixedDecider(1), pool).violations == pytest.approx(late, abs=0.06)
