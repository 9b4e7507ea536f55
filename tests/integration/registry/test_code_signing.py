"""Code that does not fit into one message, and code that only whoever holds a key may bring."""

import base64
import io
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from headrace.registry.v1 import registry_pb2
from headrace_client.code_signatures import signature_of
from headrace_client.errors import InvalidArgument
from headrace_registry.artifacts.code_signatures import UnreadableKeysError, read_keys
from headrace_servicekit.errors import Code

from tests.integration.registry.test_formats import PT2, PYTHON, SOURCE, code, create
from tests.kit.clients.refusals import refused
from tests.kit.registry.service import Registry, memory_registry

Artifact = registry_pb2.Artifact
Header = registry_pb2.UploadArtifactRequest.Header
MIB = 1024 * 1024


def key_in(folder: Path, name: str) -> tuple[Path, bytes]:
    """Write a private key; return where, and its public one."""
    key, file = Ed25519PrivateKey.generate(), folder / f"{name}.pem"
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return file, key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """Two keys that may sign code, in one file, and one that may not."""
    made = {name: key_in(tmp_path, name) for name in ("ann", "ben", "eve")}
    (tmp_path / "keys.pem").write_bytes(made["ann"][1] + made["ben"][1])
    return {name: file for name, (file, _) in made.items()} | {"public": tmp_path / "keys.pem"}


@pytest.fixture
async def strict(keys: dict[str, Path]) -> AsyncIterator[Registry]:
    async with memory_registry(allow_code=True, code_keys_file=keys["public"]) as registry:
        yield registry


async def streamed(registry: Registry, content: bytes, kind: Any = PT2, *, say: int | None = None) -> str:
    async def messages() -> AsyncIterator[registry_pb2.StreamCodeRequest]:
        size = len(content) if say is None else say
        yield registry_pb2.StreamCodeRequest(header=Header(type=kind, size_bytes=size))
        for at in range(0, len(content), MIB):
            yield registry_pb2.StreamCodeRequest(chunk=content[at : at + MIB])

    return (await registry.stub.StreamCode(messages(), timeout=60)).sha256


def package(size: int) -> bytes:
    with zipfile.ZipFile(made := io.BytesIO(), "w") as archive:
        archive.writestr("m/data/aotinductor/model/a.so", bytes(size))
    return made.getvalue()


async def signed(
    registry: Registry, key: Path, change: Callable[[dict[str, Any]], None] = lambda document: None, **told: str
) -> registry_pb2.ModelVersion:
    """Register a Python version that a key has signed."""
    source = await code(registry, SOURCE)
    named = {"model": "m", "version": "v1", "kept_as": "python", "sha256": source} | told
    content = signature_of(key, named["model"], named["version"], named["kept_as"], {"model.py": named["sha256"]})
    change(document := json.loads(content))
    stored = await registry.upload(json.dumps(document).encode(), Artifact.TYPE_JSON)
    return await create(
        registry,
        registry_pb2.FORMAT_PYTHON,
        Artifact(name="model.py", type=PYTHON, sha256=source),
        Artifact(name="signature.json", type=Artifact.TYPE_JSON, sha256=stored),
    )


async def test_a_package_larger_than_a_message_is_streamed_and_registered():
    async with memory_registry(allow_code=True) as registry:
        model = Artifact(name="model.pt2", type=PT2, sha256=await streamed(registry, package(20 * MIB)))
        made = await create(registry, registry_pb2.FORMAT_PT2, model)
        assert made.artifacts[0].size_bytes > 20 * MIB


async def test_streamed_code_is_bounded_checked_and_asks_for_the_same_permission():
    async with memory_registry(allow_code=True, max_artifact_bytes=2 * MIB) as registry:
        error = await refused(streamed(registry, package(3 * MIB)))
        assert (error.code, error.reason) == (Code.OUT_OF_RANGE, "ARTIFACT_TOO_LARGE")
        assert (await refused(streamed(registry, package(3 * MIB), say=0))).reason == "ARTIFACT_TOO_LARGE"
        assert (await refused(streamed(registry, b"no package"))).reason == "ARTIFACT_TYPE_REFUSED"
        assert (await refused(streamed(registry, b"{}", Artifact.TYPE_JSON))).reason == "ARTIFACT_TYPE_REFUSED"
    async with memory_registry() as registry:
        assert (await refused(streamed(registry, package(1)))).reason == "CODE_NOT_ALLOWED"


