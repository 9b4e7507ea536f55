import re

import pytest
from front_door import access, inference, routes
from front_door.api import Api
from front_door.routes import virtual_host
from front_door.settings import FrontDoorSettings
from front_door.shapes import Json
from tritonclient.grpc import service_pb2


@pytest.fixture(scope="module")
def all_routes(settings: FrontDoorSettings, api: Api) -> list[Json]:
    return virtual_host(settings, api)["routes"]


def _route_of(all_routes: list[Json], path: str, verb: str) -> Json:
    def matches(match: Json) -> bool:
        for header in match.get("headers", ()):
            if header["name"] == ":method" and header["string_match"]["exact"] != verb:
                return False
            if header["name"] == "content-type" and not header.get("invert_match"):
                return False
        if "safe_regex" in match:
            return re.fullmatch(match["safe_regex"]["regex"], path) is not None
        if "path_separated_prefix" in match:
            return f"{path}/".startswith(f"{match['path_separated_prefix']}/")
        return path == match["path"] if "path" in match else path.startswith(match["prefix"])

    return next(route for route in all_routes if matches(route["match"]))


def test_every_method_of_tritons_client_has_a_route(all_routes: list[Json]):
    declared = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    paths = {route["match"].get("path"): route for route in all_routes}
    assert {method.path for method in inference.methods()} == {inference.path(method.name) for method in declared}
    for method in declared:
        assert paths[inference.path(method.name)]["route"]["cluster"] == routes.ROUTER_DATA


@pytest.mark.parametrize(
    ("verb", "path", "name"),
    [
        ("POST", "/v2/models/digits/infer", "rest-infer"),
        ("POST", "/v2/models/digits/versions/1/infer", "rest-infer"),
        ("GET", "/v2/models/digits/infer", "rest-inference"),
        ("POST", "/v2/models/a/b/infer", "rest-inference"),
        ("GET", "/v2", "rest-inference"),
        ("GET", "/v2/health/live", "rest-inference"),
        ("POST", "/v2/repository/index", "rest-inference"),
        ("GET", "/v2x", "nothing"),
        ("POST", "/kserve/v1/models/digits:predict", "kserve-predict"),
        ("GET", "/kserve/v1/models/digits", "kserve-ready"),
        ("GET", "/kserve", "kserve-live"),
        ("GET", "/kserve/v1/models/digits/versions", "nothing"),
        ("POST", "/kserve/v1/models/digits:explain", "nothing"),
    ],
)
def test_which_route_a_path_takes(all_routes: list[Json], verb: str, path: str, name: str):
    assert _route_of(all_routes, path, verb)["name"] == name


def test_inference_needs_the_scope_of_predictions_and_the_rest_that_or_reading(api: Api):
    policies = access.scopes(api)["rules"]["policies"]
    assert policies["inference-predict"]["principals"] == [access.has_scope("predict")]
    assert policies["inference-read"]["principals"] == [access.has_scope("predict"), access.has_scope("registry.read")]
    named = [permission.get("url_path", {}).get("path", {}) for permission in policies["inference-read"]["permissions"]]
    assert {"exact": inference.path("ModelInfer")} not in named
