"""What is refused of a pipeline before anything is known of its members, and the order of steps."""

from headrace_runtime.pipelines import structure
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
    levels,
)

from tests.kit.rows import each


def step(name, *sources, runs=None, **fields):
    """Return a step whose inputs are called after where they come from."""
    edges = [Edge(f"from-{source or 'request'}", Source(source, "x")) for source in sources]
    return Step(name, runs or ModelStep("digits"), tuple(edges), **fields)


def pipeline(*steps, answers=None):
    return Pipeline(steps, (Output("y", Source(answers or steps[-1].name, "y")),))


def wrong(made):
    return [(one.field, one.description) for one in structure.violations(made, "p")]


def test_steps_come_in_levels_after_what_they_take_tensors_from():
    made = pipeline(step("last", "b", "c"), step("b", "a"), step("c", ""), step("a", ""), answers="last")
    assert [[one.name for one in level] for level in levels(made)] == [["c", "a"], ["b"], ["last"]]
    assert wrong(made) == []


def test_a_cycle_is_refused_with_its_edge_and_its_steps():
    made = pipeline(step("a", "", "c"), step("b", "a"), step("c", "b"), step("d", "c"))
    assert wrong(made) == [("p.steps[0].inputs[1]", "steps wait for each other: a ← c ← b ← a")]


def test_a_step_that_waits_for_itself_is_a_cycle():
    assert wrong(pipeline(step("a", "", "a"))) == [("p.steps[0].inputs[1]", "steps wait for each other: a ← a")]


def test_of_two_cycles_both_are_told():
    made = pipeline(step("a", "b"), step("b", "a"), step("c", "d"), step("d", "c"))
    assert [field for field, _ in wrong(made)] == ["p.steps[0].inputs[0]", "p.steps[2].inputs[0]"]


def test_a_hundred_steps_are_taken_and_one_more_is_refused():
    chain = [step("s0", ""), *(step(f"s{number}", f"s{number - 1}") for number in range(1, 101))]
    assert wrong(pipeline(*chain[:100])) == []
    assert wrong(pipeline(*chain)) == [("p.steps", "101 steps; at most 100")]


def test_a_step_that_leads_nowhere_is_refused():
    assert wrong(pipeline(step("a", ""), step("b", ""))) == [("p.steps[0]", "step 'a' leads to no output")]


@each(
    "made,field,told",
    [
        (Pipeline((), ()), "p.steps", "is empty"),
        (pipeline(step("a", "nobody")), "p.steps[0].inputs[0].source.step", "there is no step 'nobody'; there are: a"),
        (pipeline(step("a", ""), step("a", "")), "p.steps[1].name", "'a' appears twice"),
        (pipeline(step("a", "", "")), "p.steps[0].inputs[1].input", "input 'from-request' of step 'a' appears twice"),
        (pipeline(step("A b", "")), "p.steps[0].name", "'A b' must be lower-case words joined by single hyphens"),
        (pipeline(step("a")), "p.steps[0].inputs", "step 'a' takes nothing"),
        (pipeline(step("a", "", retries=4)), "p.steps[0].retries", "4 is not between 0 and 3"),
        (pipeline(step("a", "", timeout_ms=0.0)), "p.steps[0].timeout", "0 ms is not between 0 and 10 minutes"),
        (pipeline(step("a", "", cache_ms=0.0)), "p.steps[0].cache_ttl", "0 ms is not between 1 ms and a week"),
        (
            pipeline(step("a", "", runs=GraphStep("g.onnx"), cache_ms=5.0)),
            "p.steps[0].cache_ttl",
            "only the output of a model is cached; step 'a' runs none",
        ),
        (pipeline(step("a", "", runs=GraphStep(""))), "p.steps[0].graph", None),
        (Pipeline((step("a", ""),), (Output("y", Source("", "x")),)), "p.outputs[0].source.step", None),
    ],
)
def test_what_is_wrong_is_named(made, field, told):
    found = dict(wrong(made))
    assert field in found
    assert told is None or found[field] == told


SOURCE = step("a", "")


def combined(combiner, *inputs):
    edges = tuple(Edge(name, Source("a", "y")) for name in inputs)
    return pipeline(SOURCE, Step("c", combiner, edges))


@each(
    "made,field",
    [
        (combined(Combiner(Kind.MEAN, quorum=3), "a", "b"), "p.steps[1].combiner.quorum"),
        (combined(Combiner(Kind.MEAN, weights=(1.0, 2.0)), "a", "b"), "p.steps[1].combiner.weights"),
        (combined(Combiner(Kind.WEIGHTED), "a", "b"), "p.steps[1].combiner.weights"),
        (combined(Combiner(Kind.WEIGHTED, weights=(1.0, 0.0)), "a", "b"), "p.steps[1].combiner.weights"),
        (combined(Combiner(Kind.WEIGHTED, weights=(1.0, float("nan"))), "a", "b"), "p.steps[1].combiner.weights"),
        (combined(Combiner(Kind.MEAN, cases={"x": "a"}), "a"), "p.steps[1].combiner.cases"),
        (combined(Combiner(Kind.MEAN), "present"), "p.steps[1].inputs[0].input"),
        (combined(Combiner(Kind.SWITCH, attribute="country", default_input="a"), "a"), "p.steps[1].combiner.cases"),
        (combined(Combiner(Kind.SWITCH, cases={"x": "a"}, default_input="a"), "a"), "p.steps[1].combiner.attribute"),
        (
            combined(Combiner(Kind.SWITCH, attribute="c", cases={"x": "b"}, default_input="a"), "a"),
            "p.steps[1].combiner.cases[x]",
        ),
        (
            combined(Combiner(Kind.SWITCH, attribute="c", cases={"x": "a"}), "a"),
            "p.steps[1].combiner.default_input",
        ),
    ],
)
def test_combiners_that_cannot_combine_are_refused(made, field):
    assert field in dict(wrong(made))


def test_an_input_that_no_case_selects_is_refused():
    switch = Combiner(Kind.SWITCH, attribute="country", cases={"de": "a"}, default_input="a")
    assert wrong(combined(switch, "a", "b")) == [("p.steps[1].combiner.cases", "no case selects input 'b'")]
