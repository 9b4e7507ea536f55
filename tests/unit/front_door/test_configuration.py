import copy
import json
import re
import stat
from pathlib import Path

import pytest
from front_door import access, cors, listener, routes
from front_door.api import Api
from front_door.bootstrap import bootstrap, files, followed_files, whole
from front_door.following import changed
from front_door.identities import Identities
from front_door.listener import DENIED_FILE, TOKEN_CHECK_FILE, http_filters
from front_door.publish import publish
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json, seconds
from headrace_router.data.transports.call_context import CONTEXT_HEADERS
from headrace_servicekit.identity import FRONT_DOOR_HEADER

from tests.kit.front_door.edge import settings_with, targets

KEYS = Identities('{"keys": [{"kid": "a"}]}')


def _manager(config: Json) -> Json:
    return config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def test_the_same_settings_and_api_give_the_same_configuration(settings: FrontDoorSettings, api: Api):
    first = files(settings, api, KEYS)
    again = files(settings, api, KEYS)
    assert first == again
    before = copy.deepcopy(first)
    whole(settings, api, Identities(KEYS.jwks, ("bob",)))
    assert first == before


def test_bodies_are_read_behind_the_token_and_scopes_are_judged_behind_the_transcoder(
    settings: FrontDoorSettings, api: Api
):
    names = [http_filter["name"] for http_filter in http_filters(settings, api)]
    order = [
        cors.FILTER, access.JWT, access.IDENTITY, access.DENIED, access.CLIENT_LIMIT, routes.BUFFER,
        routes.STRICT_JSON, routes.TRANSCODER, access.SCOPES, "envoy.filters.http.router",
    ]  # fmt: skip
    assert [name for name in names if name in order] == order


def test_identity_from_outside_is_stripped_before_anything_runs(rendered: Json):
    stripped = str(_manager(rendered)["early_header_mutation_extensions"])
    for name in ("x-headrace-", "x-envoy-", "baggage"):
        assert name in stripped
    for name in (access.CLIENT_HEADER, "x-headrace-models", FRONT_DOOR_HEADER, "x-headrace-", "x-headrace-user-ids"):
        assert re.fullmatch(listener.OURS_ALONE, name), name
    for name in (*routes.OUR_HEADERS, "headrace-timing", "x-request-id"):
        assert not re.fullmatch(listener.OURS_ALONE, name), name
    assert access.CLIENT_HEADER.startswith("x-headrace-")
    assert FRONT_DOOR_HEADER.startswith("x-headrace-")


