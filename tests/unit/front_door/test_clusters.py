"""What becomes of calls when a host behind the front door hangs, leaves or comes back."""

from pathlib import Path

import pytest
from front_door import offered, routes
from front_door.clusters import clusters
from front_door.shapes import Json
from headrace_servicekit.server import server_options

from tests.kit.front_door.edge import settings_with, targets


def _cluster(name: str = routes.ROUTER_DATA) -> Json:
    (found,) = [one for one in clusters(settings_with()) if one["name"] == name]
    return found


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


def test_a_host_that_hangs_is_noticed_before_a_prediction_runs_out_of_time():
    options = _cluster()["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    keepalive = options["explicit_http_config"]["http2_protocol_options"]["connection_keepalive"]
    assert _seconds(keepalive["interval"]) + _seconds(keepalive["timeout"]) < settings_with().predict_timeout_max_s / 2
    # More often, and the services would take it for an attack.
    shortest_ms = dict(server_options(1))["grpc.http2.min_ping_interval_without_data_ms"]
    assert _seconds(keepalive["interval"]) * 1000 > shortest_ms


def test_a_host_that_is_well_again_is_used_at_once():
    cluster = _cluster()
    # The second counts until somebody has called it: predictions that are answered in Envoy call no host.
    for interval in ("unhealthy_interval", "no_traffic_interval"):
        assert cluster["health_checks"][0][interval] == "0.2s"
    assert cluster["common_lb_config"]["update_merge_window"] == "0s"


needs_pages = pytest.mark.skipif(not offered.pages(), reason="no part with pages is in this checkout")


@needs_pages
def test_only_what_says_itself_that_it_is_not_ready_is_asked_when_none_is_well():
    """A console or a data plane may only be late with saying that it is well: a late page is better than none."""
    asked = {
        one["name"]
        for one in clusters(settings_with())
        if one.get("common_lb_config", {}).get("healthy_panic_threshold") == {"value": 1}
    }
    assert asked <= {"console", routes.ROUTER_EDGE}
    assert "console" in asked


@needs_pages
@pytest.mark.parametrize(
    "told",
    [
        {},
        {"endpoints_file": Path("/state/endpoints.json")},
        {"targets": targets({"console": "10.0.0.1:8090,10.0.0.2:8090"})},
    ],
    ids=["one", "followed", "two"],
)
def test_nothing_else_keeps_pages_from_consoles_of_which_none_is_well(told: dict):
    """As Envoy documents it: of hosts that are not well all are asked when fewer than a whole percent is."""
    (console,) = [one for one in clusters(settings_with(**told)) if one["name"] == "console"]
    # A threshold below half a percent is rounded to none.
    assert round(console["common_lb_config"]["healthy_panic_threshold"]["value"]) >= 1
    # The balancer is one that looks at the threshold, and neither fails what it balances then nor hides hosts.
    assert [one["typed_extension_config"]["name"] for one in console["load_balancing_policy"]["policies"]] == [
        "envoy.load_balancing_policies.least_request"
    ]
    assert (
        "locality_lb_config"
        not in console["load_balancing_policy"]["policies"][0]["typed_extension_config"]["typed_config"]
    )
    assert not {"zone_aware_lb_config", "ignore_new_hosts_until_first_hc"} & console["common_lb_config"].keys()
    # Pages that are being answered are not cut when the console is found unwell.
    assert "close_connections_on_host_health_failure" not in console
    # Its health is asked at all: without that every host counts as well. 503 says at once that it is not ready.
    (check,) = console["health_checks"]
    assert check["http_health_check"]["path"] == "/readyz"
    assert all(one["end"] <= 503 for one in check["http_health_check"]["expected_statuses"])
