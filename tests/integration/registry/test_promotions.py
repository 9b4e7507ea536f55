"""What a promotion asks: gates relative to production and on measured values, and a signature that callers can keep."""

from dataclasses import replace

import pytest
from headrace.registry.v1 import registry_pb2
from headrace.tensor.v1 import tensor_pb2
from headrace_servicekit.errors import Code
from headrace_servicekit.identity import CLIENT_HEADER, FRONT_DOOR_HEADER, MODELS_HEADER

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.models import onnx_models
from tests.kit.registry.service import Registry

Gate = registry_pb2.PromotionGate
MEASURED, REPORTED = registry_pb2.Metric.SOURCE_MEASURED, registry_pb2.Metric.SOURCE_REPORTED


async def set_gates(registry: Registry, *gates: registry_pb2.PromotionGate) -> registry_pb2.Model:
    model = registry_pb2.Model(name="models/digits", promotion_policy=registry_pb2.PromotionPolicy(gates=gates))
    return (await registry.stub.UpdateModel(registry_pb2.UpdateModelRequest(model=model), timeout=20)).model


async def measure(registry: Registry, version: registry_pb2.ModelVersion, process: str = "batcher/a", **values: float):
    request = registry_pb2.RecordMeasuredMetricsRequest(
        name=version.name,
        digest=version.digest,
        metrics=[registry_pb2.Metric(name=name, value=value) for name, value in values.items()],
        source_process=process,
    )
    return (await registry.stub.RecordMeasuredMetrics(request, timeout=20)).version


async def test_relative_gates_come_back_as_they_were_declared(registry):
    await registry.register("digits", "v1")
    gates = [
        Gate(metric="a", minimum_delta=-0.01),
        Gate(metric="a", maximum_delta=0.5),
        Gate(metric="a", minimum_ratio=0.9, measured_only=True),
        Gate(metric="a", maximum_ratio=1.2),
    ]
    assert list((await set_gates(registry, *gates)).promotion_policy.gates) == gates


@pytest.mark.parametrize(
    ("gates", "field"),
    [
        pytest.param([Gate(metric="a", maximum_ratio=0.0)], "bound", id="a ratio of nothing"),
        pytest.param([Gate(metric="a", minimum_ratio=-1.0)], "bound", id="a negative ratio"),
        pytest.param([Gate(metric="a", minimum_delta=float("nan"))], "minimum_delta", id="no number"),
        pytest.param([Gate(metric="a")], "bound", id="no bound"),
        pytest.param([Gate(metric="a", minimum_delta=0.0)] * 2, "metric", id="the same bound twice"),
    ],
)
async def test_gates_that_say_nothing_are_refused(registry, gates, field):
    await registry.register("digits", "v1")
    error = await refused(set_gates(registry, *gates))
    assert error.code is Code.INVALID_ARGUMENT
    assert error.violations[0].field == f"model.promotion_policy.gates[{len(gates) - 1}].{field}"


async def test_a_version_worse_than_production_is_refused_with_every_violation(registry):
    await registry.register("digits", "v1", metrics={"accuracy": 0.97, "latency_p99_ms": 10.0})
    await set_gates(
        registry, Gate(metric="accuracy", minimum_delta=-0.01), Gate(metric="latency_p99_ms", maximum_ratio=1.2)
    )
    await registry.promote("digits", "v1")  # nothing to compare with: relative gates are met
    await registry.register("digits", "v2", metrics={"accuracy": 0.95, "latency_p99_ms": 13.0})
    error = await refused(registry.promote("digits", "v2"))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "PROMOTION_GATE_FAILED")
    assert [(violation.field, "0.97" in violation.description) for violation in error.violations] == [
        ("gates.accuracy", True),
        ("gates.latency_p99_ms", False),
    ]
    await registry.register("digits", "v3", metrics={"accuracy": 0.96, "latency_p99_ms": 12.0})
    assert (await registry.promote("digits", "v3")).model.production_version == "v3"


