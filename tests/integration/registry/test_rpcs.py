"""Models, aliases, pages and repeated writes, as the proto promises them, through a real server and channel."""

from datetime import UTC, datetime

from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import Code

from tests.kit.clients.refusals import reason_of, refused
from tests.kit.registry.service import caller

Event = registry_pb2.ModelEvent
STAGING = registry_pb2.ModelVersion.STAGE_STAGING


async def test_a_model_is_created_read_updated_and_listed(registry):
    policy = registry_pb2.PromotionPolicy(gates=[registry_pb2.PromotionGate(metric="auc", minimum=0.7)])
    draft = registry_pb2.Model(
        name="models/digits", description="Digits", labels={"team": "vision"}, promotion_policy=policy, epoch=99
    )
    made = (await registry.stub.CreateModel(registry_pb2.CreateModelRequest(model=draft))).model
    assert (made.epoch, made.description, dict(made.labels)) == (1, "Digits", {"team": "vision"})
    assert made.promotion_policy == policy
    assert abs((made.create_time.ToDatetime(UTC) - datetime.now(UTC)).total_seconds()) < 60
    assert await registry.model("digits") == made

    change = registry_pb2.Model(name="models/digits", description="New", etag=made.etag)
    updated = (await registry.stub.UpdateModel(registry_pb2.UpdateModelRequest(model=change, reason="why"))).model
    assert (updated.description, updated.epoch) == ("New", 2)
    assert not updated.HasField("promotion_policy")
    assert updated.etag != made.etag

    stale = await refused(registry.stub.UpdateModel(registry_pb2.UpdateModelRequest(model=change)))
    assert (stale.code, stale.reason) == (Code.ABORTED, "ETAG_MISMATCH")
    listed = (await registry.stub.ListModels(registry_pb2.ListModelsRequest())).models
    assert list(listed) == [updated]


async def test_a_model_is_created_once(registry):
    request = registry_pb2.CreateModelRequest(model=registry_pb2.Model(name="models/digits"))
    await registry.stub.CreateModel(request)
    error = await refused(registry.stub.CreateModel(request))
    assert (error.code, error.reason) == (Code.ALREADY_EXISTS, "MODEL_EXISTS")


async def test_a_write_that_only_validates_is_refused_like_a_write_and_leaves_nothing(registry):
    draft = registry_pb2.Model(name="models/digits", description="x")
    check = registry_pb2.CreateModelRequest(model=draft, request_id="r", validate_only=True)
    assert (await registry.stub.CreateModel(check)).model.description == "x"
    assert not (await registry.stub.ListModels(registry_pb2.ListModelsRequest())).models
    made = (await registry.stub.CreateModel(registry_pb2.CreateModelRequest(model=draft, request_id="r"))).model
    assert made.epoch == 1, "the request id was not used"
    assert await reason_of(registry.stub.CreateModel(check)) == "MODEL_EXISTS"

    other = registry_pb2.Model(name="models/digits", description="y", etag=made.etag)
    await registry.stub.UpdateModel(registry_pb2.UpdateModelRequest(model=other, validate_only=True))
    assert await registry.model("digits") == made
    other.etag = "old"
    stale = registry_pb2.UpdateModelRequest(model=other, validate_only=True)
    assert await reason_of(registry.stub.UpdateModel(stale)) == "ETAG_MISMATCH"
    events = await registry.stub.ListModelEvents(registry_pb2.ListModelEventsRequest(parent="models/digits"))
    assert [one.action for one in events.events] == [Event.ACTION_MODEL_CREATED]


async def test_an_update_that_changes_nothing_leaves_the_epoch_alone(registry):
    model = registry_pb2.Model(name="models/digits", description="x")
    await registry.stub.CreateModel(registry_pb2.CreateModelRequest(model=model))
    assert (await registry.stub.UpdateModel(registry_pb2.UpdateModelRequest(model=model))).model.epoch == 1


async def test_aliases_are_set_moved_and_removed(registry):
    for version in ("v1", "v2"):
        await registry.register("digits", version)
    name = "models/digits/aliases/champion"
    for version in ("v1", "v2"):
        answer = await registry.stub.SetAlias(registry_pb2.SetAliasRequest(name=name, version=version))
        assert dict(answer.model.aliases) == {"champion": version}
    stale = registry_pb2.SetAliasRequest(name=name, version="v1", etag="old")
    assert await reason_of(registry.stub.SetAlias(stale)) == "ETAG_MISMATCH"
    missing = await refused(registry.stub.SetAlias(registry_pb2.SetAliasRequest(name=name, version="v9")))
    assert (missing.code, missing.reason) == (Code.NOT_FOUND, "VERSION_NOT_FOUND")
    epoch = answer.model.epoch
    for _ in range(2):
        answer = await registry.stub.DeleteAlias(registry_pb2.DeleteAliasRequest(name=name, reason="done"))
        assert (dict(answer.model.aliases), answer.model.epoch) == ({}, epoch + 1)
    assert [event.action for event in (await registry.events("digits"))[:3]] == [
        Event.ACTION_ALIAS_DELETED,
        Event.ACTION_ALIAS_SET,
        Event.ACTION_ALIAS_SET,
    ]


