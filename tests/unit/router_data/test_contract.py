import io

import pytest
from headrace.tensor.v1 import tensor_pb2
from headrace_router.data.tables.contract import (
    ANY_LENGTH,
    MAX_BYTES_ELEMENTS,
    Contract,
    Layout,
    Spec,
    bytes_fault,
    check,
    check_contents,
    contract_of,
    select,
)
from headrace_router.data.tables.served import MAX_LAYOUTS, ServedVersion
from headrace_router.datatypes import ELEMENT_BYTES
from headrace_servicekit.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.models.bytes_tensors import encoded_texts
from tests.kit.rows import each

USER, ITEM = Spec("user", "FP32", (3,)), Spec("item", "INT64", ())
WORDS = Spec("words", "BYTES", (-1,), optional=True)
CONTRACT = Contract((USER, ITEM, WORDS), (Spec("score", "FP32", (1,)), Spec("label", "INT64", ())))


def violations(described, contract=CONTRACT, max_rows=8):
    with pytest.raises(InvalidArgument) as caught:
        check(contract, described, max_rows)
    assert caught.value.reason == "CONTRACT_VIOLATED"
    return [(one.field, one.description) for one in caught.value.violations]


def test_inputs_may_come_in_any_order():
    layout = check(CONTRACT, (("item", "INT64", 2), ("user", "FP32", 2, 3)), 8)
    assert layout == Layout(2, (1, 0), (2,), (), (16, 24), (2, 6), in_order=False, size_bytes=40)


def test_variable_dimensions_are_told_in_the_order_of_the_contract():
    layout = check(CONTRACT, (("user", "FP32", 1, 3), ("item", "INT64", 1), ("words", "BYTES", 1, 7)), 8)
    assert (layout.dims, layout.absent, layout.in_order) == ((7,), (), True)
    assert layout.lengths == (12, 8, ANY_LENGTH)


GOOD = {"user": ("user", "FP32", 1, 3), "item": ("item", "INT64", 1)}


@each(
    "described,field,told",
    [
        pytest.param((), "inputs", "'user' is missing", id="nothing"),
        pytest.param((GOOD["user"],), "inputs", "'item' is missing", id="missing"),
        pytest.param((GOOD["user"], ("item", "INT32", 1)), "inputs[1].datatype", "is INT32, not INT64", id="datatype"),
        pytest.param((GOOD["user"], ("item", "", 1)), "inputs[1].datatype", "without datatype", id="no datatype"),
        pytest.param((GOOD["user"], ("item", "INT64", 1, 1)), "inputs[1].shape", "not [rows]", id="rank"),
        pytest.param((("user", "FP32", 1, 4), GOOD["item"]), "inputs[0].shape", "not [rows, 3]", id="size"),
        pytest.param((("user", "FP32"), GOOD["item"]), "inputs[0].shape", "[], not [rows, 3]", id="no shape"),
        pytest.param((("user", "FP32", 0, 3), ("item", "INT64", 0)), "inputs[0].shape", "0 rows", id="no rows"),
        pytest.param((("user", "FP32", 9, 3), ("item", "INT64", 9)), "inputs[0].shape", "at most 8", id="many rows"),
        pytest.param((("user", "FP32", -1, 3), GOOD["item"]), "inputs[0].shape", "-1 rows", id="negative rows"),
        pytest.param((("user", "FP32", 2, 3), GOOD["item"]), "inputs[1].shape", "1 rows, 'user' has 2", id="differ"),
        pytest.param((*GOOD.values(), ("age", "FP32", 1)), "inputs[2].name", "unknown input 'age'", id="unknown"),
        pytest.param((*GOOD.values(), GOOD["item"]), "inputs[1].name", "given 2 times", id="twice"),
        pytest.param((*GOOD.values(), ("words", "BYTES", 1, -2)), "inputs[2].shape", "negative", id="negative size"),
        pytest.param(
            (*GOOD.values(), ("words", "BYTES", 1, MAX_BYTES_ELEMENTS + 1)), "inputs[2].shape", "split", id="many texts"
        ),
    ],
)
def test_what_breaks_the_contract_is_named(described, field, told):
    found = violations(described)
    assert any(one == field and told in description for one, description in found), found


def test_all_violations_are_told_at_once():
    found = violations((("user", "FP64", 1, 3), ("age", "FP32", 1)))
    assert [field for field, _ in found] == ["inputs[0].datatype", "inputs[1].name", "inputs"]


def test_lengths_of_contents_are_checked_without_reading_them():
    described = (("user", "FP32", 2, 3), ("item", "INT64", 2))
    layout = check(CONTRACT, described, 8)
    check_contents(layout, described, (bytes(24), bytes(16)))
    with pytest.raises(InvalidArgument) as caught:
        check_contents(layout, described, (bytes(23), bytes(15)))
    assert [one.field for one in caught.value.violations] == ["raw_input_contents[0]", "raw_input_contents[1]"]
    assert "23 bytes where datatype and shape need 24" in caught.value.public_message


