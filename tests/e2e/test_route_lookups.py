"""Lookup settings, fallbacks, hedging and purges by the command line and by REST, on the whole stack."""

import httpx
import pytest

from tests.kit.clients.headrace_cli import Headrace


@pytest.fixture
def serving(headrace: Headrace) -> Headrace:
    """Have v2 in production, and v1 registered."""
    headrace.two_versions(production="v2")
    return headrace


def test_a_route_says_where_answers_come_from_and_what_answers_when_nothing_else_does(serving: Headrace) -> None:
    model = serving.model
    serving("routes", "lookup", model, "--ttl", "10m", "--stale-on-error", "1h")
    first = serving.predict()
    assert (first["served_from"], serving.predict()["served_from"]) == ("online", "cache")
    purged = serving("cache", "purge", model, "--reason", "for the test")
    assert (purged["version"], purged["cache_epoch"]) == ("v2", "1")
    assert purged["status"]["unacknowledged_data_planes"] == []
    again = serving.predict()
    assert (again["served_from"], again["outputs"]) == ("online", first["outputs"])

    serving("routes", "lookup", model, "--mode", "batch")  # nothing is precomputed
    missing = serving.predict("--entity", "ada", code=3)["error"]
    assert missing["reason"] == "NOT_PRECOMPUTED"
    written = serving(
        "routes", "fallback", "set", model, 'last=constant:{"scores":[1,2,3]}', "--reason", "better than 404"
    )
    assert written["route"]["lookup"]["ttl"] == "600s"
    answer = serving.predict("--entity", "ada")
    assert (answer["served_from"], answer["outputs"]["scores"]) == ("fallback", [[1, 2, 3]])

    serving("routes", "lookup", model, "--mode", "hybrid")
    serving("routes", "fallback", "set", model, "old=backup:v1@cpu", "stale:10m")
    serving("routes", "hedge", model, "--after", "20ms")
    serving("routes", "split", model, "production=100")
    shown = serving.run("routes", "show", model).stdout
    for text in ("hybrid, ttl 10m, stale on error 1h", "after 20ms", "old=backup:v1@cpu", "stale=stale:10m"):
        assert text in shown
    status = serving("routes", "status", model)["status"]
    ready = {(one["version"], one["pool"]): one["ready_batchers"] for one in status["versions"]}
    assert ready == {("v1", "cpu"): 1, ("v2", "default"): 1}
    assert serving.predict()["version"] == "v2"
    pinned = serving.predict("--version", "v1", code=3)["error"]
    assert pinned["reason"] == "VERSION_NOT_FOUND", "a version that only a fallback names is not pinned"

    refused = serving("routes", "fallback", "set", model, 'constant:{"scores":[1]}', code=2)["error"]
    assert refused["violations"][0]["field"] == "route.fallback[0].constant.outputs[scores]"
    for words in (("fallback", "clear", model), ("hedge", model, "off"), ("lookup", model, "--reset")):
        serving("routes", *words)
    assert serving.predict()["version"] == "v2"


def test_the_same_by_rest(serving: Headrace) -> None:
    headers = {"authorization": f"Bearer {serving.stack.token()}"}
    at = f"/v1/routes/{serving.model}"
    route = {
        "variants": [{"name": "stable", "follow_production": True, "weight": 1}],
        "lookup": {"ttl": "60s", "mode": "MODE_HYBRID"},
        "fallback": [
            {"name": "old", "backup": {"version": "v1", "pool": "cpu"}, "min_time_left": "0.020s"},
            {"name": "by-entity", "entity_table": {"rows": {"ada": {"outputs": {"scores": {"numbers": [1, 2, 3]}}}}}},
        ],
        "hedging": {},
    }
    with httpx.Client(base_url=serving.stack.url, headers=headers, timeout=60, trust_env=False) as http:
        written = http.put(at, json={"route": route})
        assert written.status_code == 200, written.text
        read = http.get(at).json()["route"]
        assert (read["lookup"]["ttl"], read["hedging"]) == ("60s", {})
        assert read["fallback"][0]["backup"]["serving_version"] == "v1"
        assert read["fallback"][1]["entity_table"]["rows"]["ada"]["outputs"]["scores"]["numbers"] == [1, 2, 3]
        purged = http.post(f"{at}:purgeCache", json={"reason": "for the test", "request_id": "r1"}).json()
        again = http.post(f"{at}:purgeCache", json={"reason": "for the test", "request_id": "r1"}).json()
        assert (purged["version"], purged["cache_epoch"], again["cache_epoch"]) == ("v2", "1", "1")
        unknown = http.post(f"{at}:purgeCache", json={"version": "v9"})
        assert (unknown.status_code, "VERSION_NOT_FOUND" in unknown.text) == (404, True)
        wrong = {**route, "etag": read["etag"], "fallback": [{"name": "x", "stale": "0s"}]}
        refused = http.put(at, json={"route": wrong})
        assert (refused.status_code, "route.fallback[0].stale" in refused.text) == (400, True)
