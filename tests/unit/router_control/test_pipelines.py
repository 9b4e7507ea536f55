"""Pipelines in the control plane: batchers load members in their place, and every one of them must be ready."""

from dataclasses import replace
from datetime import timedelta

from google.protobuf import timestamp_pb2
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import control_pb2
from headrace_router.control.decisions.changes import why_pending
from headrace_router.control.decisions.demand import Lease, Need, demand
from headrace_router.control.decisions.fallback_steps import Backup, FallbackStep
from headrace_router.control.decisions.named import named_versions
from headrace_router.control.decisions.readiness import Needed
from headrace_router.control.decisions.resolve import PipelineMember, ResolvedBackup, ResolvedVariant
from headrace_router.control.decisions.states import Previous, Table, members_in
from headrace_router.control.messages import convert
from headrace_router.control.storage.documents import state_from_document, state_to_document

from tests.kit.router.pipelines import composed
from tests.kit.router.route_states import LIMITS, at, fleet, onward, registered, seen, serving

# A pipeline of a graph of its own, and of version 2 of another model, which runs on a CPU.
MEMBERS = (PipelineMember("", "v3--norm", "dn"), PipelineMember("iris", "v2", "di", "cpu"))
PIPELINE = {"d3": MEMBERS}


def promoted(epoch=2, version="v3"):
    return replace(registered(epoch, version), members=PIPELINE)


def wanted(state, pool, *, in_use=(), leases=(), seconds=0.0):
    return [(one.model, one.version, one.need) for one in demand(pool, [state], in_use, leases, at(seconds))]


def test_members_are_demanded_in_the_place_of_a_pipeline_each_in_its_pool():
    state = seen(serving("v1"), promoted()).state
    assert wanted(state, "default") == [("digits", "v1", Need.ACTIVE), ("digits", "v3--norm", Need.PENDING)]
    assert wanted(state, "cpu") == [("iris", "v2", Need.PENDING)]


def test_a_promotion_waits_for_every_member():
    state = onward(seen(serving("v1"), promoted()).state, fleet("d1", "dn")).state
    assert state.pending is not None
    assert why_pending(state, fleet("d1", "dn"), now=at(0), limits=LIMITS) == (
        "version 'iris@v2' needs pool 'cpu', which has no batcher"
    )


def test_a_pipeline_takes_effect_when_all_members_are_ready():
    local = {"d3": (PipelineMember("", "v3--norm", "dn"), PipelineMember("iris", "v2", "di"))}
    step = seen(serving("v1"), replace(promoted(), members=local))
    assert onward(step.state, fleet("d1", "dn")).state.pending is not None
    state = onward(step.state, fleet("d1", "dn", "di")).state
    assert state.active is not None
    assert [one.digest for one in state.active.table.variants] == ["d3"]
    assert state.active.table.loaded_digests == {"dn", "di"}
    assert state.active.table.digests == ("d3",)


def test_a_rollback_from_a_pipeline_keeps_its_members_for_the_window():
    state = replace(
        serving("v1"),
        registered=promoted(3, "v1"),
        previous=Previous("v3", "d3", at(0) + timedelta(hours=24)),
    )
    assert wanted(state, "default") == [("digits", "v1", Need.ACTIVE), ("digits", "v3--norm", Need.REVERT)]
    assert wanted(state, "cpu") == [("iris", "v2", Need.REVERT)]
    assert wanted(state, "cpu", seconds=24 * 3600) == []


def test_a_lease_of_a_pipeline_is_one_of_its_members():
    state = replace(serving("v1"), registered=promoted(3, "v1"))
    lease = Lease("digits", "v3", "d3", "default", "rollouts/7", at(60))
    assert wanted(state, "default", leases=[lease])[1:] == [("digits", "v3--norm", Need.LEASED)]
    assert wanted(state, "cpu", leases=[lease]) == [("iris", "v2", Need.LEASED)]
    # The pipeline is what is held in the registry: it holds its members itself.
    assert ("digits", "v3") in named_versions([state], [lease], at(0))


