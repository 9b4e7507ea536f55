"""Golden files: every protocol reads the same tensors from its own way of writing them, and writes the same numbers."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format
from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.protocols import natural_json, predict, predict_json
from headrace_router.data.protocols.oip import infer_json, infer_message
from headrace_router.data.protocols.oip.contents import FIELDS
from headrace_router.data.request.request import Tensors
from headrace_router.data.tables.contract import Contract, check, check_contents, contract_of
from headrace_router.data.tables.served import ServedVersion
from headrace_servicekit.error_details import to_json
from headrace_servicekit.errors import InvalidArgument
from tritonclient.grpc import service_pb2
from tritonclient.utils import deserialize_bytes_tensor

from tests.kit.rows import each

_pb2: Any = service_pb2
GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "predict").glob("*.json"))


@pytest.fixture(params=GOLDEN, ids=lambda path: path.stem)
def golden(request) -> dict[str, Any]:
    return json.loads(request.param.read_text())


def contract(golden: dict[str, Any]) -> Contract:
    return contract_of(json_format.ParseDict(golden["contract"], tensor_pb2.ServingContract()))


def wanted(golden: dict[str, Any]) -> list[tuple[tuple, bytes]]:
    return [
        ((one["name"], one["datatype"], *one["shape"]), base64.b64decode(one["content"])) for one in golden["tensors"]
    ]


def infer_request(golden: dict[str, Any], *, typed: bool) -> bytes:
    """Return the request as `ModelInferRequest`, with typed contents where the datatype has any."""
    made = message_of(golden["tensors"], _pb2.ModelInferRequest, "inputs", "raw_input_contents")
    made.model_name = "m"
    for name, value in golden["inference"].get("parameters", {}).items():
        made.parameters[name].string_param = value
    if typed:
        for tensor, content in zip(made.inputs, made.raw_input_contents, strict=True):
            field, values = _typed(tensor.datatype, content)
            getattr(tensor.contents, field).extend(values)
        del made.raw_input_contents[:]
    return made.SerializeToString()


def _typed(datatype: str, content: bytes) -> tuple[str, list[Any]]:
    if datatype == "BYTES":
        return "bytes_contents", deserialize_bytes_tensor(content).tolist()
    dtype = {"FP32": "<f4", "FP64": "<f8", "INT64": "<i8", "UINT8": "<u1"}[datatype]
    return FIELDS[datatype][0], np.frombuffer(content, dtype).tolist()


def binary_body(golden: dict[str, Any]) -> tuple[bytes, str]:
    """Return the REST request with its tensors as bytes behind the JSON, and the length of the JSON."""
    contents = [base64.b64decode(one["content"]) for one in golden["tensors"]]
    head = {
        **golden["inference"],
        "inputs": [
            {
                **{key: one[key] for key in ("name", "datatype", "shape")},
                "parameters": {"binary_data_size": len(content)},
            }
            for one, content in zip(golden["tensors"], contents, strict=True)
        ],
    }
    text = json.dumps(head).encode()
    return text + b"".join(contents), str(len(text))


def read(tensors: Tensors) -> list[tuple[tuple, bytes]]:
    return list(zip(tensors.described, tensors.contents, strict=True))


def message_of(tensors: list[dict[str, Any]], kind: Any, described: str, contents: str) -> Any:
    message = kind()
    for one in tensors:
        getattr(message, described).add(name=one["name"], datatype=one["datatype"], shape=one["shape"])
        getattr(message, contents).append(base64.b64decode(one["content"]))
    return message


def answer(golden: dict[str, Any]) -> Answer:
    outputs = message_of(golden["outputs"], predict_pb2.PredictResponse, "outputs", "raw_output_contents")
    return Answer(
        served=ServedVersion("m", "v2", "digest", "hash", contract(golden)),
        model="m",
        contract=contract(golden),
        version="v2",
        variant="candidate",
        generation=12,
        request_id="r-1",
        prediction_id="0199-7",
        served_from=ServedFrom.ONLINE,
        age_ms=0,
        outputs=outputs.SerializeToString(),
        took_s=0.001234,
    )


def test_every_face_reads_the_same_tensors(golden):
    declared = contract(golden)
    message = message_of(golden["tensors"], predict_pb2.PredictRequest, "inputs", "raw_input_contents")
    requests = [
        predict.parse(message.SerializeToString()),
        natural_json.parse("m", json.dumps(golden["natural"]).encode()),
        predict_json.parse(json.dumps(golden["specification"]).encode())[0],
        infer_message.parse(infer_request(golden, typed=False)),
        infer_message.parse(infer_request(golden, typed=True)),
        infer_json.parse("m", "", json.dumps(golden["inference"]).encode(), None)[0],
        infer_json.parse("m", "", *binary_body(golden))[0],
    ]
    for request in requests:
        tensors = request.read(declared, 32)
        assert read(tensors) == wanted(golden)
        check_contents(check(declared, tensors.described, 32), tensors.described, tensors.contents)
    assert len({request.user_id for request in requests[1:]}) == 1
    assert len({request.entity_id for request in requests[1:]}) == 1


def test_natural_rows_are_written_with_what_they_come_from(golden):
    body = json.loads(natural_json.render(answer(golden)))
    assert body.pop("predictions") == golden["natural_predictions"]
    assert body == {
        "model": "m",
        "model_version": "v2",
        "variant": "candidate",
        "prediction_id": "0199-7",
        "served_from": "online",
        "request_id": "r-1",
        "generation": 12,
    }


def test_the_specifications_answer_has_its_fields(golden):
    body = json.loads(predict_json.render(answer(golden), golden["specification"]["inputs"]))
    assert body["prediction"] == golden["specification_prediction"]
    assert (body["model_version"], body["latency_ms"], body["served_from"]) == ("v2", 1.234, "online")


def test_the_message_is_the_header_and_the_outputs_as_they_came(golden):
    given = answer(golden)
    message = predict_pb2.PredictResponse.FromString(predict.render(given))
    outputs = predict_pb2.PredictResponse.FromString(given.outputs)
    assert predict.render(given).endswith(given.outputs)
    assert list(message.outputs) == list(outputs.outputs)
    assert list(message.raw_output_contents) == list(outputs.raw_output_contents)
    assert (message.model, message.version, message.variant) == ("m", "v2", "candidate")
    assert (message.request_id, message.prediction_id, message.generation) == ("r-1", "0199-7", 12)
    assert message.served_from == predict_pb2.PredictResponse.SERVED_FROM_ONLINE


def test_the_inference_message_is_its_header_and_the_outputs_as_they_came(golden):
    given = answer(golden)
    rendered = infer_message.render(given)
    assert rendered.endswith(given.outputs)
    message = _pb2.ModelInferResponse.FromString(rendered)
    assert (message.model_name, message.model_version, message.id) == ("m", "v2", "r-1")
    assert [(one.name, one.datatype, list(one.shape)) for one in message.outputs] == [
        (one["name"], one["datatype"], one["shape"]) for one in golden["outputs"]
    ]
    assert list(message.raw_output_contents) == [base64.b64decode(one["content"]) for one in golden["outputs"]]
    parameters = {name: getattr(one, one.WhichOneof("parameter_choice")) for name, one in message.parameters.items()}
    assert parameters == infer_json.parameters_of(given) == {
        "headrace_prediction_id": "0199-7", "headrace_served_from": "online", "headrace_generation": 12,
        "headrace_age_ms": 0, "headrace_variant": "candidate",
    }  # fmt: skip


def test_inference_in_json_has_the_numbers_or_their_bytes(golden):
    given = answer(golden)
    plain = infer_json.render(given, ())
    assert plain.json_length is None
    body = json.loads(plain.content)
    assert body["outputs"] == golden["inference_outputs"]
    assert (body["model_name"], body["model_version"], body["id"]) == ("m", "v2", "r-1")
    content, length = infer_json.render(given, None)
    assert length is not None
    assert content[length:] == b"".join(base64.b64decode(one["content"]) for one in golden["outputs"])
    sizes = [one["parameters"]["binary_data_size"] for one in json.loads(content[:length])["outputs"]]
    assert sizes == [len(base64.b64decode(one["content"])) for one in golden["outputs"]]


def test_a_degraded_answer_says_so_in_both_inference_faces(golden):
    given = replace(answer(golden), fallback_step="cpu", degraded_reason="NO_BACKEND", rule="de")
    message = _pb2.ModelInferResponse.FromString(infer_message.render(given))
    told = json.loads(infer_json.render(given, ()).content)["parameters"]
    for name, value in (("fallback_step", "cpu"), ("degraded_reason", "NO_BACKEND"), ("rule", "de")):
        assert message.parameters[f"headrace_{name}"].string_param == told[f"headrace_{name}"] == value


TWO = contract_of(
    json_format.ParseDict(
        {
            "inputs": [
                {"name": "a", "datatype": "FP32", "shape": ["2"]},
                {"name": "b", "datatype": "INT64", "optional": True},
            ],
            "outputs": [{"name": "y", "datatype": "FP32"}],
        },
        tensor_pb2.ServingContract(),
    )
)


def natural(body: Any) -> Any:
    return natural_json.parse("m", body if isinstance(body, bytes) else json.dumps(body).encode()).read(TWO, 32)


def specification(body: Any) -> Any:
    return predict_json.parse(body if isinstance(body, bytes) else json.dumps(body).encode())[0].read(TWO, 32)


def instances(*rows: Any) -> dict[str, Any]:
    return {"instances": list(rows)}


def inputs(**values: Any) -> dict[str, Any]:
    return {"model_name": "m", "inputs": values}


@each(
    "protocol,body,field,told",
    [
        pytest.param(natural, b"{", "body", "line 1 column 2", id="cut"),
        pytest.param(natural, b"\xff", "body", "UTF-8", id="no utf-8"),
        pytest.param(natural, b"[" * 5000, "body", "not JSON", id="deep"),
        pytest.param(natural, [], "body", "object", id="no object"),
        pytest.param(natural, {}, "instances", "a list of rows", id="no instances"),
        pytest.param(natural, instances(), "instances", "at least one row", id="no rows"),
        pytest.param(natural, {**instances(1), "user": "u"}, "user", "unknown field", id="unknown field"),
        pytest.param(
            natural, {**instances(1), "max_age": 5}, "max_age", "'x-headrace-max-age-ms: MILLISECONDS'", id="max age"
        ),
        pytest.param(natural, {**instances(1), "explain": True}, "explain", "'x-headrace-explain: 1'", id="explain"),
        pytest.param(natural, {**instances(1), "user_id": 5}, "user_id", "a string", id="number for an id"),
        pytest.param(natural, {**instances(1), "version": "v" * 300}, "version", "256", id="long text"),
        pytest.param(natural, {**instances(1), "attributes": ["x"]}, "attributes", "an object", id="attributes"),
        pytest.param(natural, {**instances(1), "attributes": {"c": 1}}, "attributes.c", "a string", id="attribute"),
        pytest.param(natural, instances([1, 2]), "instances[0]", "an object with 'a', 'b'", id="list for two inputs"),
        pytest.param(natural, instances({"a": [1, 2]}, {"b": 1}), "instances[1]", "'a' is missing", id="missing"),
        pytest.param(natural, instances({"a": [1, 2], "c": 1}), "instances[0].c", "unknown input", id="unknown input"),
        pytest.param(
            natural,
            instances({"a": [1, 2], "b": 1}, {"a": [1, 2]}),
            "instances[1]",
            "left out in others",
            id="sometimes",
        ),
        pytest.param(natural, instances({"a": [1, 2]}, {"a": [1]}), "instances[1].a", "1 values", id="short row"),
        pytest.param(natural, instances({"a": [1, 1e39]}), "instances[0].a", "element 1", id="overflow"),
        pytest.param(specification, {"inputs": {"a": 1}}, "model_name", "must be named", id="no model"),
        pytest.param(specification, {"model_name": "m"}, "inputs", "an object of values", id="no inputs"),
        pytest.param(specification, {"model_name": "m", "input": {}}, "input", "unknown field", id="typo"),
        pytest.param(
            specification, {**inputs(a=1), "explain": True}, "explain", "'x-headrace-explain: 1'", id="spec explain"
        ),
        pytest.param(specification, inputs(a=[1, 2], c=3), "inputs.c", "unknown input", id="spec unknown input"),
        pytest.param(specification, inputs(a=[1]), "inputs.a", "1 values", id="spec short value"),
        pytest.param(specification, inputs(a=[[1, 2], [3]]), "inputs.a[1]", "1 values", id="spec short row"),
    ],
)
def test_wrong_bodies_are_refused_by_field(protocol, body, field, told):
    with pytest.raises(InvalidArgument) as caught:
        protocol(body)
    violations = caught.value.violations
    assert any(one.field == field and told in one.description for one in violations), violations
    body = to_json(caught.value)
    assert body["code"] == 3
    assert body["details"][0]["domain"] == "headrace.dev"


def test_all_wrong_rows_are_told_at_once():
    with pytest.raises(InvalidArgument) as caught:
        natural(instances({"a": [1]}, {"a": [1, 2]}, {"a": "x"}))
    assert [one.field for one in caught.value.violations] == ["instances[0].a", "instances[2].a"]


def test_an_entity_in_the_inputs_is_an_input_where_the_contract_has_one():
    named = Contract((TWO.inputs[0], TWO.inputs[1]._replace(name="entity_id")), TWO.outputs)
    request, _ = predict_json.parse(json.dumps(inputs(a=[1, 2], entity_id=7)).encode())
    assert request.entity_id == "7"
    assert [one[0] for one in request.read(named, 32).described] == ["a", "entity_id"]
    assert [one[0] for one in request.read(TWO, 32).described] == ["a"]
