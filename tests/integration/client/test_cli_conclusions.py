"""What the command line says of an experiment that has ended, and of the route that it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from headrace.rollout.v1 import rollout_pb2, rollout_pb2_grpc
from headrace.router.v1 import route_pb2
from headrace_servicekit.errors import PermissionDenied

from tests.kit.clients.fake_cli import Run, command_line
from tests.kit.clients.fake_front_door import FrontDoor
from tests.kit.clients.fake_routes import FakeRoutes

PINNED = route_pb2.Variant(name="control", version="v1", serving_version="v1", weight=100)
FOLLOWING = route_pb2.Variant(name="control", follow_production=True, serving_version="v1", weight=100)


class Conclusions(rollout_pb2_grpc.RolloutServiceServicer):
    """RolloutService that ends every experiment."""

    def add_to(self, server: grpc.Server) -> None:
        rollout_pb2_grpc.add_RolloutServiceServicer_to_server(self, server)

    def ConcludeExperiment(
        self, request: rollout_pb2.ConcludeExperimentRequest, context: Any
    ) -> rollout_pb2.ConcludeExperimentResponse:
        return rollout_pb2.ConcludeExperimentResponse(summary="no difference was found", stopped_variants=["new"])


@pytest.fixture
def door(routes: FakeRoutes) -> Iterator[FrontDoor]:
    with FrontDoor.serving(Conclusions(), routes) as serving:
        yield serving


@pytest.fixture
def conclude(door: FrontDoor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    return command_line(door, monkeypatch, tmp_path, "experiments", "conclude", "digits", "e1")


@pytest.mark.parametrize(("variant", "says"), [(PINNED, True), (FOLLOWING, False)], ids=["pinned", "following"])
def test_a_route_that_does_not_follow_production_is_named_with_the_command_that_has_it_do_so(
    conclude: Run, routes: FakeRoutes, variant: route_pb2.Variant, says: bool
) -> None:
    routes.put("digits", variant)
    done = conclude()
    assert done.exit_code == 0
    assert ("does not follow production: variant 'control' names v1" in done.stderr) is says
    assert ("headrace routes split digits production=100" in done.stderr) is says


def test_a_conclusion_that_has_happened_is_no_failure_where_the_route_cannot_be_read(
    conclude: Run, door: FrontDoor
) -> None:
    door.fail("GetRoute", PermissionDenied("needs scope routes.read", reason="SCOPE_MISSING"))
    done = conclude()
    assert (done.exit_code, done.stderr) == (0, "")
    assert "the control has the traffic of new" in done.stdout