@pytest.mark.parametrize("data_plane", ["here", "service"])
def test_every_route_forwards_with_the_mark_that_says_so(api: Api, data_plane: str):
    told = settings_with(data_plane=data_plane, router_edge="127.0.0.1:9", cors_origins="https://a.test")
    manager = _manager(bootstrap(told, api))
    config = manager["route_config"]
    marked = {"key": FRONT_DOOR_HEADER, "value": "1"}
    # Of the three places the whole table's has the last word, unless the order is turned around.
    assert {"header": marked, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"} in config["request_headers_to_add"]
    assert "most_specific_header_mutations_wins" not in config
    assert set(manager).isdisjoint({"rds", "scoped_routes"})
    (host,) = config["virtual_hosts"]
    forwarding = [route for route in host["routes"] if "route" in route]
    assert len(forwarding) > len(api.public)
    for place in (config, host, *host["routes"]):
        assert place.get("request_headers_to_remove", ["authorization"]) == ["authorization"]
        assert place is config or FRONT_DOOR_HEADER not in str(place.get("request_headers_to_add"))
    for route in forwarding:
        # Nobody but a data plane that checks it gets the token.
        assert ("request_headers_to_remove" in route) != (route["route"]["cluster"] in (routes.ROUTER_EDGE, "console"))
        assert "cluster" in route["route"], route["name"]
        assert set(route["route"]).isdisjoint({"request_mirror_policies", "internal_redirect_policy"})


def test_callers_may_say_what_data_planes_understand():
    assert set(routes.OUR_HEADERS) == set(CONTEXT_HEADERS)


@pytest.mark.parametrize(
    ("longest_s", "silent"),
    [
        pytest.param(1, "15s", id="nobody else has to hurry"),
        pytest.param(60, "65s", id="a prediction that takes long is not taken for a dead one"),
    ],
)
def test_a_stream_may_be_silent_for_as_long_as_a_prediction_may_take(api: Api, longest_s: float, silent: str):
    told = settings_with(data_plane="here", predict_timeout_max_s=longest_s)
    assert _manager(bootstrap(told, api))["stream_idle_timeout"] == silent


def test_paths_are_brought_into_their_plain_form(rendered: Json):
    manager = _manager(rendered)
    assert manager["normalize_path"] is True
    assert manager["merge_slashes"] is True
    assert manager["path_with_escaped_slashes_action"] == "REJECT_REQUEST"
    assert manager["use_remote_address"] is True


def test_the_admin_interface_can_neither_stop_envoy_nor_show_its_configuration(rendered: Json):
    allowed = rendered["admin"]["allow_paths"]
    assert rendered["admin"]["address"] == {"pipe": {"path": "/state/admin.sock", "mode": 0o600}}
    for path in ("/quitquitquit", "/config_dump", "/certs", "/logging", "/runtime_modify", "/"):
        assert not any(path == rule.get("exact") or path.startswith(rule.get("prefix", "\0")) for rule in allowed)


def test_only_the_file_whose_content_differs_is_published(settings: FrontDoorSettings):
    denied = Identities(KEYS.jwks, ("bob",))
    assert set(changed(settings, KEYS, denied)) == {DENIED_FILE}
    assert set(changed(settings, KEYS, Identities('{"keys": [{"kid": "b"}]}'))) == {TOKEN_CHECK_FILE}
    assert changed(settings, KEYS, KEYS) == {}


def test_what_is_validated_holds_the_followed_filters(settings: FrontDoorSettings, api: Api):
    filters = {f["name"]: f for f in _manager(whole(settings, api, KEYS))["http_filters"]}
    assert "config_discovery" not in str(filters)
    followed = followed_files(settings, KEYS)[TOKEN_CHECK_FILE]["resources"][0]
    assert filters[access.JWT]["typed_config"] == followed["typed_config"]


def test_the_certificate_is_followed_only_when_there_is_one(api: Api):
    assert listener.CERTIFICATE_FILE not in files(settings_with(), api, KEYS)
    with_tls = settings_with(tls_cert="/tls/cert.pem", tls_key="/tls/key.pem")
    assert listener.CERTIFICATE_FILE in files(with_tls, api, KEYS)
    assert "private_key" in str(whole(with_tls, api, KEYS))


def test_tracing_is_there_only_when_configured(api: Api):
    assert "tracing" not in _manager(bootstrap(settings_with(), api))
    assert "tracing" in _manager(bootstrap(settings_with(otlp_endpoint="collector:4317"), api))


def test_names_are_looked_up_again_and_addresses_are_not(api: Api):
    told = {"targets": targets({"registry": "registry:8082"}), "router_data": "10.0.0.1:1,10.0.0.2:1"}
    config = bootstrap(settings_with(**told), api)
    kinds = {cluster["name"]: cluster["type"] for cluster in config["static_resources"]["clusters"]}
    assert kinds["registry"] == "STRICT_DNS"
    assert kinds[routes.ROUTER_DATA] == "STATIC"


def test_published_files_are_whole_and_private(tmp_path: Path):
    publish(tmp_path / "state", {"a.json": {"b": 1}, "c.binpb": b"\x00"})
    assert json.loads((tmp_path / "state" / "a.json").read_text()) == {"b": 1}
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["a.json", "c.binpb"]
    assert stat.S_IMODE((tmp_path / "state" / "a.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_durations_are_written_as_envoy_reads_them():
    assert [seconds(value) for value in (10, 0.02, 0.0, 1e-9)] == ["10s", "0.02s", "0s", "0.000000001s"]
