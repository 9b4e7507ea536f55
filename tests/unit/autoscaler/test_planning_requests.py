"""Requests of PlanningService become jobs, or are refused by field."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from headrace.autoscaler.v1 import planning_pb2
from headrace_autoscaler.planning import requests
from headrace_autoscaler.planning.jobs import Job, NamedPolicy, PackedTrace
from headrace_autoscaler.storage.values import DemandMinute
from headrace_autoscaler.times import span_of
from headrace_scaling import documents
from headrace_scaling.simulation import traces
from headrace_scaling.simulation.setup import Setup
from headrace_servicekit.errors import InvalidArgument

from tests.kit.autoscaler.pools import message, policy
from tests.kit.rows import each

Request = planning_pb2.SimulateRequest
Model = planning_pb2.ServiceModel
Named = planning_pb2.NamedPolicy


def test_a_job_comes_back_from_its_line():
    trace = traces.generated("step", seconds=600)
    job = Job(PackedTrace.of(trace), Setup(), (NamedPolicy("mine", policy().policy, None),), step_s=10)
    again = documents.from_json(Job, documents.to_json(job))
    assert again == job
    assert again.trace.trace().requests.tolist() == trace.requests.tolist()


def test_counts_of_longer_intervals_are_spread_over_their_seconds():
    trace, skip_s = requests.counted(
        Request.CountedRequests(counts=[60.0, 120.0, 0.0], interval=Duration(seconds=60), learning=1)
    )
    assert trace.requests.tolist() == [1.0] * 60 + [2.0] * 60 + [0.0] * 60
    assert skip_s == 60


def test_history_is_a_trace_with_its_gaps():
    begin = datetime(2026, 9, 21, tzinfo=UTC)
    minutes = [
        DemandMinute("gpu", begin + timedelta(minutes=at), "requests_per_s", 9.0, mean, 2.0, 12)
        for at, mean in ((0, 5.0), (2, 7.0))
    ]
    trace = requests.recorded("gpu", minutes)
    assert trace.requests.tolist() == [5.0] * 60 + [0.0] * 60 + [7.0] * 60
    assert trace.start == begin.timestamp()


def test_what_is_unset_is_as_measured():
    measured = requests.Measured((31.0,), 250.0, 0.3)
    setup = requests.setup_of(Model(), 1, measured)
    assert (setup.load_times_s, setup.variation) == ((31.0,), 0.3)
    assert setup.curve.best(setup.slo_s)[1] == pytest.approx(250.0)
    told = Model(replica_rps=300.0, starts=[Duration(seconds=20)], failures_per_hour=0.5, variation=0.4)
    setup = requests.setup_of(told, 1, measured)
    assert (setup.load_times_s, setup.hours_between_failures, setup.variation) == ((20.0,), 2.0, 0.4)
    assert requests.setup_of(Model(variation=0.0), 1, measured).variation == 0.0, "said to be none"


def test_without_policies_all_that_are_known_are_compared():
    assert [one.known for one in requests.named_policies([])] == list(requests.KNOWN)


def setup(model: planning_pb2.ServiceModel) -> Callable[[], Any]:
    return lambda: requests.setup_of(model, 1)


def shape(**fields: Any) -> Callable[[], Any]:
    return lambda: requests.generated(Request.GeneratedRequests(**fields), 1)


def counts(**fields: Any) -> Callable[[], Any]:
    return lambda: requests.counted(Request.CountedRequests(**fields))


@each(
    "call,field",
    [
        (counts(), "counted.counts"),
        (setup(Model(replica_rps=1.0, variation=10.1)), "service"),
        (counts(counts=[-1.0]), "counted.counts"),
        (counts(counts=[math.nan]), "counted.counts"),
        (counts(counts=[1.0], learning=1), "counted.learning"),
        (counts(counts=[1.0, 2.0], interval=Duration(nanos=1)), "counted.interval"),
        (counts(counts=[1.0, 2.0], interval=Duration(seconds=10**9)), "counted.interval"),
        (counts(counts=[1.0], start_time=Timestamp(seconds=10**17)), "counted.start_time"),
        (counts(counts=[1.0] * 60, start_time=Timestamp(seconds=253_402_300_799)), "counted.start_time"),
        (shape(base=1.0, peak=2.0), "generated.shape"),
        (shape(shape=Request.GeneratedRequests.SHAPE_STEP, base=3.0, peak=2.0), "generated.peak"),
        (shape(shape=Request.GeneratedRequests.SHAPE_STEP, base=-1.0), "generated.base"),
        (shape(shape=Request.GeneratedRequests.SHAPE_STEP, peak=1e300), "generated.peak"),
        (shape(shape=Request.GeneratedRequests.SHAPE_DIURNAL, base=1e19, peak=1e19), "generated.peak"),
        (
            shape(shape=Request.GeneratedRequests.SHAPE_STEP, peak=1.0, duration=Duration(seconds=1)),
            "generated.duration",
        ),
        (setup(Model()), "service.replica_rps"),
        (setup(Model(replica_rps=math.inf)), "service.replica_rps"),
        (setup(Model(replica_rps=5.0, starts=[Duration(seconds=-1)])), "service.starts"),
        (setup(Model(replica_rps=5.0, start_failure_share=1.0)), "service"),
        (setup(Model(batch_times=[planning_pb2.BatchTime(rows=0)])), "service.batch_times"),
        (lambda: requests.named_policies([Named(known="headrace")]), "policies[0].name"),
        (lambda: requests.named_policies([Named(name="a", known="mine")]), "policies[0].known"),
        (lambda: requests.named_policies([Named(name="a", known="headrace")] * 2), "policies[1].name"),
        (lambda: requests.named_policies([Named(name="a", known="headrace")] * 17), "policies"),
        (lambda: requests.step_s(Request(series_interval=Duration(seconds=1)), 10**6), "series_interval"),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_field(call: Callable[[], Any], field: str):
    with pytest.raises(InvalidArgument) as refused:
        call()
    assert refused.value.violations[0].field == field


def test_a_span_ends_now_unless_it_says_otherwise_and_is_refused_where_it_cannot_begin():
    now, hour = datetime(2026, 9, 21, tzinfo=UTC), timedelta(hours=1)
    assert span_of(planning_pb2.AdviseRequest(), now, hour) == (now - hour, now)
    with pytest.raises(InvalidArgument) as refused:
        span_of(planning_pb2.AdviseRequest(end_time=Timestamp(seconds=-62_135_596_800)), now, hour, "history.")
    assert refused.value.violations[0].field == "history.end_time"


def test_a_policy_of_ones_own_is_refused_by_its_own_fields():
    bad = Named(name="mine", own=message(max_replicas=0))
    with pytest.raises(InvalidArgument) as refused:
        requests.named_policies([bad])
    assert refused.value.violations[0].field.startswith("policies[0].own")
