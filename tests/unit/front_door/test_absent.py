"""Calls to parts that are not installed are answered, and say how the part is added."""

import json

import pytest
from front_door import absent, offered
from front_door.api import Api
from front_door.bootstrap import bootstrap
from front_door.routes import virtual_host
from front_door.settings import FrontDoorSettings
from headrace_servicekit.errors import Code

from tests.kit.front_door.edge import settings_with

pytestmark = pytest.mark.skipif(
    {*offered.parts().values()} == {offered.CORE}, reason="only the core is in this checkout"
)
MONITOR = "/headrace.monitor.v1.MonitorService"


@pytest.fixture(scope="module")
def core() -> FrontDoorSettings:
    return settings_with(parts="core")


def test_the_core_alone_has_no_cluster_and_no_route_to_another_part(core: FrontDoorSettings, api: Api):
    made = bootstrap(core, api)["static_resources"]
    assert {one["name"] for one in made["clusters"]} & {*offered.ports()} == {"registry", "router-control"}
    answered = [route["match"].get("path", "") for route in virtual_host(core, api)["routes"] if "route" in route]
    assert [path for path in answered if path.startswith("/headrace.r")]
    others = [path for path in answered if path.startswith(("/headrace.monitor", "/headrace.rollout", "/console"))]
    # What was the monitor's in 0.1.0 and is the router's.
    assert all(path.startswith("/headrace.monitor.v1.UsageService/") for path in others)


def test_a_call_to_each_absent_service_is_answered_also_without_a_token(core: FrontDoorSettings, api: Api):
    routes = {one["match"].get("prefix") or one["match"].get("path_separated_prefix"): one
              for one in virtual_host(core, api)["routes"] if one["name"].startswith("absent-")}  # fmt: skip
    assert {f"{MONITOR}/", "/headrace.rollout.v1.RolloutService/", "/console"} < {*routes}
    monitor = routes[f"{MONITOR}/"]
    assert monitor["direct_response"] == {"status": 501}
    assert "envoy.filters.http.jwt_authn" in monitor["typed_per_filter_config"]


def test_the_answer_names_the_part_and_the_command_that_adds_it():
    (release, *_) = [rule for rule in absent.rules(settings_with(parts="core,observe")) if "Rollout" in rule.when]
    command = "make up PARTS=core,observe,release"
    assert release.error.code is Code.UNIMPLEMENTED
    assert (release.error.reason, release.error.metadata) == ("PART_NOT_INSTALLED", {"part": "release", "add": command})
    assert release.error.public_message == f"the part 'release' is not installed here; add it with `{command}`"


def test_it_is_said_before_anything_else(core: FrontDoorSettings, api: Api):
    (listener, _) = bootstrap(core, api)["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    _, first, *_ = manager["local_reply_config"]["mappers"]
    assert "PART_NOT_INSTALLED" in json.dumps(first)


def test_of_the_whole_nothing_is_absent(settings: FrontDoorSettings):
    assert absent.rules(settings) == ()
    assert absent.routes(settings, {}) == []


def test_addresses_are_needed_of_installed_services_alone():
    core = settings_with(parts="core", targets="registry=a:1;router-control=b:2")
    assert core.behind == {"registry": ("a:1",), "router-control": ("b:2",)}
    more = settings_with(parts="core", targets="registry=a:1;router-control=b:2;monitor=c:3")
    assert more.behind == core.behind
    with pytest.raises(ValueError, match="targets needs monitor=host:port too"):
        settings_with(parts="observe", targets="registry=a:1;router-control=b:2")
    with pytest.raises(ValueError, match="obsrve is no part with a service here; known: core, observe"):
        settings_with(parts="obsrve")
