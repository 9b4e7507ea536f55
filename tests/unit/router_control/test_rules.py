"""Rules by attribute: what matches, which rule decides, and what is refused, by field."""

import pytest
from headrace.router.v1 import route_pb2
from headrace_router.control.decisions.routes import (
    MAX_CHARS,
    MAX_CONDITIONS,
    MAX_RULES,
    MAX_VALUE_CHARS,
    MAX_VALUES,
    rule_violations,
)
from headrace_router.control.messages import answers, convert
from headrace_router.rules import Condition, Operator, Rule, condition_of, first_match
from headrace_servicekit.errors import InvalidArgument
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

values = st.sampled_from(["", "DE", "AT", "DEU", "de"])
names = st.sampled_from(["country", "plan", "app"])
attributes = st.dictionaries(names, values)
conditions = st.one_of(
    st.builds(Condition, names, st.just(Operator.EQUALS), st.tuples(values)),
    st.builds(
        Condition, names, st.sampled_from([Operator.ANY_OF, Operator.NONE_OF]), st.lists(values, min_size=1).map(tuple)
    ),
    st.builds(Condition, names, st.just(Operator.PREFIX), st.tuples(values)),
    st.builds(Condition, names, st.sampled_from([Operator.PRESENT, Operator.ABSENT])),
)
rules = st.builds(Rule, st.just("r"), st.lists(conditions, min_size=1, max_size=3).map(tuple), st.just("v1"))


def meets(condition: Condition, given_attributes: dict[str, str]) -> bool:
    """Say the same as the compiled condition, in the words of the contract."""
    has = condition.attribute in given_attributes
    value = given_attributes.get(condition.attribute, "")
    return {
        Operator.EQUALS: has and [value] == list(condition.values),
        Operator.ANY_OF: has and value in condition.values,
        Operator.NONE_OF: not has or value not in condition.values,
        Operator.PREFIX: has and any(value.startswith(one) for one in condition.values),
        Operator.PRESENT: has,
        Operator.ABSENT: not has,
    }[condition.operator]


@given(st.lists(rules, max_size=6), attributes)
def test_the_first_rule_whose_conditions_all_hold_decides(listed, seen):
    matching = [rule for rule in listed if all(meets(condition, seen) for condition in rule.conditions)]
    assert first_match(listed, seen) == (matching[0] if matching else None)


@given(rules)
def test_rules_come_back_from_the_wire_as_they_went(rule):
    sent = answers.rule_to_proto(rule)
    assert (sent.name, sent.variant) == (rule.name, rule.variant)
    assert tuple(condition_of(one) for one in sent.conditions) == rule.conditions


@pytest.mark.parametrize(
    ("seen", "rule"),
    [
        ({"country": "DE"}, "germany"),
        ({"country": "DE", "beta": ""}, "beta"),
        ({"country": "AT", "app": "ios-3"}, "apple"),
        ({"country": "CH"}, "rest"),
        ({"country": "de"}, "rest"),
        ({"country": "US"}, None),
        ({}, "rest"),
    ],
)
def test_rules_in_their_order(seen, rule):
    listed = (
        Rule("beta", (Condition("beta", Operator.PRESENT),), "v3"),
        Rule("germany", (Condition("country", Operator.EQUALS, ("DE",)),), "v3"),
        Rule("apple", (Condition("app", Operator.PREFIX, ("ios-",)), Condition("beta", Operator.ABSENT)), "v2"),
        Rule("rest", (Condition("country", Operator.NONE_OF, ("US", "CA")),), "v2"),
    )
    found = first_match(listed, seen)
    assert (found.name if found else None) == rule


EQUALS = Condition("country", Operator.EQUALS, ("DE",))


