"""What a plan of a rollout asks the control plane."""

from __future__ import annotations

from typing import Any

import pytest
from headrace.router.v1 import route_pb2
from headrace_rollout.decisions.policies import Policy
from headrace_rollout.start import Starting, Wanted

from tests.kit.rollout.rollouts import CANARY, IMPLICIT, SHADOW


class Surroundings:
    """A store without rollouts, a registry that objects to nothing, and a control plane. dry_run_routes: of it."""

    def __init__(self) -> None:
        self.dry_run_routes: list[route_pb2.Route] = []

    async def template(self, model: str) -> None:
        return None

    async def rollouts(self, **which: Any) -> list[Any]:
        return []

    async def version(self, model: str, version: str) -> None:
        return None

    async def check_promotion(self, rollout: Any) -> None:
        return None

    async def route(self, model: str) -> tuple[route_pb2.Route, route_pb2.RouteStatus]:
        return IMPLICIT, route_pb2.RouteStatus(state=route_pb2.RouteStatus.STATE_ACTIVE)

    async def dry_run(self, route: route_pb2.Route, manager: str) -> route_pb2.DryRunRouteResponse:
        self.dry_run_routes.append(route)
        return route_pb2.DryRunRouteResponse()


@pytest.mark.parametrize(("policy", "weights"), [(CANARY, [0.95, 0.05]), (SHADOW, [1, 0])], ids=["canary", "shadow"])
async def test_the_control_plane_is_asked_what_the_first_stage_would_do(policy: Policy, weights: list[float]):
    around: Any = Surroundings()
    await Starting(around, around, around, around, around, around).draft(Wanted("digits", "v2", "", policy, "ana", ""))
    (route,) = around.dry_run_routes
    assert [one.weight for one in route.variants] == pytest.approx(weights)
