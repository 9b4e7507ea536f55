"""One request id and one trace id, from the caller through every process that logs the call, and back."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.testing import eventually

from tests.kit.front_door.edge import GET_MODEL, PREDICT, metadata
from tests.kit.stack.served_models import LINEAR, ROW, SAME, Served, request

SPEC = {"model_name": LINEAR, "inputs": {"features": [0, 1, 2, 3]}}


def ids() -> tuple[str, str, dict[str, str]]:
    """Return a request id, a trace id, and the headers that carry them; the trace is being recorded."""
    request_id, trace_id = f"order-{uuid.uuid4()}", uuid.uuid4().hex
    return request_id, trace_id, {"x-request-id": request_id, "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}


def lines(served: Served, component: str, request_id: str) -> list[dict[str, Any]]:
    """Return what a component has logged under a request id."""
    text = (served.stack.settings.logs / f"{component}.log").read_text(errors="replace")
    return [json.loads(line) for line in text.splitlines() if line.startswith("{") and f'"{request_id}"' in line]


async def assert_logged(served: Served, request_id: str, trace_id: str, events: Mapping[str, str]) -> None:
    """Assert that each component logged the call under both ids, the services as the event that is named."""

    def logged(component: str, event: str) -> list[dict[str, Any]]:
        return [line for line in lines(served, component, request_id) if line.get("event") == event]

    def passed() -> list[dict[str, Any]]:
        return [line for line in lines(served, "front-door", request_id) if "event" not in line]

    def all_have() -> bool:
        return all(logged(component, event) for component, event in events.items()) and bool(passed())

    await eventually(all_have, within=15, every=0.1)
    for component, event in events.items():
        (line,) = logged(component, event)
        assert line["trace_id"] == trace_id, component
    (line,) = passed()
    assert trace_id in line["traceparent"]


async def test_a_prediction_by_grpc_is_found_by_its_ids(served: Served):
    request_id, trace_id, headers = ids()
    with_id = request(LINEAR, features=ROW)
    answer, call = served.channel.unary_unary(PREDICT).with_call(
        with_id.SerializeToString(), metadata=metadata(served.stack.token(), headers), timeout=20
    )
    assert request_id.encode() in answer
    assert ("x-request-id", request_id) in tuple(call.trailing_metadata())
    await assert_logged(served, request_id, trace_id, {served.stack.data_plane: "prediction"})


@pytest.mark.parametrize(
    ("path", "body"),
    [(f"/v1/models/{LINEAR}:predict", {"instances": [[0, 1, 2, 3]]}), ("/v1/predict", SPEC)],
    ids=["rows", "specification"],
)
async def test_a_prediction_by_rest_is_found_by_its_ids(served: Served, path: str, body: dict[str, Any]):
    request_id, trace_id, headers = ids()
    response = served.rest("POST", path, json=body, headers=headers)
    assert (response.json()["request_id"], response.headers["x-request-id"]) == (request_id, request_id)
    await assert_logged(served, request_id, trace_id, {served.stack.data_plane: "prediction"})


async def test_a_refused_prediction_is_found_by_its_ids(served: Served):
    request_id, trace_id, headers = ids()
    response = served.rest("POST", f"/v1/models/{LINEAR}:predict", json={"instances": [[0]]}, headers=headers)
    assert (response.status_code, response.headers["x-request-id"]) == (400, request_id)
    await assert_logged(served, request_id, trace_id, {served.stack.data_plane: "prediction"})


async def test_a_call_of_the_registry_is_found_by_its_ids_on_both_faces(served: Served):
    request_id, trace_id, headers = ids()
    served.call(GET_MODEL, registry_pb2.GetModelRequest(name=f"models/{LINEAR}"), headers=headers)
    await assert_logged(served, request_id, trace_id, {"registry": "rpc"})
    request_id, trace_id, headers = ids()
    response = served.rest("GET", f"/v1/models/{LINEAR}", headers=headers)
    assert response.headers["x-request-id"] == request_id
    await assert_logged(served, request_id, trace_id, {"registry": "rpc"})


async def test_a_route_that_is_written_is_found_where_the_registry_was_asked_too(served: Served):
    request_id, trace_id, headers = ids()
    body = {"route": {"variants": [{"name": "production", "follow_production": True, "weight": 1}]}}
    served.rest("PUT", f"/v1/routes/{SAME}", json=body, headers=headers).raise_for_status()
    await assert_logged(served, request_id, trace_id, {"router-control": "rpc", "registry": "rpc"})


async def test_a_caller_without_ids_gets_one_and_hears_it(served: Served):
    headers = {"traceparent": ids()[2]["traceparent"]}
    response = served.rest("POST", "/v1/predict", json=SPEC, headers=headers)
    request_id = response.headers["x-request-id"]
    assert response.json()["request_id"] == request_id
    await eventually(lambda: lines(served, "front-door", request_id), within=15, every=0.1)


@pytest.mark.parametrize("given", ["a" * 200, 'quo"te', "two words"])
def test_an_id_that_would_spoil_a_log_is_replaced(served: Served, given: str):
    response = served.rest("POST", "/v1/predict", json=SPEC, headers={"x-request-id": given})
    assert response.json()["request_id"] not in ("", given)
