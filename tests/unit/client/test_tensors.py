"""numpy arrays become Open Inference Protocol tensors and come back."""

import ml_dtypes
import numpy as np
import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_client.errors import InvalidArgument
from headrace_client.tensors import (
    NUMPY_TYPES,
    BFloat16,
    decode,
    decode_outputs,
    encode,
    encode_inputs,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

SHAPES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)


@given(st.sampled_from(sorted(NUMPY_TYPES)).flatmap(lambda name: hnp.arrays(NUMPY_TYPES[name], SHAPES)))
def test_every_numpy_datatype_survives_the_way_there_and_back(array: np.ndarray) -> None:
    tensor, content = encode("x", array)
    returned = decode(tensor, content)
    assert returned.dtype == array.dtype
    np.testing.assert_array_equal(returned, array)


@given(hnp.arrays(object, SHAPES, elements=st.binary(max_size=9)))
def test_bytes_elements_survive_the_way_there_and_back(array: np.ndarray) -> None:
    tensor, content = encode("x", array)
    assert tensor.datatype == "BYTES"
    np.testing.assert_array_equal(decode(tensor, content), array)


def test_text_is_sent_as_utf8() -> None:
    tensor, content = encode("x", ["é", "b"])
    assert decode(tensor, content).tolist() == ["é".encode(), b"b"]


@given(hnp.arrays(np.float32, 8))
def test_bfloat16_rounds_as_ml_dtypes_does(array: np.ndarray) -> None:
    finite = np.nan_to_num(array)
    ours = encode("x", BFloat16(finite))
    theirs = encode("x", finite.astype(ml_dtypes.bfloat16))
    assert ours[0].datatype == theirs[0].datatype == "BF16"
    assert ours[1] == theirs[1]


def test_a_bfloat16_nan_stays_a_nan_and_its_values_come_back_as_float32() -> None:
    returned = decode(*encode("x", BFloat16(np.array([np.nan, np.inf, 1.0], np.float32))))
    assert returned.dtype == np.float32
    np.testing.assert_array_equal(returned, [np.nan, np.inf, 1.0])


def test_big_endian_and_strided_arrays_are_sent_little_endian_and_row_major() -> None:
    array = np.arange(6, dtype=">i4").reshape(2, 3).T
    tensor, content = encode("x", array)
    assert (tensor.datatype, list(tensor.shape)) == ("INT32", [3, 2])
    assert content == np.array([0, 3, 1, 4, 2, 5], "<i4").tobytes()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(np.float32(1), "scalar", id="a scalar has no rows"),
        pytest.param(np.array([1j]), "complex128", id="no datatype"),
        pytest.param([b"a", 1, None], "BYTES", id="mixed objects"),
    ],
)
def test_a_value_that_cannot_be_sent_is_refused_by_the_name_of_its_input(value: object, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words) as refused:
        encode_inputs({"image": value})  # pyright: ignore[reportArgumentType]
    assert refused.value.violations[0].field == "inputs.image"


def test_no_input_at_all_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no tensor"):
        encode_inputs({})


def test_an_answer_whose_contents_do_not_match_is_refused() -> None:
    tensor = tensor_pb2.Tensor(name="x", datatype="FP32", shape=[2])
    with pytest.raises(ValueError, match="describes 1 outputs and carries 0"):
        decode_outputs([tensor], [])
    with pytest.raises(ValueError, match="reshape"):
        decode(tensor, b"\0" * 4)


def test_the_datatypes_are_those_of_the_open_inference_protocol() -> None:
    protocol = "BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64 BYTES BF16"
    assert {*NUMPY_TYPES, "BF16", "BYTES"} == set(protocol.split())
