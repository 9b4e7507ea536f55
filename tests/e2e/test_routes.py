"""Routes on the whole stack: rules by attribute, a dry run, history, status, and a rollback within two seconds."""

import httpx
import pytest

from tests.kit.clients.headrace_cli import Headrace


@pytest.fixture
def serving(headrace: Headrace) -> Headrace:
    """Have v1 in production and v2 registered."""
    headrace.two_versions(production="v1")
    return headrace


def test_a_rule_sends_germans_to_v2_and_nobody_else(serving: Headrace) -> None:
    model = serving.model
    german, french = ("--attribute", "country=DE"), ("--attribute", "country=FR")
    foreseen = serving(
        "routes",
        "dry-run",
        model,
        "--rule",
        "country=DE -> v2",
        "--example",
        "user=ada country=DE",
        "--example",
        "user=ada",
    )
    assert foreseen["moved_share"] == 0
    assert [(one["before"]["version"], one["after"]["version"]) for one in foreseen["examples"]] == [
        ("v1", "v2"),
        ("v1", "v1"),
    ]
    assert serving.predict(*german)["version"] == "v1", "a dry run changes nothing"

    serving("routes", "rules", "set", model, "country=DE -> v2", "--reason", "Germany first")
    answer = serving.predict("--user", "ada", *german)
    assert (answer["version"], answer["variant"], answer["rule"]) == ("v2", "v2", "country-de")
    assert serving.predict("--user", "ada", *french)["version"] == "v1"
    assert serving.predict(*german, "--version", "v1")["version"] == "v1"
    assert serving("routes", "assign", model, "--user", "ada", *german)["rule"] == "country-de"
    assert "country=DE -> v2" in serving.run("routes", "rules", "show", model).stdout

    serving("routes", "rules", "clear", model)
    assert serving.predict("--user", "ada", *german)["version"] == "v1"
    events = serving("routes", "history", model)["events"]
    assert [one["kind"] for one in events] == ["KIND_DECLARED", "KIND_DECLARED", "KIND_FOLLOWED"]
    assert events[1]["reason"] == "Germany first"


def test_the_same_by_rest(serving: Headrace) -> None:
    headers = {"authorization": f"Bearer {serving.stack.token()}"}
    route = {
        "name": f"routes/{serving.model}",
        "variants": [
            {"name": "stable", "follow_production": True, "weight": 1},
            {"name": "next", "version": "v2", "weight": 0},
        ],
        "rules": [
            {
                "name": "dach",
                "variant": "next",
                "conditions": [{"attribute": "country", "any_of": {"values": ["DE", "AT"]}}],
            }
        ],
    }
    at = f"/v1/routes/{serving.model}"
    with httpx.Client(base_url=serving.stack.url, headers=headers, timeout=60, trust_env=False) as http:
        examples = [{"user_id": "ada", "attributes": {"country": "AT"}}]
        foreseen = http.post(f"{at}:dryRun", json={"route": route, "examples": examples}).json()
        assert foreseen["examples"][0]["after"] == {"variant": "next", "version": "v2", "rule": "dach"}
        route["etag"] = http.get(at).json()["route"]["etag"]  # tests of this module come in any order
        response = http.put(at, json={"route": route, "manager": "rollouts/7", "reason": "step 1"})
        assert (response.status_code, "MANAGER_NOT_YOURS" in response.text) == (403, True), "a rollout's service alone"
        response = http.put(at, json={"route": route, "reason": "step 1"})
        assert response.status_code == 200, response.text
        assigned = http.post(f"{at}:assign", json={"user_id": "ada", "attributes": {"country": "AT"}}).json()
        assert (assigned["variant"], assigned["rule"]) == ("next", "dach")
        assert http.get(f"{at}:assign", params={"user_id": "ada"}).json()["variant"] == "stable"
        body = {"instances": [[0, 1, 2, 3]], "attributes": {"country": "AT"}}
        answer = http.post(f"/v1/models/{serving.model}:predict", json=body).json()
        assert (answer["model_version"], answer["rule"]) == ("v2", "dach")
        event = http.get(f"{at}/events", params={"page_size": 1}).json()["events"][0]
        assert (event["reason"], event["outcome"]) == ("step 1", "OUTCOME_ACTIVE")

        route["rules"][0]["conditions"][0]["matches"] = "x"
        typo = http.post(f"{at}:dryRun", json={"route": route})
        assert typo.status_code == 400
        assert "route.rules[0].conditions[0].matches" in typo.text


def test_a_promotion_tells_its_stages_and_how_long_each_change_took(serving: Headrace) -> None:
    promoted = serving("models", "promote", serving.model, "v2")
    stages = [one["stage"] for one in promoted["stages"]]
    assert stages[-3:] == ["ready", "activated", "acknowledged"]
    assert promoted["stages"][-1]["text"] == "1/1 data planes"
    waited_s = []
    for _ in range(2):  # v2 is loaded still, and v1: the second one goes forward again
        waited_s.append(serving("models", "rollback", serving.model)["waited_s"])
        assert serving.predict()["version"] == "v1"
        waited_s.append(serving("models", "promote", serving.model, "v2")["waited_s"])
        assert serving.predict()["version"] == "v2"
    assert min(waited_s) > 0
    shown = serving.run("models", "rollback", serving.model).stdout
    assert "on 1/1 batchers of pool default" in shown
    assert "acknowledged  1/1 data planes" in shown
    status = serving("routes", "status", serving.model)["status"]
    assert [one["acknowledged"] for one in status["data_planes"]] == [True]
    assert status["versions"][0]["in_force"] is True


def test_status_shows_every_batcher_with_what_it_holds(serving: Headrace) -> None:
    found = serving("status")["batchers"]
    assert {one["pool"] for one in found} >= {"cpu", "default"}
    batcher = next(one for one in found if one["pool"] == "default")
    (held,) = (one for one in batcher["versions"] if (one["model"], one["version"]) == (serving.model, "v1"))
    assert (held["state"], held["wanted"]) == ("STATE_READY", True)
    assert 0 < float(held["load_duration"].removesuffix("s")) < 120
    assert not batcher["draining"]
    assert "longest load" in serving.run("status").stdout
    by_rest = httpx.get(
        f"{serving.stack.url}/v1/batchers",
        params={"pool": "default"},
        trust_env=False,
        headers={"authorization": f"Bearer {serving.stack.token()}"},
    ).json()["batchers"]
    assert [one["address"] for one in by_rest] == [one["address"] for one in found if one["pool"] == "default"]
