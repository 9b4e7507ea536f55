"""Pipelines as one ONNX graph answer what they answer step by step, whatever the graph."""

import numpy as np
import onnx
import pytest
from headrace_runtime.pipelines import combiners, fusion, structure
from headrace_runtime.pipelines.flow import Port, Signature, flow
from headrace_runtime.pipelines.graph import (
    Combiner,
    Edge,
    GraphStep,
    Kind,
    Output,
    Pipeline,
    Source,
    Step,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tests.kit.models import onnx_models
from tests.kit.router.pipelines import execute, onnx_run

FILES = {
    "double": onnx_models.identity(3),
    "linear": onnx_models.linear(3, 3),
    "softmax": onnx_models.classifier(3, 3),
    "loop": onnx_models.slow(1, features=3),
}
VECTOR = (Port("x", "FP32", (3,)),)
SIGNATURES = {
    "double": (Signature(VECTOR, (Port("y", "FP32", (3,)),)), "x", "y"),
    "linear": (Signature((Port("features", "FP32", (3,)),), (Port("scores", "FP32", (3,)),)), "features", "scores"),
    "softmax": (
        Signature((Port("features", "FP32", (3,)),), (Port("label", "INT64"), Port("probabilities", "FP32", (3,)))),
        "features",
        "probabilities",
    ),
    "loop": (Signature(VECTOR, (Port("y", "FP32", (3,)),)), "x", "y"),
}
KINDS = [Kind.MEAN, Kind.WEIGHTED, Kind.VOTE, Kind.FIRST_GOOD]


@st.composite
def pipelines(draw) -> tuple[Pipeline, dict[str, str]]:
    """Return a random pipeline of vectors of three, and the file of each step that is no combiner."""
    steps: list[Step] = []
    files: dict[str, str] = {}
    for number in range(draw(st.integers(1, 8))):
        name = f"s{number}"
        earlier = [Source("", "input"), *(Source(one.name, _tensor(one, files)) for one in steps)]
        if number and draw(st.booleans()):
            count = draw(st.integers(1, 3))
            sources = [draw(st.sampled_from(earlier[1:])) for _ in range(count)]
            kind = draw(st.sampled_from(KINDS))
            weights = (
                tuple(draw(st.sampled_from([0.5, 1.0, 2.0])) for _ in range(count)) if kind is Kind.WEIGHTED else ()
            )
            edges = tuple(Edge(f"v{i}", source) for i, source in enumerate(sources))
            steps.append(Step(name, Combiner(kind, weights), edges))
        else:
            files[name] = draw(st.sampled_from(sorted(FILES)))
            _, taken, _ = SIGNATURES[files[name]]
            steps.append(Step(name, GraphStep(f"{name}.onnx"), (Edge(taken, draw(st.sampled_from(earlier))),)))
    outputs = tuple(Output(f"out-{one.name}", Source(one.name, _tensor(one, files))) for one in steps)
    return Pipeline(tuple(draw(st.permutations(steps))), outputs), files


def _tensor(step: Step, files: dict[str, str]) -> str:
    return "output" if isinstance(step.runs, Combiner) else SIGNATURES[files[step.name]][2]


def contents_of(pipeline: Pipeline, found, files: dict[str, str]) -> dict[str, bytes]:
    """Return the ONNX file of each step."""
    return {
        step.name: combiners.graph_of(step.runs, found.signatures[step.name])
        if isinstance(step.runs, Combiner)
        else FILES[files[step.name]].content
        for step in pipeline.steps
    }


@settings(max_examples=40, deadline=None)
@given(pipelines(), st.integers(1, 4))
def test_a_fused_pipeline_answers_the_same_bytes_as_its_steps(made, rows):
    pipeline, files = made
    assert structure.violations(pipeline, "p") == []
    found = flow(pipeline, {name: SIGNATURES[file][0] for name, file in files.items()}, "p")
    contents = contents_of(pipeline, found, files)
    request = {
        port.name: np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32) for port in found.inputs
    }
    stepwise = execute(pipeline, found, {name: onnx_run(content) for name, content in contents.items()}, request)
    whole = onnx_run(fusion.fused(pipeline, found, contents))(request)
    assert stepwise.outputs is not None
    for name, array in stepwise.outputs.items():
        np.testing.assert_allclose(whole[name], array, rtol=1e-5, atol=1e-6, err_msg=name)
        assert whole[name].dtype == array.dtype


