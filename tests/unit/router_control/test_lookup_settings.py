"""Lookup settings, fallbacks and hedging as people declare them: every mistake named by its field, nothing lost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from headrace.router.v1 import route_pb2
from headrace_router.control.decisions.resolve import PipelineMember, Registered
from headrace_router.control.decisions.states import RouteState
from headrace_router.control.decisions.stored_answers import AnswerState, Origin, Precomputed
from headrace_router.control.messages import answers, convert
from headrace_router.control.storage import documents, route_documents
from headrace_servicekit.errors import InvalidArgument

from tests.kit.rows import each

FallbackStep, Lookup = route_pb2.FallbackStep, route_pb2.Lookup
Backup = FallbackStep.Backup


def row(*numbers: float, output: str = "y") -> route_pb2.FallbackStep.Row:
    return FallbackStep.Row(outputs={output: FallbackStep.Values(numbers=numbers)})


def proto(**changes) -> route_pb2.Route:
    variants = [route_pb2.Variant(name="a", version="v1", weight=1, pool="default")]
    return route_pb2.Route(name="routes/digits", variants=variants, **changes)


EVERYTHING = proto(
    lookup=Lookup(
        mode=Lookup.MODE_BATCH,
        key=Lookup.KEY_ENTITY,
        ttl=timedelta(seconds=60),
        stale_while_revalidate=timedelta(milliseconds=1500),
        stale_on_error=timedelta(days=7),
        max_precomputed_age=timedelta(hours=26),
        cache_large_inputs=True,
    ),
    fallback=[
        FallbackStep(name="old", backup=Backup(version="v1", pool="cpu"), min_time_left=timedelta(milliseconds=20)),
        FallbackStep(name="followed", backup=Backup(follow_production=True, pool="cpu")),
        FallbackStep(name="named", backup=Backup(follow_alias="champion", pool="default")),
        FallbackStep(name="other-pool", backup=Backup(pool="cpu")),
        FallbackStep(name="filled", precomputed=True),
        FallbackStep(name="aged", stale=timedelta(minutes=10)),
        FallbackStep(name="by-entity", entity_table=FallbackStep.EntityTable(rows={"ada": row(1), "bob": row(2.5)})),
        FallbackStep(name="last", constant=row(0)),
    ],
    hedging=route_pb2.Hedging(delay=timedelta(milliseconds=20)),
)


def test_everything_comes_back_as_it_was_declared():
    route = convert.route_from_proto(EVERYTHING)
    back = answers.route_to_proto(route, answers.Serving())
    back.variants[0].serving_version = ""
    assert back == EVERYTHING


def test_what_is_not_declared_stays_undeclared():
    back = answers.route_to_proto(convert.route_from_proto(proto()), answers.Serving())
    assert {field.name for field, _ in back.ListFields()} == {"name", "variants"}


def test_hedging_without_a_delay_is_hedging():
    route = convert.route_from_proto(proto(hedging=route_pb2.Hedging()))
    assert answers.route_to_proto(route, answers.Serving()).HasField("hedging")


def test_documents_hold_everything_and_read_what_is_older():
    route = convert.route_from_proto(EVERYTHING)
    document = route_documents.route_to_document(route)
    assert route_documents.route_from_document(document) == route
    for key in ("lookup", "fallback", "hedging"):
        document.pop(key)
    older = route_documents.route_from_document(document)
    assert (older.lookup, older.fallback, older.hedging) == (None, (), None)


def test_a_state_says_that_older_writers_would_drop_something_of_it():
    plain = RouteState("digits", b"s", Registered("digits", "one", 1), route=convert.route_from_proto(proto()))
    assert documents.state_to_document(plain)["needs"] == 1
    for kept in (
        replace(plain, route=convert.route_from_proto(EVERYTHING)),
        replace(plain, route=convert.route_from_proto(proto(hedging=route_pb2.Hedging()))),
        replace(plain, kept={"d1": AnswerState(1)}),
    ):
        document = documents.state_to_document(kept)
        assert (document["needs"], document["writer"]) == (2, documents.WRITER)


def test_release_0_1_0_may_not_write_a_state_of_which_it_would_drop_something():
    plain = RouteState("digits", b"s", Registered("digits", "one", 1), route=convert.route_from_proto(proto()))
    member = PipelineMember("other", "v1", "d1")
    answers_of_a_run = Precomputed(1, datetime(2030, 1, 1, tzinfo=UTC), origin=Origin("nightly"))
    for kept in (
        replace(plain, route=convert.route_from_proto(proto(layer="ranking"))),
        replace(plain, registered=replace(plain.registered, members={"d2": (member,)})),
        replace(plain, kept={"d1": AnswerState(1, precomputed=answers_of_a_run)}),
    ):
        assert documents.state_to_document(kept)["needs"] == 3


def test_the_same_table_is_the_same_whatever_the_order_of_its_entities():
    def declared(rows):
        table = FallbackStep.EntityTable()
        for entity in rows:
            table.rows[entity].CopyFrom(row(len(entity)))
        return convert.route_from_proto(proto(fallback=[FallbackStep(name="t", entity_table=table)]))

    names = [f"entity-{number}" for number in range(50)]
    assert declared(names) == declared(reversed(names))


def lookup(**fields) -> route_pb2.Route:
    return proto(lookup=Lookup(**fields))


def steps(*given: route_pb2.FallbackStep) -> route_pb2.Route:
    return proto(fallback=given)


SECOND = timedelta(seconds=1)
CONSTANT = FallbackStep(name="last", constant=row(0))


@each(
    "declared,fields",
    [
        pytest.param(lookup(mode=9), ["route.lookup.mode"], id="mode"),
        pytest.param(lookup(key=9), ["route.lookup.key"], id="key"),
        pytest.param(lookup(ttl=-SECOND), ["route.lookup.ttl"], id="negative"),
        pytest.param(lookup(ttl=timedelta(days=7, seconds=1)), ["route.lookup.ttl"], id="a week and a second"),
        pytest.param(
            lookup(stale_while_revalidate=timedelta(days=8), stale_on_error=timedelta(days=9)),
            ["route.lookup.stale_while_revalidate", "route.lookup.stale_on_error"],
            id="both",
        ),
        pytest.param(
            lookup(ttl=timedelta(0), stale_on_error=SECOND), ["route.lookup.stale_on_error"], id="stale of nothing"
        ),
        pytest.param(lookup(ttl=timedelta(0)), [], id="keeps nothing"),
        pytest.param(lookup(ttl=timedelta(days=7), stale_on_error=timedelta(days=7)), [], id="a week"),
        pytest.param(lookup(max_precomputed_age=timedelta(days=3650)), [], id="ten years"),
        pytest.param(lookup(max_precomputed_age=timedelta(0)), ["route.lookup.max_precomputed_age"], id="no age"),
        pytest.param(proto(hedging=route_pb2.Hedging(delay=timedelta(0))), ["route.hedging.delay"], id="at once"),
        pytest.param(
            proto(hedging=route_pb2.Hedging(delay=timedelta(seconds=61))), ["route.hedging.delay"], id="too late"
        ),
        pytest.param(proto(hedging=route_pb2.Hedging(delay=timedelta(seconds=60))), [], id="as late as may be"),
        pytest.param(steps(FallbackStep(name="x")), ["route.fallback[0]"], id="no source"),
        pytest.param(steps(FallbackStep(precomputed=True)), ["route.fallback[0].name"], id="no name"),
        pytest.param(steps(CONSTANT, CONSTANT), ["route.fallback[1].name"], id="twice"),
        pytest.param(steps(FallbackStep(name="x", precomputed=False)), ["route.fallback[0].precomputed"], id="false"),
        pytest.param(steps(FallbackStep(name="x", stale=timedelta(0))), ["route.fallback[0].stale"], id="no staleness"),
        pytest.param(
            steps(FallbackStep(name="x", stale=timedelta(days=15))), ["route.fallback[0].stale"], id="too stale"
        ),
        pytest.param(
            steps(FallbackStep(name="x", precomputed=True, min_time_left=timedelta(seconds=61))),
            ["route.fallback[0].min_time_left"],
            id="more than any deadline",
        ),
        pytest.param(
            steps(
                FallbackStep(name="x", precomputed=True, min_time_left=timedelta(0)),
                FallbackStep(name="y", stale=timedelta(days=14), min_time_left=timedelta(seconds=60)),
            ),
            [],
            id="as early, as late and as stale as may be",
        ),
        pytest.param(
            steps(FallbackStep(name="x", backup=Backup(version="V 1"))),
            ["route.fallback[0].backup.version"],
            id="version",
        ),
        pytest.param(
            steps(FallbackStep(name="x", backup=Backup(follow_alias=""))),
            ["route.fallback[0].backup.follow_alias"],
            id="alias",
        ),
        pytest.param(
            steps(FallbackStep(name="x", backup=Backup(follow_production=False))),
            ["route.fallback[0].backup.follow_production"],
            id="follows nothing",
        ),
        pytest.param(
            steps(FallbackStep(name="x", backup=Backup(version="v1", pool="GPU"))),
            ["route.fallback[0].backup.pool"],
            id="pool",
        ),
        pytest.param(
            steps(FallbackStep(name="x", backup=Backup())),
            ["route.fallback[0].backup.pool"],
            id="the variants' own pool",
        ),
        pytest.param(
            steps(*(FallbackStep(name=f"r{n}", precomputed=True) for n in range(9))), ["route.fallback"], id="nine"
        ),
        pytest.param(
            steps(FallbackStep(name="x", entity_table=FallbackStep.EntityTable())),
            ["route.fallback[0].entity_table.rows"],
            id="an empty table",
        ),
        pytest.param(
            steps(
                FallbackStep(
                    name="x", entity_table=FallbackStep.EntityTable(rows={str(n): row() for n in range(10_001)})
                )
            ),
            ["route.fallback[0].entity_table.rows"],
            id="too many entities",
        ),
        pytest.param(
            steps(
                FallbackStep(name="x", constant=row(*range(100_000))),
                FallbackStep(name="y", constant=row(*range(100_000))),
            ),
            ["route.fallback"],
            id="too many bytes",
        ),
    ],
)
def test_what_is_wrong_names_the_field(declared: route_pb2.Route, fields: list[str]):
    if not fields:
        convert.route_from_proto(declared)
        return
    with pytest.raises(InvalidArgument) as caught:
        convert.route_from_proto(declared)
    assert [one.field for one in caught.value.violations] == fields
    assert all(one.description for one in caught.value.violations)


@pytest.mark.parametrize("seconds", [-(2**63), 2**63 - 1])
def test_durations_beyond_reason_are_refused_like_others(seconds: int):
    declared = proto()
    declared.lookup.ttl.seconds = seconds
    with pytest.raises(InvalidArgument) as caught:
        convert.route_from_proto(declared)
    assert [one.field for one in caught.value.violations] == ["route.lookup.ttl"]
