"""Predictions as JSON that cannot be answered, natural rows and the specification's body: refused by their field."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.kit.rows import each
from tests.kit.stack.served_models import IDLE, LINEAR, NOT_ROUTED, PAIR, TABLE, TOKENS, WORDS, Served, assert_refused

pytestmark = pytest.mark.usefixtures("unharmed")

SPEC = "/v1/predict"
GOOD = [0, 1, 2, 3]
MANY = [GOOD] * 1025


def rows_of(model: str) -> str:
    return f"/v1/models/{model}:predict"


def spec(model: str = LINEAR, **inputs: Any) -> dict[str, Any]:
    return {"model_name": model, "inputs": inputs}


FORBIDDEN_ROWS = {
    "another datatype": (LINEAR, [GOOD, [0, 1, "two", 3]], "instances[1].features"),
    "true is no number": (LINEAR, [[True, 1, 2, 3]], "instances[0].features"),
    "a fraction for an integer": (TABLE, [1, 1.5], "instances[1].index"),
    "a number for a word": (WORDS, [["a", 1]], "instances[0].x"),
    "not base64": (WORDS, [["a", {"b64": "!"}]], "instances[0].x"),
    "a row too short": (LINEAR, [GOOD, [1, 2, 3]], "instances[1].features"),
    "a row too deep": (LINEAR, [[GOOD]], "instances[0].features"),
    "a row without brackets": (LINEAR, [1], "instances[0].features"),
    "rows of different lengths": (TOKENS, [[1], [1, 2]], "instances[1].tokens"),
    "too many rows": (LINEAR, MANY, "instances.features"),
    "another name": (PAIR, [{"a": [1, 2, 3], "c": [1, 2, 3]}], "instances[0].c"),
    "an input is missing": (PAIR, [{"a": [1, 2, 3], "b": [1, 2, 3]}, {"a": [1, 2, 3]}], "instances[1]"),
    "rows without names": (PAIR, [[1, 2, 3]], "instances[0]"),
    "NaN": (LINEAR, [GOOD, [0, "NaN", 2, 3]], "instances[1].features"),
    "null": (LINEAR, [[None, 1, 2, 3]], "instances[0].features"),
    "a number beyond the datatype": (LINEAR, [[1e39, 1, 2, 3]], "instances[0].features"),
    "an integer beyond the datatype": (TABLE, [2**63], "instances[0].index"),
}

FORBIDDEN_SPEC = {
    "another datatype": (spec(features=[0, 1, "two", 3]), "inputs.features"),
    "a fraction for an integer": (spec(TABLE, index=[1, 1.5]), "inputs.index[1]"),
    "a row too short": (spec(features=[GOOD, [1]]), "inputs.features[1]"),
    "no rows": (spec(features=[]), "inputs.features"),
    "too many rows": (spec(features=MANY), "inputs.features"),
    "rows that differ": (spec(PAIR, a=[[1, 2, 3]], b=[[1, 2, 3]] * 2), "inputs.b"),
    "another name": (spec(feature=GOOD), "inputs.feature"),
    "an input too many": (spec(features=GOOD, more=1), "inputs.more"),
    "an input is missing": (spec(PAIR, a=[1, 2, 3]), "inputs"),
    "NaN": (spec(features=[0, "NaN", 2, 3]), "inputs.features"),
    "a number beyond the datatype": (spec(features=[-1e39, 1, 2, 3]), "inputs.features"),
}


@each("model,instances,field", FORBIDDEN_ROWS.values())
def test_rows_that_the_contract_forbids_are_refused_by_their_place(
    served: Served, model: str, instances: list, field: str
):
    refusal = served.rest_refused("POST", rows_of(model), json={"instances": instances})
    assert_refused(refusal, "INVALID_ARGUMENT", "CONTRACT_VIOLATED", field)


@each("body,field", FORBIDDEN_SPEC.values())
def test_inputs_that_the_contract_forbids_are_refused_by_their_place(served: Served, body: dict, field: str):
    refusal = served.rest_refused("POST", SPEC, json=body)
    assert_refused(refusal, "INVALID_ARGUMENT", "CONTRACT_VIOLATED", field)


WRONG_FIELDS = {
    "no rows": (rows_of(LINEAR), {"instances": []}, "INVALID_FIELD", "instances"),
    "rows that are none": (rows_of(LINEAR), {"instances": {"a": 1}}, "INVALID_FIELD", "instances"),
    "rows left out": (rows_of(LINEAR), {}, "INVALID_FIELD", "instances"),
    "an unknown field": (rows_of(LINEAR), {"instances": [GOOD], "verion": "v1"}, "UNKNOWN_FIELD", "verion"),
    "a user that is a number": (rows_of(LINEAR), {"instances": [GOOD], "user_id": 5}, "INVALID_FIELD", "user_id"),
    "an endless user": (rows_of(LINEAR), {"instances": [GOOD], "user_id": "u" * 9999}, "INVALID_FIELD", "user_id"),
    "attributes that are no texts": (
        rows_of(LINEAR), {"instances": [GOOD], "attributes": {"age": 7}}, "INVALID_FIELD", "attributes.age",
    ),
    "no model": (SPEC, {"inputs": {"features": GOOD}}, "INVALID_FIELD", "model_name"),
    "a model that is a number": (SPEC, {"model_name": 7, "inputs": {}}, "INVALID_FIELD", "model_name"),
    "no inputs": (SPEC, {"model_name": LINEAR}, "INVALID_FIELD", "inputs"),
    "inputs that are a list": (SPEC, {"model_name": LINEAR, "inputs": [1]}, "INVALID_FIELD", "inputs"),
    "an unknown field of the body": (SPEC, {**spec(features=GOOD), "metdata": {}}, "UNKNOWN_FIELD", "metdata"),
    "metadata that are no texts": (
        SPEC, {**spec(features=GOOD), "metadata": {"user_id": 1}}, "INVALID_FIELD", "metadata.user_id",
    ),
}  # fmt: skip


@each("path,body,reason,field", WRONG_FIELDS.values())
def test_a_wrong_field_is_refused_by_its_name(served: Served, path: str, body: dict, reason: str, field: str):
    assert_refused(served.rest_refused("POST", path, json=body), "INVALID_ARGUMENT", reason, field)


@each("path", [rows_of(LINEAR), SPEC])
@each("body", [
        b"", b"{", b"[]", b"null", b"nothing", b'{"instances"}', b'{"instances": [[0,1,2,3]]} x',
        b'{"instances": [[1,]]}',
        b'{"instances": [[NaN,1,2,3]]}', b'{"instances": [[1e999,1,2,3]]}', b'{"instances": [[' + b"9" * 500 + b"]]}",
        b'{"instances": ' + b"[" * 100_000, b'{"instances": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
        b'{"instances": [["\\ud800"]]}', b'{"user_id": "\xff"}', b"\xef\xbb\xbf{}", b"\x00", b"{'instances': 1}",
    ])  # fmt: skip
def test_malformed_json_is_refused_with_its_place(served: Served, path: str, body: bytes):
    refusal = served.rest_refused("POST", path, content=body)
    assert_refused(refusal, "INVALID_ARGUMENT", "MALFORMED_JSON", "body")


@pytest.mark.parametrize("depth", [2, 100, 900])
def test_lists_that_nest_too_deep_are_refused_by_their_place(served: Served, depth: int):
    rows = json.loads("[" * depth + "]" * depth)
    refusal = served.rest_refused("POST", rows_of(LINEAR), json={"instances": [rows]})
    assert_refused(refusal, "INVALID_ARGUMENT", "CONTRACT_VIOLATED", "instances[0].features")


TWICE = {
    "rows": (rows_of(LINEAR), b'{"instances": [["no row"]], "instances": [[0, 1, 2, 3]]}', "instances"),
    "who asks": (rows_of(LINEAR), b'{"instances": [[0, 1, 2, 3]], "user_id": "a", "user_id": "a"}', "user_id"),
    "an input of a row": (rows_of(PAIR), b'{"instances": [{"a": [1, 2, 3], "b": [1, 2, 3], "a": []}]}', "a"),
    "an input": (SPEC, b'{"model_name": "served-linear", "inputs": {"features": 1, "features": 2}}', "features"),
    "a part of a tensor": (f"/v2/models/{LINEAR}/infer", b'{"inputs": [{"name": "features", "name": "x"}]}', "name"),
}


@each("path,body,named", TWICE.values())
def test_what_is_given_twice_in_one_object_is_refused_by_its_name(served: Served, path: str, body: bytes, named: str):
    refusal = served.rest_refused("POST", path, content=body)
    assert_refused(refusal, "INVALID_ARGUMENT", "REPEATED_FIELD", named)


NOT_SERVED = {
    "an unknown model": ("served-none", "", "NOT_FOUND", "MODEL_NOT_FOUND", "served-none"),
    "what is no name": ("\U0001f600 ", "", "NOT_FOUND", "MODEL_NOT_FOUND", "\U0001f600 "),
    "an unknown version": (LINEAR, "v9", "NOT_FOUND", "VERSION_NOT_FOUND", "v9"),
    "a version that the route does not name": (LINEAR, NOT_ROUTED, "NOT_FOUND", "VERSION_NOT_FOUND", NOT_ROUTED),
    "nothing in production": (IDLE, "", "UNAVAILABLE", "MODEL_NOT_READY", IDLE),
}


@each("model,version,code,reason,named", NOT_SERVED.values())
def test_what_nothing_serves_is_named(served: Served, model: str, version: str, code: str, reason: str, named: str):
    as_rows = {"instances": [GOOD], "version": version}
    for refusal in (
        served.rest_refused("POST", rows_of(quote(model)), json=as_rows),
        served.rest_refused("POST", SPEC, json={**spec(model, features=GOOD), "model_version": version}),
    ):
        assert_refused(refusal, code, reason, named=named)
        assert (refusal.retry_after_s is not None) == (code == "UNAVAILABLE")


@pytest.mark.parametrize("path", [rows_of(LINEAR), SPEC])
def test_a_body_beyond_the_limit_is_413_and_one_below_it_read(served: Served, path: str):
    body = json.dumps({"instances": [GOOD]} if path != SPEC else spec(features=GOOD)).encode()
    response = served.rest("POST", path, content=body + b" " * (16 * 1024 * 1024))
    assert response.status_code == 413
    assert response.json()["details"][0]["reason"] == "REQUEST_TOO_LARGE"
    assert served.rest("POST", path, content=body + b" " * (15 * 1024 * 1024)).status_code == 200


def test_values_that_the_model_itself_refuses_are_the_callers_fault(served: Served):
    for refusal in (
        served.rest_refused("POST", rows_of(TABLE), json={"instances": [0, 99]}),
        served.rest_refused("POST", SPEC, json=spec(TABLE, index=[0, 99])),
    ):
        assert_refused(refusal, "INVALID_ARGUMENT", "MODEL_REJECTED_INPUT", named="values of this request")
