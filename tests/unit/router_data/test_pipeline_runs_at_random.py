"""Random pipelines answer the same bytes as the reference executor, whatever happens to their members."""

from __future__ import annotations

import functools
import math

import numpy as np
from headrace_router.data.pipelines.decisions.schedule import choose
from headrace_runtime.pipelines.graph import Combiner, Kind, ModelStep, Output, Pipeline, Source, Step
from headrace_servicekit.errors import Code
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.router.pipeline_runs import Behaviour, Composed, edges, member
from tests.kit.router.pipelines import execute

ROWS = np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4)
COUNTRIES = ("ch", "fr", "it", "")
COMBINERS = (Kind.MEAN, Kind.WEIGHTED, Kind.FIRST_GOOD, Kind.SWITCH)
TROUBLE = (
    Behaviour(),
    Behaviour(takes_s=math.inf, needs_s=0.01),
    Behaviour(needs_s=math.inf),
    Behaviour(takes_s=0.3),
    Behaviour(takes_s=0.3, needs_s=0.01),
    Behaviour(codes=(Code.UNAVAILABLE, 0)),
)
Drawn = tuple[Pipeline, dict[str, tuple[str, ...]]]


@st.composite
def pipelines(draw: st.DrawFn) -> Drawn:
    """Draw a pipeline, and the inputs of its models by name."""
    steps: list[Step] = []
    taken: dict[str, tuple[str, ...]] = {}
    tensors = [("", "x")]
    for number in range(draw(st.integers(1, 7))):
        name = f"s{number}"
        given_by_steps = [tensor for tensor in tensors if tensor[0]]
        soft = draw(st.booleans()) and draw(st.booleans())
        if len(given_by_steps) < 2 or draw(st.booleans()):
            sources = draw(st.lists(st.sampled_from(tensors), min_size=1, max_size=2))
            names = tuple(f"i{index}" for index in range(len(sources)))
            taken[name] = names
            runs: ModelStep | Combiner = ModelStep(name)
        else:
            sources = draw(st.lists(st.sampled_from(given_by_steps), min_size=2, max_size=4))
            names = tuple(f"v{index}" for index in range(len(sources)))
            runs = draw(combiners(names))
        wired = edges(*((one, *source) for one, source in zip(names, sources, strict=True)))
        steps.append(Step(name, runs, wired, soft_fail=soft))
        tensors.append((name, "output" if isinstance(runs, Combiner) else "y"))
    used = {edge.source.step for step in steps for edge in step.inputs}
    ends = [tensor for tensor in tensors if tensor[0] and tensor[0] not in used]
    outputs = tuple(Output(f"o{step}", Source(step, tensor)) for step, tensor in ends)
    return Pipeline(tuple(draw(st.permutations(steps))), outputs), taken


@st.composite
def combiners(draw: st.DrawFn, names: tuple[str, ...]) -> Combiner:
    kind = draw(st.sampled_from(COMBINERS))
    if kind is Kind.SWITCH:
        cases = {country: draw(st.sampled_from(names)) for country in COUNTRIES[:2]}
        return Combiner(kind, attribute="country", cases=cases, default_input=draw(st.sampled_from(names)))
    weights = tuple(draw(st.floats(0.5, 4)) for _ in names) if kind is Kind.WEIGHTED else ()
    return Combiner(kind, weights=weights, quorum=draw(st.integers(0, len(names))))


@functools.lru_cache(maxsize=64)
def composed(drawn: str) -> Composed:
    pipeline, taken = _DRAWN[drawn]
    return Composed(pipeline, {name: member(1.0 + at, *names) for at, (name, names) in enumerate(taken.items())})


_DRAWN: dict[str, Drawn] = {}


def built(drawn: Drawn) -> Composed:
    _DRAWN[repr(drawn)] = drawn
    return composed(repr(drawn))


@settings(max_examples=25, deadline=None)
@given(pipelines(), st.data())
def test_answers_are_those_of_the_reference_executor_whichever_steps_fail(drawn: Drawn, data: st.DataObject):
    made = built(drawn)
    names = [step.name for step in made.pipeline.steps]
    failing = frozenset(data.draw(st.sets(st.sampled_from(names))))
    country = data.draw(st.sampled_from(COUNTRIES))
    attributes = {"country": country} if country else {}
    expected = execute(made.pipeline, made.flow, made.runs, {"x": ROWS}, failing=failing, attributes=attributes)
    takes_s = {name: data.draw(st.sampled_from((0.001, 0.01, 0.05))) for name in names}
    behaviours = {name: Behaviour(takes_s[name], (Code.INTERNAL,) if name in failing else (0,)) for name in names}
    ended = made.asked({"x": ROWS}, behaviours=behaviours, attributes=attributes)
    assert ended.left_over == 0
    if expected.outputs is None:
        assert ended.outputs is None
        return
    assert ended.outputs is not None, ended.error
    assert {name: array.tobytes() for name, array in ended.outputs.items()} == {
        name: array.tobytes() for name, array in expected.outputs.items()
    }
    # The reference runs every step. Here those that only lead to inputs that the attribute does not select do not run,
    # and those whose outputs are of no use any more are withdrawn before it is known whether they would have failed.
    plan = made.served.pipeline
    assert plan is not None
    wanted = choose(plan, (), attributes).wanted
    ran = {step.name for step, is_wanted in zip(plan.steps, wanted, strict=True) if is_wanted}
    assert set(ended.missing) <= expected.failed & ran
    assert bool(ended.missing) == bool(expected.failed & ran)


@settings(max_examples=25, deadline=None)
@given(pipelines(), st.data())
def test_whatever_is_late_away_or_given_up_the_request_ends_by_its_deadline_and_leaves_nothing_behind(
    drawn: Drawn, data: st.DataObject
):
    made = built(drawn)
    names = [step.name for step in made.pipeline.steps]
    behaviours = {name: data.draw(st.sampled_from(TROUBLE)) for name in names}
    leaves = data.draw(st.sampled_from((None, 0.0, 0.005, 0.02, 0.3)))
    ended = made.asked({"x": ROWS}, deadline_s=0.5, behaviours=behaviours, cancel_at=leaves)
    assert ended.left_over == 0
    assert ended.took_s <= 0.5 + 1e-6
    assert ended.outputs is not None or ended.error is not None or leaves is not None
    if ended.outputs is not None:
        # The same as when the missing steps had failed at once.
        expected = execute(made.pipeline, made.flow, made.runs, {"x": ROWS}, failing=ended.missing)
        assert expected.outputs is not None
        for name, array in ended.outputs.items():
            assert array.tobytes() == expected.outputs[name].tobytes()
