"""Whose health `headrace status` asks for, and what it is."""

import tomllib
from typing import Any

from grpc_health.v1 import health_pb2
from headrace_client.calls import Call, Session
from headrace_client.errors import NotFound, Unavailable, Unimplemented
from headrace_client.operations.health import health, is_down, services
from headrace_client.tokens import TokenCache
from headrace_stack.settings import checkout_of_this_file


def test_every_service_that_offers_callers_something_is_asked_by_one_name():
    topology = tomllib.loads((checkout_of_this_file() / "deploy" / "topology.toml").read_text())
    asked = services()
    assert next(iter(asked)) == "all"
    for name, described in topology.items():
        offers = [one for one in described.get("offers", ()) if one.startswith("headrace.")]
        assert len(set(offers) & set(asked.values())) == bool(offers), name
    assert {"registry", "router control plane", "router data plane", "monitor"} < asked.keys()


def test_a_part_that_is_not_installed_says_how_it_is_added_and_is_not_down():
    absent = Unimplemented("not here", reason="PART_NOT_INSTALLED", metadata={"add": "make up PARTS=core,release"})
    asked = answered({"headrace.rollout.v1.RolloutService": absent, "headrace.scorer.v1.ScorerService": NotFound("?")})
    assert asked["registry"] == "serving"
    assert asked["rollout"] == "not installed: `make up PARTS=core,release` adds it"
    assert "scorer" not in asked
    assert not [name for name, state in asked.items() if is_down(state)]


def test_what_is_installed_and_does_not_answer_is_down():
    asked = answered({}, failing={"headrace.monitor.v1.MonitorService"})
    assert [name for name, state in asked.items() if is_down(state)] == ["monitor"]


def answered(unknown: dict[str, Exception], failing: frozenset[str] | set[str] = frozenset()) -> dict[str, str]:
    """Return what is said of each service. unknown: what a call to one is answered of whose health nobody knows."""
    operation, result = health(Session(TokenCache(None))), None
    try:
        while True:
            step: Any = operation.throw(result) if isinstance(result, Exception) else operation.send(result)
            assert isinstance(step, Call)
            result = of(step, unknown, failing)
    except StopIteration as finished:
        return finished.value


def of(call: Call, unknown: dict[str, Exception], failing: frozenset[str] | set[str]) -> Any:
    _, service, method = call.method.path.split("/")
    if method != "Check":
        return unknown[service]
    request: Any = call.request
    if request.service in unknown:
        return NotFound("unknown")
    return (
        Unavailable("away", may_retry=False) if request.service in failing else health_pb2.HealthCheckResponse(status=1)
    )
