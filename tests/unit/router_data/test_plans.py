"""Plans of pipelines: what a table must say, and what is made of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from headrace.registry.v1 import pipeline_pb2
from headrace.router.v1 import control_pb2
from headrace_router.data.tables.served import REQUEST, Plan
from headrace_router.data.tables.table import table_of
from headrace_runtime.pipelines.graph import Combiner, Kind, ModelStep, Output, Pipeline, Source, Step

from tests.kit.router.fake_control import table
from tests.kit.router.pipeline_runs import Composed, edges, member
from tests.kit.rows import each

PIPELINE = Pipeline(
    (
        Step("all", Combiner(Kind.MEAN, quorum=1), edges(("a", "a", "y"), ("b", "b", "y"))),
        Step("b", ModelStep("b"), edges(("x", "a", "y")), pool="cpu", timeout_ms=50.0, retries=2),
        Step("a", ModelStep("a"), edges(("x", "", "x"))),
    ),
    (Output("scores", Source("all", "output")), Output("first", Source("a", "y"))),
)
VERSION = Composed(PIPELINE, {"a": member(1.0), "b": member(2.0)}).version


def plan_of(version: control_pb2.ResolvedVersion) -> Plan:
    made = next(iter(table_of(table("ensemble", [version]), {}).named())).served.pipeline
    assert made is not None
    return made


def test_steps_come_behind_those_that_they_take_from_and_say_what_they_take_by_position():
    a, b, both = plan_of(VERSION).steps
    assert [step.name for step in (a, b, both)] == ["a", "b", "all"]
    assert (a.takes[0].step, b.takes[0].step, [take.step for take in both.takes]) == (REQUEST, 0, [0, 1])
    assert (b.pool, b.timeout_s, b.retries) == ("cpu", 0.05, 2)
    assert (both.voters, both.needed, both.present) == ((0, 1), 1, 2)
    assert plan_of(VERSION).outputs == ((2, 0), (0, 0))


def _cycle(version: control_pb2.ResolvedVersion) -> None:
    version.pipeline.steps[2].inputs[0].source.step = "b"


def _unknown_member(version: control_pb2.ResolvedVersion) -> None:
    del version.members[0]


def _unknown_tensor(version: control_pb2.ResolvedVersion) -> None:
    version.pipeline.steps[1].inputs[0].source.tensor = "z"


def _unknown_input(version: control_pb2.ResolvedVersion) -> None:
    version.pipeline.steps[1].inputs[0].input = "z"


def _no_default(version: control_pb2.ResolvedVersion) -> None:
    combiner = version.pipeline.steps[0].combiner
    combiner.kind, combiner.attribute = pipeline_pb2.Combiner.KIND_SWITCH, "country"
    combiner.cases["ch"] = "a"


def _twice(version: control_pb2.ResolvedVersion) -> None:
    version.pipeline.steps[1].name = "a"


def _no_output(version: control_pb2.ResolvedVersion) -> None:
    version.pipeline.outputs[0].name = "other"


def _no_step(version: control_pb2.ResolvedVersion) -> None:
    version.pipeline.outputs[0].source.step = "nobody"


def _no_steps(version: control_pb2.ResolvedVersion) -> None:
    del version.pipeline.steps[:]


def _too_many(version: control_pb2.ResolvedVersion) -> None:
    for number in range(100):
        version.pipeline.steps.add(name=f"s{number}").CopyFrom(version.pipeline.steps[2])


@each("spoil,told", [
        (_cycle, "can never begin"), (_unknown_member, "not among the members"), (_unknown_tensor, "unknown"),
        (_unknown_input, "unknown"), (_twice, "same name"), (_no_output, "no step gives output 'scores'"),
        (_no_default, "names inputs that it does not have"),
        (_no_step, "no step gives"), (_no_steps, "0 steps"), (_too_many, "103 steps"),
    ])  # fmt: skip
def test_a_pipeline_that_could_not_be_run_is_refused(spoil: Callable[..., None], told: str):
    spoiled = control_pb2.ResolvedVersion()
    spoiled.CopyFrom(VERSION)
    spoil(spoiled)
    with pytest.raises(ValueError, match=told):
        plan_of(spoiled)