async def test_a_repeated_write_returns_the_first_answer(registry):
    for version in ("v1", "v2"):
        await registry.register("digits", version)
    first = await registry.promote("digits", "v1", request_id="r1", metadata=caller("ann"))
    await registry.promote("digits", "v2")
    assert await registry.promote("digits", "v1", request_id="r1", metadata=caller("ann")) == first
    assert (await registry.model("digits")).production_version == "v2"
    reused = await refused(registry.promote("digits", "v2", request_id="r1", metadata=caller("ann")))
    assert (reused.code, reused.reason) == (Code.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    # The ids of two clients are apart.
    await registry.promote("digits", "v1", request_id="r1", metadata=caller("bob"))
    assert (await registry.model("digits")).production_version == "v1"


async def test_a_failed_write_is_not_remembered(registry):
    await registry.register("digits", "v1", metrics={})
    await refused(registry.promote("digits", "v1", request_id="r1"))
    model = registry_pb2.Model(name="models/digits", promotion_policy=registry_pb2.PromotionPolicy())
    await registry.stub.UpdateModel(registry_pb2.UpdateModelRequest(model=model))
    assert (await registry.promote("digits", "v1", request_id="r1")).model.production_version == "v1"


async def test_pages_join_to_the_whole(registry):
    for number in range(7):
        await registry.register("digits", f"v{number}")
    await registry.promote("digits", "v3", STAGING)
    names, token = [], ""
    while True:
        request = registry_pb2.ListModelVersionsRequest(parent="models/digits", page_size=3, page_token=token)
        page = await registry.stub.ListModelVersions(request)
        names += [version.name.rpartition("/")[2] for version in page.versions]
        token = page.next_page_token
        if not token:
            break
    assert names == [f"v{number}" for number in reversed(range(7))]
    staged = registry_pb2.ListModelVersionsRequest(parent="models/digits", stage=STAGING)
    assert [v.name[-2:] for v in (await registry.stub.ListModelVersions(staged)).versions] == ["v3"]
    foreign = registry_pb2.ListModelVersionsRequest(parent="models/other", page_token=token or "x")
    assert (await refused(registry.stub.ListModelVersions(foreign))).violations[0].field == "page_token"


async def test_events_are_paged_too(registry):
    for number in range(5):
        await registry.register("digits", f"v{number}")
    whole = await registry.events("digits")
    first = await registry.stub.ListModelEvents(
        registry_pb2.ListModelEventsRequest(parent="models/digits", page_size=4)
    )
    rest = await registry.stub.ListModelEvents(
        registry_pb2.ListModelEventsRequest(parent="models/digits", page_token=first.next_page_token)
    )
    assert [*first.events, *rest.events] == whole
    assert len(whole) == 6


async def test_what_a_caller_may_not_see_does_not_exist(registry):
    await registry.register("fraud-eu", "v1")
    await registry.register("digits", "v1")
    ann = caller("ann", "fraud-*")
    listed = await registry.stub.ListModels(registry_pb2.ListModelsRequest(), metadata=ann)
    assert [model.name for model in listed.models] == ["models/fraud-eu"]
    hidden = await refused(registry.stub.GetModel(registry_pb2.GetModelRequest(name="models/digits"), metadata=ann))
    absent = await refused(registry.stub.GetModel(registry_pb2.GetModelRequest(name="models/nothing"), metadata=ann))
    assert (hidden.code, hidden.reason) == (absent.code, absent.reason) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")
    assert (await refused(registry.promote("digits", "v1", metadata=ann))).code is Code.NOT_FOUND


async def test_unknown_models_and_versions_are_told_apart(registry):
    await registry.register("digits", "v1")
    missing_model = await refused(registry.promote("nothing", "v1"))
    missing_version = await refused(registry.promote("digits", "v9"))
    assert (missing_model.code, missing_model.reason) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")
    assert (missing_version.code, missing_version.reason) == (Code.NOT_FOUND, "VERSION_NOT_FOUND")
    for method, request in (
        ("ListModelVersions", registry_pb2.ListModelVersionsRequest(parent="models/nothing")),
        ("ListModelEvents", registry_pb2.ListModelEventsRequest(parent="models/nothing")),
    ):
        assert await reason_of(getattr(registry.stub, method)(request)) == "MODEL_NOT_FOUND"


async def test_the_etag_is_taken_back_as_it_was_given(registry):
    await registry.register("digits", "v1")
    model = await registry.model("digits")
    assert (await registry.promote("digits", "v1", etag=model.etag)).model.etag != model.etag
