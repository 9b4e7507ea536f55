"""Signed versions at the registry: what its signing policy lets in, and lets move."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.error_details import from_rpc_error
from headrace_servicekit.errors import Code
from headrace_servicekit.testing import eventually

from tests.integration.registry.test_formats import PYTHON, SOURCE, code, create
from tests.kit import signing
from tests.kit.clients.refusals import refused
from tests.kit.models.onnx_models import linear
from tests.kit.registry.service import Registry, memory_registry

Artifact = registry_pb2.Artifact
MODEL = linear()


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, signing.Key]:
    return {name: signing.key_in(tmp_path, name) for name in ("ann", "ben", "eve")}


@pytest.fixture
def policy(tmp_path: Path, keys: dict[str, signing.Key]) -> Path:
    """A policy that takes unsigned models, but no unsigned code, and none into production."""
    file = tmp_path / "policy.toml"
    trusted = {name: keys[name] for name in ("ann", "ben")}
    file.write_text(signing.policy(trusted, production=["ann", "ben"], code=["ann"]))
    return file


@pytest.fixture
async def registry(policy: Path) -> AsyncIterator[Registry]:
    async with memory_registry(allow_code=True, signing_policy_file=policy) as registry:
        yield registry


async def signature(registry: Registry, content: bytes) -> registry_pb2.Artifact:
    sha256 = await registry.upload(content, Artifact.TYPE_JSON)
    return Artifact(name="signature.json", type=Artifact.TYPE_JSON, sha256=sha256)


async def register(registry: Registry, version: str, key: signing.Key, folder: Path, **files: bytes) -> Any:
    content = key.sign_files(folder / version, {"model.onnx": MODEL.content} | files)
    return await registry.register("m", version, MODEL, files=[await signature(registry, content)])


async def test_a_signed_version_is_promoted_and_an_unsigned_one_only_up_to_staging(registry, keys, tmp_path):
    await register(registry, "v1", keys["ann"], tmp_path)
    await registry.promote("m", "v1")
    await registry.register("m", "v2", MODEL)
    await registry.promote("m", "v2", registry_pb2.ModelVersion.STAGE_STAGING)
    error = await refused(registry.promote("m", "v2"))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "NOT_SIGNED")
    assert "m@v2 has no signature" in error.public_message
    assert "ann, ben" in error.public_message


async def test_a_signature_of_a_stranger_or_of_other_files_is_refused_at_registration(registry, keys, tmp_path):
    assert (await refused(register(registry, "v1", keys["eve"], tmp_path))).reason == "SIGNER_NOT_TRUSTED"
    error = await refused(register(registry, "v2", keys["ann"], tmp_path, **{"more.json": b"{}"}))
    assert error.reason == "SIGNATURE_INVALID"
    assert "covers 'more.json'" in error.public_message


async def test_versions_of_a_revoked_key_are_neither_promoted_nor_rolled_back_to(registry, keys, policy, tmp_path):
    await register(registry, "v1", keys["ann"], tmp_path)
    await register(registry, "v2", keys["ben"], tmp_path)
    await register(registry, "v3", keys["ann"], tmp_path)
    await registry.promote("m", "v1")
    await registry.promote("m", "v2")
    trusted = {name: keys[name] for name in ("ann", "ben")}
    policy.write_text(signing.policy(trusted, revoked={"ann": "laptop stolen"}, production=["ben"]))

    async def refusal(call: Any) -> bool:
        try:
            await call
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error).reason == "SIGNER_REVOKED"
        return False

    # A check, which changes nothing until the policy is read again.
    v3 = registry_pb2.PromoteModelVersionRequest(
        name="models/m/versions/v3", target_stage=registry_pb2.ModelVersion.STAGE_PRODUCTION, validate_only=True
    )
    await eventually(lambda: refusal(registry.stub.PromoteModelVersion(v3, timeout=10)), within=10)
    back = registry_pb2.RollbackModelRequest(name="models/m")
    error = await refused(registry.stub.RollbackModel(back, timeout=10))
    assert error.reason == "SIGNER_REVOKED"
    assert "laptop stolen" in error.public_message


async def test_code_needs_a_signature_of_its_own_signers(registry, keys, tmp_path):
    source = await code(registry, SOURCE)
    model = Artifact(name="model.py", type=PYTHON, sha256=source)
    assert (await refused(create(registry, registry_pb2.FORMAT_PYTHON, model))).reason == "NOT_SIGNED"
    content = SOURCE if isinstance(SOURCE, bytes) else SOURCE.encode()
    by_ben = await signature(registry, keys["ben"].sign_files(tmp_path / "ben", {"model.py": content}))
    assert (await refused(create(registry, registry_pb2.FORMAT_PYTHON, model, by_ben))).reason == "SIGNER_NOT_TRUSTED"
    by_ann = await signature(registry, keys["ann"].sign_files(tmp_path / "by-ann", {"model.py": content}))
    first = await create(registry, registry_pb2.FORMAT_PYTHON, model, by_ann)
    assert first == await create(registry, registry_pb2.FORMAT_PYTHON, model, by_ann)


async def test_a_signature_file_that_is_too_large_is_named(registry):
    large = await signature(registry, b'{"a": "' + b"x" * 300_000 + b'"}')
    error = await refused(registry.register("m", "v1", MODEL, files=[large]))
    assert error.code is Code.INVALID_ARGUMENT
    assert "version.artifacts[1]" in error.public_message
