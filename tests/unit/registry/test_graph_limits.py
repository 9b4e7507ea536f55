"""A graph is as large as what a loader makes of it, and a loop has a bound."""

import time

import onnx
import pytest
from headrace_registry.artifacts import graph_limits
from headrace_registry.artifacts.graph_limits import MAX_NODES, MAX_RUNS, Size, TooLargeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, inliner, numpy_helper

from tests.kit.hostile import slow_models
from tests.kit.models import onnx_models


def parsed(model: onnx_models.TinyModel) -> onnx.ModelProto:
    return onnx.load_from_string(model.content)


def loop_of(model: onnx.ModelProto) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == "Loop")


def test_a_billion_laughs_are_counted_at_once_and_refused():
    model = parsed(slow_models.billion_laughs())
    began = time.process_time()
    with pytest.raises(TooLargeError, match=f"more than {MAX_NODES} nodes once its functions"):
        graph_limits.check(model)
    assert time.process_time() - began < 0.5


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5))
def test_the_count_is_what_the_reference_inliner_leaves_and_the_calls(levels: int, width: int):
    model = parsed(slow_models.billion_laughs(levels, width))
    calls = sum(width**level for level in range(levels))
    assert graph_limits.check(model).nodes - calls == len(inliner.inline_local_functions(model).graph.node)


def test_functions_that_nothing_calls_count_too():
    model = parsed(slow_models.billion_laughs())
    model.graph.node[0].op_type, model.graph.node[0].domain = "Identity", ""
    with pytest.raises(TooLargeError, match="nodes"):
        graph_limits.check(model)


def test_a_function_that_calls_itself_is_refused():
    model = parsed(slow_models.billion_laughs(2, 1))
    model.functions[1].node[0].op_type, model.functions[1].node[0].domain = "f0", model.functions[0].domain
    with pytest.raises(TooLargeError, match="calls itself"):
        graph_limits.check(model)


def test_nodes_of_a_loop_are_executed_as_often_as_it_goes_round():
    assert graph_limits.check(parsed(onnx_models.slow(7))) == Size(nodes=8, runs=6 + 7 * 2)


@pytest.mark.parametrize("how", ["initializer", "raw", "constant", "constant int"])
def test_a_loop_with_too_many_rounds_is_refused_however_the_number_is_written(how: str):
    model = parsed(onnx_models.slow(MAX_RUNS))
    (rounds,) = [one for one in model.graph.initializer if one.name == "rounds"]
    value = numpy_helper.to_array(rounds).item()
    if how == "initializer":
        rounds.CopyFrom(helper.make_tensor("rounds", TensorProto.INT64, [], [value]))
    elif how.startswith("constant"):
        model.graph.initializer.remove(rounds)
        node = helper.make_node("Constant", [], ["rounds"])
        name, given = ("value_int", value) if how == "constant int" else ("value", rounds)
        node.attribute.append(helper.make_attribute(name, given))
        model.graph.node.insert(0, node)
    with pytest.raises(TooLargeError, match="lower trip counts"):
        graph_limits.check(model)


def test_a_loop_without_a_trip_count_is_refused():
    model = parsed(onnx_models.slow(7))
    loop_of(model).input[0] = ""
    with pytest.raises(TooLargeError, match="without a trip count"):
        graph_limits.check(model)


def test_a_trip_count_that_is_computed_from_the_inputs_is_taken():
    assert graph_limits.check(parsed(onnx_models.as_long_as_asked())).nodes < 20
