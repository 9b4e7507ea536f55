"""Which edges of a pipeline fit, and what the request and the answer then look like."""

import pytest
from headrace_runtime.pipelines.flow import Port, Signature, Unfit, flow
from headrace_runtime.pipelines.graph import (
    Combiner,
    Edge,
    GraphStep,
    Kind,
    ModelStep,
    Output,
    Pipeline,
    Source,
    Step,
)

SCORER = Signature((Port("features", "FP32", (4,)),), (Port("scores", "FP32", (3,)), Port("label", "INT64")))


def run(name, **inputs):
    edges = [Edge(taken, Source(*source.split("."))) for taken, source in inputs.items()]
    return Step(name, ModelStep(name), tuple(edges))


def combine(name, combiner, **inputs):
    return Step(name, combiner, run(name, **inputs).inputs)


def flowing(steps, members, **outputs):
    answered = tuple(Output(name, Source(*source.split("."))) for name, source in outputs.items())
    return flow(Pipeline(tuple(steps), answered), members, "p")


def refused(steps, members, **outputs):
    with pytest.raises(Unfit) as raised:
        flowing(steps, members, **outputs)
    return [(one.field, one.description) for one in raised.value.violations]


def test_the_contract_follows_from_the_edges():
    found = flowing(
        [run("a", features=".x"), run("b", features=".x")], {"a": SCORER, "b": SCORER}, s="a.scores", l="b.label"
    )
    assert found.inputs == (Port("x", "FP32", (4,)),)
    assert found.outputs == (Port("s", "FP32", (3,)), Port("l", "INT64"))


def test_of_two_shapes_of_one_input_the_narrower_counts():
    wide = Signature((Port("features", "FP32", (-1,)),), SCORER.outputs)
    found = flowing(
        [run("a", features=".x"), run("b", features=".x")], {"a": wide, "b": SCORER}, s="a.scores", t="b.scores"
    )
    assert found.inputs == (Port("x", "FP32", (4,)),)


def test_an_edge_of_another_datatype_is_refused_by_name():
    whole = Signature((Port("features", "INT64", (3,)),), (Port("y", "FP32"),))
    assert refused([run("a", features=".x"), run("b", features="a.scores")], {"a": SCORER, "b": whole}, y="b.y") == [
        (
            "p.steps[1].inputs[0]",
            "a.scores gives FP32 [3]; input 'features' of step 'b' takes INT64 [3]",
        )
    ]


def test_an_edge_of_another_shape_is_refused_by_name():
    ((field, told),) = refused(
        [run("a", features=".x"), run("b", features="a.scores")], {"a": SCORER, "b": SCORER}, y="b.label"
    )
    assert (field, "FP32 [3]" in told, "FP32 [4]" in told) == ("p.steps[1].inputs[0]", True, True)


def test_a_shape_that_varies_does_not_fit_a_fixed_one():
    varies = Signature((Port("features", "FP32", (4,)),), (Port("y", "FP32", (-1,)),))
    ((field, _),) = refused(
        [run("a", features=".x"), run("b", features="a.y")], {"a": varies, "b": SCORER}, y="b.label"
    )
    assert field == "p.steps[1].inputs[0]"


def test_unknown_tensors_are_refused_with_those_that_there_are():
    assert refused([run("a", pixels=".x")], {"a": SCORER}, y="a.nothing") == [
        ("p.steps[0].inputs[0]", "step 'a' has no input 'pixels'; it has: features"),
        ("p.steps[0].inputs", "nothing goes into input 'features' of step 'a'"),
        ("p.outputs[0]", "step 'a' gives no 'nothing'; it gives: label, scores"),
    ]


def test_an_optional_input_may_be_left_out():
    lenient = Signature((*SCORER.inputs, Port("bias", "FP32", (), optional=True)), SCORER.outputs)
    assert flowing([run("a", features=".x")], {"a": lenient}, y="a.label").inputs == (Port("x", "FP32", (4,)),)


