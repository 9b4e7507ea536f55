import json
from pathlib import Path

import pytest
from front_door import identities
from front_door.identities import IdentitiesError, parse_denied, parse_jwks

from tests.kit.rows import each

KEY = {"kty": "EC", "crv": "P-256", "kid": "a", "x": "AA", "y": "BB"}


@each(
    "document,named",
    [
        ("", "not JSON"),
        pytest.param("[" * 100_000, "not JSON", id="too deep"),
        ("[]", "list 'keys'"),
        ("{}", "list 'keys'"),
        ('{"keys": []}', "at least one"),
        ('{"keys": ["a"]}', "at least one"),
        (json.dumps({"keys": [{**KEY, "d": "secret"}]}), "private"),
        (json.dumps({"keys": [{"kty": "oct", "k": "secret"}]}), "private or symmetric"),
    ],
)
def test_keys_that_cannot_be_used_are_refused(document: str, named: str):
    with pytest.raises(IdentitiesError, match=named) as caught:
        parse_jwks(document, "jwks.json")
    assert "secret" not in str(caught.value)


def test_keys_have_one_form_however_they_are_written():
    assert parse_jwks(json.dumps({"keys": [KEY]}, indent=4), "j") == parse_jwks(json.dumps({"keys": [KEY]}), "j")


@pytest.mark.parametrize("document", ['{"subjects": "bob"}', '{"subjects": [1]}', '{"subjects": [""]}', "{}", "no"])
def test_a_deny_list_that_cannot_be_read_is_refused_rather_than_taken_for_empty(document: str):
    with pytest.raises(IdentitiesError, match=r"deny\.json"):
        parse_denied(document, "deny.json")


def test_denied_subjects_are_sorted_and_named_once():
    assert parse_denied('{"subjects": ["b", "a", "b"]}', "d") == ("a", "b")


def test_without_a_deny_file_nobody_is_denied(tmp_path: Path):
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [KEY]}))
    assert identities.read(tmp_path / "jwks.json", tmp_path / "deny.json").denied == ()
    assert identities.read(tmp_path / "jwks.json", None).denied == ()


def test_without_keys_there_is_no_start(tmp_path: Path):
    with pytest.raises(IdentitiesError, match=r"jwks\.json"):
        identities.read(tmp_path / "jwks.json", None)


@pytest.mark.parametrize("broken", ["jwks.json", "deny.json"])
def test_a_file_that_is_no_text_is_named_and_refused(tmp_path: Path, broken: str):
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [KEY]}))
    (tmp_path / "deny.json").write_text('{"subjects": []}')
    (tmp_path / broken).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(IdentitiesError, match=rf"{broken}: not UTF-8"):
        identities.read(tmp_path / "jwks.json", tmp_path / "deny.json")
