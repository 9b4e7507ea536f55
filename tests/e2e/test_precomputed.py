"""Answers computed beforehand on the whole stack: published by the command line, given to callers, taken back, lost."""

import json
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
from headrace_servicekit.testing import eventually
from headrace_stack.components import valkey
from redis import Redis

from tests.kit.clients.headrace_cli import GOOD, Headrace
from tests.kit.models import onnx_models


def predict(headrace: Headrace, entity: str) -> tuple[str, str, list[list[float]]]:
    """Return where the answer for an entity comes from, the version that computed it, and its scores."""
    answer = headrace.predict("--entity", entity)
    return answer["served_from"], answer["version"], answer["outputs"]["scores"]


async def given(headrace: Headrace, entity: str, scores: list[list[float]]) -> None:
    """Wait for the precomputed answer: where the store takes longer than it is waited for, the answer is computed."""
    await eventually(lambda: predict(headrace, entity) == ("precomputed", "v1", scores), within=10)


def publish(headrace: Headrace, scores: dict[str, list[float]], *words: str) -> Any:
    """Publish scores by entity."""
    path = headrace.folder / "answers.parquet"
    pq.write_table(pa.table({"entity": list(scores), "scores": list(scores.values())}), path)
    return headrace("precompute", "publish", headrace.model, str(path), *words)


def rest(headrace: Headrace, verb: str, path: str, **content: Any) -> Any:
    """Call the front door's REST API."""
    authorization = {"authorization": f"Bearer {headrace.stack.token()}"}
    answer = httpx.request(
        verb, headrace.stack.url + path, headers=authorization, timeout=30, trust_env=False, **content
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_published_answers_are_given_until_they_are_taken_back_or_lost(headrace: Headrace) -> None:
    model = headrace.model
    headrace.two_versions(production="v1")
    computed = predict(headrace, "nobody")
    assert computed[:2] == ("online", "v1")

    done = publish(headrace, {"ada": [1, 2, 3], "bob": [4, 5, 6]})
    assert (done["publish"]["entity_count"], done["status"]["unacknowledged_data_planes"]) == ("2", [])
    await given(headrace, "ada", [[1, 2, 3]])
    assert predict(headrace, "nobody")[2] == computed[2]
    again = publish(headrace, {"ada": [7, 8, 9]}, "--run", "nightly/7", "--manifest-digest", "abc")
    await given(headrace, "ada", [[7, 8, 9]])
    kept = headrace("precompute", "status", model)["answers"][0]
    assert (kept["active"]["origin"]["run"], kept["active"]["origin"]["manifest_digest"]) == ("nightly/7", "abc")

    def explained() -> Any:
        return headrace("explain", headrace.predict("--entity", "ada", "--explain")["prediction_id"])

    why = await eventually(lambda: (found := explained()).get("publish") and found, within=10)
    assert (why["publish"], why["origin"]) == (again["publish"]["name"], kept["active"]["origin"])
    assert predict(headrace, "bob")[0] != "precomputed"

    # Answers belong to a version: promoting leaves them, with a warning, and rolling back returns to them.
    promoted = headrace("models", "promote", model, "v2")
    assert ["v1 has precomputed answers and v2 has none" in warning for warning in promoted["warnings"]] == [True]
    assert predict(headrace, "ada")[:2] == ("online", "v2")
    headrace("models", "rollback", model)
    await given(headrace, "ada", [[7, 8, 9]])

    headrace("precompute", "revert", model)
    await given(headrace, "ada", [[1, 2, 3]])
    headrace("precompute", "revert", model)
    assert predict(headrace, "ada")[0] != "precomputed"
    assert headrace("precompute", "revert", model, code=4)["error"]["reason"] == "NOTHING_TO_REVERT"


async def test_answers_that_the_store_lost_are_computed_and_shown_as_lost(headrace: Headrace) -> None:
    model = headrace.model
    headrace("models", "register", model, "v1", headrace.file("m.onnx", onnx_models.linear()), *GOOD)
    headrace("models", "promote", model, "v1")
    publish(headrace, {"ada": [1, 2, 3], "bob": [4, 5, 6]})
    await given(headrace, "ada", [[1, 2, 3]])
    # As a store that came back empty: nothing of this version is there.
    digest = headrace("models", "show", model, "v1")["version"]["digest"]
    store = Redis.from_url(valkey.url(headrace.stack.settings))
    lost = list(store.scan_iter(f"[pmu]:*:{digest}:*", count=1000))
    assert len(lost) == 4
    store.delete(*lost)
    store.close()
    assert predict(headrace, "bob")[:2] == ("online", "v1")
    shown = headrace("precompute", "status", model)["answers"]
    assert [one["condition"] for one in shown] == ["CONDITION_LOST"]
    publish(headrace, {"ada": [1, 2, 3], "bob": [4, 5, 6]})
    await given(headrace, "bob", [[4, 5, 6]])
    await eventually(lambda: headrace("precompute", "status", model)["answers"][0]["condition"] == "CONDITION_PRESENT")


def test_publishing_over_rest_reads_as_it_does_over_grpc(headrace: Headrace) -> None:
    model = headrace.model
    headrace("models", "register", model, "v1", headrace.file("m.onnx", onnx_models.linear()), *GOOD)
    begun = rest(headrace, "POST", f"/v1/models/{model}/versions/v1/publishes", json={"row_count": 1})
    name = begun["publish"]["name"]
    assert [spec["name"] for spec in begun["outputs"]] == ["scores"]
    path = headrace.folder / "answers.jsonl"
    path.write_text(json.dumps({"entity": "ada", "scores": [1, 2, 3]}))
    headrace("precompute", "publish", model, str(path), "--resume", name)
    found = rest(headrace, "GET", f"/v1/{name}")
    assert (found["publish"]["state"], found["publish"]["row_count"]) == ("STATE_COMMITTED", "1")
    listed = rest(headrace, "GET", f"/v1/models/{model}/precomputed")
    assert listed["answers"][0]["condition"] == "CONDITION_PRESENT"
    assert headrace("precompute", "abort", name, code=4)["error"]["reason"] == "PUBLISH_COMMITTED"


def test_a_publish_that_is_given_up_takes_no_rows_and_answers_nobody(headrace: Headrace) -> None:
    model, path = headrace.model, headrace.folder / "answers.jsonl"
    headrace.two_versions(production="v1")
    publish(headrace, {"ada": [1, 2, 3]})
    name = rest(headrace, "POST", f"/v1/models/{model}/versions/v1/publishes", json={})["publish"]["name"]
    assert headrace("precompute", "abort", name) == {"aborted": name}
    assert rest(headrace, "POST", f"/v1/{name}:abort", json={}) == {}, "repeating it is safe"
    assert rest(headrace, "GET", f"/v1/{name}")["publish"]["state"] == "STATE_ABORTED"
    path.write_text(json.dumps({"entity": "ada", "scores": [7, 8, 9]}))
    late = headrace("precompute", "publish", model, str(path), "--resume", name, code=4)["error"]
    assert late["reason"] == "PUBLISH_CLOSED"
    assert predict(headrace, "ada") == ("precomputed", "v1", [[1, 2, 3]])