@each(
    "listed,fields",
    [
        pytest.param([Rule("r", (EQUALS,), "v1")], [], id="good"),
        pytest.param([Rule("R", (EQUALS,), "v1")], ["route.rules[0].name"], id="name"),
        pytest.param([Rule("r", (EQUALS,), "v9")], ["route.rules[0].variant"], id="variant"),
        pytest.param([Rule("r", (), "v1")], ["route.rules[0].conditions"], id="no condition"),
        pytest.param(
            [Rule("r", (EQUALS,) * (MAX_CONDITIONS + 1), "v1")], ["route.rules[0].conditions"], id="many conditions"
        ),
        pytest.param([Rule("r", (EQUALS,), "v1")] * 2, ["route.rules[1].name"], id="twice"),
        pytest.param(
            [Rule("r", (Condition("a b", Operator.PRESENT),), "v1")],
            ["route.rules[0].conditions[0].attribute"],
            id="attribute",
        ),
        pytest.param(
            [Rule("r", (Condition("a", Operator.ANY_OF, ()),), "v1")],
            ["route.rules[0].conditions[0].any_of.values"],
            id="no value",
        ),
        pytest.param(
            [Rule("r", (Condition("a", Operator.NONE_OF, ("x",) * (MAX_VALUES + 1)),), "v1")],
            ["route.rules[0].conditions[0].none_of.values"],
            id="many values",
        ),
        pytest.param(
            [Rule("r", (Condition("a", Operator.PREFIX, ("",)),), "v1")],
            ["route.rules[0].conditions[0].prefix"],
            id="empty prefix",
        ),
        pytest.param(
            [Rule("r", (Condition("a", Operator.EQUALS, ("x" * 257,)),), "v1")],
            ["route.rules[0].conditions[0].equals"],
            id="long value",
        ),
        pytest.param(
            [Rule("r", (Condition("a", Operator.ANY_OF, ("x", "x" * 257)),), "v1")],
            ["route.rules[0].conditions[0].any_of"],
            id="long value after a short one",
        ),
        pytest.param(
            [Rule("r", (Condition("a", Operator.EQUALS, ("x\0",)),), "v1")],
            ["route.rules[0].conditions[0].equals"],
            id="a character that PostgreSQL cannot keep",
        ),
        pytest.param([Rule(f"r{n}", (EQUALS,), "v1") for n in range(MAX_RULES + 1)], ["route.rules"], id="many rules"),
        pytest.param([Rule("r", (Condition("a", Operator.EQUALS, ("x" * (MAX_CHARS + 1),)),), "v1")], ["route.rules"]),
    ],
)
def test_violations_name_the_field(listed, fields):
    found = list(rule_violations(listed, {"v1"}))
    assert [one.field for one in found] == fields
    assert all(one.description for one in found)


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param([Rule(f"r{n}", (EQUALS,), "v1") for n in range(MAX_RULES)], id="rules"),
        pytest.param([Rule("r", (EQUALS,) * MAX_CONDITIONS, "v1")], id="conditions"),
        pytest.param([Rule("r", (Condition("a", Operator.ANY_OF, ("x",) * MAX_VALUES),), "v1")], id="values"),
        pytest.param([Rule("r", (Condition("a", Operator.EQUALS, ("x" * MAX_VALUE_CHARS,)),), "v1")], id="chars"),
        pytest.param(
            [Rule("r", (Condition("a", Operator.ANY_OF, ("x" * 250,) * 200),) * (MAX_CHARS // 50_000), "v1")],
            id="characters in all",
        ),
    ],
)
def test_as_much_as_may_be_is_no_violation(listed):
    assert not list(rule_violations(listed, {"v1"}))


def _route(**changes) -> route_pb2.Route:
    variants = [route_pb2.Variant(name="v1", version="v1", weight=1)]
    return route_pb2.Route(name="routes/digits", variants=variants, **changes)


def test_a_condition_that_asks_nothing_is_refused_by_name():
    rule = route_pb2.Rule(name="r", variant="v1", conditions=[route_pb2.Condition(attribute="country")])
    with pytest.raises(InvalidArgument) as caught:
        convert.route_from_proto(_route(rules=[rule]))
    assert [one.field for one in caught.value.violations] == ["route.rules[0].conditions[0]"]
