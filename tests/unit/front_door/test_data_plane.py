"""The data plane in Envoy: what it is told, and on which routes it stands alone."""

from pathlib import Path

import pytest
from front_door import access, data_plane, filter_bridge, routes
from front_door.api import read_api
from front_door.envoy_settings import committed_descriptors

from tests.kit.front_door.edge import settings_with


def _told(**settings: object) -> dict[str, str]:
    return data_plane.environment(settings_with(**settings), behind_a_front_door=False)


def test_the_bounds_of_the_front_door_hold_for_predictions_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ROUTER_DATA_MAX_DEADLINE_S", "60")
    told = _told(predict_timeout_max_s=2.5, max_request_bytes=1000)
    assert told["ROUTER_DATA_DEFAULT_DEADLINE_S"] == told["ROUTER_DATA_MAX_DEADLINE_S"] == "2.5"
    assert told["ROUTER_DATA_MAX_MESSAGE_BYTES"] == "1000"


def test_it_believes_whom_the_front_door_believes():
    told = _told(issuer="https://issuer.test", token_max_lifetime_s=60)
    assert told["ROUTER_EDGE_ISSUER"] == "https://issuer.test"
    assert told["ROUTER_EDGE_TOKEN_MAX_LIFETIME_S"] == "60"
    assert "ROUTER_EDGE_DENY_FILE" not in told


def test_on_routes_of_predictions_it_is_on_and_the_token_check_off_and_elsewhere_the_other_way_round():
    api = read_api(committed_descriptors())
    here = routes.virtual_host(settings_with(data_plane="here"), api)["routes"]
    predicting = [route for route in here if route["name"] == "predict-here"]
    assert len(predicting) == len(data_plane.matches())
    for route in here:
        filters = route.get("typed_per_filter_config", {})
        assert len({*data_plane.FILTERS} & filters.keys()) == (1 if route in predicting else 0)
        # Browsers bring cookies, which are none of ours.
        unchecked = route in predicting or route["name"].startswith("pages-")
        assert filters.get(access.JWT, {}).get("disabled", False) == unchecked


def test_as_a_service_no_route_knows_it():
    told = str(routes.virtual_host(settings_with(), read_api(committed_descriptors())))
    assert data_plane.FILTER not in told
    assert "predict-here" not in told


def test_data_planes_in_envoys_of_their_own_get_predictions_with_their_tokens_and_connections():
    api = read_api(committed_descriptors())
    there = routes.virtual_host(settings_with(router_edge="127.0.0.1:9"), api)["routes"]
    predicting = [route for route in there if route["name"] == "predict-there"]
    assert [route["match"] for route in predicting] == list(data_plane.matches())
    for route in predicting:
        assert route["route"]["cluster"] == routes.ROUTER_EDGE
        assert route["typed_per_filter_config"][access.JWT]["disabled"]
        (added,) = route["request_headers_to_add"]
        assert added["header"]["key"] == routes.CONNECTION_HEADER
        assert added["append_action"] == "OVERWRITE_IF_EXISTS_OR_ADD"
    # Before any other route that would match.
    assert [route["name"] for route in there].index("predict-there") == 1


def test_processes_on_one_port_divide_what_a_client_may_send_and_say_so_to_the_data_plane():
    told = _told(processes=4, client_requests_per_second=1000)
    assert told["ROUTER_EDGE_CLIENT_REQUESTS_PER_SECOND"] == "250"
    assert told["ROUTER_DATA_PROCESSES"] == "4"
    limit = access.client_limit(settings_with(processes=3, client_requests_per_second=1000))
    assert limit["descriptors"][0]["token_bucket"]["max_tokens"] == 334


def test_without_its_filter_the_data_plane_is_not_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(filter_bridge, "MODULE", tmp_path / "none.so")
    with pytest.raises(data_plane.NotLoadable, match="make setup"):
        _told()
