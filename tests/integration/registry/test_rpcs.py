"""The behaviours that the proto promises, through a real server and channel."""

import hashlib
from datetime import UTC, datetime

from google.protobuf import duration_pb2
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import Code

from tests.kit import onnx_models
from tests.kit.refusals import reason_of, refused
from tests.kit.registry import GOOD_METRICS, Registry, as_json, caller, upload_messages, version_message

Version = registry_pb2.ModelVersion
Event = registry_pb2.ModelEvent
STAGING, PRODUCTION, ARCHIVED = Version.STAGE_STAGING, Version.STAGE_PRODUCTION, Version.STAGE_ARCHIVED


async def stage_of(registry: Registry, model: str, version: str) -> int:
    request = registry_pb2.GetModelVersionRequest(name=f"models/{model}/versions/{version}")
    return (await registry.stub.GetModelVersion(request)).version.stage


async def events_of(registry: Registry, model: str) -> list[registry_pb2.ModelEvent]:
    request = registry_pb2.ListModelEventsRequest(parent=f"models/{model}")
    return list((await registry.stub.ListModelEvents(request)).events)


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


async def test_an_update_that_changes_nothing_leaves_the_epoch_alone(registry):
    model = registry_pb2.Model(name="models/digits", description="x")
    await registry.stub.CreateModel(registry_pb2.CreateModelRequest(model=model))
    assert (await registry.stub.UpdateModel(registry_pb2.UpdateModelRequest(model=model))).model.epoch == 1


async def test_a_version_keeps_all_that_was_declared(registry):
    file = onnx_models.classifier(4, 3)
    labels = b'{"labels": ["a", "b", "c"]}'
    labels_sha256 = await registry.upload(labels, registry_pb2.Artifact.TYPE_JSON)
    await registry.register("digits", "v0")
    version = await registry.register(
        "digits",
        "v1",
        file,
        files=[
            registry_pb2.Artifact(
                name="labels.json", type=registry_pb2.Artifact.TYPE_JSON, sha256=labels_sha256, size_bytes=77
            )
        ],
        parameters={"depth": "3"},
        lineage=registry_pb2.Lineage(parent_version="v0", run="run-7", dataset="digits@1", code_revision="abc"),
        serving=registry_pb2.ServingSettings(max_batch_rows=16, max_wait=duration_pb2.Duration(nanos=2_000_000)),
        description="an MLP",
        metadata=caller("trainer"),
    )
    assert version.contract == file.contract
    assert as_json(version.serving) == {
        "max_batch_rows": 16,
        "preferred_batch_rows": [8, 16],
        "max_wait": "0.002s",
        "instances": 1,
    }
    assert [(artifact.name, artifact.size_bytes) for artifact in version.artifacts] == [
        ("model.onnx", len(file.content)),
        ("labels.json", len(labels)),
    ]
    assert version.artifacts[0].sha256 == hashlib.sha256(file.content).hexdigest()
    assert {metric.source for metric in version.metrics} == {registry_pb2.Metric.SOURCE_REPORTED}
    assert (version.stage, version.created_by, version.lineage.parent_version) == (
        Version.STAGE_REGISTERED,
        "trainer",
        "v0",
    )
    assert len(version.digest) == len(version.signature_hash) == 64
    read = await registry.stub.GetModelVersion(registry_pb2.GetModelVersionRequest(name=version.name))
    assert read.version == version


async def test_a_contract_that_is_not_told_comes_from_the_model_file(registry):
    file = onnx_models.variable_dimension()
    version = await registry.register("tokens", "v1", file, contract=None)
    assert version.contract == file.contract


async def test_versions_with_the_same_signature_share_its_hash_and_no_digest(registry):
    first = await registry.register("digits", "v1", onnx_models.linear(4, 3, seed=1))
    second = await registry.register("digits", "v2", onnx_models.linear(4, 3, seed=2))
    third = await registry.register("digits", "v3", onnx_models.linear(5, 3))
    assert first.signature_hash == second.signature_hash != third.signature_hash
    assert len({first.digest, second.digest, third.digest}) == 3


