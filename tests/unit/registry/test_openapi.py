"""The document of a model's REST API: valid OpenAPI, and rows are what it says."""

import jsonschema
import pytest
from headrace_registry.decisions import openapi
from headrace_registry.decisions.models import Contract, TensorSpec, VersionRef
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

REF = VersionRef("car-loan", "v3")
AGE = TensorSpec("age", "INT64")
HISTORY = TensorSpec("history", "FP32", (2,), nan_allowed=True)
CITY = TensorSpec("city", "BYTES", optional=True)
SCORE = TensorSpec("score", "FP32")

specs = st.builds(
    TensorSpec,
    st.text(min_size=1, max_size=20),
    st.sampled_from(["BOOL", "INT8", "UINT64", "INT32", "FP16", "BF16", "FP32", "FP64", "BYTES"]),
    st.lists(st.sampled_from([-1, 1, 3]), max_size=3).map(tuple),
    optional=st.booleans(),
    nan_allowed=st.booleans(),
    minimum=st.none() | st.floats(-1, 1),
)
tensors = st.lists(specs, min_size=1, max_size=4, unique_by=lambda spec: spec.name).map(tuple)


@settings(max_examples=30)
@given(tensors, tensors)
def test_every_contract_is_described_by_a_valid_document(inputs, outputs):
    OpenAPIV31SpecValidator(openapi.document(REF, Contract(inputs, outputs))).validate()


def test_the_document_names_the_path_and_the_version():
    document = openapi.document(REF, Contract((AGE, HISTORY), (SCORE,)))
    assert list(document["paths"]) == ["/v1/models/car-loan:predict"]
    assert document["info"]["version"] == "v3"


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"age": 41, "history": [0.2, None]}, id="null for NaN, where it is allowed"),
        pytest.param({"age": 41, "history": [0.2, 1], "city": "Bern"}, id="with an input that may be left out"),
    ],
)
def test_rows_of_the_contract_are_what_the_document_says(row):
    jsonschema.validate(row, openapi.row_schema((AGE, HISTORY, CITY)))


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"age": 41.5, "history": [0, 0]}, id="a fraction for an integer"),
        pytest.param({"age": 2**63, "history": [0, 0]}, id="an integer that is too large"),
        pytest.param({"age": None, "history": [0, 0]}, id="nothing for an integer"),
        pytest.param({"age": 41, "history": [0]}, id="too few values"),
        pytest.param({"age": 41, "history": ["0", 0]}, id="a text for a number"),
        pytest.param({"history": [0, 0]}, id="an input is missing"),
        pytest.param({"age": 41, "history": [0, 0], "town": "Bern"}, id="an unknown input"),
    ],
)
def test_other_rows_are_not(row):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(row, openapi.row_schema((AGE, HISTORY, CITY)))


def test_the_only_input_is_the_row_itself_and_columns_are_told():
    image = TensorSpec("image", "FP32", (2, -1), columns=())
    assert openapi.row_schema((image,))["items"]["items"]["type"] == "number"
    named = openapi.row_schema((TensorSpec("x", "FP32", (2,), columns=("a", "b")),))
    assert named["description"] == "FP32. In this order: a, b"
    assert (named["minItems"], named["maxItems"]) == (2, 2)
