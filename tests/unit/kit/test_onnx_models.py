"""The tiny models answer what they say: the tests of everybody else lean on it."""

import time

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.kit.models import onnx_models
from tests.kit.rows import each

RNG = np.random.default_rng(7)
EVERY = {
    f"x-{name}": np.array([[0, 1]], dtype)
    for name, dtype in {
        "bool": "?", "fp16": "f2", "fp32": "f4", "fp64": "f8", "int8": "i1", "int16": "i2", "int32": "i4",
        "int64": "i8", "uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8",
    }.items()
} | {"x-bytes": np.array([["a", ""]], object)}  # fmt: skip


@each(
    "model,given",
    [
        pytest.param(onnx_models.linear(4, 3), {"features": RNG.normal(size=(5, 4)).astype(np.float32)}, id="linear"),
        pytest.param(
            onnx_models.classifier(4, 3), {"features": RNG.normal(size=(5, 4)).astype(np.float32)}, id="classifier"
        ),
        pytest.param(onnx_models.identity(2), {"x": RNG.normal(size=(3, 2)).astype(np.float32)}, id="identity"),
        pytest.param(
            onnx_models.identity(2, element=onnx.TensorProto.STRING),
            {"x": np.array([["a", "b"], ["c", ""]], dtype=object)},
            id="text",
        ),
        pytest.param(
            onnx_models.two_inputs_two_outputs(),
            {name: RNG.normal(size=(5, 3)).astype(np.float32) for name in "ab"},
            id="two",
        ),
        pytest.param(onnx_models.variable_dimension(), {"tokens": np.array([[1, 0, -3], [0, 0, 9]])}, id="variable"),
        pytest.param(onnx_models.every_element(), EVERY, id="every"),
        pytest.param(onnx_models.table(), {"index": np.array([0, 7, 3])}, id="table"),
        pytest.param(onnx_models.slow(3), {"x": RNG.normal(size=(2, 4)).astype(np.float32)}, id="slow"),
    ],
)
def test_a_tiny_model_answers_what_it_promises(model, given):
    session = onnxruntime.InferenceSession(model.content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    answered = {name: np.asarray(array) for name, array in zip(names, session.run(None, given), strict=True)}
    expected = model.expected(given)
    assert [spec.name for spec in model.contract.outputs] == names
    for name in names:
        assert answered[name].shape == expected[name].shape
        if answered[name].dtype == object:
            assert (answered[name] == expected[name]).all()
        else:
            np.testing.assert_allclose(answered[name], expected[name], rtol=1e-5, atol=1e-5)


def test_the_table_fails_for_an_index_beyond_it():
    session = onnxruntime.InferenceSession(onnx_models.table(4).content, providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match="indices"):
        session.run(None, {"index": np.array([1, 4])})


def test_more_rounds_take_longer():
    def seconds(rounds: int) -> float:
        session = onnxruntime.InferenceSession(onnx_models.slow(rounds).content, providers=["CPUExecutionProvider"])
        given = {"x": np.ones((1, 4), dtype=np.float32)}
        session.run(None, given)
        start = time.perf_counter()
        session.run(None, given)
        return time.perf_counter() - start

    assert seconds(400) > 5 * seconds(4)
