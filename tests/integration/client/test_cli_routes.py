"""What the command line sends and says of routes, and of the answers that are kept by them."""

from datetime import timedelta
from pathlib import Path

import pytest
from headrace.router.v1 import route_pb2

from tests.kit.clients.fake_cli import Run, document
from tests.kit.clients.fake_front_door import FrontDoor
from tests.kit.clients.fake_routes import FakeRoutes


def test_a_route_is_shown_with_shares_and_what_is_in_force(run: Run, routes: FakeRoutes) -> None:
    routes.put(
        "digits",
        route_pb2.Variant(name="stable", follow_production=True, weight=90, serving_version="v1"),
        route_pb2.Variant(name="challenger", version="v2", weight=10, serving_version="v2"),
        generation=4,
    )
    shown = run("routes", "show", "digits").stdout
    assert "production → v1" in shown
    assert "90 %" in shown
    assert "10 %" in shown
    assert "active" in shown


def test_rules_are_sent_in_their_order_and_shown_as_they_are_typed(run: Run, routes: FakeRoutes) -> None:
    texts = ("testers: beta -> v2", "country=DE,AT app=ios-* !beta -> v2")
    result = run("routes", "rules", "set", "digits", *texts, "--reason", "DACH first")
    assert result.exit_code == 0, result.output
    sent = routes.updates[-1]
    assert [rule.name for rule in sent.route.rules] == ["testers", "country-de-at-app-ios-no-beta"]
    assert sent.reason == "DACH first"
    shown = run("routes", "rules", "show", "digits").stdout
    assert texts[0] in shown
    assert texts[1] in shown
    found = document(run("routes", "rules", "show", "digits", "--json"))
    assert found["rules"][0]["text"] == texts[0]
    run("routes", "rules", "clear", "digits")
    assert not routes.updates[-1].route.rules


def test_lookup_fallback_and_hedging_are_sent_one_by_one_and_shown_together(
    run: Run, routes: FakeRoutes, tmp_path: Path
) -> None:
    (tmp_path / "popular.json").write_text('{"ada": {"label": [3]}}')
    for words in (
        ("lookup", "digits", "--mode", "batch", "--key", "entity", "--ttl", "90s", "--stale-on-error", "10m"),
        ("lookup", "digits", "--max-precomputed-age", "26h", "--large-inputs"),
        ("fallback", "set", "digits", "old=backup:v1@cpu,left=20ms", "table:popular.json", 'constant:{"label":[0]}'),
        ("hedge", "digits", "--after", "20ms"),
        ("split", "digits", "v1=100"),
        ("rules", "set", "digits", "beta -> v2"),
    ):
        result = run("routes", *words, "--reason", "why not")
        assert result.exit_code == 0, result.output
    sent = routes.updates[-1].route
    assert sent.lookup == route_pb2.Lookup(
        mode=route_pb2.Lookup.MODE_BATCH,
        key=route_pb2.Lookup.KEY_ENTITY,
        ttl=timedelta(seconds=90),
        stale_on_error=timedelta(minutes=10),
        max_precomputed_age=timedelta(hours=26),
        cache_large_inputs=True,
    )
    assert [one.name for one in sent.fallback] == ["old", "table", "constant"]
    assert sent.hedging.delay.ToMilliseconds() == 20
    shown = run("routes", "show", "digits").stdout
    for text in (
        "batch, key entity, ttl 90s, stale on error 10m, precomputed at most 26h, large inputs too",
        "after 20ms",
        "old=backup:v1@cpu,left=20ms",
        "table=table:(1 entities)",
        'constant=constant:{"label":[0.0]}',
    ):
        assert text in shown
    assert "1 rules; 3 fallbacks; lookup; hedging" in run("routes", "history", "digits").stdout
    assert document(run("routes", "fallback", "show", "digits", "--json"))["fallback"][0]["text"].startswith("old=")
    assert "after 20ms" in run("routes", "hedge", "digits").stdout

    run("routes", "hedge", "digits", "off")
    run("routes", "lookup", "digits", "--reset")
    run("routes", "fallback", "clear", "digits")
    cleared = routes.updates[-1].route
    assert not cleared.HasField("lookup")
    assert not cleared.HasField("hedging")
    assert not cleared.fallback
    assert "hybrid" in run("routes", "lookup", "digits").stdout
    assert "off" in run("routes", "hedge", "digits").stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("fallback", "set", "digits", "backup"), "name a version, a pool or both"),
        (("fallback", "set", "digits", "table:none.json"), "No such file"),
        (("lookup", "digits", "--ttl", "soon"), "is no duration"),
        (("hedge", "digits", "off", "--after", "1s"), "`off` or --after"),
    ],
)
def test_what_cannot_be_read_is_a_usage_error_that_says_why(
    run: Run, door: FrontDoor, words: tuple[str, ...], why: str
) -> None:
    result = run("routes", *words)
    assert result.exit_code == 2
    assert why in result.stderr
    assert door.calls == []


