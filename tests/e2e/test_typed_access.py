"""Typed access to a model: its OpenAPI document by REST, and a client that is written from its contract."""

import sys
import types
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest
from google.api import httpbody_pb2
from headrace.registry.v1 import registry_pb2
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.kit.clients.headrace_cli import GOOD, Headrace
from tests.kit.clients.methods import path_of
from tests.kit.models import onnx_models
from tests.kit.stack.served_models import Served


def get(headrace: Headrace, path: str, **call: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {headrace.stack.token('people')}"}
    return httpx.request("GET", f"{headrace.stack.url}/v1/{path}", headers=headers, timeout=20, **call)


def test_the_document_of_a_model_says_what_is_answered_and_a_generated_client_asks_so(
    headrace: Headrace, served: Served
) -> None:
    model, path = headrace.model, f"models/{headrace.model}/openapi.json"
    tiny = onnx_models.two_inputs_two_outputs()
    headrace("models", "register", model, "v1", headrace.file("v1.onnx", tiny), *GOOD)
    assert get(headrace, path).json()["details"][0]["reason"] == "NOTHING_IN_PRODUCTION"
    headrace("models", "promote", model, "v1")
    answer = get(headrace, path)
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    OpenAPIV31SpecValidator(document).validate()
    asked = registry_pb2.GetModelOpenApiRequest(name=f"models/{model}")
    body = httpbody_pb2.HttpBody.FromString(served.call(path_of("GetModelOpenApi"), asked))
    assert (body.content_type, body.data) == ("application/json", answer.content)
    assert get(headrace, path, params={"version": "v1"}).json() == document

    source = headrace("models", "client", model, "--lang", "python")["source"]
    module = types.ModuleType("typed")
    sys.modules["typed"] = module
    exec(compile(source, "typed.py", "exec"), module.__dict__)
    made: Any = module
    (name,) = (name for name in dir(made) if name.endswith("Client"))
    client = getattr(made, name)(headrace.stack.url, headrace.stack.token("people"))
    contract = headrace("models", "show", model, "v1")["version"]["contract"]
    rows = {one["name"]: np.ones([int(size) for size in one["shape"]]).tolist() for one in contract["inputs"]}
    jsonschema.validate(rows, document["components"]["schemas"]["Row"])
    (found,) = client.predict([made.Row(**rows)])
    expected = tiny.expected({key: np.array([value], np.float32) for key, value in rows.items()})
    for output, values in expected.items():
        np.testing.assert_allclose(np.ravel(getattr(found, output)), np.ravel(values), rtol=1e-5)

    first = contract["inputs"][0]["name"]
    with pytest.raises(made.RequestFailed, match="400") as refused:
        client.predict([made.Row(**{**rows, first: "a text"})])
    assert first in str(refused.value.document)