async def test_signed_code_is_taken_by_either_key_and_again(strict: Registry, keys: dict[str, Path]):
    first = await signed(strict, keys["ann"])
    assert first == await signed(strict, keys["ann"])
    assert {one.name for one in first.artifacts} == {"model.py", "signature.json"}


@pytest.mark.parametrize(
    ("told", "change", "why"),
    [
        pytest.param({}, lambda d: d.update(key="0" * 16), "is not among those that may sign code", id="unknown key"),
        pytest.param({"version": "v2"}, None, "is not of these files under this name", id="another version's"),
        pytest.param({"model": "n"}, None, "is not of these files under this name", id="another model's"),
        pytest.param({"kept_as": "pt2"}, None, "is not of these files under this name", id="another format's"),
        pytest.param({"sha256": "0" * 64}, None, "is not of these files under this name", id="other files'"),
        pytest.param(
            {}, lambda d: d.update(signature=base64.b64encode(bytes(64)).decode()), "is not of these files", id="zeros"
        ),
        pytest.param({}, lambda d: d.update(signature="?"), "in base64", id="no base64"),
        pytest.param({}, lambda d: d.update(signature=7), "in base64", id="no text"),
        pytest.param({}, lambda d: d.pop("key"), "in base64", id="names no key"),
    ],
)
async def test_a_signature_of_anything_else_is_refused(strict: Registry, keys: dict[str, Path], told, change, why):
    error = await refused(signed(strict, keys["ann"], change or (lambda document: None), **told))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "CODE_NOT_SIGNED")
    assert why in error.public_message
    assert [one.field for one in error.violations] == ["version.artifacts[1]"]


async def test_unsigned_code_and_that_of_strangers_is_refused_and_onnx_needs_no_signature(
    strict: Registry, keys: dict[str, Path]
):
    model = Artifact(name="model.py", type=PYTHON, sha256=await code(strict, SOURCE))
    error = await refused(create(strict, registry_pb2.FORMAT_PYTHON, model))
    assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "CODE_NOT_SIGNED")
    assert "--sign-key" in error.public_message
    assert (await refused(signed(strict, keys["eve"]))).reason == "CODE_NOT_SIGNED"
    await strict.register("n", "v1")


def test_a_file_of_keys_that_are_none_stops_the_start(tmp_path: Path):
    file = tmp_path / "keys.pem"
    with pytest.raises(UnreadableKeysError, match="cannot be read"):
        read_keys(file)
    for content in (b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        file.write_bytes(content)
        with pytest.raises(UnreadableKeysError):
            read_keys(file)
    other = generate_ec_key(SECP256R1()).public_key()
    pem, info = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    file.write_bytes(other.public_bytes(pem, info))
    with pytest.raises(UnreadableKeysError, match="not of Ed25519"):
        read_keys(file)


def test_what_is_no_private_key_of_that_kind_does_not_sign(tmp_path: Path):
    file = tmp_path / "key.pem"
    file.write_text("no key")
    with pytest.raises(InvalidArgument, match="no private key in PEM form"):
        signature_of(file, "m", "v1", "python", {})
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    other = generate_ec_key(SECP256R1())
    file.write_bytes(other.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    with pytest.raises(InvalidArgument, match="openssl genpkey"):
        signature_of(file, "m", "v1", "python", {})
    unknown = base64.b64encode(bytes.fromhex("300e0201003005" + "06032a0304" + "04020400")).decode()
    file.write_text(f"-----BEGIN PRIVATE KEY-----\n{unknown}\n-----END PRIVATE KEY-----\n")
    with pytest.raises(InvalidArgument, match="Unknown key type"):
        signature_of(file, "m", "v1", "python", {})
