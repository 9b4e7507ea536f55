"""The form of a route: what it shows is what it sends."""

from headrace.router.v1 import route_pb2
from headrace_client import Alias, Production, Version
from headrace_console.pages.markup import environment
from headrace_console.pages.route import wanted_variants
from hypothesis import given
from hypothesis import strategies as st

SHARE = environment().from_string("{{ weight|exact }}")


@given(weight=st.floats(0, 1e6, allow_nan=False))
def test_a_share_that_nobody_changes_stays_exactly_as_it_is(weight: float):
    present = route_pb2.Route(variants=[route_pb2.Variant(name="main", version="v1", weight=weight)])
    (variant,) = wanted_variants(present, {"share:main": SHARE.render(weight=weight)})
    assert variant.weight == weight


def test_variants_keep_what_they_serve_go_without_a_share_and_one_is_added():
    present = route_pb2.Route(
        variants=[
            route_pb2.Variant(name="main", follow_production=True, weight=90),
            route_pb2.Variant(name="best", follow_alias="best", weight=5, pool="gpu"),
            route_pb2.Variant(name="gone", version="v1", weight=5),
        ]
    )
    form = {"share:main": "80%", "share:best": "10", "share:gone": " ", "share:unknown": "5", "add_version": "v3"}
    found = [(one.name, one.serves, one.weight, one.pool) for one in wanted_variants(present, form)]
    assert found == [
        ("main", Production(), 80, ""),
        ("best", Alias("best"), 10, "gpu"),
        ("v3", Version("v3"), 0, ""),
    ]