def test_steps_that_disagree_about_an_input_of_the_request_are_refused():
    other = Signature((Port("features", "FP64", (4,)),), SCORER.outputs)
    ((field, told),) = refused(
        [run("a", features=".x"), run("b", features=".x")], {"a": SCORER, "b": other}, y="a.label", z="b.label"
    )
    assert (field, "p.steps[0].inputs[0]" in told) == ("p.steps[1].inputs[0]", True)


TWO = [run("a", features=".x"), run("b", features=".x")]


@pytest.mark.parametrize(
    ("combiner", "tensor", "gives"),
    [
        (Combiner(Kind.MEAN), "scores", [Port("output", "FP32", (3,))]),
        (Combiner(Kind.VOTE), "scores", [Port("output", "FP32", (3,)), Port("agreement", "FP32")]),
        (Combiner(Kind.VOTE), "label", [Port("output", "INT64"), Port("agreement", "FP32")]),
        (Combiner(Kind.STACK), "scores", [Port("output", "FP32", (6,))]),
        (Combiner(Kind.STACK), "label", [Port("output", "FP32", (2,))]),
        (Combiner(Kind.FIRST_GOOD), "label", [Port("output", "INT64")]),
    ],
)
def test_what_a_combiner_takes_and_gives_follows_from_its_inputs(combiner, tensor, gives):
    steps = [*TWO, combine("c", combiner, one=f"a.{tensor}", two=f"b.{tensor}")]
    found = flowing(steps, {"a": SCORER, "b": SCORER}, y="c.output").signatures["c"]
    assert list(found.outputs) == gives
    assert [port.name for port in found.inputs] == ["one", "two", "present"]
    assert found.inputs[-1] == Port("present", "BOOL", (2,))


@pytest.mark.parametrize(
    ("combiner", "one", "two"),
    [
        (Combiner(Kind.MEAN), "a.label", "b.label"),
        (Combiner(Kind.FIRST_GOOD), "a.scores", "b.label"),
        (Combiner(Kind.VOTE), "a.scores", "b.label"),
    ],
)
def test_what_cannot_be_combined_is_refused_by_its_edge(combiner, one, two):
    found = refused([*TWO, combine("c", combiner, one=one, two=two)], {"a": SCORER, "b": SCORER}, y="c.output")
    assert all(field.startswith("p.steps[2].inputs[") for field, _ in found)


def test_a_selector_is_a_text_of_the_request_or_a_whole_number_of_a_step():
    switch = Combiner(Kind.SWITCH, cases={"1": "one"}, default_input="two")
    by_request = [*TWO, combine("c", switch, one="a.scores", two="b.scores", selector=".which")]
    found = flowing(by_request, {"a": SCORER, "b": SCORER}, y="c.output")
    assert found.inputs[1] == Port("which", "BYTES")
    by_step = [*TWO, combine("c", switch, one="a.scores", two="b.scores", selector="a.label")]
    assert flowing(by_step, {"a": SCORER, "b": SCORER}, y="c.output").signatures["c"].inputs[2].datatype == "INT64"
    words = Combiner(Kind.SWITCH, cases={"de": "one"}, default_input="two")
    ((field, told),) = refused(
        [*TWO, combine("c", words, one="a.scores", two="b.scores", selector="a.label")],
        {"a": SCORER, "b": SCORER},
        y="c.output",
    )
    assert (field, told) == ("p.steps[2].inputs[2]", "a.label gives INT64 []: case 'de' is no INT64")


def test_nothing_can_stand_for_a_shape_that_varies():
    varies = Signature(SCORER.inputs, (Port("y", "FP32", (-1,)),))
    lenient = Step("a", GraphStep("g"), run("a", features=".x").inputs, soft_fail=True)
    ((field, _),) = refused([lenient], {"a": varies}, y="a.y")
    assert field == "p.steps[0].soft_fail"


def test_a_pipeline_takes_something_from_the_request():
    assert refused([Step("a", ModelStep("a"))], {"a": Signature((), SCORER.outputs)}, y="a.label") == [
        ("p", "no step takes anything from the request")
    ]
