import json
import re

import pytest
from front_door import admin, inference, offered, routes
from front_door.api import Api, Method
from front_door.routes import cluster_of, virtual_host
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json


@pytest.fixture(scope="module")
def by_name(settings: FrontDoorSettings, api: Api) -> dict[str, Json]:
    return {route["name"]: route for route in virtual_host(settings, api)["routes"]}


def test_every_public_rpc_has_one_route_and_no_internal_one_has(settings: FrontDoorSettings, api: Api):
    paths = [route["match"].get("path") for route in virtual_host(settings, api)["routes"]]
    for method in api.methods:
        assert paths.count(method.path) == (0 if method.internal else 1), method.path


@pytest.mark.parametrize(
    ("path", "cluster"),
    [
        ("headrace.registry.v1.RegistryService/GetModel", "registry"),
        ("headrace.router.v1.RouteService/UpdateRoute", routes.ROUTER_CONTROL),
        ("headrace.router.v1.PrecomputedService/UploadAnswers", routes.ROUTER_CONTROL),
        ("headrace.router.v1.RouterService/Predict", routes.ROUTER_DATA),
        ("rest-predict", routes.ROUTER_REST),
        ("health", routes.HEALTH),
        ("grpc.reflection.v1.ServerReflection", routes.HEALTH),
        ("grpc.reflection.v1alpha.ServerReflection", routes.HEALTH),
    ],
)
def test_each_service_has_its_cluster(by_name: dict[str, Json], path: str, cluster: str):
    assert by_name[path]["route"]["cluster"] == cluster


def test_routes_lead_only_to_clusters_that_exist(rendered: Json, by_name: dict[str, Json]):
    clusters = {cluster["name"] for cluster in rendered["static_resources"]["clusters"]}
    assert {route["route"]["cluster"] for route in by_name.values() if "route" in route} <= clusters


def test_no_cluster_leads_to_a_store_a_batcher_or_triton(rendered: Json):
    assert {cluster["name"] for cluster in rendered["static_resources"]["clusters"]} - {admin.CLUSTER} == {
        *offered.ports(), routes.ROUTER_DATA, routes.ROUTER_REST, routes.HEALTH
    }  # fmt: skip


def test_no_route_of_callers_leads_to_the_admin_interface(rendered: Json):
    front, metrics = rendered["static_resources"]["listeners"]
    assert f'"{admin.CLUSTER}"' not in json.dumps(front)
    assert f'"cluster": "{admin.CLUSTER}"' in json.dumps(metrics)


def test_a_public_service_without_a_cluster_does_not_start():
    unknown = Method("/headrace.new.v1.NewService/Do", "headrace.new.v1.DoRequest", "new.do", False, False, False, ())
    with pytest.raises(ValueError, match="NewService"):
        cluster_of(unknown)


def test_a_prediction_is_bounded_and_its_deadline_told_on(by_name: dict[str, Json], settings: FrontDoorSettings):
    for name in ("headrace.router.v1.RouterService/Predict", "rest-predict"):
        bound = by_name[name]["route"]["max_stream_duration"]
        assert bound["max_stream_duration"] == bound["grpc_timeout_header_max"] == "10s"
        assert by_name[name]["metadata"]["filter_metadata"]["headrace.identity"] == {"longest_ms": 11_000}


@pytest.mark.parametrize("name", ["UploadArtifact", "WatchModels"])
def test_uploads_and_watches_have_no_time_limit_and_are_not_buffered(by_name: dict[str, Json], name: str):
    route = by_name[f"headrace.registry.v1.RegistryService/{name}"]
    assert route["route"]["timeout"] == "0s"
    assert "max_stream_duration" not in route["route"]
    assert route["typed_per_filter_config"][routes.BUFFER]["disabled"] is True
    assert "metadata" not in route


def test_the_body_is_looked_at_where_it_must_be_one_message(settings: FrontDoorSettings, api: Api):
    checked = {
        route["match"].get("path")
        for route in virtual_host(settings, api)["routes"]
        if routes.FRAMING in route.get("typed_per_filter_config", {})
    }
    assert checked == {method.path for method in (*api.public, *inference.methods()) if not method.streaming}


def test_an_upload_that_stalls_is_ended_and_a_quiet_watch_is_not(by_name: dict[str, Json]):
    service = "headrace.registry.v1.RegistryService"
    assert by_name[f"{service}/UploadArtifact"]["route"]["idle_timeout"] == "75s"
    assert by_name[f"{service}/WatchModels"]["route"]["idle_timeout"] == "0s"


def test_only_predictions_are_repeated_after_a_service_saw_them(settings: FrontDoorSettings, api: Api):
    once_sent = {"reset", "unavailable", "retriable-status-codes", "gateway-error", "5xx"}
    for route in virtual_host(settings, api)["routes"]:
        retried = set(route.get("route", {}).get("retry_policy", {}).get("retry_on", "").split(","))
        predicts = route.get("route", {}).get("cluster") in (routes.ROUTER_DATA, routes.ROUTER_REST)
        if route["name"].endswith(
            ("ModelStreamInfer", "PredictStream", "rest-predict-stream")
        ):  # nothing of a stream is kept to be repeated
            predicts = False
        assert bool(retried & once_sent) == predicts, route["name"]


def test_the_rest_route_comes_behind_the_predict_routes(settings: FrontDoorSettings, api: Api):
    names = [route["name"] for route in virtual_host(settings, api)["routes"]]
    assert names.index("rest-predict") < names.index("rest") < names.index("nothing") == len(names) - 1
    assert names.index("rest-predict-stream") < names.index("rest")


def test_a_stream_of_events_may_take_longer_than_a_prediction(by_name: dict[str, Json]):
    action = by_name["rest-predict-stream"]["route"]
    assert action["timeout"] == "0s"
    assert "max_stream_duration" not in action
    assert "metadata" not in by_name["rest-predict-stream"]  # which would tell the service a deadline of the whole


@pytest.mark.parametrize(
    ("path", "predicts"),
    [
        ("/v1/models/digits:predict", True),
        ("/v1/models/a/b:predict", False),
        ("/v1/models/:predict", False),
        ("/v1/models/digits:predicts", False),
        ("/v1/models/digits", False),
    ],
)
def test_which_paths_are_predictions(by_name: dict[str, Json], path: str, predicts: bool):
    regex = by_name["rest-predict"]["match"]["safe_regex"]["regex"]
    assert bool(re.fullmatch(regex, path)) == predicts