def two(first: bytes, second: bytes) -> bytes:
    steps = (
        Step("a", GraphStep("a.onnx"), (Edge("x", Source("", "x")),)),
        Step("b", GraphStep("b.onnx"), (Edge("x", Source("a", "y")),)),
    )
    pipeline = Pipeline(steps, (Output("y", Source("b", "y")),))
    signature = Signature((Port("x", "FP32"),), (Port("y", "FP32"),))
    return fusion.fused(pipeline, flow(pipeline, {"a": signature, "b": signature}, "p"), {"a": first, "b": second})


def plus(opset: int) -> bytes:
    """Return a model that adds 1, by an operator set."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "one"], ["y"])],
        "plus",
        [value("x", TensorProto.FLOAT, ["rows"])],
        [value("y", TensorProto.FLOAT, ["rows"])],
        [helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()


def test_steps_of_different_operator_sets_become_one():
    whole = two(plus(13), plus(19))
    assert onnx_run(whole)({"x": np.array([1.0], np.float32)})["y"].tolist() == [3.0]


def test_other_operator_sets_must_be_the_same():
    with pytest.raises(fusion.NotFusible, match=r"steps 'a' and 'b' use ai.onnx.ml 2 and 3"):
        two(_with_ml(2), _with_ml(3))


def _with_ml(version: int) -> bytes:
    model = onnx.load_from_string(plus(17))
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", version))
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ({"pool": "cpu"}, "pool"),
        ({"timeout_ms": 5.0}, "timeout"),
        ({"retries": 1}, "retries"),
        ({"soft_fail": True}, "soft_fail"),
        ({"cache_ms": 5.0}, "cache_ttl"),
    ],
)
def test_what_asks_for_an_execution_of_its_own_is_not_fused(step, field):
    made = Step("a", GraphStep("a.onnx"), (Edge("x", Source("", "x")),), **step)
    (found,) = fusion.violations(Pipeline((made,), ()), "p")
    assert found.field == f"p.steps[0].{field}"


def test_a_quorum_and_an_attribute_are_not_fused():
    edges = (Edge("a", Source("s", "y")), Edge("b", Source("s", "y")))
    for combiner, field in [
        (Combiner(Kind.MEAN, quorum=1), "combiner.quorum"),
        (Combiner(Kind.SWITCH, attribute="country", cases={"x": "a"}, default_input="b"), "combiner.attribute"),
    ]:
        (found,) = fusion.violations(Pipeline((Step("c", combiner, edges),), ()), "p")
        assert found.field == f"p.steps[0].{field}"
    assert fusion.violations(Pipeline((Step("c", Combiner(Kind.MEAN, quorum=2), edges),), ()), "p") == []


def test_what_an_edge_brings_to_an_optional_input_stands_in_place_of_the_default_in_its_file():
    names = ["x", "offset"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 3]) for name in names]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])
    default = helper.make_tensor("offset", TensorProto.FLOAT, [1, 3], [100.0] * 3)
    graph = helper.make_graph([helper.make_node("Add", names, ["y"])], "add", inputs, [output], [default])
    adds = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    taken = (*VECTOR, Port("offset", "FP32", (3,), optional=True))
    signatures = {"double": SIGNATURES["double"][0], "add": Signature(taken, (Port("y", "FP32", (3,)),))}
    contents = {"double": FILES["double"].content, "add": adds}
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    for edges in ((), (Edge("offset", Source("double", "y")),)):
        steps = (
            Step("double", GraphStep("double.onnx"), (Edge("x", Source("", "x")),)),
            Step("add", GraphStep("add.onnx"), (Edge("x", Source("double", "y")), *edges)),
        )
        pipeline = Pipeline(steps, (Output("y", Source("add", "y")),))
        whole = onnx_run(fusion.fused(pipeline, flow(pipeline, signatures, "p"), contents))({"x": rows})
        doubled = onnx_run(contents["double"])({"x": rows})["y"]
        np.testing.assert_array_equal(whole["y"], doubled + (doubled if edges else 100.0))
