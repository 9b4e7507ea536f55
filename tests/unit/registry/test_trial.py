"""What a model is tried with before it may be registered, and what is said of one that does not run."""

import json
from dataclasses import replace

import numpy as np
import pytest
from headrace_registry.artifacts import onnx_check, trial_check, trial_rows
from headrace_registry.artifacts.content import OnnxProcess
from headrace_registry.artifacts.trial_check import Request
from headrace_registry.decisions import file_contract
from headrace_registry.decisions.files import Example, Trial
from headrace_registry.decisions.models import BatchDimension
from headrace_runtime import contract as runtime
from onnx import TensorProto, helper

from tests.kit.models import exported, onnx_models
from tests.kit.models.onnx_models import TinyModel


@pytest.fixture
def write(tmp_path):
    def write(model: TinyModel):
        path = tmp_path / "model.onnx"
        path.write_bytes(model.content)
        return path

    return write


def lookup() -> TinyModel:
    """A model that answers one number only, which no encoder in it names."""
    return onnx_models.categories({7: 1.5})


@pytest.mark.parametrize("name", [name for name in exported.NAMES if name != "sklearn-known-categories"])
def test_what_exporters_write_runs_on_a_row_of_zeros(name):
    assert onnx_check.read(str(exported.path(name))).trial == Trial()


async def test_a_model_of_texts_finds_its_locale_in_the_process_with_limits():
    path = exported.path("sklearn-texts")
    file = await OnnxProcess(timeout_s=60)(path, path.stat().st_size)
    assert file.trial == Trial()


def test_a_model_that_knows_its_categories_only_is_tried_with_one_of_each():
    file = onnx_check.read(str(exported.path("sklearn-known-categories")))
    assert file.trial is not None
    assert file.trial.problem == ""
    told = exported.exported("sklearn-known-categories").contract
    rows = [bytes(data) for data in told.example.inputs]
    assert rows == [bytes(4), b"\x04\x00\x00\x00Bern", b"\x01\x00\x00\x00a"]


def test_a_model_that_fails_on_zeros_is_tried_with_rows_that_are_given(write, tmp_path):
    path = write(lookup())
    file = onnx_check.read(str(path))
    assert file.trial is not None
    assert file.trial.problem.startswith("it fails on a row of zeros: ")
    told = file_contract.stated(file)
    assert told is not None
    given = tmp_path / "validation.json"
    given.write_text(json.dumps({"inputs": {"x": [8, 7]}}))
    trial = trial_check.try_out(Request(path, told, given))
    assert trial == Trial(example=Example(("BwAAAAAAAAA=",)))
    secret = replace(told, inputs=tuple(replace(spec, sensitive=True) for spec in told.inputs))
    assert trial_check.try_out(Request(path, secret, given)) == file.trial
    unreadable = ("{", "[]", '{"inputs": {}}', '{"inputs": {"x": [[[1]]]}}', '{"inputs": {"x": ["a"]}}', "[" * 10**5)
    for content in unreadable:
        given.write_text(content)
        assert trial_check.try_out(Request(path, told, given)) == file.trial


async def test_a_contract_of_a_persons_own_is_tried_in_the_process_with_limits(write):
    path = write(onnx_models.variable_dimension())
    told = file_contract.stated(onnx_check.read(str(path)))
    assert told is not None
    told = replace(told, inputs=tuple(replace(spec, shape=(5,)) for spec in told.inputs))
    # The output stays as free as the file has it.
    assert await OnnxProcess(timeout_s=60).try_out(Request(path, told), path.stat().st_size) == Trial()


async def test_a_model_whose_process_dies_is_told_so(write, monkeypatch):
    async def died(*_arguments, **_bounds):
        return -8, json.dumps({"file": {"inputs": [], "outputs": []}}).encode() + b"\n"

    monkeypatch.setattr("headrace_registry.artifacts.content.run_confined", died)
    file = await OnnxProcess(timeout_s=60)(write(onnx_models.linear()), 1)
    assert file.trial == Trial("the process that runs a row dies (exit code -8)")


