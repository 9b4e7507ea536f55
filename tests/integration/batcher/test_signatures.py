"""A batcher with a signing policy loads what its signers have signed, and nothing else."""

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from headrace.registry.v1 import registry_pb2
from headrace.router.v1 import control_pb2
from headrace_servicekit.testing import eventually

from tests.kit import signing
from tests.kit.batcher.service import BatcherRig, put_blob
from tests.kit.batcher.stream_client import BatcherClient
from tests.kit.models import onnx_models
from tests.kit.models.onnx_models import TinyModel


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, signing.Key]:
    return {name: signing.key_in(tmp_path, name) for name in ("old", "new")}


@pytest.fixture
def policy(tmp_path: Path, keys: dict[str, signing.Key]) -> Path:
    file = tmp_path / "policy.toml"
    write(file, keys)
    return file


def write(policy: Path, keys: dict[str, signing.Key], revoked: dict[str, str] | None = None) -> None:
    policy.write_text(signing.policy(keys, revoked=revoked, serving=["old", "new"]))


async def signed(rig: BatcherRig, name: str, model: TinyModel, content: bytes) -> control_pb2.ResolvedVersion:
    """Store a model and its signature; return the version."""
    version, blob = await rig.version(name, model), sha256(content).hexdigest()
    await put_blob(rig.s3, blob, content)
    kind = registry_pb2.Artifact.TYPE_JSON
    version.artifacts.add(name="signature.json", type=kind, sha256=blob, size_bytes=len(content))
    return version


async def test_a_signed_version_is_loaded_and_an_unsigned_or_tampered_one_says_why_not(
    onnx_rig: BatcherRig, keys, policy: Path, tmp_path: Path
):
    model, other = onnx_models.linear(seed=1), onnx_models.linear(seed=2)
    content = keys["old"].sign_files(tmp_path / "m", {"model.onnx": model.content})
    good = await signed(onnx_rig, "good", model, content)
    tampered = await signed(onnx_rig, "tampered", other, content)
    unsigned = await onnx_rig.version("unsigned", model)
    long = await signed(onnx_rig, "long", model, content + b" " * 300_000)
    onnx_rig.want(good, tampered, unsigned, long)
    async with (
        onnx_rig.running(signing_policy_file=policy) as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        await client.until_ready(good.digest)
        await client.infer(good.digest, [np.ones((1, 4), dtype=np.float32)])
        reason = await onnx_rig.until_failed(tampered.digest)
        assert "SIGNATURE_INVALID: version tampered@v1 has a signature that is of another 'model.onnx'" in reason
        assert "NOT_SIGNED: version unsigned@v1" in await onnx_rig.until_failed(unsigned.digest)
        assert "SIGNATURE_INVALID" in await onnx_rig.until_failed(long.digest)


async def test_a_version_of_a_revoked_key_is_not_loaded_again_until_the_key_is_accepted(
    onnx_rig: BatcherRig, keys, policy: Path, tmp_path: Path
):
    model = onnx_models.linear()
    version = await signed(onnx_rig, "m", model, keys["old"].sign_files(tmp_path / "m", {"model.onnx": model.content}))
    onnx_rig.want(version)
    async with (
        onnx_rig.running(signing_policy_file=policy) as runtime,
        BatcherClient.connected(runtime.servers[0].address) as client,
    ):
        await client.until_ready(version.digest)
    write(policy, keys, revoked={"old": "laptop stolen"})
    async with onnx_rig.running(signing_policy_file=policy) as runtime:
        reason = await onnx_rig.until_failed(version.digest)
        assert "SIGNER_REVOKED" in reason
        assert "laptop stolen" in reason
        write(policy, keys)
        async with BatcherClient.connected(runtime.servers[0].address) as client:
            await eventually(lambda: version.digest in client.versions, within=30)


def test_a_batcher_without_a_policy_imports_no_cryptography():
    imports = "import sys, headrace_batcher.service; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", imports], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
