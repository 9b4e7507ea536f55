"""Tokens come back as they went out; anything else is refused as the caller's mistake."""

import base64
import json
from dataclasses import replace
from uuid import UUID

import pytest
from headrace_registry.decisions import tokens
from headrace_registry.decisions.models import Model
from headrace_servicekit.coordination.feeds import Position
from headrace_servicekit.errors import Aborted, InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

MODEL = Model("digits", epoch=3, incarnation=UUID(int=1))


@given(st.uuids(), st.integers(0, 2**63 - 1))
def test_a_watch_token_comes_back(incarnation, sequence):
    position = Position(incarnation, sequence)
    assert tokens.watch_position(tokens.watch_token(position), "resume_token") == position


@given(st.text(max_size=30) | st.binary(max_size=30).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_foreign_text_is_no_token(text):
    if not text:
        assert tokens.watch_position(text, "resume_token") is None
        return
    with pytest.raises(InvalidArgument):
        tokens.watch_position(text, "resume_token")
    with pytest.raises(InvalidArgument):
        tokens.page_cursor(text, ["models"], [str], "page_token")


@each(
    "value",
    [["zz", 1], ["0" * 32, -1], ["0" * 32, 2**63], ["0" * 32, True], ["0" * 32, "1"], ["0" * 32], {}, None, [[]] * 2],
)
def test_a_forged_watch_token_is_refused(value):
    forged = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
    with pytest.raises(InvalidArgument):
        tokens.watch_position(forged, "resume_token")


def test_a_page_token_belongs_to_its_query():
    token = tokens.page_token(["versions", "digits", ""], [7])
    assert tokens.page_cursor(token, ["versions", "digits", ""], [int], "page_token") == (7,)
    with pytest.raises(InvalidArgument):
        tokens.page_cursor(token, ["versions", "other", ""], [int], "page_token")


@pytest.mark.parametrize("text", ["\x00", "\ud800", "a\udfff"])
def test_a_forged_page_token_holds_no_text_that_the_database_cannot_take(text):
    forged = base64.urlsafe_b64encode(json.dumps([["models"], [text]]).encode()).decode()
    with pytest.raises(InvalidArgument):
        tokens.page_cursor(forged, ["models"], [str], "page_token")


def test_the_etag_changes_with_epoch_name_and_incarnation():
    etags = {
        tokens.etag(model)
        for model in (MODEL, replace(MODEL, epoch=4), replace(MODEL, name="x"), replace(MODEL, incarnation=UUID(int=2)))
    }
    assert len(etags) == 4


def test_an_etag_that_is_not_current_aborts_and_none_never_does():
    tokens.check_etag(MODEL, "")
    tokens.check_etag(MODEL, tokens.etag(MODEL))
    with pytest.raises(Aborted) as caught:
        tokens.check_etag(MODEL, "stale")
    assert caught.value.reason == "ETAG_MISMATCH"
    assert caught.value.metadata == {"current_etag": tokens.etag(MODEL)}