async def test_what_is_measured_stands_beside_what_was_reported_and_decides(registry):
    version = await registry.register("digits", "v1", metrics={"accuracy": 0.95, "latency_p99_ms": 4.0})
    before = await registry.model("digits")
    measured = await measure(registry, version, latency_p99_ms=250.0, parity=1.0)
    assert [(metric.name, metric.value, metric.source) for metric in measured.metrics] == [
        ("accuracy", 0.95, REPORTED),
        ("latency_p99_ms", 4.0, REPORTED),
        ("latency_p99_ms", 250.0, MEASURED),
        ("parity", 1.0, MEASURED),
    ]
    assert measured.digest == version.digest
    after = await registry.model("digits")
    assert (after.epoch, after.etag) == (before.epoch, before.etag)
    error = await refused(registry.promote("digits", "v1"))
    assert [violation.description for violation in error.violations] == [
        "latency_p99_ms is 250 (measured) and must be <= 100"
    ]
    await measure(registry, version, latency_p99_ms=8.0)
    assert (await registry.promote("digits", "v1", etag=before.etag)).model.production_version == "v1"
    # A measurement is no part of what was registered: the same registration again is still the same.
    assert (await registry.register("digits", "v1", metrics={"accuracy": 0.95, "latency_p99_ms": 4.0})).stage


async def test_a_gate_on_measured_values_waits_for_them(registry):
    version = await registry.register("digits", "v1")
    await set_gates(registry, Gate(metric="latency_p99_ms", maximum=100, measured_only=True))
    error = await refused(registry.promote("digits", "v1"))
    assert "no measured latency_p99_ms" in error.violations[0].description
    await measure(registry, version, latency_p99_ms=3.0)
    await registry.promote("digits", "v1")


async def test_a_gate_may_lack_what_a_rollout_measures_and_only_a_service_may_say_so(registry):
    await registry.register("digits", "v1")
    await set_gates(registry, Gate(metric="latency_p99_ms", maximum=100, measured_only=True))
    later = {"measured_later": ["latency_*"], "rollout": "rollouts/1", "validate_only": True}
    await registry.promote("digits", "v1", **later)
    assert (await refused(registry.promote("digits", "v1", **{**later, "measured_later": []}))).violations
    for wrong in ({**later, "validate_only": False}, {**later, "measured_later": ["x"] * 101}):
        error = await refused(registry.promote("digits", "v1", **wrong))
        assert (error.code, error.violations[0].field) == (Code.INVALID_ARGUMENT, "measured_later")


async def test_the_same_measurement_again_changes_nothing_and_the_record_keeps_every_other(registry):
    version = await registry.register("digits", "v1")

    async def recorded() -> list[tuple[str, float, str]]:
        request = registry_pb2.ListMeasurementsRequest(parent=version.name)
        found = (await registry.stub.ListMeasurements(request, timeout=20)).measurements
        return [(one.metric.name, one.metric.value, one.source_process) for one in found]

    await measure(registry, version, p99=5.0)
    await measure(registry, version, "batcher/b", p99=6.0)
    repeated = await measure(registry, version, p99=5.0)
    assert [metric.value for metric in repeated.metrics if metric.source == MEASURED] == [6.0]
    assert await recorded() == [("p99", 6.0, "batcher/b"), ("p99", 5.0, "batcher/a")]
    await measure(registry, version, p99=5.5)
    assert (await recorded())[0] == ("p99", 5.5, "batcher/a")


async def test_a_measurement_of_something_else_is_refused(registry):
    version = await registry.register("digits", "v1")
    other = registry_pb2.ModelVersion(name=version.name, digest="0" * 64)
    error = await refused(measure(registry, other, p99=5.0))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "DIGEST_MISMATCH")
    missing = registry_pb2.ModelVersion(name="models/digits/versions/v9", digest=version.digest)
    assert await reason_of(measure(registry, missing, p99=5.0)) == "VERSION_NOT_FOUND"
    for values, process in (({}, "p"), ({"p99": float("inf")}, "p"), ({"p99": 1.0}, ""), ({"": 1.0}, "p")):
        assert (await refused(measure(registry, version, process, **values))).code is Code.INVALID_ARGUMENT


async def test_a_measurement_wakes_watches(registry):
    version = await registry.register("digits", "v1")
    watch = registry.stub.WatchModels(registry_pb2.WatchModelsRequest(), timeout=30)
    messages = aiter(watch)
    while not (await anext(messages)).snapshot_complete:
        pass
    await measure(registry, version, p99=5.0)
    seen = await anext(messages)
    assert [metric.name for metric in seen.versions[0].metrics if metric.source == MEASURED] == ["p99"]
    watch.cancel()


