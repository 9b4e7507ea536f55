"""How versions move from stage to stage: promotions, rollbacks and what they write."""

from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import Code

from tests.kit.clients.refusals import refused
from tests.kit.registry.service import Registry, caller

Version = registry_pb2.ModelVersion
Event = registry_pb2.ModelEvent
STAGING, PRODUCTION, ARCHIVED = Version.STAGE_STAGING, Version.STAGE_PRODUCTION, Version.STAGE_ARCHIVED


async def stage_of(registry: Registry, model: str, version: str) -> int:
    request = registry_pb2.GetModelVersionRequest(name=f"models/{model}/versions/{version}")
    return (await registry.stub.GetModelVersion(request)).version.stage


async def test_promotion_moves_production_and_writes_history(registry):
    for version in ("v1", "v2"):
        await registry.register("digits", version)
    await registry.promote("digits", "v1", STAGING, metadata=caller("ann"))
    first = await registry.promote("digits", "v1", reason="first", metadata=caller("ann"))
    second = await registry.promote("digits", "v2", reason="better", metadata=caller("bob"))
    assert (first.model.production_version, second.model.production_version) == ("v1", "v2")
    assert second.version.stage == PRODUCTION
    assert await stage_of(registry, "digits", "v1") == ARCHIVED
    newest = (await registry.events("digits"))[:2]
    assert [(e.version, e.from_stage, e.to_stage, e.client, e.reason, e.epoch) for e in newest] == [
        ("v2", Version.STAGE_REGISTERED, PRODUCTION, "bob", "better", second.model.epoch),
        ("v1", PRODUCTION, ARCHIVED, "bob", "better", second.model.epoch),
    ]
    assert {event.action for event in newest} == {Event.ACTION_STAGE_CHANGED}


async def test_every_gate_that_is_not_met_is_listed(registry):
    await registry.register("digits", "v1", metrics={"accuracy": 0.8, "latency_p99_ms": 250.0})
    error = await refused(registry.promote("digits", "v1"))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "PROMOTION_GATE_FAILED")
    assert [(violation.field, violation.description) for violation in error.violations] == [
        ("gates.accuracy", "accuracy is 0.8 (reported) and must be >= 0.85"),
        ("gates.latency_p99_ms", "latency_p99_ms is 250 (reported) and must be <= 100"),
    ]
    assert (await registry.model("digits")).production_version == ""


async def test_gates_are_not_asked_for_staging(registry):
    await registry.register("digits", "v1", metrics={})
    await registry.promote("digits", "v1", STAGING)
    assert await stage_of(registry, "digits", "v1") == Version.STAGE_STAGING


async def test_a_model_may_have_gates_of_its_own(registry):
    model = registry_pb2.Model(name="models/digits", promotion_policy=registry_pb2.PromotionPolicy())
    await registry.stub.CreateModel(registry_pb2.CreateModelRequest(model=model))
    await registry.register("digits", "v1", metrics={})
    assert (await registry.promote("digits", "v1")).model.production_version == "v1"


async def test_an_illegal_move_is_refused(registry):
    await registry.register("digits", "v1")
    await registry.promote("digits", "v1")
    error = await refused(registry.promote("digits", "v1", ARCHIVED))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "STAGE_MOVE_ILLEGAL")
    error = await refused(registry.promote("digits", "v1", Version.STAGE_REGISTERED))
    assert error.reason == "STAGE_MOVE_ILLEGAL"


async def test_promoting_what_is_in_production_changes_nothing(registry):
    await registry.register("digits", "v1")
    first = await registry.promote("digits", "v1")
    again = await registry.promote("digits", "v1")
    assert again == first


async def test_a_stale_etag_aborts_and_changes_nothing(registry):
    for version in ("v1", "v2"):
        await registry.register("digits", version)
    etag = (await registry.model("digits")).etag
    await registry.promote("digits", "v1", etag=etag)
    error = await refused(registry.promote("digits", "v2", etag=etag))
    assert (error.code, error.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    assert error.metadata["current_etag"] == (await registry.model("digits")).etag
    assert (await registry.model("digits")).production_version == "v1"


async def test_rollbacks_go_back_one_promotion_each(registry):
    for version in ("v1", "v2", "v3"):
        await registry.register("digits", version)
        await registry.promote("digits", version)
    first = await registry.rollback("digits", reason="bad answers")
    assert (first.version.name, first.version.stage) == ("models/digits/versions/v2", PRODUCTION)
    assert first.model.production_version == "v2"
    assert await stage_of(registry, "digits", "v3") == ARCHIVED
    assert (await registry.events("digits"))[0].action == Event.ACTION_ROLLED_BACK
    assert (await registry.rollback("digits")).model.production_version == "v1"
    error = await refused(registry.rollback("digits"))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "NOTHING_TO_ROLL_BACK_TO")


async def test_a_rollback_does_not_ask_gates_again(registry):
    for version in ("v1", "v2"):
        await registry.register("digits", version)
        await registry.promote("digits", version)
    gate = registry_pb2.PromotionGate(metric="accuracy", minimum=0.999)
    model = registry_pb2.Model(name="models/digits", promotion_policy=registry_pb2.PromotionPolicy(gates=[gate]))
    await registry.stub.UpdateModel(registry_pb2.UpdateModelRequest(model=model))
    assert (await registry.rollback("digits")).model.production_version == "v1"
