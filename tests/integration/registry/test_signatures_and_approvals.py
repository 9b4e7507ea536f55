"""The signing policy as it is when a promotion happens counts, whenever others agreed to it."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
from headrace.registry.v1 import approval_pb2 as pb
from headrace.registry.v1 import approval_pb2_grpc, registry_pb2
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.integration.registry.test_approvals import approve, ask, put_policy
from tests.integration.registry.test_signatures import signature
from tests.kit import signing
from tests.kit.clients.refusals import refused
from tests.kit.models.onnx_models import linear
from tests.kit.registry.service import Registry, caller, memory_registry

PRODUCTION = registry_pb2.ModelVersion.STAGE_PRODUCTION
MODEL = linear()


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, signing.Key]:
    return {name: signing.key_in(tmp_path, name) for name in ("old", "new")}


@pytest.fixture
def policy(tmp_path: Path, keys: dict[str, signing.Key]) -> Path:
    file = tmp_path / "policy.toml"
    file.write_text(signing.policy(keys))
    return file


@pytest.fixture
async def registry(policy: Path) -> AsyncIterator[Registry]:
    async with memory_registry(signing_policy_file=policy) as registry:
        yield registry


@pytest.fixture
async def approvals(registry: Registry, keys: dict[str, signing.Key], tmp_path: Path):
    """The stub of ApprovalService. v1, v2 are signed by the old key, v3 is not signed; v2 and v3 are asked for."""
    async with grpc.aio.insecure_channel(registry.target) as channel:
        stub = approval_pb2_grpc.ApprovalServiceStub(channel)
        by_old = keys["old"].sign_files(tmp_path / "signed", {"model.onnx": MODEL.content})
        for version, bundle in (("v1", by_old), ("v2", by_old), ("v3", None)):
            files = [] if bundle is None else [await signature(registry, bundle)]
            await registry.register("digits", version, MODEL, files=files, metadata=caller("ann"))
        await registry.promote("digits", "v1")
        await put_policy(stub, approvals=1)
        yield stub


async def until_refused(registry: Registry, version: str, reason: str) -> None:
    """Wait until the registry has read its policy again, by a check that changes nothing."""
    request = registry_pb2.PromoteModelVersionRequest(
        name=f"models/digits/versions/{version}", target_stage=PRODUCTION, validate_only=True
    )

    async def reason_now() -> bool:
        return (await refused(registry.stub.PromoteModelVersion(request, timeout=10))).reason == reason

    await eventually(reason_now, within=10)


@pytest.mark.parametrize(
    ("version", "revoked", "require", "reason"),
    [
        pytest.param("v2", {"old": "laptop stolen"}, {}, "SIGNER_REVOKED", id="its key is revoked"),
        pytest.param("v2", {}, {"production": ["new"]}, "SIGNER_NOT_TRUSTED", id="another key is wanted"),
        pytest.param("v3", {}, {"production": ["old", "new"]}, "NOT_SIGNED", id="a signature is wanted"),
    ],
)
async def test_an_approval_that_was_asked_before_the_policy_changed_promotes_nothing_that_it_refuses(
    registry, approvals, keys, policy, version, revoked, require, reason
):
    name = (await ask(approvals, version)).request.name
    policy.write_text(signing.policy(keys, revoked=revoked, **require))
    await until_refused(registry, version, reason)
    error = await refused(approve(approvals, name, "cid"))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, reason)
    found = await approvals.GetPromotionRequest(pb.GetPromotionRequestRequest(name=name), timeout=20)
    assert found.request.state == pb.PromotionRequest.STATE_PENDING
    assert f"digits@{version}" in found.review.obstacles[0]
    assert (await registry.model("digits")).production_version == "v1"
    policy.write_text(signing.policy(keys))

    async def promoted() -> bool:
        try:
            done = await approve(approvals, name, "cid")
        except grpc.aio.AioRpcError:
            return False
        return done.request.state == pb.PromotionRequest.STATE_PROMOTED

    await eventually(promoted, within=10)


async def test_an_emergency_promotion_does_not_pass_the_policy_by(registry, approvals, keys, policy):
    policy.write_text(signing.policy(keys, production=["new"]))
    await until_refused(registry, "v2", "SIGNER_NOT_TRUSTED")
    request = pb.BreakGlassRequest(name="models/digits/versions/v2", reason="fire")
    error = await refused(approvals.BreakGlass(request, timeout=20, metadata=caller("ann")))
    assert error.reason == "SIGNER_NOT_TRUSTED"
