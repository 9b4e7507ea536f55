"""Rows of raw tensors: what goes in together comes out apart, byte for byte."""

import math

import numpy as np
import pytest
from headrace_runtime.contract import Contract, TensorSpec
from headrace_runtime.shapes import (
    FIXED,
    OutputTensor,
    ShapeKey,
    WrongInput,
    WrongOutput,
    check_inputs,
    join,
    layout_of,
    outputs_in_order,
    piece_rows,
    row_offsets,
    slice_output,
    slice_rows,
    split_inputs,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.models.bytes_tensors import encoded_texts

FEATURES = TensorSpec("features", "FP32", (4,))
NAMES = TensorSpec("names", "BYTES", (2,))
TOKENS = TensorSpec("tokens", "INT64", (-1,))
HINT = TensorSpec("hint", "FP32", (), optional=True)

counts = st.lists(st.integers(1, 9), min_size=1, max_size=8)
texts = st.binary(max_size=6)


@given(counts, st.integers(1, 5), st.sampled_from([1, 2, 4, 8]))
def test_joined_rows_of_fixed_size_are_cut_into_what_was_joined(rows, row_values, element_bytes):
    rng = np.random.default_rng(sum(rows))
    parts = [rng.bytes(count * row_values * element_bytes) for count in rows]
    (joined,) = join([[part] for part in parts])
    cut = slice_rows(joined, row_values, row_values * element_bytes, rows)
    assert [bytes(piece) for piece in cut] == parts


@given(st.lists(st.lists(st.tuples(texts, texts), min_size=1, max_size=4), min_size=1, max_size=5))
def test_joined_rows_of_bytes_are_cut_into_what_was_joined(requests):
    parts = [encoded_texts([value for row in request for value in row]) for request in requests]
    (joined,) = join([[part] for part in parts])
    cut = slice_rows(joined, 2, None, [len(request) for request in requests])
    assert [bytes(piece) for piece in cut] == parts


@given(st.integers(1, 500), st.integers(1, 64))
def test_pieces_are_full_but_the_last_and_together_the_whole(rows, max_rows):
    pieces = piece_rows(rows, max_rows)
    assert sum(pieces) == rows
    assert all(piece == max_rows for piece in pieces[:-1])
    assert 1 <= pieces[-1] <= max_rows
    assert len(pieces) == math.ceil(rows / max_rows)


@given(st.integers(1, 70), st.integers(1, 32))
def test_pieces_of_a_split_request_join_to_the_request(rows, max_rows):
    layout = layout_of(Contract((FEATURES, NAMES), ()), FIXED)
    numbers = np.arange(rows * 4, dtype=np.float32).tobytes()
    names = encoded_texts([str(at).encode() for at in range(rows * 2)])
    pieces = piece_rows(rows, max_rows)
    parts = split_inputs(layout, [numbers, names], pieces)
    for size, part in zip(pieces, parts, strict=True):
        check_inputs(layout, size, part)
    assert join(parts) == [numbers, names]


@pytest.mark.parametrize(
    ("key", "row_shapes"),
    [
        pytest.param(ShapeKey((), (7,)), ((4,), (7,), ()), id="every input present"),
        pytest.param(ShapeKey((2,), (3,)), ((4,), (3,)), id="an optional input left out"),
    ],
)
def test_a_layout_has_the_inputs_that_are_present_with_their_sizes(key, row_shapes):
    assert layout_of(Contract((FEATURES, TOKENS, HINT), ()), key).row_shapes == row_shapes


@pytest.mark.parametrize(
    ("key", "message", "position"),
    [
        pytest.param(ShapeKey((0,), (3,)), "input 'features' is missing", 0, id="a needed input left out"),
        pytest.param(ShapeKey((), ()), "variable dimension without size", 1, id="no size"),
        pytest.param(ShapeKey((), (1, 2)), "more sizes", None, id="too many sizes"),
        pytest.param(ShapeKey((9,), (1,)), "not one of the contract", None, id="no such input"),
    ],
)
def test_a_key_that_does_not_fit_the_contract_is_refused(key, message, position):
    with pytest.raises(WrongInput, match=message) as refused:
        layout_of(Contract((FEATURES, TOKENS, HINT), ()), key)
    assert refused.value.position == position


@pytest.mark.parametrize(
    ("rows", "inputs", "position"),
    [
        pytest.param(2, [bytes(31), encoded_texts([b"a"] * 4)], 0, id="too few bytes"),
        pytest.param(2, [bytes(32), encoded_texts([b"a"] * 3)], 1, id="too few texts"),
        pytest.param(2, [bytes(32), encoded_texts([b"a"] * 5)], 1, id="too many texts"),
        pytest.param(2, [bytes(32), encoded_texts([b"a"] * 4)[:-1]], 1, id="a text cut short"),
        pytest.param(2, [bytes(32)], None, id="an input short"),
        pytest.param(0, [b"", b""], None, id="no rows"),
    ],
)
def test_inputs_that_would_shift_the_rows_of_others_are_refused(rows, inputs, position):
    with pytest.raises(WrongInput) as refused:
        check_inputs(layout_of(Contract((FEATURES, NAMES), ()), FIXED), rows, inputs)
    assert refused.value.position == position


def test_a_length_beyond_the_data_is_refused():
    with pytest.raises(ValueError, match="does not end"):
        row_offsets(b"\xff\xff\xff\xffabc", 1, 1)


CONTRACT = Contract((), (TensorSpec("scores", "FP32", (2,)), TensorSpec("label", "INT64", ())))
SCORES = OutputTensor("scores", "FP32", (3, 2), bytes(24))
LABEL = OutputTensor("label", "INT64", (3,), bytes(24))


def test_outputs_come_in_the_order_of_the_contract():
    assert outputs_in_order(CONTRACT, 3, [LABEL, SCORES]) == [SCORES, LABEL]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        pytest.param([SCORES], "output 'label' is missing", id="missing"),
        pytest.param(
            [SCORES, OutputTensor("label", "INT32", (3,), b"")], "'label' is INT32, declared INT64", id="datatype"
        ),
        pytest.param([SCORES, OutputTensor("label", "INT64", (2,), b"")], "for 3 rows", id="rows"),
        pytest.param([SCORES, OutputTensor("label", "INT64", (3, 1), b"")], r"declared \[\]", id="row shape"),
    ],
)
def test_an_output_that_is_not_as_declared_is_named(outputs, message):
    with pytest.raises(WrongOutput, match=message):
        outputs_in_order(CONTRACT, 3, outputs)


def test_an_output_whose_bytes_do_not_fit_its_shape_is_named():
    with pytest.raises(WrongOutput, match="'scores'"):
        slice_output(OutputTensor("scores", "FP32", (3, 2), bytes(23)), [1, 2])
