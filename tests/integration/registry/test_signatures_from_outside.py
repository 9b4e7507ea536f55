"""Bundles as others make them: by the command of the package model-signing, for a file and for a folder; and what is no
bundle. Each refusal says what is wrong and what to do."""

import datetime
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import Code, ServiceError

from tests.kit import signing
from tests.kit.clients.refusals import refused
from tests.kit.models.onnx_models import linear
from tests.kit.registry.service import Registry, memory_registry

Artifact = registry_pb2.Artifact
MODEL = linear()
ROWS = json.dumps({"inputs": {"x": [[1, 2, 3, 4]]}}).encode()
SIGN_AGAIN = "sign exactly the files of the version again"


def by_command(key: signing.Key, what: Path) -> bytes:
    """Return the bundle of a file or a folder that `model_signing sign` writes."""
    out = what.with_suffix(".sig")
    words = ["key"] if not key.chain else ["certificate", "--signing_certificate", key.chain[0]]
    words += [word for one in key.chain[1:] for word in ("--certificate_chain", one)]
    command = [Path(sys.executable).with_name("model_signing"), "sign", *words, what]
    subprocess.run(
        [*command, "--private_key", key.private, "--signature", out], check=True, capture_output=True, timeout=60
    )
    return out.read_bytes()


def file_in(folder: Path, content: bytes = MODEL.content) -> Path:
    (folder / "any-name.onnx").write_bytes(content)
    return folder / "any-name.onnx"


@pytest.fixture
def key(tmp_path: Path) -> signing.Key:
    return signing.key_in(tmp_path, "release")


@pytest.fixture
async def registry(tmp_path: Path, key: signing.Key) -> AsyncIterator[Registry]:
    """A registry in which every version must be signed by the key."""
    file = tmp_path / "policy.toml"
    file.write_text(signing.policy({"release": key}, registered=["release"], production=["release"]))
    async with memory_registry(signing_policy_file=file) as registry:
        yield registry


async def register(registry: Registry, bundle: bytes | None, **others: bytes) -> registry_pb2.ModelVersion:
    files = {name.replace("_", "."): content for name, content in others.items()}
    if bundle is not None:
        files["signature.json"] = bundle
    artifacts = [
        Artifact(name=name, type=Artifact.TYPE_JSON, sha256=await registry.upload(content, Artifact.TYPE_JSON))
        for name, content in files.items()
    ]
    return await registry.register("fraud", "v1", MODEL, files=artifacts)


async def test_bundles_of_a_file_and_of_a_folder_are_taken_into_production(registry, key, tmp_path):
    await register(registry, by_command(key, file_in(tmp_path)))
    await registry.promote("fraud", "v1")
    folder = tmp_path / "version"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(MODEL.content)
    (folder / "validation.json").write_bytes(ROWS)
    sha256 = await registry.upload(by_command(key, folder), Artifact.TYPE_JSON)
    files = [Artifact(name="signature.json", type=Artifact.TYPE_JSON, sha256=sha256)]
    sha256 = await registry.upload(ROWS, Artifact.TYPE_JSON)
    files.append(Artifact(name="validation.json", type=Artifact.TYPE_JSON, sha256=sha256))
    await registry.register("fraud", "v2", MODEL, files=files)
    assert (await registry.promote("fraud", "v2")).model.production_version == "v2"


def broken(kind: str, good: bytes, key: signing.Key, folder: Path) -> bytes | None:
    """Return a bundle with something wrong, None for none at all."""
    match kind:
        case "of another model":
            return by_command(key, file_in(folder, linear(seed=2).content))
        case "of another key":
            return by_command(signing.key_in(folder, "eve"), file_in(folder))
        case "truncated":
            return good[: len(good) // 2]
        case "no JSON":
            return b"-----BEGIN PGP SIGNATURE-----\n"
        case "another JSON":
            return b'{"signature": "me"}'
        case "nested too deeply":
            return b"[" * 200_000 + b"]" * 200_000
        case "huge":
            return b" " * 300_000 + good
        case _:
            return None


@pytest.mark.parametrize(
    ("kind", "code", "reason", "said"),
    [
        pytest.param(kind, code, reason, said, id=kind)
        for kind, code, reason, said in (
            ("absent", Code.FAILED_PRECONDITION, "NOT_SIGNED", "headrace models sign"),
            ("of another model", Code.FAILED_PRECONDITION, "SIGNATURE_INVALID", SIGN_AGAIN),
            ("of another key", Code.FAILED_PRECONDITION, "SIGNER_NOT_TRUSTED", "not one of: release; sign with an acc"),
            ("truncated", Code.INVALID_ARGUMENT, "", "JSON"),
            ("no JSON", Code.INVALID_ARGUMENT, "", "JSON"),
            ("nested too deeply", Code.INVALID_ARGUMENT, "", "JSON"),
            ("another JSON", Code.FAILED_PRECONDITION, "SIGNATURE_INVALID", SIGN_AGAIN),
            ("huge", Code.INVALID_ARGUMENT, "", "at most 262144"),
        )
    ],
)
async def test_what_is_no_signature_of_the_version_is_refused_with_what_to_do(
    registry, key, tmp_path, kind, code, reason, said
):
    bundle = broken(kind, by_command(key, file_in(tmp_path)), key, tmp_path)
    error = await refused(register(registry, bundle))
    assert (error.code, said in error.public_message) == (code, True), error.public_message
    assert error.reason == reason or not reason
    assert error.reason, "a program can branch on it"


async def test_an_empty_signature_is_refused_where_it_is_uploaded(registry):
    error = await refused(registry.upload(b"", Artifact.TYPE_JSON))
    assert error.code is Code.INVALID_ARGUMENT
    assert "empty" in error.public_message


async def test_a_certificate_that_had_expired_is_refused_and_one_that_expires_later_is_not(tmp_path):
    now = datetime.datetime.now(datetime.UTC)
    root = signing.authority(begin=now - datetime.timedelta(days=32))
    policy = tmp_path / "policy.toml"
    policy.write_text(signing.certificate_policy(root, "*@ml.example.org", production=["team"]))
    # The package wants a chain, which the root's own certificate may be.
    old = signing.certified(tmp_path, "old", root, "a@ml.example.org", begin=now - datetime.timedelta(days=31))
    valid = signing.certified(tmp_path, "valid", root, "a@ml.example.org", begin=now - datetime.timedelta(days=29))
    async with memory_registry(signing_policy_file=policy) as registry:
        error: ServiceError = await refused(register(registry, by_command(old, file_in(tmp_path))))
        assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "CERTIFICATE_EXPIRED")
        ended = now - datetime.timedelta(days=1)
        assert f"expired at {ended:%Y-%m-%d}" in error.public_message
        assert "sign the files again with a certificate that is valid" in error.public_message
        await register(registry, by_command(valid, file_in(tmp_path)))
        assert (await registry.promote("fraud", "v1")).model.production_version == "v1"