async def test_the_same_version_again_is_the_same_and_another_content_is_refused(registry):
    first = await registry.register("digits", "v1")
    assert await registry.register("digits", "v1", metadata=caller("somebody-else")) == first
    error = await refused(registry.register("digits", "v1", metrics={**GOOD_METRICS, "accuracy": 0.99}))
    assert (error.code, error.reason) == (Code.ALREADY_EXISTS, "VERSION_EXISTS")
    assert error.metadata == {"differs_in": "metrics"}
    assert (await registry.model("digits")).epoch == 1


async def test_only_services_may_say_that_a_metric_was_measured(registry):
    sha256 = await registry.upload(onnx_models.linear().content)
    draft = version_message("digits", "v1", sha256, onnx_models.linear())
    draft.metrics[0].source = registry_pb2.Metric.SOURCE_MEASURED
    request = registry_pb2.CreateModelVersionRequest(version=draft)
    outside = await registry.stub.CreateModelVersion(request, metadata=caller("trainer"))
    assert outside.version.metrics[0].source == registry_pb2.Metric.SOURCE_REPORTED
    request.version.name = "models/digits/versions/v2"
    inside = await registry.stub.CreateModelVersion(request)
    assert inside.version.metrics[0].source == registry_pb2.Metric.SOURCE_MEASURED


async def test_a_parent_must_exist(registry):
    error = await refused(registry.register("digits", "v1", lineage=registry_pb2.Lineage(parent_version="v0")))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "PARENT_VERSION_NOT_FOUND")
    assert error.violations[0].field == "version.lineage.parent_version"
    assert await reason_of(registry.model("digits")) == "MODEL_NOT_FOUND"


async def test_an_artifact_must_have_been_uploaded(registry):
    draft = version_message("digits", "v1", "0" * 64, onnx_models.linear())
    error = await refused(registry.stub.CreateModelVersion(registry_pb2.CreateModelVersionRequest(version=draft)))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "ARTIFACT_NOT_UPLOADED")
    assert error.violations[0].field == "version.artifacts[0].sha256"


async def test_a_contract_that_the_file_does_not_keep_is_refused_by_field(registry):
    contract = onnx_models.linear(4, 3).contract
    contract.inputs[0].shape[0] = 5
    error = await refused(registry.register("digits", "v1", onnx_models.linear(4, 3), contract=contract))
    assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "CONTRACT_MISMATCH")
    assert error.violations[0].field == "version.contract.inputs[0].shape"
    assert "[4]" in error.violations[0].description


async def test_a_model_file_that_takes_a_fixed_number_of_rows_is_refused(registry):
    error = await refused(registry.register("digits", "v1", onnx_models.fixed_rows(4, rows=1)))
    assert error.violations[0].field == "version.contract.inputs[0].shape"
    assert "free first dimension" in error.violations[0].description


async def test_promotion_moves_production_and_writes_history(registry):
    for version in ("v1", "v2"):
        await registry.register("digits", version)
    await registry.promote("digits", "v1", STAGING, metadata=caller("ann"))
    first = await registry.promote("digits", "v1", reason="first", metadata=caller("ann"))
    second = await registry.promote("digits", "v2", reason="better", metadata=caller("bob"))
    assert (first.model.production_version, second.model.production_version) == ("v1", "v2")
    assert second.version.stage == PRODUCTION
    assert await stage_of(registry, "digits", "v1") == ARCHIVED
    newest = (await events_of(registry, "digits"))[:2]
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
    assert (await events_of(registry, "digits"))[0].action == Event.ACTION_ROLLED_BACK
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
    assert [event.action for event in (await events_of(registry, "digits"))[:3]] == [
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
    whole = await events_of(registry, "digits")
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


async def test_an_upload_that_is_known_is_answered_before_it_is_sent(registry):
    content = onnx_models.linear().content
    sha256 = await registry.upload(content)
    sent = []

    async def messages():
        async for message in upload_messages(content):
            sent.append(message)
            yield message
            if len(sent) == 1:
                await answered

    call = registry.stub.UploadArtifact(messages())
    answered = call
    assert (await call).sha256 == sha256
    assert len(sent) == 1


async def test_the_etag_is_taken_back_as_it_was_given(registry):
    await registry.register("digits", "v1")
    model = await registry.model("digits")
    assert (await registry.promote("digits", "v1", etag=model.etag)).model.etag != model.etag
