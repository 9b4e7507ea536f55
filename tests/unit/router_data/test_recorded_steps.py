"""What the prediction log is told of a pipeline's members: as their own, sampled like the request, and no secrets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from headrace.router.v1 import control_pb2, route_pb2
from headrace.telemetry.v1 import telemetry_pb2
from headrace_router.data.answer.answer import Answer, ServedFrom
from headrace_router.data.reporting.decisions.batches import Batch
from headrace_router.data.reporting.decisions.recorder import Record, Recorder, new_drops
from headrace_router.data.request.request import ResolvedRequest
from headrace_router.data.tables.contract import Layout
from headrace_router.data.tables.served import RecordedStep
from headrace_router.data.tables.table import Table, table_of
from headrace_runtime.pipelines.graph import Combiner, GraphStep, Kind, ModelStep, Output, Pipeline, Source, Step
from headrace_servicekit.errors import Code

from tests.kit.monitor.fake_ingest import Recorded, recorded
from tests.kit.router.fake_control import table
from tests.kit.router.pipeline_runs import Behaviour, Composed, edges, member
from tests.kit.router.recording import answered, encoded

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)
# A graph normalises what two models take; one of them takes the request as it came, too.
PIPELINE = Pipeline(
    (
        Step("normalise", GraphStep("n.onnx"), edges(("x", "", "x"))),
        Step("small", ModelStep("small"), edges(("x", "normalise", "y"))),
        Step("large", ModelStep("large"), edges(("x", "normalise", "y"), ("z", "", "z"))),
        Step("mean", Combiner(Kind.MEAN, quorum=1), edges(("s", "small", "y"), ("l", "large", "y"))),
    ),
    (Output("scores", Source("mean", "output")),),
)
ENSEMBLE = Composed(PIPELINE, {"normalise": member(0.1), "small": member(1.0), "large": member(2.0, "x", "z")})


def steps_of(version: control_pb2.ResolvedVersion) -> dict[str, RecordedStep]:
    """Return the steps that are recorded, by name."""
    return recorded_steps(table_of(table("ensemble", [version]), {}))


def recorded_steps(among: Table) -> dict[str, RecordedStep]:
    plan = next(iter(among.named())).served.pipeline
    assert plan is not None
    return {step.name: step.recorded for step in plan.steps if step.recorded is not None}


def where_sensitive(*places: tuple[str, str, str]) -> dict[str, RecordedStep]:
    """Return the recorded steps when tensors are sensitive."""
    return steps_of(with_sensitive(*places))


def with_sensitive(*places: tuple[str, str, str]) -> control_pb2.ResolvedVersion:
    """Return the pipeline with sensitive tensors. places: (step or "" for the pipeline, side, tensor)."""
    version = control_pb2.ResolvedVersion()
    version.CopyFrom(ENSEMBLE.version)
    digests = {step.name: step.digest for step in version.pipeline.steps}
    contracts = {one.digest: one.contract for one in version.members} | {"": version.contract}
    for step, side, tensor in places:
        contract = contracts[digests[step] if step else ""]
        next(spec for spec in getattr(contract, side) if spec.name == tensor).sensitive = True
    return version


def hidden(steps: dict[str, RecordedStep]) -> dict[str, tuple[set[str], set[str]]]:
    return {name: (set(one.hidden_inputs), set(one.hidden_outputs)) for name, one in steps.items()}


def test_models_are_recorded_and_what_the_pipeline_has_of_its_own_is_not():
    found = steps_of(ENSEMBLE.version)
    assert {name: one.pipeline for name, one in found.items()} == {"small": "ensemble/v1", "large": "ensemble/v1"}
    assert hidden(found) == {"small": (set(), set()), "large": (set(), set())}


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        pytest.param(("", "inputs", "z"), {"small": ((), ()), "large": (("z",), ())}, id="taken as it came"),
        pytest.param(("", "inputs", "x"), {"small": (("x",), ()), "large": (("x",), ())}, id="through a graph"),
        pytest.param(("", "outputs", "scores"), {"small": ((), ("y",)), "large": ((), ("y",))}, id="combined"),
        pytest.param(("small", "outputs", "y"), {"small": ((), ("y",)), "large": ((), ("y",))}, id="of one voter"),
        pytest.param(("small", "inputs", "x"), {"small": (("x",), ()), "large": (("x",), ())}, id="of one member"),
    ],
)
def test_what_one_part_calls_sensitive_is_so_wherever_it_goes(place, expected):
    found = hidden(where_sensitive(place))
    assert found == {name: (set(inputs), set(outputs)) for name, (inputs, outputs) in expected.items()}


@pytest.mark.parametrize(
    ("place", "inputs", "outputs"),
    [
        pytest.param(("small", "inputs", "x"), {"z"}, {"scores"}, id="taken through a graph"),
        pytest.param(("large", "inputs", "z"), {"x"}, {"scores"}, id="taken as it came"),
        pytest.param(("small", "outputs", "y"), {"x", "z"}, set(), id="combined"),
    ],
)
def test_what_a_member_calls_sensitive_is_not_in_the_pipelines_own_record_either(place, inputs, outputs):
    among = table_of(table("ensemble", [with_sensitive(place)]), {})
    given = {name: ("FP32", [1, 4], ROWS[:1].tobytes()) for name in ("x", "z")}
    scores = {"scores": ("FP32", [1, 4], ROWS[:1].tobytes())}
    recorder, batch = Recorder(1 << 30, new_drops(), lambda: None), Batch()
    recorder.add(*answered(among, inputs=given, outputs=scores))
    batch.add([Record._make(one) for one in recorder.take(1.0).records], 1.0, 1.7e9)
    (seen,) = recorded(telemetry_pb2.ReportPredictionsRequest.FromString(batch.encoded()).batch)
    assert (set(seen.inputs), {one.name for one in seen.outputs.outputs}) == (inputs, outputs)


def test_attributes_that_are_called_like_what_a_member_calls_sensitive_are_in_no_record():
    version = with_sensitive(("large", "inputs", "x"))
    for contract in (one.contract for one in version.members):
        for spec in contract.inputs:
            if spec.sensitive:
                spec.columns.extend(("income", "b", "c", "d"))
    among = table_of(table("ensemble", [version]), {})
    attributes = {"Income": "9000", "country": "AT"}
    given = {name: ("FP32", [1, 4], ROWS[:1].tobytes()) for name in ("x", "z")}
    recorder, batch = Recorder(1 << 30, new_drops(), lambda: None), Batch()
    recorder.add(*answered(among, inputs=given, attributes=attributes))
    add(recorder, recorded_steps(among)["small"], attributes=attributes)
    batch.add([Record._make(one) for one in recorder.take(1.0).records], 1.0, 1.7e9)
    seen = recorded(telemetry_pb2.ReportPredictionsRequest.FromString(batch.encoded()).batch)
    assert [one.attributes for one in seen] == ["country=AT", "country=AT"]


def add(recorder: Recorder, step: RecordedStep, **asked: Any) -> ResolvedRequest:
    """Record what a step computed for one row; return the request."""
    resolved, _ = answered(**asked)
    content = ROWS[:1].tobytes()
    layout = step.served.layout(tuple((spec.name, "FP32", 1, 4) for spec in step.served.contract.inputs), 1024)
    answer = Answer(
        encoded({"y": ("FP32", [1, 4], content)}),
        ServedFrom.ONLINE,
        step.served,
        queue_us=3,
        compute_us=4,
        request_id="request-1",
        prediction_id="01890a5d-ac96-774b-bcce-b302099a8057",
        took_s=0.25,
    )
    recorder.add_step(step, resolved, layout, [content] * len(layout.order), answer, 10.0)
    return resolved


def read(step: RecordedStep, **asked: Any) -> Recorded:
    """Return what the monitor reads of one execution of a step."""
    recorder, batch = Recorder(1 << 30, new_drops(), lambda: None), Batch()
    add(recorder, step, **asked)
    batch.add([Record._make(one) for one in recorder.take(1.0).records], 1.0, 1.7e9)
    (one,) = recorded(telemetry_pb2.ReportPredictionsRequest.FromString(batch.encoded()).batch)
    return one


def test_what_a_member_computes_is_recorded_as_the_members_and_names_pipeline_and_step():
    step = steps_of(ENSEMBLE.version)["large"]
    seen = read(step, user="ann", attributes={"country": "AT"})
    group = seen.group
    assert (group.model, group.version, group.digest) == ("large", "v1--large", step.served.digest)
    assert (group.pipeline, group.step, group.variant, group.rule) == ("ensemble/v1", "large", "", "")
    assert (seen.unit, seen.attributes, seen.request_id) == ("ann", "country=AT", "request-1")
    assert (seen.total_us, seen.queue_us, seen.compute_us) == (250_000, 3, 4)
    assert (seen.inputs, seen.rows) == ({"x": ROWS[:1].tobytes(), "z": ROWS[:1].tobytes()}, 1)
    assert list(seen.outputs.raw_output_contents) == [ROWS[:1].tobytes()]


def test_a_step_is_told_with_the_route_that_each_request_came_under():
    """A version keeps its steps from one table of the route to the next."""
    before, after = table("ensemble", [ENSEMBLE.version]), table("ensemble", [ENSEMBLE.version])
    before.generation, before.unit = 3, route_pb2.Route.UNIT_USER
    after.generation, after.unit = 4, route_pb2.Route.UNIT_REQUEST
    old = table_of(before, {})
    new = table_of(after, {one.digest: one for one in old.served_versions()})
    step = recorded_steps(old)["small"]
    assert recorded_steps(new)["small"] is step
    layout, batch = step.served.layout((("x", "FP32", 1, 4),), 10), Batch()
    answer = Answer(encoded({"y": ("FP32", [1], b"\0" * 4)}), ServedFrom.ONLINE, step.served)
    answer.request_id, answer.prediction_id = "request-1", "0" * 32
    inputs = [ROWS[:1].tobytes()]
    batch.add([Record(one, step, layout, inputs, "ann", "", {}, 0.0, answer) for one in (old, new)], 1.0, 0.0)
    seen = recorded(telemetry_pb2.ReportPredictionsRequest.FromString(batch.encoded()).batch)
    assert [(one.group.generation, one.unit) for one in seen] == [(3, "ann"), (4, "request-1")]


def test_a_request_belongs_to_no_pipeline():
    batch = Batch()
    recorder = Recorder(1 << 30, new_drops(), lambda: None)
    recorder.add(*answered())
    batch.add([Record._make(one) for one in recorder.take(1.0).records], 1.0, 1.7e9)
    (one,) = recorded(telemetry_pb2.ReportPredictionsRequest.FromString(batch.encoded()).batch)
    assert (one.group.pipeline, one.group.step) == ("", "")


def test_what_is_sensitive_in_the_pipeline_stays_here():
    seen = read(where_sensitive(("", "inputs", "z"))["large"], attributes={"Z": "secret", "country": "AT"})
    assert (set(seen.inputs), seen.attributes) == ({"x"}, "country=AT")
    assert not read(where_sensitive(("", "outputs", "scores"))["small"]).outputs.outputs


def test_a_unit_is_in_or_out_with_all_that_its_steps_computed():
    step = steps_of(ENSEMBLE.version)["small"]
    recorder = Recorder(1 << 30, new_drops(), lambda: None)
    recorder.take(0.25)
    users = [f"user-{at}" for at in range(400)]
    for user in users:
        add(recorder, step, user=user)
        recorder.add(*answered(user=user))
    kept = [Record._make(one) for one in recorder.take(1.0).records]
    by_step = {one.user_id for one in kept if isinstance(one.variant, RecordedStep)}
    assert by_step == {one.user_id for one in kept if not isinstance(one.variant, RecordedStep)}
    assert 40 < len(by_step) < 200


def test_steps_take_of_the_same_room_and_are_dropped_with_the_rest_and_only_predictions_are_counted():
    dropped, step = new_drops(), steps_of(ENSEMBLE.version)["small"]
    recorder = Recorder(10_000, dropped, lambda: None)
    for _ in range(50):
        add(recorder, step)
        recorder.add(*answered())
    assert recorder.size_bytes <= 10_000
    kept = recorder.take(1.0).records
    predictions = sum(not isinstance(one[1], RecordedStep) for one in kept)
    assert len(kept) < 50
    assert dropped["BUFFER_FULL"] + predictions == 50


def test_a_batch_tells_how_many_predictions_are_in_it_beside_steps():
    recorder, batch = Recorder(1 << 20, new_drops(), lambda: None), Batch()
    add(recorder, steps_of(ENSEMBLE.version)["small"])
    recorder.add(*answered())
    batch.add(recorder.take(1.0).records, 1.0, 0.0)
    assert (batch.count, batch.predictions) == (2, 1)


def test_each_execution_of_a_model_is_recorded_once_however_often_it_was_tried():
    pipeline = Pipeline(
        (Step("a", ModelStep("a"), edges(("x", "", "x")), retries=2),), (Output("y", Source("a", "y")),)
    )
    ended = Composed(pipeline, {"a": member(2.0)}).asked(
        {"x": ROWS}, behaviours={"a": Behaviour(codes=(Code.INTERNAL, 0))}
    )
    assert ended.executed == ["a", "a"]
    assert [(step, layout.rows, inputs) for step, layout, inputs in ended.recorded] == [("a", 2, [ROWS.tobytes()])]


def test_of_members_that_fail_or_come_too_late_nothing_is_recorded():
    asked = ENSEMBLE.asked(
        {"x": ROWS, "z": ROWS}, deadline_s=0.5, behaviours={"large": Behaviour(takes_s=5.0, needs_s=0.01)}
    )
    assert (asked.missing, [step for step, *_ in asked.recorded]) == (("large",), ["small"])
    assert isinstance(asked.recorded[0][1], Layout)
    np.testing.assert_allclose(np.frombuffer(asked.recorded[0][2][0], np.float32), ROWS.ravel() * np.float32(0.1))


def test_copies_for_a_shadow_are_not_recorded():
    assert ENSEMBLE.asked({"x": ROWS, "z": ROWS}, copy=True).recorded == []
