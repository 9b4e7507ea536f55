"""What makes a declared route valid: every mistake is found at once, and named by its field."""

import math

import pytest
from headrace.router.v1 import route_pb2
from headrace_router.buckets import BUCKETS
from headrace_router.control.decisions.routes import Route, Serves, Unit, Variant, violations
from headrace_router.control.messages import answers, convert
from headrace_router.rules import Condition, Operator, Rule
from headrace_servicekit.errors import InvalidArgument

from tests.kit.rows import each


def variant(name: str = "a", weight: float = 1.0, target: str = "v1", serves: Serves = Serves.VERSION, pool="default"):
    return Variant(name, serves, target, weight, pool)


@each(
    "variants,fields",
    [
        pytest.param([variant()], [], id="one variant"),
        pytest.param([variant(), variant("b", 0.0)], [], id="no traffic but pinnable"),
        pytest.param([], ["route.variants"], id="no variant"),
        pytest.param([variant("A")], ["route.variants[0].name"], id="capital"),
        pytest.param([variant("a--b")], ["route.variants[0].name"], id="double hyphen"),
        pytest.param([variant("a" * 64)], ["route.variants[0].name"], id="too long"),
        pytest.param([variant(), variant()], ["route.variants[1].name"], id="twice"),
        pytest.param([variant(target="V 1")], ["route.variants[0].version"], id="version"),
        pytest.param([variant(target="", serves=Serves.ALIAS)], ["route.variants[0].follow_alias"], id="alias"),
        pytest.param([variant(pool="GPU")], ["route.variants[0].pool"], id="pool"),
        pytest.param([variant(weight=-1)], ["route.variants[0].weight"], id="negative"),
        pytest.param([variant(weight=math.nan)], ["route.variants[0].weight"], id="not a number"),
        pytest.param([variant(weight=math.inf)], ["route.variants[0].weight"], id="infinite"),
        pytest.param([variant(weight=0), variant("b", 0)], ["route.variants[0].weight"], id="all zero"),
        pytest.param([variant(weight=1), variant("b", 1e-7)], ["route.variants[1].weight"], id="below one bucket"),
        pytest.param(
            [variant("A", -1, pool="GPU"), variant("b", math.nan)],
            [
                "route.variants[0].name",
                "route.variants[0].pool",
                "route.variants[0].weight",
                "route.variants[1].weight",
            ],
            id="everything at once",
        ),
        pytest.param([variant(f"v{n}") for n in range(65)], ["route.variants"], id="too many"),
        pytest.param([variant(f"v{n}") for n in range(64)], [], id="as many as there may be"),
        pytest.param([variant("a" * 63)], [], id="as long as a name may be"),
        pytest.param([variant(weight=BUCKETS - 1), variant("b", 1)], [], id="exactly one bucket"),
    ],
)
def test_violations_name_the_field(variants, fields):
    found = violations(Route("digits", tuple(variants)))
    assert [one.field for one in found] == fields
    assert all(one.description for one in found)


def test_violations_of_rules_are_those_of_the_route():
    unknown = Rule("r", (Condition("country", Operator.PRESENT),), "gone")
    found = violations(Route("digits", (variant(),), rules=(unknown,)))
    assert [one.field for one in found] == ["route.rules[0].variant"]


@pytest.mark.parametrize(("max_wait_us", "wrong"), [(None, False), (0, False), (1_000_000, False), (1_000_001, True)])
def test_the_longest_wait_is_bounded(max_wait_us, wrong):
    route = Route("digits", (variant(),), max_wait_us=max_wait_us)
    assert [one.field for one in violations(route)] == ["route.max_wait"] * wrong


def proto(**changes) -> route_pb2.Route:
    values = {"name": "routes/digits", "variants": [route_pb2.Variant(name="a", version="v1", weight=1)], **changes}
    return route_pb2.Route(**values)


def test_a_route_comes_back_as_it_was_declared():
    declared = proto(
        unit=route_pb2.Route.UNIT_ENTITY,
        variants=[
            route_pb2.Variant(name="a", version="v1", weight=0.5, pool="default"),
            route_pb2.Variant(name="b", follow_production=True, weight=0.25, pool="cpu"),
            route_pb2.Variant(name="c", follow_alias="champion", weight=0.25, pool="default"),
        ],
    )
    declared.max_wait.FromMilliseconds(2)
    route = convert.route_from_proto(declared)
    assert (route.unit, route.max_wait_us) == (Unit.ENTITY, 2000)
    back = answers.route_to_proto(route, answers.Serving({"b": "v7"}))
    assert back.variants[1].serving_version == "v7"
    back.variants[1].serving_version = ""
    assert back == declared


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        (proto(name="digits"), "route.name"),
        (proto(name="routes/Digits"), "route.name"),
        (proto(name="routes/a/b"), "route.name"),
        (proto(unit=9), "route.unit"),
        (proto(variants=[route_pb2.Variant(name="a", weight=1)]), "route.variants[0]"),
        (
            proto(variants=[route_pb2.Variant(name="a", weight=1, follow_production=False)]),
            "route.variants[0].follow_production",
        ),
    ],
)
def test_what_cannot_be_read_names_the_field(declared, field):
    with pytest.raises(InvalidArgument) as caught:
        convert.route_from_proto(declared)
    assert [one.field for one in caught.value.violations] == [field]
