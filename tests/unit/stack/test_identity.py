"""The development issuer that `make up` creates."""

import json
import stat
from pathlib import Path

import jwt
import pytest
from headrace_stack import identity


def test_a_token_signed_with_the_key_is_verified_by_the_published_set(tmp_path: Path):
    identity.create(tmp_path)
    published = jwt.PyJWKSet.from_json((tmp_path / "jwks.json").read_text())
    token = jwt.encode({"sub": "ada"}, (tmp_path / "issuer.key.pem").read_text(), algorithm="ES256")
    assert jwt.decode(token, published.keys[0].key, algorithms=["ES256"]) == {"sub": "ada"}


def test_nobody_is_denied_at_first_and_all_files_are_private(tmp_path: Path):
    identity.create(tmp_path)
    assert json.loads((tmp_path / "deny.json").read_text()) == {"subjects": []}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_what_exists_is_never_overwritten(tmp_path: Path):
    identity.create(tmp_path)
    (tmp_path / "deny.json").write_text('{"subjects": ["mallory"]}')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    identity.create(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_key_id_is_the_thumbprint_so_that_a_new_key_has_a_new_id(tmp_path: Path):
    ids = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        identity.create(tmp_path / name)
        ids.add(json.loads((tmp_path / name / "jwks.json").read_text())["keys"][0]["kid"])
    assert len(ids) == 2


def test_a_key_that_is_not_ours_is_refused(tmp_path: Path):
    (tmp_path / "issuer.key.pem").write_text("not a key")
    with pytest.raises(ValueError, match="PEM"):
        identity.create(tmp_path)