@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_contents_as_inputs_are_needed(count):
    described = (("user", "FP32", 1, 3), ("item", "INT64", 1))
    layout = check(CONTRACT, described, 8)
    with pytest.raises(InvalidArgument, match="raw_input_contents"):
        check_contents(layout, described, (bytes(12),) * count)


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_well_formed_bytes_pass_and_no_prefix_or_extension_does(items):
    content = encoded_texts(items)
    assert bytes_fault(content, len(items)) == ""
    assert bytes_fault(content + b"\0", len(items))
    assert bytes_fault(content, len(items) + 1)
    if content:
        assert bytes_fault(content[:-1], len(items))


@given(st.binary(max_size=64), st.integers(0, 8))
def test_any_bytes_are_right_exactly_if_what_is_read_of_them_is_all_of_them(content, elements):
    stream = io.BytesIO(content)
    read = [stream.read(int.from_bytes(stream.read(4), "little")) for _ in range(elements)]
    written = encoded_texts(read)
    assert (bytes_fault(content, elements) == "") == (written == content)


@st.composite
def contracts(draw):
    """A contract of one to three inputs."""
    names = draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True))
    sizes = st.lists(st.sampled_from([-1, 1, 2, 5]), max_size=3)
    datatypes = st.sampled_from(sorted(ELEMENT_BYTES))
    specs = [Spec(name, draw(datatypes), tuple(draw(sizes)), optional=draw(st.booleans())) for name in names]
    return Contract(tuple(specs), (Spec("y", "FP32", ()),))


@given(contract=contracts(), data=st.data())
def test_a_request_made_from_the_contract_keeps_it_whatever_its_order(contract, data):
    rows = data.draw(st.integers(1, 8))
    present = [spec for spec in contract.inputs if not spec.optional or data.draw(st.booleans())] or contract.inputs
    described = []
    for spec in data.draw(st.permutations(present)):
        shape = [data.draw(st.integers(0, 4)) if size == -1 else size for size in spec.shape]
        described.append((spec.name, spec.datatype, rows, *shape))
    layout = check(contract, tuple(described), 8)
    in_contract_order = [described[index] for index in layout.order]
    names = [spec.name for spec in contract.inputs]
    assert [one[0] for one in in_contract_order] == sorted((one[0] for one in described), key=names.index)
    assert {names[position] for position in layout.absent} == set(names) - {one[0] for one in described}
    check_contents(layout, tuple(described), [bytes(length) for length in layout.lengths])


@given(contract=contracts(), data=st.data())
def test_a_request_that_is_not_made_from_the_contract_is_judged_and_never_crashes(contract, data):
    name, datatype = st.sampled_from("abcdefg"), st.sampled_from(["FP32", "INT64", "BYTES", "", "FP33"])
    one = st.tuples(name, datatype, st.integers(-(2**63), 2**63 - 1), st.integers(-2, 6))
    described = tuple(data.draw(st.lists(one, max_size=4)))
    try:
        rows, violations = check(contract, described, 8).rows, ()
    except InvalidArgument as error:
        rows, violations = 0, error.violations
    assert bool(violations) != (1 <= rows <= 8)


def test_layouts_are_kept_and_bounded():
    served = ServedVersion("m", "v1", "d", "s", Contract((Spec("x", "FP32", (-1,)),), (Spec("y", "FP32", ()),)))
    assert served.layout((("x", "FP32", 1, 1),), 8) is served.layout((("x", "FP32", 1, 1),), 8)
    for size in range(MAX_LAYOUTS + 50):
        served.layout((("x", "FP32", 1, size),), 8)
    assert len(served.layouts) == MAX_LAYOUTS


def test_a_selection_of_outputs_follows_the_contract():
    assert select(CONTRACT, ("label", "score", "label")) == (0, 1)
    with pytest.raises(InvalidArgument, match=r"outputs\[1\]: unknown output 'scores'"):
        select(CONTRACT, ("label", "scores"))


@pytest.mark.parametrize(
    ("proto", "told"),
    [
        pytest.param(tensor_pb2.ServingContract(), "at least one", id="empty"),
        pytest.param(
            tensor_pb2.ServingContract(
                inputs=[tensor_pb2.TensorSpec(name="x", datatype="FP33")], outputs=[tensor_pb2.TensorSpec(name="y")]
            ),
            "unknown datatype",
            id="datatype",
        ),
        pytest.param(
            tensor_pb2.ServingContract(
                inputs=[tensor_pb2.TensorSpec(name="x", datatype="FP32")],
                outputs=[tensor_pb2.TensorSpec(name="y", datatype="FP32")],
                prediction="z",
            ),
            "not an output",
            id="prediction",
        ),
    ],
)
def test_contracts_that_cannot_be_served_are_refused(proto, told):
    with pytest.raises(ValueError, match=told):
        contract_of(proto)
