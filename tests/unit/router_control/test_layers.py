"""Layers: routes that split users alike, and a split that owes nothing to the one before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from headrace.router.v1 import control_pb2, route_pb2
from headrace_router.buckets import salt_of
from headrace_router.control.decisions.assignment import Subject, assign
from headrace_router.control.decisions.preview import preview
from headrace_router.control.decisions.resolve import Registered
from headrace_router.control.decisions.states import Announcement, RouteState
from headrace_router.control.messages import answers, convert
from headrace_router.control.messages.watches import table_to_proto
from headrace_router.control.storage import documents, route_documents
from headrace_router.control.storage.store import Entry
from headrace_servicekit.errors import InvalidArgument
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.router.route_states import fleet, numbered, onward, serving, split, write

USERS = [Subject(f"user-{number}") for number in range(4000)]
READY = fleet("d1", "d2")
shares = st.integers(1, 20)


def after(state: RouteState, first: float, second: float, layer: str = "") -> RouteState:
    """Return the state in which a route with these weights is in force."""
    wanted = replace(split(first, second), layer=layer)
    return numbered(onward(write(state, wanted, state.declared.etag), READY))


def variants(state: RouteState, users: Sequence[Subject] = USERS) -> list[str]:
    assert state.active is not None
    return [assign(state.active.table, state.salt, one).variant for one in users]


def of_salt(salt: bytes) -> RouteState:
    return replace(serving(), salt=salt)


@settings(max_examples=40)
@given(shares, shares, shares, shares)
def test_routes_of_a_layer_split_users_alike_whatever_they_did_before(old: int, other: int, first: int, second: int):
    here = after(after(of_salt(b"a" * 16), old, other), first, second, layer="checkout")
    there = after(of_salt(b"b" * 16), first, second, layer="checkout")
    some = USERS[:1000]
    assert variants(here, some) == variants(there, some)
    assert variants(after(here, second, first), some) != variants(after(there, first, second), some) or first == second


def test_a_new_layer_splits_users_independent_of_what_they_had_and_the_dry_run_says_how_many_move():
    before = after(serving(), 50, 50, layer="ranking-1")
    wanted = replace(split(50, 50), layer="ranking-2")
    told = preview(before, wanted, read_etag="", manager="", subjects=(), fleet=READY)
    assert (told.moved_share, told.moved_version_share) == (0.5, 0.5)
    pairs = Counter(zip(variants(before), variants(after(before, 50, 50, layer="ranking-2")), strict=True))
    assert all(900 < pairs[one] < 1100 for one in pairs)
    assert len(pairs) == 4


def test_weights_that_change_within_a_layer_move_only_whom_they_must():
    before = after(serving(), 90, 10, layer="ranking")
    moved = sum(a != b for a, b in zip(variants(before), variants(after(before, 80, 20, layer="ranking")), strict=True))
    assert 300 < moved < 500


def test_a_data_plane_splits_as_the_control_plane_says():
    state = after(serving(), 70, 30, layer="ranking")
    assert state.active is not None
    resolved = {
        digest: control_pb2.ResolvedVersion(model="digits", version=version, digest=digest).SerializeToString()
        for digest, version in (("d1", "v1"), ("d2", "v2"))
    }
    proto = table_to_proto(Entry(1, "digits", Announcement.TABLE, state.salt, state.active), resolved)
    assert (proto.salt, len(proto.salt)) == (salt_of(b"anything", "ranking"), 16)
    assert salt_of(b"own", "") == b"own"


def test_a_layer_comes_back_as_it_was_declared_and_is_stored():
    route = replace(split(1, 1), layer="ranking")
    proto = answers.route_to_proto(route, answers.Serving())
    assert proto.layer == "ranking"
    assert convert.route_from_proto(proto).layer == "ranking"
    document = route_documents.route_to_document(route)
    assert route_documents.route_from_document(document) == route
    state = RouteState("digits", b"s", Registered("digits", "one", 1), route=route)
    assert documents.state_to_document(state)["needs"] == 3
    document.pop("layer")
    assert route_documents.route_from_document(document) == replace(route, layer="")
    table = after(serving(), 1, 1, layer="ranking").active.table  # pyright: ignore[reportOptionalMemberAccess]
    assert route_documents.table_from_document(route_documents.table_to_document(table)) == table


@pytest.mark.parametrize("layer", ["Ranking", "a b", "-", "x" * 64, "\0"])
def test_a_layer_that_is_no_name_is_refused_by_its_field(layer: str):
    variant = route_pb2.Variant(name="a", version="v1", weight=1)
    with pytest.raises(InvalidArgument) as refused:
        convert.route_from_proto(route_pb2.Route(name="routes/digits", variants=[variant], layer=layer))
    assert [one.field for one in refused.value.violations] == ["route.layer"]


def test_routes_of_a_layer_that_are_changed_alike_go_on_splitting_alike():
    here = after(after(of_salt(b"a" * 16), 90, 10, layer="checkout"), 70, 30, layer="checkout")
    there = after(after(of_salt(b"b" * 16), 90, 10, layer="checkout"), 70, 30, layer="checkout")
    assert variants(here) == variants(there)
