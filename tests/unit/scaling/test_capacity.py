"""Capacity, by numbers that can be worked out by hand."""

import math
from dataclasses import replace
from typing import Any

import pytest
from headrace_scaling.capacity import Needs, example, plan
from headrace_scaling.simulation.service_curves import ServiceCurve


def lines(needs: Needs) -> dict[str, float]:
    return {one.name: one.value for one in plan(needs)}


def remarks(needs: Needs) -> str:
    return "\n".join(f"{one.name}: {one.remark}" for one in plan(needs) if one.remark)


def test_the_usual_estimate_comes_out_and_its_errors_are_told():
    found = lines(example())
    assert found["average"] == pytest.approx(200e6 / 86_400)
    assert found["peak"] == pytest.approx(6944.4, abs=0.1)
    assert found["replicas, bare"] == 14
    # 13.89 replicas and 30 % are 18.06: 18 are one too few.
    assert found["replicas"] == 19
    assert found["online, always on"] == 18 * 3 * 24
    told = remarks(example())
    assert "replicas: 18 replicas leave 29.6% at peak; 30% was asked for" in told
    assert "busy on average: always on, they are below the 70% that was asked for" in told
    # 5 ms a record is a batch of one: 200/s where batches do 500/s.
    assert "5 ms for each record is a batch of one, 200/s and 69.4 h; batches do 500/s" in told
    assert found["bulk, one replica"] == pytest.approx(50e6 / 500 / 3600)
    assert found["bulk replicas"] == 7


def test_a_plan_without_headroom_is_told_so():
    needs = Needs(daily_requests=10_000 * 86_400 / 3, cache_share=0.8, replicas=4)
    assert lines(needs)["online at peak"] == pytest.approx(2000.0)
    assert lines(needs)["replicas"] == 6
    assert "4 replicas have no head-room at peak (+0%); 30% was asked for" in remarks(needs)
    assert "replicas:" not in remarks(replace(needs, replicas=6))


def test_batch_times_say_what_a_replica_serves_in_time():
    curve = ServiceCurve.of([(1, 0.005), (8, 0.010), (32, 0.030), (64, 0.058)])
    found = lines(Needs(daily_requests=86_400_000.0, peak_factor=1.0, curve=curve, slo_s=0.1))
    # 64 rows take 58 ms, twice that is too late; 55 rows take 50.1.
    assert 32 < found["batch"] < 55
    assert found["a replica serves"] == pytest.approx(found["batch"] / curve.seconds(int(found["batch"])))
    assert 0 <= found["batch window"] <= 5.0


def test_a_month_that_follows_the_load_costs_less_than_one_always_on():
    found = lines(Needs(daily_requests=200e6))
    assert found["a month"] == pytest.approx(19 * 3 * 24 * 30)
    assert found["a month, scaled"] == pytest.approx(200e6 / 86_400 * 1.3 / 500 * 3 * 24 * 30)


def test_every_line_shows_its_formula():
    assert all(one.formula and math.isfinite(one.value) for one in plan(example()))


@pytest.mark.parametrize(
    ("field", "value"),
    [("daily_requests", 0), ("peak_factor", 0.5), ("cache_share", 1.0), ("headroom", -1), ("bulk_window_h", 0)],
)
def test_needs_that_cannot_be_are_refused(field: str, value: float):
    given: dict[str, Any] = {"daily_requests": 1.0, field: value}
    with pytest.raises(ValueError, match=field):
        Needs(**given)
