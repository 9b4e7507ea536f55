"""What stood at a past time, who holds what, and what a deletion takes and leaves: the whole registry."""

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf import duration_pb2, timestamp_pb2
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.registry.service import Registry, caller

Version = registry_pb2.ModelVersion
Event = registry_pb2.ModelEvent


@pytest.fixture(params=["registry", "real"])
def either(request) -> Registry:
    """A whole registry, over memory and over PostgreSQL."""
    return request.getfixturevalue(request.param)


def as_of(registry: Registry, time: datetime, model: str = "digits", **metadata):
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(time)
    request = registry_pb2.GetModelAsOfRequest(name=f"models/{model}", time=stamp)
    return registry.stub.GetModelAsOf(request, timeout=20, **metadata)


async def test_every_past_time_is_answered_exactly(either):
    before = datetime.now(UTC)
    for name in ("v1", "v2"):
        await either.register("digits", name)
    await either.promote("digits", "v1", reason="first", metadata=caller("ann"))
    set_alias = registry_pb2.SetAliasRequest(name="models/digits/aliases/champion", version="v1")
    await either.stub.SetAlias(set_alias, timeout=20)
    await either.promote("digits", "v2", reason="better", metadata=caller("bob"))
    await either.stub.DeleteAlias(registry_pb2.DeleteAliasRequest(name="models/digits/aliases/champion"), timeout=20)
    await either.rollback("digits", reason="worse")

    # Replayed from the history itself: at each of its times, and a microsecond before.
    production, aliases, stages, expected = "", {}, {}, {}
    for event in reversed(await either.events("digits")):
        if event.to_stage:
            stages[event.version] = event.to_stage
            production = next((v for v, stage in stages.items() if stage == Version.STAGE_PRODUCTION), "")
        if event.action == Event.ACTION_ALIAS_SET:
            aliases[event.alias] = event.version
        if event.action == Event.ACTION_ALIAS_DELETED:
            del aliases[event.alias]
        expected[event.epoch] = (event.create_time.ToDatetime(UTC), production, dict(aliases), dict(stages))
    assert len(expected) == 7
    times = [time for time, *_ in expected.values()]
    assert times == sorted(times)
    for (epoch, (time, *stood)), following in zip(expected.items(), [*times[1:], None], strict=True):
        asked = [time] if following is None else [time, following - timedelta(microseconds=1)]
        for moment in asked:
            answer = await as_of(either, moment)
            assert answer.epoch == epoch
            assert [answer.production_version, dict(answer.aliases), dict(answer.stages)] == stood
    second = await as_of(either, expected[6][0])
    assert (second.production_event.client, second.production_event.reason) == ("bob", "better")
    error = await refused(as_of(either, before))
    assert (error.code, error.reason) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")


async def test_the_future_and_no_time_are_refused(registry):
    await registry.register("digits", "v1")
    assert (await refused(as_of(registry, datetime.now(UTC) + timedelta(hours=1)))).code is Code.INVALID_ARGUMENT
    unset = registry_pb2.GetModelAsOfRequest(name="models/digits")
    error = await refused(registry.stub.GetModelAsOf(unset, timeout=20))
    assert error.violations[0].field == "time"
    assert (await refused(as_of(registry, datetime.now(UTC), metadata=caller("ann", "other-*")))).code is Code.NOT_FOUND


async def test_an_answer_for_a_past_time_does_not_change_while_writes_go_on(real):
    for number in range(4):
        await real.register("digits", f"v{number}")
    answers: list[tuple[datetime, registry_pb2.GetModelAsOfResponse]] = []
    done = asyncio.Event()

    async def ask() -> None:
        while not done.is_set():
            now = datetime.now(UTC)
            answers.append((now, await as_of(real, now)))

    asking = [asyncio.create_task(ask()) for _ in range(3)]
    for number in range(40):
        await real.promote("digits", f"v{number % 4}")
    done.set()
    await asyncio.gather(*asking)
    assert len(answers) > 20
    for time, answer in answers:
        assert await as_of(real, time) == answer


def hold(registry: Registry, holder: str, *, version: str = "v1", seconds: float = 3600, **metadata):
    ttl = duration_pb2.Duration()
    ttl.FromTimedelta(timedelta(seconds=seconds))
    request = registry_pb2.HoldVersionRequest(
        name=f"models/digits/versions/{version}", holder=holder, ttl=ttl, reason="needed"
    )
    return registry.stub.HoldVersion(request, timeout=20, **metadata)


def delete(registry: Registry, **fields):
    return registry.stub.DeleteModel(registry_pb2.DeleteModelRequest(name="models/digits", **fields), timeout=20)


async def holders(registry: Registry) -> list[str]:
    listed = await registry.stub.ListHolds(registry_pb2.ListHoldsRequest(parent="models/digits"), timeout=20)
    return [hold.holder for hold in listed.holds]


async def test_a_held_model_is_not_deleted_and_each_hold_is_named(either):
    await either.register("digits", "v1")
    await either.register("digits", "v2")
    made = (await hold(either, "router/1")).hold
    assert made.expire_time.ToDatetime(UTC) - made.create_time.ToDatetime(UTC) == timedelta(hours=1)
    await hold(either, "audit/2031", version="v2", metadata=caller("ann"))
    error = await refused(delete(either))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "MODEL_IN_USE")
    first, second = error.violations
    assert "held by router/1" in first.description
    assert "held by audit/2031" in second.description
    renewed = (await hold(either, "router/1", seconds=7200)).hold
    assert renewed.create_time == made.create_time
    assert await holders(either) == ["router/1", "audit/2031"]
    for name, holder in (("v1", "router/1"), ("v2", "audit/2031"), ("v2", "never")):
        request = registry_pb2.ReleaseHoldRequest(name=f"models/digits/versions/{name}", holder=holder)
        await either.stub.ReleaseHold(request, timeout=20)
    assert await holders(either) == []
    await delete(either)


