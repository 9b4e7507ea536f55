"""Explanations through the front door of the whole stack: asked for over every protocol, told by gRPC, REST and CLI."""

from __future__ import annotations

import json
import uuid
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from headrace.router.v1 import predict_pb2

from tests.kit.clients.headrace_cli import Headrace
from tests.kit.rows import each
from tests.kit.stack.served_models import LINEAR, ROW, Served, request

EXPLAIN = "/headrace.router.v1.RouterService/Explain"
ASKED = {"x-headrace-explain": "1"}
V2_TENSOR = {"name": "features", "datatype": "FP32", "shape": [1, 4], "data": ROW.ravel().tolist()}


def asking(**fields: Any) -> predict_pb2.PredictRequest:
    message = request(LINEAR, features=ROW)
    message.MergeFrom(predict_pb2.PredictRequest(**fields))
    return message


def by_grpc(served: Served, request_id: str, headers: dict[str, str]) -> None:
    served.predict(asking(request_id=request_id), headers=headers)


def by_field(served: Served, request_id: str, _headers: dict[str, str]) -> None:
    served.predict(asking(request_id=request_id, explain=True))


def by_rest(path: str, body: dict[str, Any]):
    def ask(served: Served, request_id: str, headers: dict[str, str]) -> None:
        answer = served.rest("POST", path, json=body, headers={**headers, "x-request-id": request_id})
        assert answer.status_code == 200, answer.text

    return ask


PROTOCOLS = [
    pytest.param(by_grpc, id="gRPC header"),
    pytest.param(by_field, id="gRPC field"),
    pytest.param(by_rest(f"/v1/models/{LINEAR}:predict", {"instances": ROW.tolist()}), id="natural JSON"),
    pytest.param(
        by_rest("/v1/predict", {"model_name": LINEAR, "inputs": {"features": ROW.tolist()}}), id="specification's JSON"
    ),
    pytest.param(by_rest(f"/v2/models/{LINEAR}/infer", {"inputs": [V2_TENSOR]}), id="Open Inference Protocol"),
]


@each("ask", PROTOCOLS)
def test_an_answer_of_any_face_is_explained_by_its_request_id(served: Served, ask: Any) -> None:
    request_id = uuid.uuid4().hex
    ask(served, request_id, ASKED)
    data = served.call(EXPLAIN, predict_pb2.ExplainRequest(request_id=request_id))
    told = predict_pb2.ExplainResponse.FromString(data)
    assert (told.model, told.request_id, told.client, told.code) == (LINEAR, request_id, "tests", 0)
    assert (told.served_from != 0, told.total_us > 0, len(told.attempts) > 0) == (True, True, True)


def test_rest_tells_what_grpc_tells(served: Served) -> None:
    answer = served.predict(asking(explain=True, user_id="ada"))
    data = served.call(EXPLAIN, predict_pb2.ExplainRequest(prediction_id=answer.prediction_id))
    told = predict_pb2.ExplainResponse.FromString(data)
    for query in (f"prediction_id={answer.prediction_id}", f"request_id={answer.request_id}"):
        response = served.rest("GET", f"/v1/explanations?{query}")
        assert response.status_code == 200, response.text
        assert json_format.Parse(response.text, predict_pb2.ExplainResponse()) == told


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        pytest.param("", 400, "ID_MISSING", id="no id"),
        pytest.param("prediction_id=a&request_id=b", 400, "ID_MISSING", id="two ids"),
        pytest.param("prediction_id=01a21394-c237-76d8-ba3d-8abde101cc36", 404, "EXPLANATION_NOT_FOUND", id="unknown"),
    ],
)
def test_rest_refuses_with_a_reason(served: Served, query: str, status: int, reason: str) -> None:
    response = served.rest("GET", f"/v1/explanations?{query}")
    assert response.status_code == status
    assert served.rest_refused("GET", f"/v1/explanations?{query}").reason == reason


def test_who_may_not_see_the_model_hears_that_nothing_is_kept_and_who_may_not_predict_hears_that(
    served: Served,
) -> None:
    answer = served.predict(asking(explain=True))
    wanted = predict_pb2.ExplainRequest(prediction_id=answer.prediction_id)
    blind = served.refused(EXPLAIN, wanted, token=served.stack.token("mallory", models=["other-*"]))
    assert (blind.code, blind.reason) == (grpc.StatusCode.NOT_FOUND, "EXPLANATION_NOT_FOUND")
    for token, code in (
        (served.stack.token("reader", scopes=["models.read"]), grpc.StatusCode.PERMISSION_DENIED),
        (None, grpc.StatusCode.UNAUTHENTICATED),
    ):
        assert served.refused(EXPLAIN, wanted, token=token).code is code


def test_a_refused_request_is_explained_by_the_request_id_of_its_trailers(served: Served) -> None:
    refused = served.refused(
        "/headrace.router.v1.RouterService/Predict",
        request(LINEAR, wrong=ROW),
        headers={"x-request-id": "a-broken-one", **ASKED},
    )
    assert refused.reason == "CONTRACT_VIOLATED"
    told = served.rest("GET", "/v1/explanations?request_id=a-broken-one").json()
    assert (told["code"], told["reason"]) == (3, "CONTRACT_VIOLATED")


def test_the_command_line_asks_and_tells(headrace: Headrace, served: Served) -> None:
    assert served.stack is headrace.stack
    rows = json.dumps(ROW.tolist())
    answer = headrace("predict", LINEAR, "--rows", rows, "--explain")
    assert answer["explanation"]["prediction_id"] == answer["prediction_id"]
    drawn = headrace.run("explain", answer["prediction_id"]).stdout
    assert f"{LINEAR}: answered from" in drawn
    assert "deciding" in drawn
