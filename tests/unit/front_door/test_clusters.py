"""What becomes of calls when a host behind the front door hangs, leaves or comes back."""

from front_door import routes
from front_door.clusters import clusters
from front_door.shapes import Json
from headrace_servicekit.server import server_options

from tests.kit.edge import settings_with


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


def test_only_what_says_itself_that_it_is_not_ready_is_asked_when_none_is_well():
    """A console or a data plane may only be late with saying that it is well: a late page is better than none."""
    asked = {
        one["name"]
        for one in clusters(settings_with())
        if one.get("common_lb_config", {}).get("healthy_panic_threshold") == {"value": 1}
    }
    assert asked <= {"console", routes.ROUTER_EDGE}
    assert "console" in asked