def test_the_readiness_of_a_pipeline_is_that_of_the_member_that_is_least_ready():
    local = [Needed("v3--norm", "dn", "default"), Needed("v2", "di", "default", "iris")]
    whole = Needed("v3", "d3", "default")
    assert fleet("dn").readiness_of_all(whole, local).ready == 0
    assert fleet("dn", "di").readiness_of_all(whole, local).ready == 1
    assert fleet("dn").readiness_of_all(whole, local).needed == whole
    assert fleet("d3").readiness_of_all(whole, []).ready == 1


def test_members_without_a_pool_run_where_the_variant_does():
    assert [one.pool for one in members_in(MEMBERS, "gpu")] == ["gpu", "cpu"]


def test_a_backup_of_the_requests_variant_needs_its_members_in_the_backups_pool():
    variant = ResolvedVariant("all", "v3", "d3", "default", MEMBERS)
    table = Table((variant,), (), fallback=(FallbackStep("other", Backup(None, "", "spare")),), backups=(
        ResolvedBackup("other", "", "", "spare"),
    ))  # fmt: skip
    assert {(one.digest, one.pool) for one in table.needs_of_backups} == {("dn", "spare"), ("di", "cpu")}


def test_a_state_with_pipelines_comes_back_as_it_was_written():
    step = onward(seen(serving("v1"), promoted()).state, fleet("d1"))
    assert state_from_document(state_to_document(step.state)) == step.state


def pipeline_version():
    pipeline = composed(
        {
            "norm": {"graph": "norm.onnx", "inputs": {"x": "request.x"}, "digest": "dn"},
            "iris": {"model": "iris@v2", "inputs": {"x": "norm.y"}, "pool": "cpu", "digest": "di"},
        },
        {"y": "iris.y"},
    )
    member = registry_pb2.ModelVersion
    return registry_pb2.ModelVersion(
        name="models/digits/versions/v3",
        digest="d3",
        pipeline=pipeline,
        members=[
            member(name="models/digits/versions/v3--norm", digest="dn"),
            member(name="models/iris/versions/v2", digest="di"),
        ],
    )


def test_the_registrys_word_of_a_pipeline_names_its_members():
    model = registry_pb2.Model(name="models/digits", epoch=2, production_version="v3")
    message = registry_pb2.WatchModelsResponse(model=model, versions=[pipeline_version()], incarnation="one")
    assert convert.registered_from_proto(message).members == PIPELINE
    stored = convert.stored_versions(message)
    assert [(one.digest, one.model, one.version) for one in stored] == [
        ("d3", "digits", "v3"),
        ("dn", "digits", "v3--norm"),
        ("di", "iris", "v2"),
    ]
    whole = control_pb2.ResolvedVersion.FromString(stored[0].resolved)
    assert whole.pipeline.steps[1].pool == "cpu"
    assert [one.SerializeToString() for one in whole.members] == [one.resolved for one in stored[1:]]


def test_a_fused_pipeline_is_run_by_its_one_file():
    whole = pipeline_version()
    whole.pipeline.fuse = True
    for name in ("norm.onnx", "model.onnx"):
        whole.artifacts.add(name=name, type=registry_pb2.Artifact.TYPE_ONNX)
    message = registry_pb2.WatchModelsResponse(model=registry_pb2.Model(name="models/digits"), versions=[whole])
    assert convert.registered_from_proto(message).members == {}
    (stored,) = convert.stored_versions(message)
    resolved = control_pb2.ResolvedVersion.FromString(stored.resolved)
    assert (resolved.HasField("pipeline"), len(resolved.members)) == (False, 0)
    assert [one.name for one in resolved.artifacts] == ["model.onnx"]


def test_a_pipeline_whose_files_were_given_up_has_no_members():
    gone = pipeline_version()
    gone.collect_time.CopyFrom(timestamp_pb2.Timestamp(seconds=1))
    message = registry_pb2.WatchModelsResponse(model=registry_pb2.Model(name="models/digits"), versions=[gone])
    assert convert.registered_from_proto(message).members == {}
