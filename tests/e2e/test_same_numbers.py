"""Every protocol gives the same numbers: gRPC, gRPC-Web, rows as JSON, Open Inference Protocol."""

import json
import math
from typing import Any

import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.kit.front_door.edge import PREDICT
from tests.kit.models.bytes_tensors import encoded_texts
from tests.kit.router.inference_requests import MODEL_INFER, infer_request, pb2, typed_request
from tests.kit.stack.served_models import LINEAR, MODELS, SAME, TOKENS, WORDS, Served, add, output, request
from tests.kit.wire.framing import web_body, web_frames, web_headers

# A session's fixture serves every example.
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FINITE = st.floats(width=32, allow_nan=False, allow_infinity=True)


def by_web(served: Served, message: predict_pb2.PredictRequest, *, text: bool) -> predict_pb2.PredictResponse:
    """Ask by gRPC-Web and return the answer; its status must be OK."""
    body = web_body(message.SerializeToString(), text=text)
    response = served.rest("POST", PREDICT, content=body, headers=web_headers(text=text))
    (_, answer), (_, status) = web_frames(response.content, text=text)
    assert b"grpc-status:0" in status, response.content
    return predict_pb2.PredictResponse.FromString(answer)


def by_inference(
    served: Served, model: str, name: str, datatype: str, content: bytes, shape: tuple[int, ...]
) -> set[bytes]:
    """Ask in both ways of the Open Inference Protocol that send bytes; return the different answers."""
    message = infer_request(model, (name, datatype, shape, content))
    (by_grpc,) = pb2.ModelInferResponse.FromString(served.call(MODEL_INFER, message)).raw_output_contents
    described = {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(content)}}
    head = json.dumps({"inputs": [described], "parameters": {"binary_data_output": True}}).encode()
    headers = {"inference-header-content-length": str(len(head))}
    response = served.rest("POST", f"/v2/models/{model}/infer", content=head + content, headers=headers)
    at = int(response.headers["inference-header-content-length"])
    (output,) = json.loads(response.content[:at])["outputs"]
    assert at + output["parameters"]["binary_data_size"] == len(response.content)
    return {by_grpc, response.content[at:]}


def by_typed_inference(served: Served, model: str, name: str, datatype: str, shape: tuple[int, ...], **contents: Any):
    """Ask with typed contents and return the bytes of the one output."""
    message = typed_request(model, name, datatype, shape, **contents)
    (content,) = pb2.ModelInferResponse.FromString(served.call(MODEL_INFER, message)).raw_output_contents
    return content


def by_plain_inference(served: Served, model: str, name: str, datatype: str, rows: list[Any]) -> Any:
    """Ask with values as JSON, and return those of the one output."""
    body = {"inputs": [{"name": name, "datatype": datatype, "shape": [len(rows), len(rows[0])], "data": rows}]}
    (output,) = served.rest("POST", f"/v2/models/{model}/infer", json=body).json()["outputs"]
    return output["data"]


def numbers(rows: np.ndarray) -> list:
    """Return rows as JSON has them: what JSON has no number for is written as a string."""
    names = {math.inf: "Infinity", -math.inf: "-Infinity"}
    return [[names.get(value, value) for value in row] for row in rows.tolist()]


def read(value: Any) -> Any:
    """Return numbers of an answer as FP32."""
    return np.array([[float(number) for number in row] for row in value], np.float32)


@FEW
@given(rows=arrays(np.float32, st.tuples(st.integers(1, 40), st.just(4)), elements=FINITE))
def test_numbers_pass_unchanged_to_the_last_bit(served: Served, rows: np.ndarray):
    message = request(SAME, x=rows)
    assert output(served.predict(message)).tobytes() == rows.tobytes()
    for text in (False, True):
        assert output(by_web(served, message, text=text)).tobytes() == rows.tobytes()
    natural = served.rest("POST", f"/v1/models/{SAME}:predict", json={"instances": numbers(rows)}).json()
    assert read(natural["predictions"]).tobytes() == rows.tobytes()
    body = {"model_name": SAME, "inputs": {"x": numbers(rows)}}
    assert read(served.rest("POST", "/v1/predict", json=body).json()["prediction"]).tobytes() == rows.tobytes()
    assert by_inference(served, SAME, "x", "FP32", rows.tobytes(), rows.shape) == {rows.tobytes()}
    typed = by_typed_inference(served, SAME, "x", "FP32", rows.shape, fp32_contents=rows.ravel().tolist())
    assert typed == rows.tobytes()
    assert read([by_plain_inference(served, SAME, "x", "FP32", numbers(rows))]).tobytes() == rows.tobytes()


@FEW
@given(words=st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=5))
def test_words_pass_unchanged(served: Served, words: list[tuple[str, str]]):
    message = predict_pb2.PredictRequest(model=WORDS)
    encoded = [word.encode() for row in words for word in row]
    content = encoded_texts(encoded)
    add(message, "x", "BYTES", (len(words), 2), content)
    assert served.predict(message).raw_output_contents[0] == content
    natural = served.rest("POST", f"/v1/models/{WORDS}:predict", json={"instances": words}).json()
    assert natural["predictions"] == [list(row) for row in words]
    assert by_inference(served, WORDS, "x", "BYTES", content, (len(words), 2)) == {content}
    assert by_typed_inference(served, WORDS, "x", "BYTES", (len(words), 2), bytes_contents=encoded) == content
    plain = by_plain_inference(served, WORDS, "x", "BYTES", [list(row) for row in words])
    assert plain == [word for row in words for word in row]


@FEW
@given(
    rows=arrays(
        np.int64,
        st.tuples(st.integers(1, 8), st.integers(0, 9)),
        elements=st.integers(-(2**62), 2**62 - 1),
    )
)
def test_whole_numbers_keep_every_digit(served: Served, rows: np.ndarray):
    expected = MODELS[TOKENS].expected({"tokens": rows})
    answer = served.predict(request(TOKENS, tokens=rows))
    for index, name in enumerate(("lengths", "doubled")):
        np.testing.assert_array_equal(output(answer, index), expected[name])
    natural = served.rest("POST", f"/v1/models/{TOKENS}:predict", json={"instances": rows.tolist()}).json()
    assert [row["doubled"] for row in natural["predictions"]] == expected["doubled"].tolist()
    assert [row["lengths"] for row in natural["predictions"]] == expected["lengths"].tolist()


@pytest.mark.parametrize("count", [1, 33, 1024])
def test_a_computed_answer_is_the_same_whatever_the_face_and_however_it_was_batched(served: Served, count: int):
    rows = np.random.default_rng(count).normal(size=(count, 4)).astype(np.float32)
    answer = output(served.predict(request(LINEAR, features=rows)))
    np.testing.assert_allclose(answer, MODELS[LINEAR].expected({"features": rows})["scores"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(output(by_web(served, request(LINEAR, features=rows), text=False)), answer)
    natural = served.rest("POST", f"/v1/models/{LINEAR}:predict", json={"instances": numbers(rows)}).json()
    np.testing.assert_array_equal(read(natural["predictions"]), answer)
    body = {"model_name": LINEAR, "inputs": {"features": numbers(rows)}}
    specification = served.rest("POST", "/v1/predict", json=body).json()
    np.testing.assert_array_equal(read(specification["prediction"]), answer)
