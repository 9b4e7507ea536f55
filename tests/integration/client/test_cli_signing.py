"""`headrace models sign` writes what `register` takes and `headrace models verify` and the package accept."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from headrace_runtime.signatures.policy import Use, read

from tests.kit import signing
from tests.kit.clients.fake_cli import Run, document
from tests.kit.clients.fake_registry import FakeRegistry
from tests.kit.models.onnx_models import linear

MODEL_SIGNING = Path(sys.executable).with_name("model_signing")
ROWS = json.dumps({"inputs": {"x": [[1, 2, 3, 4]]}})


@pytest.fixture
def key(tmp_path: Path) -> signing.Key:
    key = signing.key_in(tmp_path, "release")
    (tmp_path / "release.pub").write_text(key.public)
    (tmp_path / "model.onnx").write_bytes(linear().content)
    (tmp_path / "rows.json").write_text(ROWS)
    return key


def test_a_signed_version_is_registered_and_verified_until_a_file_of_it_is_another(
    run: Run, registry: FakeRegistry, key: signing.Key
) -> None:
    words = ("model.onnx", "--artifact", "validation.json=rows.json")
    signed = document(run("models", "sign", *words, "--key", "release.pem", "--json"))
    assert signed == {"signature": "model.onnx.sig", "files": ["model.onnx", "validation.json"]}
    run("models", "register", "digits", "v1", *words, "--signature", "model.onnx.sig")
    verify = ("models", "verify", "digits@v1", "--public-key", "release.pub")
    assert document(run(*verify, "--json"))["verified"] is True
    artifact, other = registry.versions["digits"]["v1"].artifacts[0], linear(seed=2).content
    artifact.sha256 = hashlib.sha256(other).hexdigest()
    registry.uploads[artifact.sha256] = other
    assert "SIGNATURE_INVALID" in run(*verify).stderr
    artifact.name = "../model.onnx"
    assert "outside of the version" in run(*verify).stderr


def test_a_certificate_right_below_its_root_needs_no_chain(
    run: Run, registry: FakeRegistry, key: signing.Key, tmp_path: Path
) -> None:
    root = signing.authority()
    signing.certified(tmp_path, "ann", root, "ann@ml.example.org")
    (tmp_path / "root.crt").write_text(root.root)
    run("models", "sign", "model.onnx", "--key", "ann.pem", "--certificate", "ann.crt")
    run("models", "register", "digits", "v1", "model.onnx", "--signature", "model.onnx.sig")
    assert document(run("models", "verify", "digits@v1", "--roots", "root.crt", "--json"))["verified"] is True
    files = signing.digests({"model.onnx": linear().content})
    policy = read(signing.certificate_policy(root, "*@ml.example.org", production=["team"]))
    assert policy.check("m@v1", files, (tmp_path / "model.onnx.sig").read_bytes(), Use.PRODUCTION) == "team"


def test_what_is_signed_is_accepted_by_the_command_of_the_package(run: Run, key: signing.Key, tmp_path: Path) -> None:
    run("models", "sign", "model.onnx", "--artifact", "rows.json=rows.json", "--key", "release.pem", "--output", "s")
    folder = tmp_path / "version"
    folder.mkdir()
    for name in ("model.onnx", "rows.json"):
        (folder / name).write_bytes((tmp_path / name).read_bytes())
    command = [MODEL_SIGNING, "verify", "key", folder, "--signature", "s", "--public_key", "release.pub"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "succeeded" in done.stdout + done.stderr) == (0, True)


def test_code_is_signed_as_it_is_registered_with_empty_modules_and_without_hidden_files(
    run: Run, registry: FakeRegistry, tmp_path: Path
) -> None:
    root = signing.authority()
    signing.certified(tmp_path, "ann", signing.authority(root), "ann@ml.example.org")
    (tmp_path / "root.crt").write_text(root.root)
    code = tmp_path / "handler"
    code.mkdir()
    for name, content in (("model.py", "class TritonPythonModel: ..."), ("part.py", ""), (".hidden", "x")):
        (code / name).write_text(content)
    contract = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1]}]}
    contract["outputs"] = [{"name": "y", "datatype": "FP32", "shape": [1]}]
    (tmp_path / "contract.json").write_text(json.dumps(contract))
    by_ann = ("--key", "ann.pem", "--certificate", "ann.crt", "--chain", "ann.chain")
    said = run("models", "sign", "handler/", *by_ann)
    assert "headrace models register MODEL VERSION handler --signature handler.sig" in " ".join(said.stderr.split())
    run("models", "register", "h", "v1", "handler/", "--contract", "contract.json", "--signature", "handler.sig")
    verified = run("models", "verify", "h", "v1", "--roots", "root.crt")
    assert "part.py" in verified.stdout, verified.stderr
    (tmp_path / "other.crt").write_text(signing.authority().root)
    refused = run("models", "verify", "h", "v1", "--roots", "other.crt")
    assert "SIGNATURE_INVALID" in refused.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("model.onnx", "--key", "release.pub"), "release.pub is not a private key"),
        (("model.onnx", "--key", "rows.json"), "rows.json is not a private key"),
        (("model.ubj", "--key", "release.pem"), "export it to ONNX first"),
        (("model.onnx", "--key", "release.pem", "--chain", "release.pub"), "--chain goes with --certificate"),
        (
            ("model.onnx", "--key", "release.pem", "--certificate", "release.pub"),
            "is not the certificate of the key, with its chain",
        ),
        (("model.onnx", "--key", "release.pem", "--output", "no/such/folder"), "cannot read no/such/folder"),
        (("model.onnx", "--key", "release.pem", "--artifact", "model.onnx=rows.json"), "is the model itself"),
    ],
)
def test_what_cannot_be_signed_says_which_file_and_why(
    run: Run, key: signing.Key, tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    (tmp_path / "model.ubj").write_bytes(b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner")
    refused = run("models", "sign", *words)
    assert refused.exit_code != 0
    assert expected in " ".join(refused.stderr.split())


def test_a_version_without_a_signature_or_an_unknown_key_is_said(
    run: Run, registry: FakeRegistry, key: signing.Key
) -> None:
    registry.put("digits", "v1")
    assert "NOT_SIGNED" in run("models", "verify", "digits@v1", "--public-key", "release.pub").stderr
    assert run("models", "verify", "digits@v1").exit_code == 2


def test_without_the_package_the_command_says_how_to_install_it(tmp_path: Path, key: signing.Key) -> None:
    program = (
        "import sys; sys.modules['model_signing'] = None; from headrace_client.cli import main; "
        "main(['models', 'sign', 'model.onnx', '--key', 'release.pem'])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "pip install 'headrace-client[signing]'" in done.stderr
