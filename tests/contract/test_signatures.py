"""Bundles of the package model-signing: what it writes is accepted here, and refused here when it refuses it."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from headrace_runtime.signatures.policy import Use, read
from headrace_servicekit.errors import PreconditionFailed

from tests.kit import signing
from tests.kit.signing import Key

FILES = {"model.onnx": b"a model", "parts/weights.json": b"{}"}
VERSION = "fraud@v1"


def reason(policy: str, content: bytes, files: dict[str, bytes] = FILES) -> str:
    """Return why a version is refused, empty where it is accepted."""
    try:
        read(policy).check(VERSION, signing.digests(files), content, Use.PRODUCTION)
    except PreconditionFailed as error:
        return error.reason if VERSION in error.public_message else "names no version"
    return ""


def package_accepts(key: Key, folder: Path, content: bytes, root: Path | None = None) -> bool:
    import model_signing

    config, signature = model_signing.verifying.Config(), folder.parent / "checked.sig"
    signature.write_bytes(content)
    public = folder.parent / "public.pem"
    public.write_text(key.public)
    if root is None:
        config.use_elliptic_key_verifier(public_key=public)
    else:
        config.use_certificate_verifier(certificate_chain=[root])
    try:
        config.verify(folder, signature)
    except Exception:  # it raises whatever its libraries do
        return False
    return True


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda one: one.name)
def test_what_the_package_signs_by_a_key_is_accepted(tmp_path: Path, curve: ec.EllipticCurve):
    key = signing.key_in(tmp_path, "k", curve)
    content = key.sign_files(tmp_path / "m", FILES)
    assert reason(signing.policy({"k": key}, production=["k"]), content) == ""


def test_a_signature_of_one_file_is_of_a_version_with_one_file(tmp_path: Path):
    key = signing.key_in(tmp_path, "k")
    (tmp_path / "any-name.onnx").write_bytes(b"a model")
    content, policy = key.sign(tmp_path / "any-name.onnx"), signing.policy({"k": key}, production=["k"])
    assert reason(policy, content, {"model.onnx": b"a model"}) == ""
    assert reason(policy, content, {"model.onnx": b"another"}) == "SIGNATURE_INVALID"
    assert reason(policy, content, {"model.onnx": b"a model", "more.json": b"{}"}) == "SIGNATURE_INVALID"


@pytest.mark.parametrize("below", [False, True], ids=["of the root", "of an authority below it"])
def test_what_the_package_signs_by_a_certificate_is_accepted_from_its_root_and_holder(tmp_path: Path, below: bool):
    root, other = signing.authority(), signing.authority()
    ann = signing.certified(tmp_path, "ann", signing.authority(root) if below else root, "ann@ml.example.org")
    content = ann.sign_files(tmp_path / "m", FILES)
    assert reason(signing.certificate_policy(root, "*@ml.example.org", production=["team"]), content) == ""
    assert reason(signing.certificate_policy(other, "*@ml.example.org"), content) == "SIGNATURE_INVALID"
    assert reason(signing.certificate_policy(root, "ben@*"), content) == "SIGNER_NOT_TRUSTED"
    serials = (signing.serial(ann),)
    assert reason(signing.certificate_policy(root, "*", serials), content) == "SIGNER_REVOKED"


def test_a_certificate_that_may_not_sign_is_refused_by_both(tmp_path: Path):
    root = signing.authority()
    (tmp_path / "root.pem").write_text(root.root)
    for name, sign in (("ann", True), ("eve", False)):
        key = signing.certified(tmp_path, name, root, "e@example.org", sign=sign)
        content = key.sign_files(tmp_path / name, FILES)
        assert package_accepts(key, tmp_path / name, content, tmp_path / "root.pem") is sign
        assert (reason(signing.certificate_policy(root, "*"), content) == "") is sign


def payload(document: dict[str, Any], change: Any) -> None:
    statement = json.loads(base64.b64decode(document["dsseEnvelope"]["payload"]))
    change(statement)
    document["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()


CHANGES = {
    "another media type": lambda d: d.update(mediaType="text/plain"),
    "another payload type": lambda d: d["dsseEnvelope"].update(payloadType="text/plain"),
    "a signature of zeros": lambda d: d["dsseEnvelope"]["signatures"][0].update(
        sig=base64.b64encode(bytes(64)).decode()
    ),
    "no signature": lambda d: d["dsseEnvelope"].update(signatures=[]),
    "a digest changed": lambda d: payload(d, lambda s: s["predicate"]["resources"][0].update(digest="0" * 64)),
    "a file renamed": lambda d: payload(d, lambda s: s["predicate"]["resources"][0].update(name="x")),
    "a file left out": lambda d: payload(d, lambda s: s["predicate"]["resources"].pop()),
    "another predicate": lambda d: payload(d, lambda s: s.update(predicateType="x")),
    "spaces in the payload": lambda d: payload(d, lambda s: None),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_bundle_that_was_changed_is_refused_by_both(tmp_path: Path, change: Any):
    key = signing.key_in(tmp_path, "k")
    document = json.loads(key.sign_files(tmp_path / "m", FILES))
    change(document)
    content = json.dumps(document).encode()
    assert not package_accepts(key, tmp_path / "m", content)
    assert reason(signing.policy({"k": key}, production=["k"]), content) == "SIGNATURE_INVALID"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"mediaType": 1}', b"[" * 100_000, b"\xff\xfe"])
def test_what_is_no_bundle_is_refused_as_one(tmp_path: Path, content: bytes):
    policy = signing.policy({"k": signing.key_in(tmp_path, "k")}, production=["k"])
    assert reason(policy, content) == "SIGNATURE_INVALID"