async def test_a_model_is_deleted_with_its_route_and_not_with_what_others_hold(either):
    await either.register("digits", "v1")
    await hold(either, "router/1")
    await hold(either, "rollouts/7")
    assert await reason_of(delete(either)) == "MODEL_IN_USE"
    error = await refused(delete(either, with_route=True))
    assert [one.field for one in error.violations] == ["holds.v1"]
    assert "rollouts/7" in error.violations[0].description
    request = registry_pb2.ReleaseHoldRequest(name="models/digits/versions/v1", holder="rollouts/7")
    await either.stub.ReleaseHold(request, timeout=20)
    await delete(either, with_route=True)
    assert await reason_of(delete(either)) == "MODEL_NOT_FOUND"


async def test_a_hold_ends_by_itself(registry):
    await registry.register("digits", "v1")
    await hold(registry, "batch", seconds=1)
    assert await reason_of(delete(registry)) == "MODEL_IN_USE"

    async def deleted() -> bool:
        return await delete(registry).code() is grpc.StatusCode.OK

    await eventually(deleted, within=10)


@pytest.mark.parametrize(
    ("holder", "seconds", "metadata", "field"),
    [
        pytest.param("", 60, None, "holder", id="no holder"),
        pytest.param("a b", 60, None, "holder", id="a space"),
        pytest.param("a//b", 60, None, "holder", id="an empty word"),
        pytest.param("a" * 129, 60, None, "holder", id="too long"),
        pytest.param("router/1", 60, caller("ann"), "holder", id="a service's, from outside"),
        pytest.param("scoringJobs/7", 60, caller("ann"), "holder", id="a job's, from outside"),
        pytest.param("audit", 0, None, "ttl", id="no time"),
        pytest.param("audit", 86400 * 3661, None, "ttl", id="too long a time"),
    ],
)
async def test_holds_that_make_no_sense_are_refused(registry, holder, seconds, metadata, field):
    await registry.register("digits", "v1")
    error = await refused(hold(registry, holder, seconds=seconds, metadata=metadata))
    assert (error.code, error.violations[0].field) == (Code.INVALID_ARGUMENT, field)


async def test_what_people_hold_never_keeps_a_service_from_holding_it(registry):
    await registry.register("digits", "v1")
    # Each of another: one alone has a share of the places.
    for number in range(100):
        await hold(registry, f"audit/{number}", metadata=caller(f"person-{number}"))
    error = await refused(hold(registry, "audit/100", metadata=caller("ann")))
    assert (error.code, error.reason) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_HOLDS")
    await hold(registry, "audit/99", metadata=caller("person-99"))
    assert (await hold(registry, "router/1")).hold.holder == "router/1"


async def test_holds_leave_epoch_and_history_alone(registry):
    await registry.register("digits", "v1")
    before = await registry.model("digits"), await registry.events("digits")
    await hold(registry, "audit")
    assert (await registry.model("digits"), await registry.events("digits")) == before


async def test_a_deleted_model_is_gone_for_good_and_its_history_stays(either):
    await either.register("digits", "v1")
    await either.promote("digits", "v1")
    served = datetime.now(UTC)
    stale = await refused(delete(either, etag="stale"))
    assert (stale.code, stale.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    watch = either.stub.WatchModels(registry_pb2.WatchModelsRequest(), timeout=30)
    messages = aiter(watch)
    while not (await anext(messages)).snapshot_complete:
        pass
    await delete(either, reason="retired", request_id="1")
    await delete(either, reason="retired", request_id="1")
    told = await anext(messages)
    assert (told.model, told.removed, list(told.versions)) == (registry_pb2.Model(name="models/digits"), True, [])
    watch.cancel()
    snapshot = either.stub.WatchModels(registry_pb2.WatchModelsRequest(), timeout=30)
    assert (await anext(aiter(snapshot))).snapshot_complete
    snapshot.cancel()

    for call in (either.model("digits"), either.promote("digits", "v1"), either.rollback("digits"), delete(either)):
        assert await reason_of(call) == "MODEL_NOT_FOUND"
    get = registry_pb2.GetModelVersionRequest(name="models/digits/versions/v1")
    assert (await refused(either.stub.GetModelVersion(get, timeout=20))).code is Code.NOT_FOUND
    create = registry_pb2.CreateModelRequest(model=registry_pb2.Model(name="models/digits"))
    for call in (either.stub.CreateModel(create, timeout=20), either.register("digits", "v2")):
        error = await refused(call)
        assert (error.code, error.reason) == (Code.ALREADY_EXISTS, "MODEL_DELETED")
    assert not (await either.stub.ListModels(registry_pb2.ListModelsRequest(), timeout=20)).models

    deleted, archived, *_ = await either.events("digits")
    assert (archived.from_stage, archived.to_stage) == (Version.STAGE_PRODUCTION, Version.STAGE_ARCHIVED)
    assert (deleted.action, deleted.reason) == (Event.ACTION_MODEL_DELETED, "retired")
    assert (await as_of(either, served)).production_version == "v1"
    assert await reason_of(as_of(either, datetime.now(UTC))) == "MODEL_NOT_FOUND"