def changed(file: onnx_models.TinyModel, **inputs: dict) -> tensor_pb2.ServingContract:
    """Return the contract of a file with other values for some of its tensors' fields."""
    contract = tensor_pb2.ServingContract()
    contract.CopyFrom(file.contract)
    for spec in (*contract.inputs, *contract.outputs):
        for field, value in inputs.get(spec.name, {}).items():
            setattr(spec, field, value)
    return contract


async def test_a_version_that_breaks_callers_is_refused_with_a_diff(registry):
    await registry.register("digits", "v1", onnx_models.linear(4, 3))
    await registry.promote("digits", "v1")
    await registry.register("digits", "v2", onnx_models.linear(5, 3))
    error = await refused(registry.promote("digits", "v2"))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "SIGNATURE_INCOMPATIBLE")
    (violation,) = error.violations
    assert violation.field.startswith("signature.inputs.")
    assert "[4] to [5]" in violation.description
    assert (await registry.model("digits")).production_version == "v1"


async def test_a_break_that_is_allowed_is_recorded_in_the_history(registry):
    await registry.register("digits", "v1", onnx_models.linear(4, 3))
    await registry.promote("digits", "v1")
    await registry.register("digits", "v2", onnx_models.linear(5, 3))
    await registry.promote("digits", "v2", allow_incompatible_signature=True, reason="all callers moved")
    events = await registry.events("digits")
    assert [list(event.signature_breaks) for event in events][1:] == [[]] * (len(events) - 1)
    (broken,) = events[0].signature_breaks
    assert broken.startswith("inputs.")
    # A rollback asks nothing: it returns to what served before.
    assert (await registry.rollback("digits")).model.production_version == "v1"


async def test_an_allowance_that_was_not_needed_is_not_recorded(registry):
    for version in ("v1", "v2"):
        await registry.register("digits", version)
        await registry.promote("digits", version, allow_incompatible_signature=True)
    events = await registry.events("digits")
    assert not any(event.signature_breaks for event in events)


async def test_an_optional_input_may_be_added_and_another_stage_asks_nothing(registry):
    plain = onnx_models.linear(4, 3)
    await registry.register("digits", "v1", plain)
    await registry.promote("digits", "v1")
    await registry.register("digits", "v2", onnx_models.linear(5, 3))
    await registry.promote("digits", "v2", registry_pb2.ModelVersion.STAGE_STAGING)
    loose = changed(plain, **{spec.name: {"nan_allowed": True} for spec in plain.contract.inputs})
    await registry.register("digits", "v3", replace(plain, contract=loose))
    await registry.promote("digits", "v3")
    await registry.register("digits", "v4", plain)
    assert "no longer takes NaN" in (await refused(registry.promote("digits", "v4"))).violations[0].description


async def test_a_promotion_by_hand_of_a_model_under_rollout_is_refused_or_ends_it(registry):
    await registry.register("digits", "v1")
    await registry.promote("digits", "v1")
    await registry.register("digits", "v2")
    hold = registry_pb2.HoldVersionRequest(name="models/digits/versions/v2", holder="rollouts/7")
    hold.ttl.seconds = 60
    await registry.stub.HoldVersion(hold, timeout=20)
    error = await refused(registry.promote("digits", "v2"))
    assert (error.reason, error.metadata) == ("ROLLOUT_RUNNING", {"rollout": "rollouts/7"})

    def asked(**how) -> registry_pb2.PromoteModelVersionRequest:
        return registry_pb2.PromoteModelVersionRequest(
            name="models/digits/versions/v2", target_stage=registry_pb2.ModelVersion.STAGE_PRODUCTION, **how
        )

    other = await refused(registry.stub.PromoteModelVersion(asked(rollout="rollouts/8"), timeout=20))
    assert other.reason == "ROLLOUT_RUNNING"
    checked = await registry.stub.PromoteModelVersion(asked(rollout="rollouts/7", validate_only=True), timeout=20)
    assert checked.model.production_version == "v1"
    own = await registry.stub.PromoteModelVersion(asked(rollout="rollouts/7"), timeout=20)
    assert own.model.production_version == "v2"
    back = registry_pb2.RollbackModelRequest(name="models/digits")
    assert (await refused(registry.stub.RollbackModel(back, timeout=20))).reason == "ROLLOUT_RUNNING"
    back.end_rollout = True
    assert (await registry.stub.RollbackModel(back, timeout=20)).version.name == "models/digits/versions/v1"


