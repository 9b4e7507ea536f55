"""What the ONNX graphs of combiners answer, with all inputs and with some that are missing."""

import itertools

import numpy as np
import onnx
import pytest
from headrace_runtime.pipelines import combiners
from headrace_runtime.pipelines.flow import Port, Signature, Unfit, flow
from headrace_runtime.pipelines.graph import Combiner, Edge, GraphStep, Kind, Output, Pipeline, Source, Step
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.router.pipelines import NUMPY, onnx_run

KINDS = [kind for kind in Kind if kind is not Kind.SWITCH]


def signature_of(combiner, ports, selector=None):
    """Return what a combiner takes and gives whose inputs are such tensors. Raises Unfit."""
    taken = {port.name: port for port in (*ports, *([selector] if selector else []))}
    sources = [Step(f"s{i}", GraphStep("g"), (Edge("x", Source("", "x")),)) for i in range(len(taken))]
    edges = [Edge(name, Source(one.name, "y")) for name, one in zip(taken, sources, strict=True)]
    members = {
        one.name: Signature((Port("x", "FP32"),), (Port("y", port.datatype, port.shape),))
        for one, port in zip(sources, taken.values(), strict=True)
    }
    made = Pipeline((*sources, Step("c", combiner, tuple(edges))), (Output("y", Source("c", "output")),))
    return flow(made, members, "p").signatures["c"]


def run(combiner, arrays, present, selector=None):
    """Return what a combiner answers."""
    names = {np.dtype(kind).type: name for name, kind in NUMPY.items()}

    def port(name, array):
        return Port(name, names[array.dtype.type], array.shape[1:])

    ports = [port(f"v{i}", array) for i, array in enumerate(arrays)]
    signature = signature_of(combiner, ports, port("selector", selector) if selector is not None else None)
    content = combiners.graph_of(combiner, signature)
    onnx.checker.check_model(content)
    rows = len(arrays[0])
    told = {f"v{i}": array for i, array in enumerate(arrays)} | {"present": np.tile(np.array(present), (rows, 1))}
    return onnx_run(content)(told | ({"selector": selector} if selector is not None else {}))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3)], ids=str)
def test_a_combiner_runs_for_every_datatype_that_it_takes(kind, shape):
    rng, taken = np.random.default_rng(0), []
    for datatype, numpy in NUMPY.items():
        combiner = Combiner(kind, weights=(1.0, 2.0, 0.5) if kind is Kind.WEIGHTED else ())
        try:
            signature = signature_of(combiner, [Port(name, datatype, shape) for name in "abc"])
        except Unfit:
            continue
        texts = datatype == "BYTES"
        arrays = [
            rng.choice(["x", "y"], (4, *shape)).astype(object)
            if texts
            else rng.integers(0, 2, (4, *shape)).astype(numpy)
            for _ in range(3)
        ]
        answered = run(combiner, arrays, [True, True, False])
        for port in signature.outputs:
            assert answered[port.name].shape == (4, *port.shape)
            assert answered[port.name].dtype == NUMPY[port.datatype]
        taken.append(datatype)
    assert taken or kind is Kind.VOTE


def test_the_mean_is_that_of_those_present():
    arrays = [np.full((2, 3), value, np.float32) for value in (1.0, 3.0, 99.0)]
    for present in itertools.product([True, False], repeat=3):
        if any(present):
            there = [array for array, is_there in zip(arrays, present, strict=True) if is_there]
            given_in = [array * is_there for array, is_there in zip(arrays, present, strict=True)]
            np.testing.assert_allclose(run(Combiner(Kind.MEAN), given_in, present)["output"], np.mean(there, axis=0))


def test_weights_count_relative_to_those_present():
    arrays = [np.array([[1.0]], np.float64), np.array([[5.0]], np.float64), np.array([[0.0]], np.float64)]
    answered = run(Combiner(Kind.WEIGHTED, weights=(3.0, 1.0, 7.0)), arrays, [True, True, False])
    np.testing.assert_allclose(answered["output"], [[2.0]], rtol=1e-12)


