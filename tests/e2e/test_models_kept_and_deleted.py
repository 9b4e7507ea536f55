"""A model's later life on the whole stack: judged by production, looked back on, held, and deleted in the end."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from headrace_servicekit.testing import eventually

from tests.kit.clients.headrace_cli import GOOD, Headrace
from tests.kit.models import onnx_models


def rest(headrace: Headrace, method: str, path: str, **call: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {headrace.stack.token('people')}"}
    return httpx.request(method, f"{headrace.stack.url}/v1/{path}", headers=headers, timeout=20, **call)


def predicted(headrace: Headrace) -> httpx.Response:
    """Ask the data plane, which has heard of everything from the control plane."""
    return rest(headrace, "POST", f"models/{headrace.model}:predict", json={"instances": [[0, 1, 2, 3]]})


def register(headrace: Headrace, version: str, *, features: int = 4, seed: int = 1, accuracy: float = 0.95) -> None:
    file = headrace.file(f"{version}.onnx", onnx_models.linear(features, 3, seed=seed))
    metrics = ("--metric", f"accuracy={accuracy}", "--metric", "latency_p99_ms=2")
    headrace("models", "register", headrace.model, version, file, *metrics)


def test_a_version_is_judged_by_the_one_in_production(headrace: Headrace) -> None:
    register(headrace, "v1", accuracy=0.97)
    headrace("models", "gates", headrace.model, "--set", "accuracy>=production-0.01")
    headrace("models", "promote", headrace.model, "v1")
    register(headrace, "v2", seed=2, accuracy=0.95)
    refused = headrace("models", "promote", headrace.model, "v2", code=4)["error"]
    assert refused["reason"] == "PROMOTION_GATE_FAILED"
    assert ">= 0.96" in refused["violations"][0]["description"]
    gates = rest(headrace, "GET", f"models/{headrace.model}").json()["model"]["promotion_policy"]["gates"]
    assert gates[0]["minimum_delta"] == -0.01


@pytest.mark.long
async def test_a_gate_on_measured_values_is_met_once_the_version_was_loaded_and_measured(headrace: Headrace) -> None:
    register(headrace, "v1")
    headrace("models", "promote", headrace.model, "v1")
    headrace("models", "gates", headrace.model, "--set", "latency_p99_ms<=60000@measured")
    register(headrace, "v2", seed=2)
    refused = headrace("models", "promote", headrace.model, "v2", code=4)["error"]
    assert "no measured latency_p99_ms" in refused["violations"][0]["description"]
    # Named without traffic: batchers load it, probe it and report.
    headrace("routes", "split", headrace.model, "production=100", "v2=0")

    def measured() -> list[str]:
        found = headrace("models", "measurements", headrace.model, "v2")["measurements"]
        return [one["metric"]["name"] for one in found]

    await eventually(lambda: "latency_p99_ms" in measured(), within=40, every=0.2)
    assert headrace("models", "promote", headrace.model, "v2")["serving"] is True


@pytest.mark.long
def test_a_break_of_the_signature_is_refused_with_a_diff_and_recorded_when_it_is_allowed(headrace: Headrace) -> None:
    register(headrace, "v1")
    headrace("models", "promote", headrace.model, "v1")
    register(headrace, "v2", features=5)
    refused = headrace("models", "promote", headrace.model, "v2", code=4)["error"]
    assert refused["reason"] == "SIGNATURE_INCOMPATIBLE"
    assert "--allow-incompatible-signature" in headrace.run("models", "promote", headrace.model, "v2").stderr
    allowed = headrace("models", "promote", headrace.model, "v2", "--allow-incompatible-signature")
    assert allowed["serving"] is True
    assert headrace("predict", headrace.model, "--rows", "[[0, 1, 2, 3, 4]]")["version"] == "v2"
    (broken,) = headrace("models", "history", headrace.model)["events"][0]["signature_breaks"]
    assert "[4] to [5]" in broken


def test_a_past_time_is_answered_on_both_faces(headrace: Headrace) -> None:
    register(headrace, "v1")
    headrace("models", "promote", headrace.model, "v1", "--reason", "first")
    between = datetime.now(UTC)
    register(headrace, "v2", seed=2)
    headrace("models", "promote", headrace.model, "v2")
    shown = headrace("models", "as-of", headrace.model, between.isoformat())["as_of"]
    assert (shown["production_version"], shown["production_event"]["reason"]) == ("v1", "first")
    time = between.isoformat().replace("+00:00", "Z")
    answer = rest(headrace, "GET", f"models/{headrace.model}:asOf", params={"time": time})
    assert (answer.status_code, answer.json()["production_version"]) == (200, "v1"), answer.text
    refused = rest(headrace, "GET", f"models/{headrace.model}:asOf", params={"time": "2999-01-01T00:00:00Z"})
    assert refused.status_code == 400


async def test_a_model_is_deleted_when_neither_a_route_nor_anybody_else_needs_it(headrace: Headrace) -> None:
    register(headrace, "v1")
    headrace("models", "promote", headrace.model, "v1")
    register(headrace, "v2", seed=2)
    headrace("models", "hold", headrace.model, "v2", "--as", "audit", "--for", "1h", "--reason", "review")
    headrace("routes", "split", headrace.model, "production=90", "v2=10")

    def holders() -> list[str]:
        held = headrace("models", "holds", headrace.model)["holds"]
        return sorted(hold["holder"].partition("/")[0] for hold in held)

    await eventually(lambda: holders() == ["audit", "router"], within=20, every=0.2)
    refused = headrace("models", "delete", headrace.model, "--yes", code=4)["error"]
    assert (refused["reason"], len(refused["violations"])) == ("MODEL_IN_USE", 2)
    headrace("models", "release", headrace.model, "v2", "--as", "audit")
    headrace("routes", "split", headrace.model, "production=100")
    await eventually(lambda: holders() == [], within=20, every=0.2)
    assert predicted(headrace).status_code == 200

    answer = rest(headrace, "DELETE", f"models/{headrace.model}", params={"reason": "retired"})
    assert answer.status_code == 200, answer.text
    await eventually(lambda: predicted(headrace).status_code == 404, within=20, every=0.1)
    assert headrace("models", "history", headrace.model)["events"][0]["reason"] == "retired"
    file = headrace.file("again.onnx", onnx_models.linear())
    again = headrace("models", "register", headrace.model, "v3", file, *GOOD, code=4)["error"]
    assert again["reason"] == "MODEL_DELETED"
