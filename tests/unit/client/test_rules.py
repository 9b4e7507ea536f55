"""Rules as people type them: read, written back the same, and refused with what is wrong."""

import re

import pytest
from headrace_client.errors import InvalidArgument
from headrace_client.rules import Condition, Operator, Rule, named
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import each

attribute_names = st.from_regex(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,8}", fullmatch=True)
values = st.text(max_size=8)
several = st.lists(values, min_size=2, max_size=3).map(tuple)
conditions = st.one_of(
    st.builds(Condition, attribute_names, st.just(Operator.EQUALS), st.tuples(values)),
    st.builds(Condition, attribute_names, st.just(Operator.PREFIX), st.tuples(st.text(min_size=1, max_size=8))),
    st.builds(Condition, attribute_names, st.just(Operator.ANY_OF), several),
    st.builds(Condition, attribute_names, st.just(Operator.NONE_OF), st.lists(values, min_size=1).map(tuple)),
    st.builds(Condition, attribute_names, st.sampled_from([Operator.PRESENT, Operator.ABSENT])),
)
rules = st.builds(
    Rule,
    st.lists(conditions, min_size=1, max_size=4).map(tuple),
    st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)?", fullmatch=True),
    st.sampled_from(["", "germans", "rule-2"]),
)


@given(rules)
def test_a_rule_is_read_as_it_is_written(rule):
    assert Rule.parse(str(rule)) == rule


@given(rules)
def test_a_rule_comes_back_from_the_wire(rule):
    assert Rule.from_proto(rule.to_proto()) == rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("country=DE -> v3", Rule((Condition("country", Operator.EQUALS, ("DE",)),), "v3")),
        ("country=DE->v3", Rule((Condition("country", Operator.EQUALS, ("DE",)),), "v3")),
        ("country=DE → v3", Rule((Condition("country", Operator.EQUALS, ("DE",)),), "v3")),
        (
            "germans: country=DE,AT app=ios-* !beta -> v3",
            Rule(
                (
                    Condition("country", Operator.ANY_OF, ("DE", "AT")),
                    Condition("app", Operator.PREFIX, ("ios-",)),
                    Condition("beta", Operator.ABSENT),
                ),
                "v3",
                "germans",
            ),
        ),
        (
            "country!=US,CA beta -> next",
            Rule((Condition("country", Operator.NONE_OF, ("US", "CA")), Condition("beta", Operator.PRESENT)), "next"),
        ),
        (
            r'city="San José",Zürich name="a \"b\" -> c" empty="" -> v3',
            Rule(
                (
                    Condition("city", Operator.ANY_OF, ("San José", "Zürich")),
                    Condition("name", Operator.EQUALS, ('a "b" -> c',)),
                    Condition("empty", Operator.EQUALS, ("",)),
                ),
                "v3",
            ),
        ),
    ],
)
def test_what_is_typed_means(text, rule):
    assert Rule.parse(text) == rule


@each(
    "text,why",
    [
        ("country=DE", "an arrow and a variant are missing"),
        ("country=DE ->", "an arrow and a variant are missing"),
        ("-> v3", "no condition"),
        ("germans: -> v3", "no condition"),
        ("country= -> v3", "is no condition"),
        ("country==DE -> v3", "is no condition"),
        ("country=San José -> v3", "is no condition"),
        ("app=ios*,web -> v3", "is no condition"),
        ("app=ios,web* -> v3", "not behind a list"),
        ("app!=ios* -> v3", "cannot be ruled out"),
        ('city="San José -> v3', "is no condition"),
        ("a -> b -> v3", "is no condition"),
    ],
)
def test_a_typo_is_refused_with_what_is_wrong(text, why):
    with pytest.raises(InvalidArgument, match=re.escape(why)):
        Rule.parse(text)


def test_rules_without_a_name_get_one_of_their_own():
    texts = [
        "country=DE -> a",
        "country=de -> b",
        "mine: !beta -> c",
        "!beta -> d",
        "country!=US -> e",
        'city="ü" -> f',
    ]
    found = [rule.name for rule in named([Rule.parse(text) for text in texts])]
    assert found == ["country-de", "country-de-2", "mine", "no-beta", "country-not-us", "city"]


@given(st.lists(rules, max_size=6))
def test_names_are_unique_and_may_be_names(listed):
    unnamed = [Rule(rule.conditions, rule.variant) for rule in listed]
    found = [rule.name for rule in named(unnamed)]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) and len(name) <= 63 for name in found)