def test_most_votes_win_and_of_equal_ones_the_first():
    votes = [np.array(column) for column in ([7, 1], [8, 2], [8, 3])]
    answered = run(Combiner(Kind.VOTE), votes, [True] * 3)
    assert answered["output"].tolist() == [8, 1]
    np.testing.assert_allclose(answered["agreement"], [2 / 3, 1 / 3], rtol=1e-6)


def test_an_absent_voter_does_not_win_with_what_stands_for_it():
    votes = [np.array(["", ""], object), np.array(["cat", ""], object), np.array(["dog", ""], object)]
    answered = run(Combiner(Kind.VOTE), votes, [False, True, True])
    assert answered["output"].tolist() == ["cat", ""]
    np.testing.assert_allclose(answered["agreement"], [0.5, 1.0])


def test_votes_by_score_give_the_share_of_each_class():
    scores = [np.array([[0.9, 0.1, 0.0]], np.float32), np.array([[0.2, 0.3, 0.5]], np.float32)]
    answered = run(Combiner(Kind.VOTE, weights=(3.0, 1.0)), scores, [True, True])
    np.testing.assert_allclose(answered["output"], [[0.75, 0.0, 0.25]])
    np.testing.assert_allclose(answered["agreement"], [0.75])


def test_a_stack_is_all_values_of_a_row_side_by_side():
    answered = run(Combiner(Kind.STACK), [np.array([[1, 2], [3, 4]]), np.array([5.5, 6.5])], [True, True])
    assert answered["output"].tolist() == [[1, 2, 5.5], [3, 4, 6.5]]


def test_the_first_good_is_present_and_finite_row_by_row():
    first = np.array([[1.0, np.nan], [2.0, 3.0], [np.inf, 0.0]])
    second = np.array([[4.0, 5.0], [6.0, 7.0], [np.nan, 0.0]])
    answered = run(Combiner(Kind.FIRST_GOOD), [first, second], [True, True])
    np.testing.assert_array_equal(answered["output"], [[4.0, 5.0], [2.0, 3.0], [np.inf, 0.0]])
    answered = run(Combiner(Kind.FIRST_GOOD), [np.zeros_like(first), second], [False, True])
    np.testing.assert_array_equal(answered["output"][:2], second[:2])


@pytest.mark.parametrize("selector", [np.array([1, 2, 9]), np.array(["1", "2", "9"], object)], ids=["INT64", "BYTES"])
def test_a_selector_selects_for_each_row(selector):
    switch = Combiner(Kind.SWITCH, cases={"1": "v0", "2": "v1"}, default_input="v2")
    arrays = [np.full((3, 2), value, np.float16) for value in (10, 20, 30)]
    assert run(switch, arrays, [True] * 3, selector)["output"][:, 0].tolist() == [10, 20, 30]


def test_an_attribute_selects_by_what_is_present():
    switch = Combiner(Kind.SWITCH, attribute="country", cases={"de": "v0"}, default_input="v1")
    arrays = [np.array(["", ""], object), np.array(["x", "y"], object)]
    assert run(switch, arrays, [False, True])["output"].tolist() == ["x", "y"]


def test_the_same_combiner_has_the_same_bytes():
    signature = signature_of(Combiner(Kind.VOTE), [Port(name, "BYTES") for name in "ab"])
    assert combiners.graph_of(Combiner(Kind.VOTE), signature) == combiners.graph_of(Combiner(Kind.VOTE), signature)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=1, max_size=5), st.data())
def test_a_vote_is_what_counting_says(columns, data):
    present = data.draw(st.lists(st.booleans(), min_size=len(columns), max_size=len(columns)).filter(any))
    votes = [np.array(column) * there for column, there in zip(columns, present, strict=True)]
    answered = run(Combiner(Kind.VOTE), votes, present)
    for row in range(3):
        cast = [int(vote[row]) for vote, there in zip(votes, present, strict=True) if there]
        assert answered["output"][row] == max(cast, key=lambda label: (cast.count(label), -cast.index(label)))
        np.testing.assert_allclose(answered["agreement"][row], max(map(cast.count, cast)) / len(cast), rtol=1e-5)
