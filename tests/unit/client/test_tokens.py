"""Tokens are found, minted, kept until shortly before they expire, and fetched again."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from headrace_client.errors import InvalidArgument
from headrace_client.issuer import AUDIENCE, ISSUER, DevelopmentIssuer, known_scopes
from headrace_client.tokens import TokenCache, expiry_s, from_environment

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PROTOS = Path(__file__).resolve().parents[3] / "protos" / "headrace"


@pytest.fixture(scope="module")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def checkout(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> Path:
    """A folder with the identity files that `make up` creates."""
    identity = tmp_path / ".headrace" / "identity"
    identity.mkdir(parents=True)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (identity / "issuer.key.pem").write_bytes(pem)
    (identity / "jwks.json").write_text(json.dumps({"keys": [{"kid": "key-1"}]}))
    return tmp_path


def issuer_of(checkout: Path) -> DevelopmentIssuer:
    found = DevelopmentIssuer.find({}, checkout)
    assert found is not None
    return found


def test_a_minted_token_has_the_claims_that_the_front_door_asks_for(
    checkout: Path, key: ec.EllipticCurvePrivateKey
) -> None:
    minted = issuer_of(checkout).mint(subject="ada", now=NOW, models=["digits", "fraud-*"])
    claims = jwt.decode(
        minted, key.public_key(), algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER, options={"verify_exp": False}
    )
    assert jwt.get_unverified_header(minted)["kid"] == "key-1"
    assert (claims["sub"], claims["models"]) == ("ada", ["digits", "fraud-*"])
    assert claims["exp"] - claims["iat"] == 15 * 60
    assert {"predict", "registry.read", "registry.promote", "routes.write"} <= set(claims["scopes"])


def test_the_scopes_are_those_that_the_apis_declare() -> None:
    protos = "".join(file.read_text(encoding="utf-8") for file in PROTOS.rglob("*.proto"))
    assert known_scopes() == tuple(sorted(set(re.findall(r'scope: "([a-z.]+)"', protos))))
    assert {"predict", "registry.promote", "rollouts.write"} <= set(known_scopes())


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(minutes=16)])
def test_a_lifetime_that_the_front_door_refuses_is_refused_before(checkout: Path, lifetime: timedelta) -> None:
    with pytest.raises(InvalidArgument, match="ttl"):
        issuer_of(checkout).mint(subject="ada", now=NOW, lifetime=lifetime)


def test_the_issuer_is_found_from_a_folder_below(checkout: Path) -> None:
    below = checkout / "examples" / "digits"
    below.mkdir(parents=True)
    assert DevelopmentIssuer.find({}, below) == DevelopmentIssuer(checkout / ".headrace" / "identity")


def test_a_named_folder_without_keys_is_an_error_and_not_another_issuer(checkout: Path) -> None:
    with pytest.raises(InvalidArgument, match="HEADRACE_IDENTITY_DIR"):
        DevelopmentIssuer.find({"HEADRACE_IDENTITY_DIR": "/nowhere"}, checkout)


def test_denied_subjects_are_kept_once_and_can_be_allowed_again(checkout: Path) -> None:
    issuer = issuer_of(checkout)
    assert issuer.denied() == []
    issuer.deny("mallory")
    assert issuer.deny("mallory") == ["mallory"]
    assert json.loads((issuer.folder / "deny.json").read_text()) == {"subjects": ["mallory"]}
    assert issuer.allow("mallory") == []
    assert [path.name for path in issuer.folder.glob(".deny*")] == []


def test_a_token_is_kept_until_a_minute_before_it_expires(checkout: Path) -> None:
    issuer, cache = issuer_of(checkout), TokenCache(None)
    minted = cache.keep(issuer.mint(subject="ada", now=NOW), NOW.timestamp())
    assert cache.fresh(NOW.timestamp() + 839) == minted
    assert cache.fresh(NOW.timestamp() + 841) is None


def test_a_token_of_a_minute_is_not_fetched_for_every_call(checkout: Path) -> None:
    issuer, cache = issuer_of(checkout), TokenCache(None)
    minted = issuer.mint(subject="ada", now=NOW, lifetime=timedelta(minutes=1))
    assert cache.keep(minted, NOW.timestamp()) == cache.fresh(NOW.timestamp() + 47)
    assert cache.fresh(NOW.timestamp() + 49) is None


def test_a_refused_token_is_forgotten_unless_another_took_its_place() -> None:
    cache = TokenCache(None)
    cache.keep("old", 0.0)
    cache.drop("other")
    assert cache.fresh(1.0) == "old"
    cache.drop("old")
    assert cache.fresh(1.0) is None


def test_a_token_that_is_no_jwt_has_no_expiry() -> None:
    assert expiry_s("opaque") is None


def test_the_environment_is_asked_in_order(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    named = {"HEADRACE_TOKEN_FILE": str(tmp_path / "token")}
    provided = [
        from_environment({"HEADRACE_TOKEN": "from-variable", **named}, checkout),
        from_environment(named, checkout),
        from_environment({}, checkout),
    ]
    assert [str(provider()) if provider else "" for provider in provided][:2] == ["from-variable", "from-file"]
    assert provided[2] is not None
    assert expiry_s(str(provided[2]())) is not None


def test_without_token_and_issuer_there_is_no_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path / ".venv"))  # the checkout that tests run in has an issuer
    assert from_environment({}, tmp_path) is None
