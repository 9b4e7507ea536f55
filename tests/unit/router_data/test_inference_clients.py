"""The REST codec of the Open Inference Protocol reads what clients of other servers send.

The bodies are recorded: what `kserve.InferenceRESTClient` of kserve 0.21.0 gave to its transport, and what
`requests.post(…, json=…)` makes of an `mlserver.types.InferenceRequest` of mlserver 1.7.1 with inputs of its codecs.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from headrace_router.data.protocols.oip import infer_json
from headrace_router.data.request.request import Request
from headrace_router.data.tables.contract import Contract, Spec
from headrace_servicekit.errors import InvalidArgument

from tests.kit.rows import each

X, WORDS = Spec("x", "FP32", (2,)), Spec("words", "BYTES", (1,), optional=True)
CONTRACT = Contract((X, WORDS), (Spec("y", "FP32", ()),))
ROW, HI = np.array([1, 2], np.float32).tobytes(), b"\2\0\0\0hi"

KSERVE_JSON = b'{"id":"r","model_name":"m","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1.0,2.0]}]}'
KSERVE_OPTIONS = (
    b'{"id":"r","model_name":"m","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1.0,2.0]}],'
    b'"outputs":[{"name":"y","parameters":{"binary_data":false}}],"parameters":{"priority":1}}'
)
KSERVE_BINARY = (
    b'{"id":"r","model_name":"m","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32",'
    b'"parameters":{"binary_data_size":8}}]}\x00\x00\x80?\x00\x00\x00@'
)
KSERVE_BOTH = (
    b'{"id":"r","model_name":"m","inputs":[{"name":"words","shape":[1,1],"datatype":"BYTES","data":["hi"]},'
    b'{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}],'
    b'"outputs":[{"name":"y","parameters":{"binary_data":true}}],"parameters":{"binary_data_output":true}}'
    b"\x00\x00\x80?\x00\x00\x00@"
)
# Values of no bytes: the client says their size, and null where it would put them into the JSON.
KSERVE_NO_ROWS = (
    b'{"id":"r","model_name":"m","inputs":[{"name":"x","shape":[0,2],"datatype":"FP32",'
    b'"parameters":{"binary_data_size":0},"data":null}]}'
)
MLSERVER_MODEL_DUMP = (
    b'{"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"content_type": "np"}, '
    b'"data": [1.0, 2.0]}, {"name": "words", "shape": [1, 1], "datatype": "BYTES", '
    b'"parameters": {"content_type": "str"}, "data": ["hi"]}], "outputs": [{"name": "y"}]}'
)
# `.dict()` rather than `.model_dump()`: all that was left out is null.
MLSERVER_DICT = (
    b'{"id": null, "parameters": null, "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", '
    b'"parameters": {"content_type": "np", "headers": null}, "data": [1.0, 2.0]}, {"name": "words", "shape": [1, 1], '
    b'"datatype": "BYTES", "parameters": {"content_type": "str", "headers": null}, "data": ["hi"]}], '
    b'"outputs": [{"name": "y", "parameters": null}]}'
)
MLSERVER_DICT_OF_ONE = (
    b'{"id": null, "parameters": {"content_type": "np", "headers": null}, "inputs": [{"name": "x", '
    b'"shape": [1, 2], "datatype": "FP32", "parameters": {"content_type": "np", "headers": null}, '
    b'"data": [1.0, 2.0]}], "outputs": null}'
)


def parsed(content: bytes, length: str | None = None, model: str = "m") -> Request:
    return infer_json.parse(model, "", content, length)[0]


def values(request: Request) -> dict[str, bytes]:
    """Return the bytes of each input."""
    tensors = request.read(CONTRACT, 100)
    names = [str(name) for name, *_ in tensors.described]
    return dict(zip(names, map(bytes, tensors.contents), strict=True))


@each(
    "content,length,inputs",
    [
        pytest.param(KSERVE_JSON, None, {"x": ROW}, id="KServe, JSON"),
        pytest.param(KSERVE_OPTIONS, None, {"x": ROW}, id="KServe, outputs and parameters"),
        pytest.param(KSERVE_BINARY, "119", {"x": ROW}, id="KServe, binary"),
        pytest.param(KSERVE_BOTH, "283", {"words": HI, "x": ROW}, id="KServe, JSON and binary"),
        pytest.param(KSERVE_NO_ROWS, None, {"x": b""}, id="KServe, no rows"),
        pytest.param(MLSERVER_MODEL_DUMP, None, {"x": ROW, "words": HI}, id="MLServer, model_dump"),
        pytest.param(MLSERVER_DICT, None, {"x": ROW, "words": HI}, id="MLServer, dict"),
        pytest.param(MLSERVER_DICT_OF_ONE, None, {"x": ROW}, id="MLServer, dict of one tensor"),
    ],
)
def test_bodies_of_other_clients_are_read(content: bytes, length: str | None, inputs: dict[str, bytes]):
    assert values(parsed(content, length)) == inputs


def test_what_other_clients_ask_for_beside_the_tensors_is_kept():
    request = parsed(KSERVE_OPTIONS)
    assert (request.model, request.request_id, request.outputs, request.priority) == ("m", "r", ("y",), 1)
    assert parsed(MLSERVER_DICT).outputs == ("y",)
    assert parsed(MLSERVER_DICT_OF_ONE).outputs == ()


@pytest.mark.parametrize(("content", "length"), [(KSERVE_JSON, None), (KSERVE_BINARY, "119")])
def test_a_model_name_that_contradicts_the_path_is_refused_naming_both(content: bytes, length: str | None):
    with pytest.raises(InvalidArgument) as caught:
        parsed(content, length, model="other")
    assert caught.value.reason == "MODEL_NAME_MISMATCH"
    (violation,) = caught.value.violations
    assert violation.field == "model_name"
    assert "'m'" in violation.description
    assert "'other'" in violation.description


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"model_name": 5}, "model_name"),
        ({"model_name": ["m"]}, "model_name"),
        ({"model_version": "1"}, "model_version"),
        ({"parameters": []}, "parameters"),
        ({"outputs": {}}, "outputs"),
    ],
)
def test_nothing_else_is_taken(changes: dict[str, object], field: str):
    with pytest.raises(InvalidArgument) as caught:
        parsed(json.dumps(json.loads(KSERVE_JSON) | changes).encode())
    assert caught.value.violations[0].field == field


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_model_name_that_is_empty_leaves_it_to_the_path(nothing: str | None):
    assert parsed(json.dumps(json.loads(KSERVE_JSON) | {"model_name": nothing}).encode()).model == "m"
