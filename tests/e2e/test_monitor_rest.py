"""Every call of the monitor through the front door of the whole stack: what it answers, and how it refuses bad input.

That each needs a token, its scope, and a model that the token may see, `test_bad_callers.py` tests of all methods.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headrace.monitor.v1 import alert_pb2, monitor_pb2
from headrace.router.v1 import usage_pb2
from headrace.telemetry.v1 import telemetry_pb2
from headrace_servicekit.testing import eventually, patience

from tests.kit.clients.methods import BY_REST, METHODS, path_of
from tests.kit.front_door.edge import metadata
from tests.kit.rows import each
from tests.kit.stack.served_models import LINEAR, Served, assert_refused, request

pytestmark = pytest.mark.timeout(180)

MODEL = "/v1/models/served-linear"
VERSION = f"{MODEL}/versions/v1"
# More than the 50 that a reference is frozen from at least.
PREDICTIONS = 60
WATCH_ALERTS = "/headrace.monitor.v1.AlertService/WatchAlerts"
QUERY = "/headrace.monitor.v1.TrafficService/QueryPredictions"
SOON_S = 60.0

RULE = {"model": LINEAR, "signal": "error_rate", "above": 0.5}
HOOK = {"url": "https://127.0.0.77:1/hook", "secret": "sixteen characters"}
VARIANTS = [{"name": "control", "weight": 1}, {"name": "new", "weight": 1}]
TRIAL = {"name": f"models/{LINEAR}/experiments/trial", "variants": VARIANTS, "metrics": [{"name": "reward"}]}
NEVER = "9999-01-01T00:00:00Z"
BACKWARDS = "range.start_time=2026-01-02T00:00:00Z&range.end_time=2026-01-01T00:00:00Z"

REASONS = {"INVALID_ARGUMENT", "INVALID_REQUEST", "VALUE_OUT_OF_RANGE"} | {
    f"{what}_INVALID" for what in ("ALERT_RULE", "WEBHOOK", "SILENCE", "EXPERIMENT")
}
# By method: verb, path, body, and the field that is wrong.
WRONG = {
    "RecordOutcomes": [
        ("POST", "/v1/models/UP/outcomes:record", {}, "parent"),
        ("POST", f"{MODEL}/outcomes:record", {"outcomes": [{}] * 10_001}, "outcomes"),
        ("POST", f"{MODEL}/outcomes:record", {"entity_window": "-1s"}, "entity_window"),
    ],
    "ListOutcomes": [
        ("GET", f"{MODEL}/outcomes", None, "prediction_id"),
        ("GET", f"{MODEL}/outcomes?prediction_id=17", None, "prediction_id"),
    ],
    "GetTraffic": [
        ("GET", "/v1/models/UP/traffic", None, "parent"),
        ("GET", f"{MODEL}/traffic?{BACKWARDS}", None, "range"),
    ],
    "ListTraffic": [
        ("GET", "/v1/traffic", None, "models"),
        ("GET", "/v1/traffic?models=models/UP", None, "models[0]"),
        ("GET", f"/v1/traffic?models={MODEL.removeprefix('/v1/')}&{BACKWARDS}", None, "range"),
    ],
    "GetTrafficTimeSeries": [
        ("GET", "/v1/trafficTimeSeries?parent=models/UP", None, "parent"),
        ("GET", f"/v1/trafficTimeSeries?{BACKWARDS}", None, "range"),
    ],
    "FreezeReference": [
        ("POST", f"{MODEL}/versions/UP:freezeReference", {}, "name"),
        ("POST", f"{VERSION}:freezeReference", {"range": {"start_time": NEVER}}, "range"),
    ],
    "GetReference": [("GET", f"{MODEL}/versions/UP/reference", None, "name")],
    "GetDistributions": [
        ("GET", f"{MODEL}/versions/UP/distributions", None, "name"),
        ("GET", f"{VERSION}/distributions?columns={'x' * 257}", None, "columns"),
        ("GET", f"{VERSION}/distributions?{BACKWARDS}", None, "range"),
    ],
    "GetDrift": [
        ("GET", f"{MODEL}/versions/UP/drift", None, "name"),
        ("GET", f"{VERSION}/drift?level=2", None, "level"),
        ("GET", f"{VERSION}/drift?{BACKWARDS}", None, "range"),
    ],
    "ListDrift": [
        ("GET", f"{MODEL}/versions/UP/drifts", None, "parent"),
        ("GET", f"{VERSION}/drifts?page_size=-1", None, "page_size"),
        ("GET", f"{VERSION}/drifts?page_token=x", None, "page_token"),
    ],
    "SetDriftTolerance": [
        ("POST", "/v1/models/UP/driftTolerances", {"test": "psi"}, "parent"),
        ("POST", f"{MODEL}/driftTolerances", {"test": "t"}, "test"),
        ("POST", f"{MODEL}/driftTolerances", {"test": "ks", "tolerance": 2}, "tolerance"),
    ],
    "ListDriftTolerances": [("GET", f"{MODEL}/versions/UP/driftTolerances", None, "parent")],
    "GetPerformance": [
        ("GET", "/v1/models/UP/performance", None, "parent"),
        ("GET", f"{MODEL}/performance?threshold=NaN", None, "threshold"),
        ("GET", f"{MODEL}/performance?version=UP", None, "version"),
        ("GET", f"{MODEL}/performance?{BACKWARDS}", None, "range"),
    ],
    "GetShadowReport": [
        ("GET", "/v1/models/UP/shadowReport", None, "parent"),
        ("GET", f"{MODEL}/shadowReport?{BACKWARDS}", None, "range"),
    ],
    "PutAlertRule": [
        ("PUT", "/v1/alertRules/UP", RULE, "rule.name"),
        ("PUT", "/v1/alertRules/served", {**RULE, "signal": "mood"}, "rule.signal"),
        ("PUT", "/v1/alertRules/served", {**RULE, "above": "NaN"}, "rule.above"),
        ("PUT", "/v1/alertRules/served", {**RULE, "below": 1}, "rule.below"),
        ("PUT", "/v1/alertRules/served", {**RULE, "hold": "-1s"}, "rule.hold"),
    ],
    "ListAlertRules": [("GET", "/v1/alertRules?model=x", None, "")],
    "DeleteAlertRule": [("DELETE", "/v1/alertRules/UP", None, "name")],
    "ListAlerts": [
        ("GET", "/v1/alerts?model=UP", None, "model"),
        ("GET", "/v1/alerts?page_size=-1", None, "page_size"),
        ("GET", "/v1/alerts?page_token=x", None, "page_token"),
    ],
    "ResolveAlert": [("POST", "/v1/alerts/first:resolve", {}, "name")],
    "SilenceAlerts": [
        ("POST", "/v1/silences", {"model": LINEAR}, "silence.expire_time"),
        ("POST", "/v1/silences", {"model": "UP", "expire_time": NEVER}, "silence.model"),
    ],
    "ListSilences": [("GET", "/v1/silences?model=x", None, "")],
    "DeleteSilence": [("DELETE", "/v1/silences/first", None, "name")],
    "PutWebhook": [
        ("PUT", "/v1/webhooks/UP", HOOK, "webhook.name"),
        ("PUT", "/v1/webhooks/served", {**HOOK, "url": "http://8.8.8.8/"}, "webhook.url"),
        ("PUT", "/v1/webhooks/served", {**HOOK, "url": "http://169.254.169.254/"}, "webhook.url"),
        ("PUT", "/v1/webhooks/served", {**HOOK, "secret": "short"}, "webhook.secret"),
    ],
    "ListWebhooks": [("GET", "/v1/webhooks?model=x", None, "")],
    "DeleteWebhook": [("DELETE", "/v1/webhooks/UP", None, "name")],
    "CreateExperiment": [
        ("POST", f"{MODEL}/experiments", {}, "experiment.name"),
        ("POST", f"{MODEL}/experiments", {**TRIAL, "variants": VARIANTS[:1]}, "experiment.variants"),
        ("POST", f"{MODEL}/experiments", {**TRIAL, "metrics": []}, "experiment.metrics"),
        ("POST", f"{MODEL}/experiments", {**TRIAL, "alpha": 2}, "experiment.alpha"),
        ("POST", f"{MODEL}/experiments", {**TRIAL, "stratify_by": "a b"}, "experiment.stratify_by"),
    ],
    "GetExperiment": [("GET", f"{MODEL}/experiments/UP", None, "name")],
    "ListExperiments": [("GET", "/v1/models/UP/experiments", None, "parent")],
    "StartExperiment": [("POST", f"{MODEL}/experiments/UP:start", {}, "name")],
    "ChangeShares": [("POST", f"{MODEL}/experiments/UP:changeShares", {}, "name")],
    "EndExperiment": [("POST", f"{MODEL}/experiments/UP:end", {}, "name")],
    "AnalyseExperiment": [("GET", f"{MODEL}/experiments/UP:analyse", None, "name")],
    "GetExperimentHistory": [("GET", f"{MODEL}/experiments/UP:history", None, "name")],
    "PlanExperiment": [
        ("POST", f"{MODEL}/experiments:plan", {}, "mean"),
        ("POST", f"{MODEL}/experiments:plan", {"mean": 0.05, "alpha": 3}, "alpha"),
    ],
}
CASES = [(method, *case) for method, cases in WRONG.items() for case in cases]
OF_THE_MONITOR = [
    name for name, method in METHODS.items() if method.containing_service.full_name.startswith("headrace.monitor.v1.")
]


def test_each_call_of_the_monitor_is_asked_wrongly_below():
    assert set(WRONG) == {name for name in OF_THE_MONITOR if name in BY_REST}
    assert {name for name in OF_THE_MONITOR if name not in BY_REST} == {
        "QueryPredictions",
        "WatchAlerts",
        "ExportExperimentUnits",
    }


@each("method,verb,path,body,field", CASES)
def test_bad_input_is_400_and_names_the_field(
    served: Served, method: str, verb: str, path: str, body: dict[str, Any] | None, field: str
):
    response = served.rest(verb, path, json=body)
    assert response.status_code == 400, response.text
    refusal = served.rest_refused(verb, path, json=body)
    reason = refusal.reason
    assert reason in REASONS
    assert_refused(refusal, "INVALID_ARGUMENT", reason, field)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (monitor_pb2.QueryPredictionsRequest(), "sql"),
        (monitor_pb2.QueryPredictionsRequest(sql="drop table predictions"), "sql"),
        (monitor_pb2.QueryPredictionsRequest(sql="select 1", max_rows=-1), "max_rows"),
    ],
)
def test_a_bad_query_is_refused_by_its_field(served: Served, message: monitor_pb2.QueryPredictionsRequest, field: str):
    refusal = served.refused(QUERY, message)
    assert refusal.code.name == "INVALID_ARGUMENT"
    assert field in (*refusal.fields, refusal.message.partition(":")[0]), refusal


def test_what_data_planes_and_batchers_report_is_not_taken_from_outside(served: Served):
    requests = {
        "ReportCounters": telemetry_pb2.ReportCountersRequest(data_plane="x", process=str(uuid.uuid4()), sequence=1),
        "ReportPredictions": telemetry_pb2.ReportPredictionsRequest(
            data_plane="x", process=str(uuid.uuid4()), sequence=1
        ),
        "ReportShadowPairs": telemetry_pb2.ReportShadowPairsRequest(),
        "ReportUsage": usage_pb2.ReportUsageRequest(pool="x", process="x", sequence=1),
    }
    (service,) = telemetry_pb2.DESCRIPTOR.services_by_name.values()
    assert set(requests) == {method.name for method in service.methods}
    for name, message in requests.items():
        path = f"/{service.full_name}/{name}"
        assert_refused(served.refused(path, message), "UNIMPLEMENTED", "METHOD_UNKNOWN")
        assert served.rest("POST", path, json={"data_plane": "x"}).status_code == 404


@pytest.mark.long
async def test_predictions_are_counted_logged_labelled_and_judged_by_rest(served: Served):
    """What a user does with curl, in its order."""
    began = datetime.now(UTC)
    rows = np.random.default_rng(5).normal(size=(PREDICTIONS, 1, 4)).astype(np.float32)
    ids = [served.predict(request(LINEAR, features=row)).prediction_id for row in rows]

    outcomes = [{"prediction_id": one, "kind": "label", "number": n % 3} for n, one in enumerate(ids)]
    outcomes += [{"prediction_id": one, "kind": "reward", "number": 2.5} for one in ids]
    outcomes += [{"prediction_id": "x", "kind": "label", "number": 1}]
    told = said(served.rest("POST", f"{MODEL}/outcomes:record", json={"outcomes": outcomes}))
    assert told["results"] == ["RESULT_RECORDED"] * (2 * PREDICTIONS) + ["RESULT_REJECTED"]
    assert [one["field"] for one in told["rejections"]] == [f"outcomes[{2 * PREDICTIONS}].prediction_id"]
    again = said(served.rest("POST", f"{MODEL}/outcomes:record", json={"outcomes": outcomes[:1]}))
    assert again["results"] == ["RESULT_REPEATED"]
    kept = said(served.rest("GET", f"{MODEL}/outcomes?prediction_id={ids[0]}"))["outcomes"]
    assert {(one["kind"], one["number"]) for one in kept} == {("label", 0.0), ("reward", 2.5)}

    since = f"range.start_time={(began - timedelta(minutes=1)).strftime('%Y-%m-%dT%H:%M:%SZ')}"

    async def counted() -> bool:
        traffic = said(served.rest("GET", f"{MODEL}/traffic?{since}"))["traffic"]
        return sum(int(one["count"]) for one in traffic if one["code"] == 0) >= PREDICTIONS

    await eventually(counted, within=SOON_S, every=0.5)
    listed = said(served.rest("GET", f"/v1/traffic?models=models/none&models=models/{LINEAR}&{since}"))["models"]
    assert [one["model"] for one in listed] == [f"models/{LINEAR}"]
    assert sum(int(one["count"]) for one in listed[0]["traffic"] if one["code"] == 0) >= PREDICTIONS
    for parent in ("", f"parent=models/{LINEAR}&", f"parent=models/{LINEAR}/versions/v1&"):
        parts = said(served.rest("GET", f"/v1/trafficTimeSeries?{parent}{since}"))["parts"]
        assert sum(int(one["requests"]) for one in parts) >= PREDICTIONS

    async def logged() -> bool:
        wanted = ", ".join(f"'{one}'" for one in ids)
        sql = f"select count(*) as n from predictions where prediction_id in ({wanted})"
        return (await asyncio.to_thread(query, served, sql))["n"] == [PREDICTIONS]

    await eventually(logged, within=SOON_S, every=0.5)

    missing = served.rest_refused("GET", f"{MODEL}/versions/v2/reference")
    assert_refused(missing, "NOT_FOUND", "REFERENCE_NOT_FOUND", named="v2")
    body = {"range": {"start_time": began.isoformat(), "end_time": datetime.now(UTC).isoformat()}}
    frozen = said(served.rest("POST", f"{VERSION}:freezeReference", json=body))["reference"]
    assert frozen["source"] == "SOURCE_WINDOW"
    reference = said(served.rest("GET", f"{VERSION}/reference"))["reference"]
    assert {one["name"] for one in reference["columns"]} >= {"features.0", "features.3"}

    async def derived() -> bool:
        drift = said(served.rest("GET", f"{VERSION}/drift?level=0.01"))["drift"]
        return any(report["inconclusive"] == "" for report in drift["reports"])

    await eventually(derived, within=SOON_S, every=1.0)
    assert isinstance(said(served.rest("GET", f"{VERSION}/drifts?page_size=1"))["drifts"], list)

    async def measured() -> bool:
        performance = said(served.rest("GET", f"{MODEL}/performance?{since}&version=v1"))["performance"]
        means = [one for row in performance for one in row["measures"] if one["name"] == "reward_mean"]
        return any(int(one["rows"]) >= PREDICTIONS and one["value"] == 2.5 for one in means)

    await eventually(measured, within=SOON_S, every=1.0)
    gone = served.rest_refused("GET", f"{MODEL}/report")
    assert_refused(gone, "UNIMPLEMENTED", "REPORT_IN_CONSOLE", named="/console/models/MODEL/report")
    assert f"<h1>Report on {LINEAR}</h1>" in served.client.monitor.render_report(LINEAR)


def test_rules_silences_and_webhooks_are_kept_listed_and_removed_by_rest(served: Served):
    name = f"rest-{uuid.uuid4().hex[:12]}"
    rule = said(served.rest("PUT", f"/v1/alertRules/{name}", json=RULE))["rule"]
    assert (rule["name"], rule["above"]) == (f"alertRules/{name}", 0.5)
    hook = said(served.rest("PUT", f"/v1/webhooks/{name}", json={**HOOK, "model": LINEAR}))["webhook"]
    assert (hook["url"], hook["secret"]) == (HOOK["url"], "")
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    silence = said(served.rest("POST", "/v1/silences", json={"model": LINEAR, "rule": name, "expire_time": until}))
    made = {"alertRules": rule["name"], "webhooks": hook["name"], "silences": silence["silence"]["name"]}
    for collection, resource in made.items():
        field = "rules" if collection == "alertRules" else collection
        assert resource in names(served, collection, field)
        assert said(served.rest("DELETE", f"/v1/{resource}")) == {}
        assert said(served.rest("DELETE", f"/v1/{resource}")) == {}  # safe to repeat
        assert resource not in names(served, collection, field)
    assert isinstance(said(served.rest("GET", f"/v1/alerts?model={LINEAR}&page_size=5"))["alerts"], list)
    unknown = served.rest_refused("POST", "/v1/alerts/999999999:resolve", json={})
    assert_refused(unknown, "NOT_FOUND", "ALERT_NOT_FOUND", named="999999999")


@pytest.mark.long
async def test_an_experiment_is_made_run_and_read_by_rest(served: Served):
    name = f"models/{LINEAR}/experiments/rest-{uuid.uuid4().hex[:12]}"
    metrics = [{"name": "conversion", "relative_effect": 0.5}]
    variants = [{"name": "production", "weight": 1}, {"name": "nobody", "weight": 1}]
    wanted = {"name": name, "variants": variants, "metrics": metrics}
    made = said(served.rest("POST", f"{MODEL}/experiments", json=wanted))["experiment"]
    assert made["state"] == "STATE_DRAFT"
    said(served.rest("POST", f"/v1/{name}:start", json={}))
    rows = np.random.default_rng(6).normal(size=(10, 1, 4)).astype(np.float32)
    answers = []
    for number, row in enumerate(rows):
        message = request(LINEAR, features=row)
        message.user_id = f"user-{number}"
        answers.append(served.predict(message))
    told = [{"prediction_id": one.prediction_id, "kind": "conversion", "number": 1} for one in answers]
    said(served.rest("POST", f"{MODEL}/outcomes:record", json={"outcomes": told}))
    variant = answers[0].variant

    async def assigned() -> bool:
        units = said(served.rest("GET", f"/v1/{name}:analyse"))["assigned"]
        return {one["variant"]: int(one["units"]) for one in units}.get(variant, 0) >= len(rows)

    await eventually(assigned, within=SOON_S, every=1.0)
    said(served.rest("POST", f"/v1/{name}:changeShares", json={"variants": variants[::-1]}))
    ended = said(served.rest("POST", f"/v1/{name}:end", json={"reason": "seen"}))["experiment"]
    assert (ended["state"], ended["end_reason"]) == ("STATE_ENDED", "seen")
    listed = said(served.rest("GET", f"{MODEL}/experiments"))["experiments"]
    assert said(served.rest("GET", f"/v1/{name}"))["experiment"] in listed
    plan = said(served.rest("POST", f"{MODEL}/experiments:plan", json={"mean": 0.05}))
    assert int(plan["single_look_units"]) == 62_462


def test_alerts_are_watched_through_the_front_door(served: Served):
    message = alert_pb2.WatchAlertsRequest(model=LINEAR)
    call = served.channel.unary_stream(WATCH_ALERTS)(
        message.SerializeToString(), metadata=metadata(served.stack.token()), timeout=30
    )
    began = time.monotonic()
    ends = (alert_pb2.WatchAlertsResponse.FromString(one).snapshot_end for one in call)
    assert any(ends)
    call.cancel()  # type: ignore[attr-defined]  # an iterator and a call at once
    assert time.monotonic() - began < patience(30)


def said(response: Any) -> dict[str, Any]:
    """Return the JSON of an answer."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def names(served: Served, collection: str, field: str) -> list[str]:
    return [one["name"] for one in said(served.rest("GET", f"/v1/{collection}"))[field]]


def query(served: Served, sql: str) -> dict[str, list[Any]]:
    """Return the columns that a question in SQL is answered with."""
    message = monitor_pb2.QueryPredictionsRequest(sql=sql).SerializeToString()
    call = served.channel.unary_stream(path_of("QueryPredictions"))(
        message, metadata=metadata(served.stack.token()), timeout=30
    )
    arrow = b"".join(monitor_pb2.QueryPredictionsResponse.FromString(part).arrow for part in call)
    return pa.ipc.open_stream(arrow).read_all().to_pydict()
