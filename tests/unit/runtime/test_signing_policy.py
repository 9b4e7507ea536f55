"""The signing policy: who must sign what, rotation, revocation, and files that cannot be used."""

from pathlib import Path

import pytest
from headrace_runtime.signatures import policy_file
from headrace_runtime.signatures.policy import PolicyError, Use, read
from headrace_runtime.signatures.policy_file import PolicyFile
from headrace_servicekit.errors import PreconditionFailed

from tests.kit import signing

FILES = {"model.onnx": b"a model"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, signing.Key]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: signing.key_in(folder, name) for name in ("old", "new", "eve")}


@pytest.fixture(scope="module")
def signatures(keys: dict[str, signing.Key], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes | None]:
    folder = tmp_path_factory.mktemp("signed")
    return {name: key.sign_files(folder / name, FILES) for name, key in keys.items()} | {"nobody": None}


@pytest.mark.parametrize(
    ("require", "revoked", "by", "uses", "expected"),
    [
        pytest.param({}, {}, "nobody", [Use.PRODUCTION], "", id="nothing is required"),
        pytest.param({}, {}, "old", [Use.PRODUCTION], "", id="a signature may be there"),
        pytest.param({}, {}, "eve", [Use.PRODUCTION], "SIGNER_NOT_TRUSTED", id="but must be of a known signer"),
        pytest.param({}, {"old": "stolen"}, "old", [Use.STAGING], "SIGNER_REVOKED", id="and not of a revoked one"),
        pytest.param({"production": ["old"]}, {}, "nobody", [Use.PRODUCTION], "NOT_SIGNED", id="unsigned"),
        pytest.param({"production": ["old"]}, {}, "nobody", [Use.STAGING], "", id="unsigned in another stage"),
        pytest.param({"production": ["old"]}, {}, "old", [Use.PRODUCTION], "", id="signed"),
        pytest.param({"production": ["new"]}, {}, "old", [Use.PRODUCTION], "SIGNER_NOT_TRUSTED", id="not for this"),
        pytest.param({"production": ["old", "new"]}, {}, "old", [Use.PRODUCTION], "", id="overlap: the old key"),
        pytest.param({"production": ["old", "new"]}, {}, "new", [Use.PRODUCTION], "", id="overlap: the new key"),
        pytest.param({"code": ["old"]}, {}, "nobody", [Use.SERVING, Use.CODE], "NOT_SIGNED", id="code"),
        pytest.param({"code": ["old"]}, {}, "nobody", [Use.SERVING], "", id="no code"),
    ],
)
def test_who_may_sign_what(keys, signatures, require, revoked, by, uses, expected):
    declared = {name: key for name, key in keys.items() if name != "eve"}
    policy = read(signing.policy(declared, revoked=revoked, **require))
    try:
        policy.check("fraud@v1", signing.digests(FILES), signatures[by], *uses)
        found = ""
    except PreconditionFailed as error:
        found = error.reason if "fraud@v1" in error.public_message else "names no version"
    assert found == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "no TOML"),
        ("other = 1", "'other' is not one of"),
        ("[signers.a]", "either public_key or roots"),
        ("[signers.a]\npublic_key = 'x'", r"signers.a.public_key: is no public key"),
        ("[signers.a]\npublic_key = 7", r"signers.a.public_key: is no text"),
        ("[signers.a]\nroots = 'x'\nidentity = '*'", "certificates in PEM form"),
        ("[signers.a]\nroots = 'x'", "identity"),
        ("[require]\nproduction = []", "leave it out"),
        ("[require]\nproduction = ['a']", "'a' is not among the signers"),
        ("[require]\nlunch = ['a']", "is not one of code"),
        ("signers = 1", "is no table"),
    ],
)
def test_a_policy_that_cannot_be_used_says_which_entry(text, message):
    with pytest.raises(PolicyError, match=message):
        read(text)


async def test_a_changed_file_takes_effect_and_a_broken_one_does_not(tmp_path: Path, keys):
    file = tmp_path / "policy.toml"
    file.write_text(signing.policy({"old": keys["old"]}))
    followed = PolicyFile.open(file)
    for text, signers in ((signing.policy(keys), 3), ("[", 3), (signing.policy({"new": keys["new"]}), 1)):
        file.write_text(text)
        await followed.follow()
        assert len(followed.policy.signers) == signers
    file.unlink()
    await followed.follow()
    assert len(followed.policy.signers) == 1
    with pytest.raises(PolicyError, match="cannot be read"):
        policy_file.PolicyFile.open(file)