def test_a_purge_says_what_is_void_and_who_has_not_heard(run: Run, routes: FakeRoutes) -> None:
    routes.status["digits"].unacknowledged_data_planes.append("data-1")
    result = run("cache", "purge", "digits", "v2", "--reason", "wrong labels")
    assert result.exit_code == 0, result.output
    assert "version v2 of digits (cache epoch 1)" in result.stdout
    assert "data-1" in result.stderr
    assert (routes.purges[-1].version, routes.purges[-1].reason) == ("v2", "wrong labels")
    assert routes.purges[-1].request_id


def test_a_rule_that_cannot_be_read_is_a_usage_error_that_says_why(run: Run, door: FrontDoor) -> None:
    result = run("routes", "rules", "set", "digits", "country:DE -> v2")
    assert result.exit_code == 2
    assert "is no condition, such as country=DE" in result.stderr
    assert run("routes", "dry-run", "digits", "--rule", "a -> v2", "--no-rules").exit_code == 2
    assert run("routes", "dry-run", "digits", "--example", "ada").exit_code == 2
    assert door.calls == []


def test_shares_that_do_not_sum_to_100_are_refused_before_anything_is_asked(
    run: Run, door: FrontDoor, routes: FakeRoutes
) -> None:
    for command in ("split", "dry-run"):
        result = run("routes", command, "digits", "production=50", "v2=60")
        assert result.exit_code == 2
        assert "the shares sum to 110, not 100" in " ".join(result.stderr.split())
    assert door.calls == []
    assert run("routes", "split", "digits", "production=1", "v2=3", "--normalise").exit_code == 0
    assert [one.weight for one in routes.updates[-1].route.variants] == [25, 75]


def test_a_managed_route_names_its_holder_and_the_way_to_take_it(run: Run, routes: FakeRoutes) -> None:
    routes.managed["digits"] = "rollouts/7"
    result = run("routes", "split", "digits", "v1=100")
    assert result.exit_code == 4
    assert "managed by rollouts/7" in result.stderr
    assert "--force" in result.stderr
    assert run("routes", "split", "digits", "v1=100", "--force").exit_code == 0
    assert routes.updates[-1].force


def test_a_dry_run_shows_shares_what_it_waits_for_and_where_examples_go(run: Run, routes: FakeRoutes) -> None:
    result = run(
        "routes", "dry-run", "digits", "v1=90", "v2=10", "--rule", "country=DE -> v2",
        "--example", "user=ada country=DE", "--example", "entity=item-1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert routes.updates == []
    (sent,) = routes.dry_runs
    assert [(one.user_id, one.entity_id, dict(one.attributes)) for one in sent.examples] == [
        ("ada", "", {"country": "DE"}),
        ("", "item-1", {}),
    ]
    for told in ("100 % → 90 %", "none → v2", "10 % of the units", "it would wait", "rollouts/7", "by rule germans"):
        assert told in result.stdout


def test_history_says_who_why_and_from_whom(run: Run) -> None:
    run("routes", "split", "digits", "v1=90", "v2=10", "--reason", "first look")
    shown = run("routes", "history", "digits").stdout
    for told in ("declared", "generation 2", "ada for rollouts/7, taken from rollouts/6", "first look", "v1=90"):
        assert told in shown


def test_status_of_a_route_names_batchers_and_data_planes(run: Run, routes: FakeRoutes) -> None:
    status = routes.status["digits"]
    status.versions.add(version="v2", pool="gpu", batchers=3, ready_batchers=1, failed_batchers=1, failure="too large")
    status.data_planes.add(name="host-a/0", acknowledged=False, connected=True)
    status.wanted_registry_epoch = 5
    shown = run("routes", "status", "digits").stdout
    for told in ("1/3", "too large", "host-a/0", "1, 5 is wanted"):
        assert told in shown


def test_a_shadow_is_declared_shown_and_taken_away(run: Run, routes: FakeRoutes) -> None:
    assert "off" in run("routes", "shadow", "digits").stdout
    done = run("routes", "shadow", "digits", "v2", "--share", "0.1")
    assert done.exit_code == 0, done.output
    sent = routes.updates[-1].route
    assert (sent.shadowing.variant, sent.shadowing.share) == ("shadow", 0.1)
    assert "shadow, 10.000% of what others compute" in run("routes", "shadow", "digits").stdout
    assert "10.000%" in run("routes", "show", "digits").stdout
    assert run("routes", "shadow", "digits", "v2", "--off").exit_code == 2
    assert run("routes", "shadow", "digits", "v2", "--share", "0").exit_code == 2
    assert run("routes", "shadow", "digits", "--off").exit_code == 0
    assert not routes.updates[-1].route.HasField("shadowing")
