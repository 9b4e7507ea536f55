"""Rows of a chunk: encoded as protobuf would, wrong ones blamed."""

import numpy as np
import pytest
from headrace.router.v1 import predict_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_router import stored_answers
from headrace_router.control.precomputed.decisions.rows import Chunk, Output, check, least_bytes, outputs_of
from headrace_router.datatypes import ELEMENT_BYTES
from headrace_servicekit.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.models.bytes_tensors import encoded_texts
from tests.kit.rows import each

DATATYPES = (*ELEMENT_BYTES, "BYTES")
# Any bits of these are values.
PLAIN = [name for name in ELEMENT_BYTES if not name.startswith(("FP", "BF", "BOOL"))]


@st.composite
def outputs_and_rows(draw) -> tuple[list[Output], list[int], list[list[bytes]]]:
    """Outputs, sizes of their open dimensions, and for each row the bytes of each output."""
    outputs, dims, sizes = [], [], []
    for number in range(draw(st.integers(1, 3))):
        shape = draw(st.lists(st.integers(-1, 3), max_size=2))
        actual = [draw(st.integers(0, 3)) if size < 0 else size for size in shape]
        dims += [size for size, wanted in zip(actual, shape, strict=True) if wanted < 0]
        outputs.append(Output(f"out-{number}", draw(st.sampled_from([*PLAIN, "BYTES"])), tuple(shape)))
        sizes.append(int(np.prod(actual, dtype=int)))
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        row = []
        for output, elements in zip(outputs, sizes, strict=True):
            if output.datatype == "BYTES":
                row.append(encoded_texts([draw(st.binary(max_size=5)) for _ in range(elements)]))
            else:
                size = elements * ELEMENT_BYTES[output.datatype]
                row.append(draw(st.binary(min_size=size, max_size=size)))
        rows.append(row)
    return outputs, dims, rows


def chunk_of(rows: list[list[bytes]], dims: list[int]) -> Chunk:
    columns = [b"".join(column) for column in zip(*rows, strict=True)]
    return Chunk(7, [f"entity-{row}" for row in range(len(rows))], columns, tuple(dims))


@given(outputs_and_rows(), st.data())
def test_a_row_is_encoded_as_protobuf_encodes_it(example, data) -> None:
    outputs, dims, rows = example
    begin = data.draw(st.integers(0, len(rows) - 1))
    encoded = check(outputs, chunk_of(rows, dims)).encode(begin, len(rows))
    assert len(encoded) == len(rows) - begin
    for row, found in zip(rows[begin:], encoded, strict=True):
        sizes = iter(dims)
        wanted = predict_pb2.PredictResponse(raw_output_contents=row)
        for output in outputs:
            shape = [1, *(next(sizes) if size < 0 else size for size in output.shape)]
            wanted.outputs.append(tensor_pb2.Tensor(name=output.name, datatype=output.datatype, shape=shape))
        assert found == wanted.SerializeToString()
        assert len(found) >= least_bytes(outputs)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.binary(max_size=9)), max_size=5), st.integers(0, 2**63))
def test_many_entries_are_encoded_as_each_alone_is(pairs, computed_at_ms: int) -> None:
    keys, outputs = [key for key, _ in pairs], [encoded for _, encoded in pairs]
    each = [stored_answers.encode(key, stored_answers.Entry(computed_at_ms, one)) for key, one in pairs]
    assert stored_answers.encode_all(keys, computed_at_ms, outputs) == each


@each(
    "output,column,says",
    [
        pytest.param(Output("y", "FP32", ()), np.array([0, np.nan], "<f4"), "row 8 (entity 'b') is NaN", id="FP32"),
        pytest.param(Output("y", "FP64", (2,)), np.array([0, 0, 0, np.nan], "<f8"), "row 8", id="last of a row"),
        pytest.param(Output("y", "FP16", ()), np.array([np.nan, 0], "<f2"), "row 7 (entity 'a') is NaN", id="FP16"),
        pytest.param(Output("y", "BF16", ()), np.array([0x7F80, 0xFFC0], "<u2"), "row 8", id="BF16, not its infinity"),
        pytest.param(Output("y", "BOOL", ()), np.array([1, 2], "u1"), "is neither 0 nor 1", id="BOOL"),
        pytest.param(Output("y", "BYTES", ()), np.frombuffer(b"\1\0\0\0x\2\0\0\0y", "u1"), "row 8", id="cut BYTES"),
        pytest.param(Output("y", "BYTES", ()), np.zeros(9, "u1"), "has 1 bytes after its 2 rows", id="more BYTES"),
        pytest.param(
            Output("y", "INT8", (3,)), np.zeros(5, "i1"), "5 bytes where 2 rows of INT8 [3] need 6", id="short"
        ),
    ],
)
def test_a_wrong_value_is_blamed_on_its_row(output: Output, column: np.ndarray, says: str) -> None:
    with pytest.raises(InvalidArgument) as wrong:
        check([output], Chunk(7, ["a", "b"], [column.tobytes()]))
    assert says in wrong.value.public_message
    assert [one.field for one in wrong.value.violations] == ["columns[0]"]


def test_nan_is_taken_where_the_contract_allows_it() -> None:
    nan = np.array([np.nan], "<f4").tobytes()
    assert check([Output("y", "FP32", (), nan_allowed=True)], Chunk(0, ["a"], [nan])).encode(0, 1)[0].endswith(nan)


def test_sizes_of_open_dimensions_are_asked_for_and_checked() -> None:
    output = Output("y", "INT8", (-1, 2))
    assert check([output], Chunk(0, ["a"], [bytes(6)], (3,))).encode(0, 1)
    for dims, says in (((), "leaves 1 dimensions open"), ((-3,), "negative"), ((2,), "need 4")):
        with pytest.raises(InvalidArgument, match=says):
            check([output], Chunk(0, ["a"], [bytes(6)], dims))


@each("datatype", DATATYPES)
def test_every_datatype_of_a_contract_is_known(datatype: str) -> None:
    contract = tensor_pb2.ServingContract(outputs=[tensor_pb2.TensorSpec(name="y", datatype=datatype, shape=[2])])
    assert outputs_of(contract) == (Output("y", datatype, (2,)),)


def test_a_datatype_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="FP8"):
        outputs_of(tensor_pb2.ServingContract(outputs=[tensor_pb2.TensorSpec(name="y", datatype="FP8")]))
