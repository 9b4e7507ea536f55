"""Requests that nobody thought of: whatever arrives is answered or refused with a reason, and is never our fault.

Some of each kind, for the way through the front door: what the parsers make of many more, their unit tests say
(tests/unit/router_data: test_inference_json, test_inference_messages, test_values, test_contract).
"""

import json
import string
import struct
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np
from google.protobuf import descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from headrace.router.v1 import predict_pb2
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.kit.clients.methods import METHODS, path_of
from tests.kit.clients.refusals import Refusal, grpc_refusal, rest_refusal
from tests.kit.front_door.edge import PREDICT
from tests.kit.router.inference_requests import MODEL_INFER, SERVICE, infer_request, pb2, typed_request
from tests.kit.stack.served_models import IDLE, LINEAR, MODELS, PAIR, ROW, TABLE, TOKENS, WORDS, Served, add, request

# A session's fixture serves every example.
SOME = settings(
    max_examples=20, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
OUR_FAULT = {"INTERNAL", "UNKNOWN", "DATA_LOSS"}
NAMES = st.sampled_from([LINEAR, PAIR, TABLE, WORDS, TOKENS, IDLE, "", "served-none", "features", "a", "x", "v1"])
TEXTS = NAMES | st.text(max_size=20)


def assert_refused_with_a_reason(refusal: Refusal) -> None:
    assert refusal.code.name not in OUR_FAULT, refusal
    assert (refusal.domain, bool(refusal.reason), bool(refusal.message)) == ("headrace.dev", True, True), refusal


def ask(served: Served, path: str, message: Message | bytes) -> None:
    """Make a call that may be answered or refused, but not broken."""
    try:
        served.call(path, message, timeout=20)
    except grpc.RpcError as error:
        assert_refused_with_a_reason(grpc_refusal(error))


def ask_by_rest(served: Served, verb: str, path: str, content: bytes, headers: Mapping[str, str] | None = None) -> None:
    response = served.rest(verb, path, content=content, headers=headers or {})
    if response.status_code != 200:
        assert response.status_code < 500 or response.status_code == 503, response.text
        assert_refused_with_a_reason(rest_refusal(response))


def mutated(good: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that were good until some were changed, cut out or put in."""

    def apply(changes: list[tuple[int, int, bytes]]) -> bytes:
        result = good
        for at, cut, put in changes:
            place = at % (len(result) + 1)
            result = result[:place] + put + result[place + cut :]
        return result

    change = st.tuples(st.integers(0, 10_000), st.integers(0, 3), st.binary(max_size=3))
    return st.lists(change, min_size=1, max_size=4).map(apply)


@SOME
@given(body=st.binary(max_size=200) | mutated(request(PAIR, a=ROW[:, :3], b=ROW[:, :3]).SerializeToString()))
def test_bytes_in_place_of_a_prediction_request(served: Served, body: bytes):
    ask(served, PREDICT, body)


@st.composite
def predictions(draw: st.DrawFn) -> predict_pb2.PredictRequest:
    """Requests whose parts are each of the right kind, and rarely fit together."""
    message = predict_pb2.PredictRequest(
        model=draw(TEXTS), version=draw(st.sampled_from(["", "", "v1", "v9"]) | st.text(max_size=5)),
        request_id=draw(TEXTS), user_id=draw(TEXTS), entity_id=draw(TEXTS), outputs=draw(st.lists(TEXTS, max_size=3)),
    )  # fmt: skip
    datatypes = st.sampled_from(["FP32", "INT64", "BYTES", "FP64", "BOOL", "FP16", "BF16", "", "fp32"])
    sizes = st.integers(-2, 5) | st.sampled_from([2**31, 2**63 - 1, -(2**63)])
    contents = st.sampled_from([b"", bytes(16), bytes(12), bytes(8), struct.pack("<I", 2**32 - 1)]) | st.binary(
        max_size=40
    )
    for _ in range(draw(st.integers(0, 4))):
        add(message, draw(TEXTS), draw(datatypes), draw(st.lists(sizes, max_size=3)), draw(contents))
    if draw(st.booleans()):
        message.raw_input_contents.append(draw(contents))
    message.max_age.seconds = draw(st.integers(-(2**40), 2**40))
    return message


@SOME
@given(message=predictions())
def test_predictions_whose_parts_do_not_fit(served: Served, message: predict_pb2.PredictRequest):
    ask(served, PREDICT, message)


@SOME
@given(values=st.lists(st.floats(width=32), min_size=4, max_size=4), rows=st.integers(1, 3))
def test_any_float_is_answered_unless_it_is_nan(served: Served, values: list[float], rows: int):
    features = np.tile(np.array(values, np.float32), (rows, 1))
    message = request(LINEAR, features=features)
    if np.isnan(features).any():
        assert served.refused(PREDICT, message).reason == "NAN_NOT_ALLOWED"
    else:
        assert served.predict(message).outputs[0].shape == [rows, 3]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("NaN"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)
ROWS_FIELDS = st.sampled_from(["instances", "user_id", "entity_id", "version", "request_id", "attributes", "other"])
SPEC_FIELDS = st.sampled_from(["model_name", "model_version", "inputs", "request_id", "metadata", "other"])


@SOME
@given(model=NAMES.filter(bool), body=JSON | st.dictionaries(ROWS_FIELDS, JSON, max_size=4), instances=st.none() | JSON)
def test_json_in_place_of_rows(served: Served, model: str, body: Any, instances: Any):
    if instances is not None and isinstance(body, dict):
        body |= {"instances": [instances]}
    ask_by_rest(served, "POST", f"/v1/models/{model}:predict", json.dumps(body).encode())


@SOME
@given(
    model=NAMES,
    body=JSON | st.dictionaries(SPEC_FIELDS, JSON, max_size=4),
    inputs=st.none() | st.dictionaries(NAMES, JSON, max_size=3),
)
def test_json_in_place_of_the_specifications_body(served: Served, model: str, body: Any, inputs: Any):
    if inputs is not None and isinstance(body, dict):
        body |= {"model_name": model, "inputs": inputs}
    ask_by_rest(served, "POST", "/v1/predict", json.dumps(body).encode())


@SOME
@given(body=st.binary(max_size=60) | mutated(json.dumps({"instances": [[0, 1.5, -2e3, 3]], "user_id": "é"}).encode()))
@example(body=b'{"\x80"')
def test_bytes_in_place_of_json(served: Served, body: bytes):
    for verb, path in (
        ("POST", f"/v1/models/{LINEAR}:predict"), ("POST", "/v1/predict"), ("POST", "/v1/models"),
        ("PUT", "/v1/routes/served-none"), ("POST", "/v1/models/served-none:rollback"),
    ):  # fmt: skip
        ask_by_rest(served, verb, path, body)


def messages(kind: descriptor.Descriptor, depth: int = 3) -> st.SearchStrategy[Message]:
    """Messages of a type with any of its fields set to anything of their kind."""
    fields = {field.name: _values(field, depth) for field in kind.fields if depth or field.message_type is None}
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: _message(kind, given))


def _values(field: descriptor.FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    numbers = (0, 1, -1, 2**31 - 1, 7)
    by_kind = {
        field.CPPTYPE_STRING: st.binary(max_size=9) if field.type == field.TYPE_BYTES else _TEXTS,
        field.CPPTYPE_BOOL: st.booleans(),
        field.CPPTYPE_DOUBLE: st.floats(),
        field.CPPTYPE_ENUM: st.sampled_from((0, 1, 2, 3, 4, 99)),
    }
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = (_values(field.message_type.fields_by_name[name], depth) for name in ("key", "value"))
        return st.dictionaries(key, value, max_size=3)
    if field.message_type is not None:
        one: st.SearchStrategy[Any] = messages(field.message_type, depth - 1)
    else:
        unsigned = field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64)
        whole = st.sampled_from([number for number in numbers if number >= 0 or not unsigned])
        one = by_kind.get(field.cpp_type, whole)
    return st.lists(one, max_size=3) if field.is_repeated else one


def _message(kind: descriptor.Descriptor, given: dict[str, Any]) -> Message:
    return GetMessageClass(kind)(**given)


_TEXTS = st.sampled_from(
    [
        *("", "models/fuzzed", "routes/fuzzed", "models/fuzzed/versions/v1", "models/fuzzed/aliases/a", "v1", "a" * 64),
        *("alertRules/fuzzed", "webhooks/fuzzed", "alerts/1", "silences/1", "error_rate", "fuzzed", "/"),
    ]
) | st.text(string.printable + "\0é", max_size=8)
# AwaitRegistryEpoch would wait for what will not come.
FUZZED = [
    name
    for name, method in METHODS.items()
    if not (method.client_streaming or method.server_streaming or name == "AwaitRegistryEpoch")
]


@settings(SOME, max_examples=100)
@given(data=st.data(), name=st.sampled_from(FUZZED))
def test_messages_with_anything_in_any_field(served: Served, data: st.DataObject, name: str):
    ask(served, path_of(name), data.draw(messages(METHODS[name].input_type)))


# Each method of the Open Inference Protocol by its name; the stream is refused before anything of it is read.
INFERENCE = {
    method.name: method.input_type
    for method in pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    if not method.client_streaming
}


@settings(SOME, max_examples=30)
@given(data=st.data(), name=st.sampled_from(sorted(INFERENCE)))
def test_messages_of_the_open_inference_protocol_with_anything_in_any_field(
    served: Served, data: st.DataObject, name: str
):
    ask(served, SERVICE + name, data.draw(messages(INFERENCE[name])))


@st.composite
def inferences(draw: st.DrawFn) -> Any:
    """Requests of the Open Inference Protocol, from a good one, raw or typed, with some parts replaced."""
    good = [
        infer_request(LINEAR, ("features", "FP32", (1, 4), ROW.tobytes())),
        typed_request(LINEAR, "features", "FP32", (1, 4), fp32_contents=[1, 2, 3, 4]),
    ]
    made = pb2.ModelInferRequest.FromString(draw(st.sampled_from(good)).SerializeToString())
    made.MergeFrom(draw(messages(pb2.ModelInferRequest.DESCRIPTOR)))
    made.model_name = LINEAR
    return made


@SOME
@given(message=inferences())
def test_inferences_with_more_than_belongs_into_them(served: Served, message: Any):
    ask(served, MODEL_INFER, message)


GOOD_INFERENCE = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [0, 1.5, -2e3, 3]}]}
INFER_FIELDS = st.sampled_from(["id", "parameters", "inputs", "outputs", "other"])
TENSOR_FIELDS = st.sampled_from(["name", "datatype", "shape", "data", "parameters", "other"])


@SOME
@given(
    model=NAMES.filter(bool),
    body=JSON | st.dictionaries(INFER_FIELDS, JSON, max_size=4),
    tensor=st.none() | st.dictionaries(TENSOR_FIELDS, JSON, max_size=4),
    length=st.none() | st.integers(-1, 300).map(str) | st.text(string.digits + string.punctuation, max_size=4),
)
def test_json_in_place_of_an_inference(served: Served, model: str, body: Any, tensor: Any, length: str | None):
    if tensor is not None and isinstance(body, dict):
        body |= {"inputs": [GOOD_INFERENCE["inputs"][0] | tensor]}
    headers = {} if length is None else {"inference-header-content-length": length}
    ask_by_rest(served, "POST", f"/v2/models/{model}/infer", json.dumps(body).encode(), headers)


@SOME
@given(
    body=st.binary(max_size=60) | mutated(json.dumps(GOOD_INFERENCE).encode() + ROW.tobytes()),
    encoding=st.sampled_from(["", "gzip", "deflate", "br"]),
)
def test_bytes_in_place_of_an_inference(served: Served, body: bytes, encoding: str):
    headers = {"content-encoding": encoding, "inference-header-content-length": str(len(body) // 2)}
    ask_by_rest(served, "POST", f"/v2/models/{LINEAR}/infer", body, headers)
    ask_by_rest(served, "POST", "/v2/repository/index", body, {})


def test_everything_still_answers(served: Served):
    assert set(MODELS) >= {LINEAR, PAIR}
    served.assert_alive()
