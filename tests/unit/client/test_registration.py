"""What is told of a file that is refused, and of metrics that gates will miss."""

from pathlib import Path

import pytest
from headrace.registry.v1 import registry_pb2
from headrace_client.calls import Session
from headrace_client.cli.views import without_value
from headrace_client.errors import FieldViolation, InvalidArgument
from headrace_client.operations.registration import Serving, serving_settings, upload
from headrace_client.tokens import TokenCache
from headrace_registry.decisions.gates import DEFAULT_GATES


def refused(file: Path, name: str, error: InvalidArgument) -> InvalidArgument:
    """Return what an upload raises when the registry answers with the error."""
    file.write_bytes(b"no model")
    operation = upload(Session(TokenCache(None)), file, name=name)
    next(operation)
    with pytest.raises(InvalidArgument) as caught:
        operation.throw(error)
    return caught.value


def test_the_refusal_of_a_file_names_the_file_and_not_the_message_that_carried_it(tmp_path: Path):
    file = tmp_path / "weights.onnx"
    told = FieldViolation("chunk", "the file is no ONNX")
    error = InvalidArgument("chunk: the file is no ONNX", reason="ARTIFACT_TYPE_REFUSED", violations=[told])
    found = refused(file, "model.onnx", error)
    assert found.message == f"{file}: the file is no ONNX"
    assert found.violations == (FieldViolation("artifacts.model.onnx", "the file is no ONNX"),)
    assert found.reason == "ARTIFACT_TYPE_REFUSED"


def test_a_refusal_of_anything_else_stays_as_it_is(tmp_path: Path):
    error = InvalidArgument("x", violations=[FieldViolation("header.size_bytes", "too many")])
    assert refused(tmp_path / "weights.onnx", "model.onnx", error) is error


def test_a_model_without_gates_of_its_own_asks_for_those_of_the_registrys_default():
    assert without_value(registry_pb2.Model(), registry_pb2.ModelVersion()) == [gate.metric for gate in DEFAULT_GATES]


def test_padding_is_sent_where_it_is_given_and_taken_away_by_no_sizes():
    assert not serving_settings(Serving()).HasField("padding")
    assert not serving_settings(Serving()).HasField("warm")
    taken_away = serving_settings(Serving(pad_to=(), warm=False))
    assert taken_away.HasField("padding")
    assert taken_away.HasField("warm")
    given = serving_settings(Serving(pad_to=(64, 8), pad_with={"ids": 1.0})).padding
    assert (list(given.sizes), dict(given.values)) == ([8, 64], {"ids": 1.0})
    with pytest.raises(InvalidArgument, match="need sizes to pad to"):
        serving_settings(Serving(pad_with={"ids": 1.0}))