def test_an_output_that_does_not_grow_with_the_rows_is_told(write):
    whole = onnx_models.whole_batch_mean()
    file = onnx_check.read(str(write(whole)))
    assert file.trial is not None
    assert file.trial.problem == "it fails on a row of zeros: output 'mean' has shape [1] for 2 rows"


def test_rows_for_tensors_without_rows_are_tried_one_at_a_time():
    file = onnx_check.read(str(exported.path("pytorch-vector")))
    told = file_contract.stated(file)
    assert told is not None
    assert told.inputs[0].batch_dimension is BatchDimension.NONE
    assert file.trial == Trial()


def test_categories_are_found_behind_steps_and_not_behind_their_encoder():
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["a"], ["b"]),
            helper.make_node("OneHotEncoder", ["b"], ["c"], domain="ai.onnx.ml", cats_strings=["x", "y"]),
            helper.make_node("OneHotEncoder", ["c"], ["d"], domain="ai.onnx.ml", cats_int64s=[5]),
        ],
        "g",
        [helper.make_tensor_value_info(name, TensorProto.STRING, [None, 1]) for name in ("a", "other")],
        [],
    )
    found = trial_rows.categories_of(helper.make_model(graph))
    assert {name: list(values) for name, values in found.items()} == {"a": ["x", "y"], "other": []}


def test_rows_of_categories_are_not_more_than_a_few():
    told = runtime.Contract(tuple(runtime.TensorSpec(f"t{at}", "INT64", ()) for at in range(6)), ())
    rows = list(trial_rows.made(told, {f"t{at}": (1, 2, 3, 4) for at in range(6)}))
    assert len(rows) == trial_rows.MAX_MADE
    assert len(set(rows)) == trial_rows.MAX_MADE
    assert rows[0].inputs == (np.int64(1).tobytes(),) * 6


def test_answers_are_compared_with_the_expected_ones_that_were_given(write, tmp_path):
    path = write(onnx_models.plus(1.0))
    file = onnx_check.read(str(path))
    told = file_contract.with_batch_dimensions(file_contract.of_file(file), file)
    rows = [0.0, 5.0]

    def tried(plus: float) -> str:
        given = tmp_path / "validation.json"
        expected = [row + plus for row in rows]
        given.write_text(
            json.dumps({"inputs": {told.inputs[0].name: rows}, "outputs": {told.outputs[0].name: expected}})
        )
        found = trial_check.try_out(Request(path, told, given))
        assert found is not None
        assert found.problem == ""
        return found.difference

    assert tried(1.0) == ""
    assert tried(1.5) == "'y' of row 0 is 1 instead of 1.5, 200 times the tolerance of 0.001 (and as much of the value)"


def test_classes_that_are_texts_are_compared_as_an_exporter_writes_them(tmp_path):
    path = exported.path("sklearn-texts")
    file = onnx_check.read(str(path))
    told = file_contract.with_batch_dimensions(file_contract.of_file(file), file)
    rows = ["the film was good", "the film was bad", "", "Ein schöner Film"]
    model = exported.exported("sklearn-texts")
    (text,), (label, _) = told.inputs, told.outputs
    answers = model.expected({text.name: np.array([[row] for row in rows], dtype=object)})
    classes = [str(one) for one in answers[label.name]]

    def tried(expected: list[str]) -> str:
        given = tmp_path / "validation.json"
        given.write_text(
            json.dumps({"inputs": {text.name: [[row] for row in rows]}, "outputs": {label.name: expected}})
        )
        found = trial_check.try_out(Request(path, told, given))
        assert found is not None
        return found.difference

    assert tried(classes) == ""
    assert f"'{label.name}' of row 3 is '{classes[3]}' instead of 'neither'" in tried([*classes[:3], "neither"])
