"""Shadowing as people declare it: every mistake named by its field, nothing lost, told to data planes by position."""

import pytest
from headrace.router.v1 import control_pb2, route_pb2
from headrace_router.control.decisions.resolve import Registered, Resolution, resolve
from headrace_router.control.decisions.states import RouteState
from headrace_router.control.decisions.tables import table_after
from headrace_router.control.messages import answers, convert
from headrace_router.control.storage import documents, route_documents
from headrace_router.data.tables.table import POINTS, table_of
from headrace_servicekit.errors import InvalidArgument

from tests.kit.router.fake_control import resolved_version


def proto(variant: str = "next", share: float = 0.25, names: tuple[str, ...] = ("stable", "next")) -> route_pb2.Route:
    variants = [
        route_pb2.Variant(name=name, version=f"v{at}", weight=float(at == 1), pool="default")
        for at, name in enumerate(names, start=1)
    ]
    shadowing = route_pb2.Shadowing(variant=variant, share=share, keeps_answers=True)
    return route_pb2.Route(name="routes/digits", variants=variants, shadowing=shadowing)


def test_shadowing_comes_back_as_it_was_declared_and_is_stored():
    route = convert.route_from_proto(proto())
    assert answers.route_to_proto(route, answers.Serving()) == proto()
    document = route_documents.route_to_document(route)
    assert route_documents.route_from_document(document) == route
    state = RouteState("digits", b"s", Registered("digits", "one", 1), route=route)
    assert documents.state_to_document(state)["needs"] == 3
    document.pop("shadowing")
    assert route_documents.route_from_document(document).shadowing is None


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        pytest.param(proto(variant="nobody"), "route.shadowing.variant", id="no such variant"),
        pytest.param(proto(variant="stable", names=("stable",)), "route.shadowing.variant", id="nobody else answers"),
        pytest.param(proto(share=0.0), "route.shadowing.share", id="nothing"),
        pytest.param(proto(share=1.5), "route.shadowing.share", id="more than all"),
        pytest.param(proto(share=float("nan")), "route.shadowing.share", id="not a number"),
    ],
)
def test_a_mistake_is_named_by_its_field(declared, field):
    with pytest.raises(InvalidArgument) as refused:
        convert.route_from_proto(declared)
    assert [one.field for one in refused.value.violations] == [field]


def test_a_table_keeps_it_and_its_version_is_needed():
    route = convert.route_from_proto(proto())
    registered = Registered("digits", "one", 1, versions={"v1": "d1", "v2": "d2"})
    resolved = resolve(route, registered)
    assert isinstance(resolved, Resolution)
    table, _ = table_after(RouteState("digits", b"s", registered), route, resolved)
    assert route_documents.table_from_document(route_documents.table_to_document(table)) == table
    assert table.shadowing == route.shadowing
    assert {one.version for one in table.needs_of_variants} == {"v1", "v2"}


@pytest.mark.parametrize(("variant", "share"), [(2, 0.5), (-1, 0.5), (0, 0.0), (0, 2.0), (0, float("nan"))])
def test_a_data_plane_refuses_a_table_whose_shadow_it_cannot_read(variant, share):
    with pytest.raises(ValueError, match="shadowing"):
        table_of(_resolved(variant, share), {})


def test_a_data_plane_knows_the_shadow_and_the_share():
    shadow = table_of(_resolved(1, 0.25), {}).shadow
    assert shadow is not None
    assert (shadow.variant.name, shadow.below) == ("v2", POINTS // 4)


def _resolved(variant: int, share: float) -> control_pb2.RouteTable:
    versions = [resolved_version("digits", "v1"), resolved_version("digits", "v2")]
    made = control_pb2.RouteTable(model="digits", generation=1, salt=b"s" * 16, versions=versions)
    for one in versions:
        made.variants.add(name=one.version, digest=one.digest, pool="default")
    made.ranges.add(end=1_000_000, variant=0)
    made.shadowing.variant, made.shadowing.share = variant, share
    return made
