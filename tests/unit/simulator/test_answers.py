"""Answers that are made up follow from the rows; wrong ones are wrong in the one way that was asked for."""

from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from headrace_simulator.decisions import latency, made_up
from headrace_simulator.decisions.latency import Latency
from headrace_simulator.decisions.made_up import MadeUpModel, WrongRequest
from headrace_simulator.decisions.wrong_outputs import Wrong, spoil
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2, service_pb2

from tests.kit.rows import each

_pb: Any = service_pb2
_config_pb: Any = model_config_pb2
CONFIG = """
name: "digits--v1" backend: "onnxruntime" max_batch_size: 32
input { name: "image" data_type: TYPE_FP32 dims: 4 }
input { name: "hint" data_type: TYPE_STRING dims: 1 optional: true }
output { name: "scores" data_type: TYPE_FP32 dims: 3 }
output { name: "label" data_type: TYPE_INT64 dims: 1 }
output { name: "word" data_type: TYPE_STRING dims: -1 }
instance_group { count: 2 kind: KIND_CPU }
"""


def model(config: str = CONFIG) -> MadeUpModel:
    return made_up.model_of(text_format.Parse(config, _config_pb.ModelConfig()))


def request(rows: np.ndarray, **fields: Any) -> Any:
    made = _pb.ModelInferRequest(model_name="digits--v1", raw_input_contents=[rows.tobytes()], **fields)
    made.inputs.add(name="image", datatype="FP32", shape=rows.shape)
    return made


def scores(answer: Any) -> np.ndarray:
    index = [output.name for output in answer.outputs].index("scores")
    return np.frombuffer(answer.raw_output_contents[index], "<f4").reshape(tuple(answer.outputs[index].shape))


ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def test_an_answer_has_the_outputs_of_the_configuration():
    answer = made_up.answer(model(), request(ROWS))
    assert [(one.name, one.datatype, list(one.shape)) for one in answer.outputs] == [
        ("scores", "FP32", [6, 3]),
        ("label", "INT64", [6, 1]),
        ("word", "BYTES", [6, 1]),
    ]
    assert ((scores(answer) >= 0) & (scores(answer) < 1)).all()


@given(st.permutations(range(6)), st.integers(1, 6))
def test_a_row_has_the_same_answer_in_whatever_batch_it_is(order: list[int], rows: int):
    whole = scores(made_up.answer(model(), request(ROWS)))
    part = scores(made_up.answer(model(), request(ROWS[order][:rows])))
    np.testing.assert_array_equal(part, whole[order][:rows])


def test_other_rows_have_other_answers():
    assert len(np.unique(scores(made_up.answer(model(), request(ROWS))))) == 18


def test_only_the_outputs_that_are_asked_for_are_answered():
    asked = request(ROWS)
    asked.outputs.add(name="label")
    assert [output.name for output in made_up.answer(model(), asked).outputs] == ["label"]


@each(
    "change,said",
    [
        (lambda one: one.inputs.pop(), "missing required input"),
        (lambda one: setattr(one.inputs[0], "name", "picture"), "missing required input"),
        (lambda one: one.inputs.add(name="more", datatype="FP32", shape=[6]), "unexpected inference input 'more'"),
        (lambda one: setattr(one.inputs[0], "datatype", "INT8"), "expects 'FP32'"),
        (lambda one: one.inputs[0].shape.append(2), "unexpected shape"),
        (lambda one: one.inputs[0].shape.__setitem__(1, 5), "unexpected shape"),
        (lambda one: one.inputs[0].shape.__setitem__(0, -1), "unexpected shape"),
        (lambda one: one.inputs[0].shape.__setitem__(0, 33), "batch-size must be <= 32"),
        (lambda one: one.outputs.add(name="other"), "unexpected inference output 'other'"),
    ],
)
def test_a_request_that_the_model_does_not_take_is_refused(change: Any, said: str):
    asked = request(ROWS)
    change(asked)
    with pytest.raises(WrongRequest, match=said):
        made_up.answer(model(), asked)


def test_an_answer_that_would_be_vast_is_refused():
    vast = model('name: "m" max_batch_size: 0 output { name: "y" data_type: TYPE_FP32 dims: [100000, 100000] }')
    with pytest.raises(WrongRequest, match="at most"):
        made_up.answer(vast, _pb.ModelInferRequest(model_name="m"))


def test_metadata_has_the_batch_dimension():
    described = made_up.metadata(model())
    assert [(one.name, list(one.shape)) for one in described.inputs] == [("image", [-1, 4]), ("hint", [-1, 1])]


@pytest.mark.parametrize("how", list(Wrong))
def test_an_answer_is_wrong_in_the_one_way_that_is_asked_for(how: Wrong):
    right, wrong = (made_up.answer(model(), request(ROWS)) for _ in range(2))
    spoil(wrong, how)
    index = 0
    same_shape = list(wrong.outputs[index].shape) == list(right.outputs[index].shape)
    same_type = wrong.outputs[index].datatype == right.outputs[index].datatype
    assert (same_shape, same_type) == (how is not Wrong.SHAPE, how is not Wrong.DATATYPE)
    assert len(wrong.raw_output_contents[index]) == len(right.raw_output_contents[index])
    before = scores(right)
    after = np.frombuffer(wrong.raw_output_contents[index], "<f4").reshape(6, 3)
    if how is Wrong.NAN:
        assert np.isnan(after).all()
    elif how is Wrong.CONSTANT:
        assert len(np.unique(after)) == 1
    elif how is Wrong.PERMUTED:
        np.testing.assert_array_equal(after, np.roll(before, 1, axis=0))
    else:
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(
    ("datatype", "bits"), [("FP16", "<f2"), ("FP32", "<f4"), ("FP64", "<f8"), ("BF16", None), ("INT8", "i1")]
)
def test_nan_is_what_the_datatype_writes_for_it_and_no_integer_has_one(datatype: str, bits: str | None):
    content = bytes(16)
    answer = _pb.ModelInferResponse(raw_output_contents=[content])
    answer.outputs.add(name="y", datatype=datatype, shape=[2])
    spoil(answer, Wrong.NAN)
    found = answer.raw_output_contents[0]
    if datatype == "INT8":
        assert found == content
    elif bits is None:
        assert np.isnan((np.frombuffer(found, "<u2").astype("<u4") << 16).view("<f4")).all()
    else:
        assert np.isnan(np.frombuffer(found, bits)).all()


def test_an_execution_takes_its_base_and_each_row_and_some_jitter_that_its_seed_decides():
    model_of_time = Latency(base_ms=10, per_row_ms=2, jitter_ms=5)
    taken = [latency.seconds(model_of_time, 8, seed=1, number=number) for number in range(100)]
    assert taken == [latency.seconds(model_of_time, 8, seed=1, number=number) for number in range(100)]
    assert 0.026 <= min(taken) < max(taken) < 0.031
    assert latency.seconds(Latency(), 8, seed=1, number=0) == 0.0