async def test_nobody_from_outside_promotes_on_behalf_of_a_rollout(registry):
    await registry.register("digits", "v1")
    asked = registry_pb2.PromoteModelVersionRequest(
        name="models/digits/versions/v1",
        target_stage=registry_pb2.ModelVersion.STAGE_PRODUCTION,
        rollout="rollouts/7",
    )
    from_outside = ((FRONT_DOOR_HEADER, "1"), (CLIENT_HEADER, "ana"), (MODELS_HEADER, "*"))
    error = await refused(registry.stub.PromoteModelVersion(asked, timeout=20, metadata=from_outside))
    assert (error.code, error.reason) == (Code.PERMISSION_DENIED, "ROLLOUT_NOT_YOURS")


async def test_a_version_that_a_rollout_moves_is_not_archived_under_it(registry):
    for version in ("v1", "v2", "v3"):
        await registry.register("digits", version)
    await registry.promote("digits", "v1")
    hold = registry_pb2.HoldVersionRequest(name="models/digits/versions/v2", holder="rollouts/7")
    hold.ttl.seconds = 60
    await registry.stub.HoldVersion(hold, timeout=20)
    # The rollout would promote it in the end, whatever its stage: what was asked would be undone.
    archived = registry_pb2.ModelVersion.STAGE_ARCHIVED
    error = await refused(registry.promote("digits", "v2", archived))
    assert (error.reason, error.metadata) == ("ROLLOUT_RUNNING", {"rollout": "rollouts/7"})
    assert error.public_message.endswith("wait for it, or abort it")
    ending = registry_pb2.PromoteModelVersionRequest(
        name="models/digits/versions/v2", target_stage=archived, end_rollout=True
    )
    assert (await refused(registry.stub.PromoteModelVersion(ending, timeout=20))).reason == "ROLLOUT_RUNNING"
    await registry.promote("digits", "v3", archived)
    await registry.stub.ReleaseHold(registry_pb2.ReleaseHoldRequest(name=hold.name, holder=hold.holder), timeout=20)
    await registry.promote("digits", "v2", archived)


async def test_what_a_client_measured_counts_as_measured_and_is_kept_under_its_own_name(registry):
    version = await registry.register("digits", "v1")
    await set_gates(registry, Gate(metric="game_day", minimum=1, measured_only=True))
    reported = registry_pb2.PromoteModelVersionRequest(
        name=version.name, target_stage=registry_pb2.ModelVersion.STAGE_PRODUCTION
    )
    error = await refused(registry.stub.PromoteModelVersion(reported, timeout=20))
    assert (error.reason, error.violations[0].field) == ("PROMOTION_GATE_FAILED", "gates.game_day")
    from_outside = ((FRONT_DOOR_HEADER, "1"), (CLIENT_HEADER, "ana"), (MODELS_HEADER, "*"))
    measured = registry_pb2.RecordMeasuredMetricsRequest(
        name=version.name,
        digest=version.digest,
        metrics=[registry_pb2.Metric(name="game_day", value=1)],
        source_process="monitor/shadow",  # which it is not
    )
    await registry.stub.RecordMeasuredMetrics(measured, timeout=20, metadata=from_outside)
    listed = registry_pb2.ListMeasurementsRequest(parent=version.name)
    (found,) = (await registry.stub.ListMeasurements(listed, timeout=20)).measurements
    assert (found.metric.source, found.source_process) == (MEASURED, "clients/ana/monitor/shadow")
    assert (await registry.stub.PromoteModelVersion(reported, timeout=20)).version.stage == reported.target_stage


async def test_a_client_that_measures_names_what_measured(registry):
    version = await registry.register("digits", "v1")
    from_outside = ((FRONT_DOOR_HEADER, "1"), (CLIENT_HEADER, "ana"), (MODELS_HEADER, "*"))
    measured = registry_pb2.RecordMeasuredMetricsRequest(
        name=version.name, digest=version.digest, metrics=[registry_pb2.Metric(name="game_day", value=1)]
    )
    error = await refused(registry.stub.RecordMeasuredMetrics(measured, timeout=20, metadata=from_outside))
    assert (error.code, error.violations[0].field) == (Code.INVALID_ARGUMENT, "source_process")
