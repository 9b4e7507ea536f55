"""Resource names: what stands in them, and what is refused by field."""

import pytest
from headrace.registry.v1 import registry_pb2
from headrace_servicekit.errors import InvalidArgument
from headrace_servicekit.pages import page_size, page_token
from headrace_servicekit.request_fields import fingerprint, kept_text, optional_id
from headrace_servicekit.resource_names import ids
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

ROLLOUT = "models/{model}/rollouts/{number}"


def test_the_ids_of_a_name_stand_for_the_braces_of_its_pattern():
    assert ids("models/fraud/rollouts/7", "name", ROLLOUT) == ["fraud", "7"]
    assert ids("webhooks/on-call", "name", "webhooks/{webhook}") == ["on-call"]


@each(
    "name",
    [
        "",
        "/",
        "models/fraud",
        "models/fraud/rollouts/",
        "models/fraud/rollouts/07",
        "models/fraud/rollouts/-1",
        "models/fraud/rollouts/7/",
        "models//rollouts/7",
        "models/Fraud/rollouts/7",
        "Models/fraud/rollouts/7",
        "models/fraud/rollouts/\u0667",
        "models/fraud/rollouts/9999999999999999999",
        f"models/{'a' * 64}/rollouts/7",
    ],
)
def test_what_is_no_name_of_the_pattern_is_refused_by_field(name: str):
    with pytest.raises(InvalidArgument) as refused:
        ids(name, "rollout.name", ROLLOUT)
    assert [one.field for one in refused.value.violations] == ["rollout.name"]


@given(st.text(max_size=300))
def test_a_text_is_taken_whole_or_refused(text: str):
    try:
        model, number = ids(text, "name", ROLLOUT)
    except InvalidArgument:
        return
    assert text == f"models/{model}/rollouts/{number}"


def test_an_optional_id_may_be_left_out_and_is_checked_when_it_is_not():
    assert optional_id("", "version") == ""
    assert optional_id("v-2", "version") == "v-2"
    for text in ("A", "a b", "a\0", "-", "a" * 64):
        with pytest.raises(InvalidArgument, match="version"):
            optional_id(text, "version")


def test_texts_that_the_database_cannot_keep_are_refused():
    for text in ("a\0b", "x" * 1001):
        with pytest.raises(InvalidArgument, match="reason"):
            kept_text(text, "reason")


def test_pages_begin_at_the_newest_and_hold_fifty_unless_asked():
    assert page_size(0) == 50
    assert page_size(10**9) == 1000
    assert page_token("") > 10**18
    assert page_token("41") == 41
    with pytest.raises(InvalidArgument, match="page_size"):
        page_size(-1)
    for token in ("x", "\u0661", "1" * 19):
        with pytest.raises(InvalidArgument, match="page_token"):
            page_token(token)


def test_a_repetition_has_the_fingerprint_of_its_request_whatever_its_request_id():
    first = registry_pb2.PromoteModelVersionRequest(name="models/fraud/versions/v2", request_id="a")
    again = registry_pb2.PromoteModelVersionRequest(name="models/fraud/versions/v2", request_id="b")
    other = registry_pb2.PromoteModelVersionRequest(name="models/fraud/versions/v3", request_id="a")
    assert fingerprint(first) == fingerprint(again) != fingerprint(other)
    assert first.request_id == "a"
