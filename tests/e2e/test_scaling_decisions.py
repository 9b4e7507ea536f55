"""Decisions on a pool through the front door: followed, explained, made again; and policies tried beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from headrace.autoscaler.v1 import autoscaler_pb2 as pb
from headrace.autoscaler.v1 import autoscaler_pb2_grpc, planning_pb2, planning_pb2_grpc, policy_pb2
from headrace_client.errors import NotFound

from tests.kit.autoscaler.pools import message
from tests.kit.clients.refusals import grpc_refusal
from tests.kit.front_door.edge import metadata
from tests.kit.stack.served_models import Served

POOL = "pools/cpu"


@pytest.fixture
def policy(served: Served) -> Iterator[policy_pb2.ScalingPolicy]:
    """A policy that decides every second and leaves the pool at the one replica that it has."""
    put = served.client.pools.put_policy(message("cpu", interval=Duration(seconds=1), min_replicas=1, max_replicas=1))
    yield put
    served.client.pools.delete_policy("cpu")


def watched(served: Served, pool: str) -> Any:
    """Follow a pool."""
    stub: Any = autoscaler_pb2_grpc.AutoscalerServiceStub(served.channel)
    return stub.WatchPool(pb.WatchPoolRequest(name=pool), timeout=60, metadata=metadata(served.stack.token()))


def test_each_decision_is_sent_is_explained_and_is_made_again_alike(served: Served, policy: policy_pb2.ScalingPolicy):
    seen: dict[str, pb.Pool] = {}
    watching = watched(served, POOL)
    for answer in watching:
        seen[answer.pool.decision.name] = answer.pool
        if len(seen) >= 4:
            break
    watching.cancel()
    numbers = [int(name.rpartition("/")[2]) for name in seen if name]
    assert numbers == sorted(numbers)
    assert {one.name for one in seen.values()} == {POOL}

    last = [*seen.values()][-1].decision
    explained = served.client.pools.explain_decision("cpu", last.name.rpartition("/")[2])
    assert explained.decision.sentences == last.sentences
    assert explained.decision.signals, "with what it was made from, which lists leave out"
    assert (explained.policy.revision, explained.policy.max_replicas) == (policy.revision, 1)
    listed = {one.name: one for one in served.client.pools.list_decisions("cpu", limit=None)}
    assert not listed[last.name].signals
    with pytest.raises(NotFound) as unknown:
        served.client.pools.explain_decision("cpu", str(numbers[-1] + 10_000))
    assert unknown.value.reason == "DECISION_NOT_FOUND"

    assert all(one.same for one in served.client.pools.replay("cpu"))
    two = message("cpu", interval=Duration(seconds=1), min_replicas=2, max_replicas=2)
    otherwise = served.client.pools.replay("cpu", policy=two)
    assert {(one.same, one.replayed.desired_replicas) for one in otherwise} == {(False, 2)}
    (pool,) = [one for one in served.client.pools.list() if one.name == POOL]
    assert pool.desired_replicas == 1, "nothing was asked for"


def test_a_pool_without_a_policy_is_not_followed(served: Served):
    with pytest.raises(grpc.RpcError) as refused:
        next(watched(served, "pools/unknown"))
    assert grpc_refusal(refused.value).reason == "POLICY_NOT_FOUND"


def test_policies_are_tried_on_requests_and_advice_needs_a_history(served: Served):
    planning: Any = planning_pb2_grpc.PlanningServiceStub(served.channel)
    bearer = metadata(served.stack.token())
    service = planning_pb2.ServiceModel(replica_rps=100, starts=[Duration(seconds=5)])
    request = planning_pb2.SimulateRequest(
        counted=planning_pb2.SimulateRequest.CountedRequests(counts=[50.0] * 60 + [450.0] * 240),
        policies=[
            planning_pb2.NamedPolicy(name="one", own=message("any", min_replicas=1, max_replicas=1)),
            planning_pb2.NamedPolicy(name="ten", own=message("any", min_replicas=10, max_replicas=10)),
        ],
        service=service,
    )
    answers = list(planning.Simulate(request, timeout=120, metadata=bearer))
    one, ten = (answer.result for answer in answers if answer.HasField("result"))
    assert one.violating_share > 0.5 > ten.violating_share
    assert one.replica_hours < ten.replica_hours
    with pytest.raises(grpc.RpcError) as refused:
        list(planning.Advise(planning_pb2.AdviseRequest(name="pools/unknown"), timeout=60, metadata=bearer))
    assert grpc_refusal(refused.value).reason == "NO_HISTORY"
