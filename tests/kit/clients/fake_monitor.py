"""A monitor that a test holds in its hand: it answers what it was given, and remembers what it was told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pyarrow as pa
from google.protobuf.message import Message
from headrace.monitor.v1 import alert_pb2, alert_pb2_grpc, monitor_pb2, monitor_pb2_grpc, outcome_pb2, outcome_pb2_grpc
from headrace.router.v1 import predict_pb2

NOON = datetime(2031, 2, 3, 12, tzinfo=UTC)
# What somebody may call a column, a category or a rule: markup of terminals and of pages, and no printable end.
HOSTILE = "[bold]\x1b[31m<script>alert(1)</script>\u202e[/]"

Result = outcome_pb2.RecordOutcomesResponse


class FakeMonitor(
    monitor_pb2_grpc.TrafficServiceServicer,
    monitor_pb2_grpc.MonitorServiceServicer,
    outcome_pb2_grpc.OutcomeServiceServicer,
    alert_pb2_grpc.AlertServiceServicer,
):
    """Model digits, with traffic, a drift and an alert whose names are hostile.

    requests: every request, in order. rows: what a query answers. reject: value of outcomes that are refused.
    """

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self.rows = pa.table({HOSTILE: [HOSTILE, None], "score": [0.5, float("nan")], "n": [1, 2]})
        self.truncated = False
        self.reject: float | str = "nobody"

    def add_to(self, server: grpc.Server) -> None:
        """Offer the monitor's services on a server."""
        monitor_pb2_grpc.add_TrafficServiceServicer_to_server(self, server)
        monitor_pb2_grpc.add_MonitorServiceServicer_to_server(self, server)
        outcome_pb2_grpc.add_OutcomeServiceServicer_to_server(self, server)
        alert_pb2_grpc.add_AlertServiceServicer_to_server(self, server)

    def told(self, kind: type[Message]) -> list[Any]:
        """Return the requests of one kind."""
        return [request for request in self.requests if isinstance(request, kind)]

    def GetTraffic(self, request: Any, context: Any) -> monitor_pb2.GetTrafficResponse:
        self.requests.append(request)
        answer = monitor_pb2.GetTrafficResponse(dropped_predictions=3)
        answer.traffic.add(
            version="v1",
            variant=HOSTILE,
            served_from=predict_pb2.PredictResponse.SERVED_FROM_ONLINE,
            count=9,
            p50_us=1500,
        )
        answer.traffic.add(code=14, count=1)
        return answer

    def ListTraffic(self, request: Any, context: Any) -> monitor_pb2.ListTrafficResponse:
        self.requests.append(request)
        answer = monitor_pb2.ListTrafficResponse()
        for model in request.models:
            one = answer.models.add(model=model)
            one.traffic.add(version="v1", served_from=predict_pb2.PredictResponse.SERVED_FROM_ONLINE, count=9)
        return answer

    def GetTrafficTimeSeries(self, request: Any, context: Any) -> monitor_pb2.GetTrafficTimeSeriesResponse:
        self.requests.append(request)
        answer = monitor_pb2.GetTrafficTimeSeriesResponse()
        part = answer.parts.add(requests=9, caller_errors=2, model_errors=1, p50_us=1500, p99_us=2500)
        part.range.start_time.FromDatetime(NOON)
        part.versions.add(name=f"models/digits/versions/{HOSTILE}", count=9)
        return answer

    def GetReference(self, request: Any, context: Any) -> monitor_pb2.GetReferenceResponse:
        self.requests.append(request)
        return monitor_pb2.GetReferenceResponse(reference=reference())

    def FreezeReference(self, request: Any, context: Any) -> monitor_pb2.FreezeReferenceResponse:
        self.requests.append(request)
        return monitor_pb2.FreezeReferenceResponse(reference=reference())

    def GetDrift(self, request: Any, context: Any) -> monitor_pb2.GetDriftResponse:
        self.requests.append(request)
        return monitor_pb2.GetDriftResponse(drift=drift())

    def ListDrift(self, request: Any, context: Any) -> monitor_pb2.ListDriftResponse:
        self.requests.append(request)
        return monitor_pb2.ListDriftResponse(drifts=[drift()])

    def SetDriftTolerance(self, request: Any, context: Any) -> monitor_pb2.SetDriftToleranceResponse:
        self.requests.append(request)
        return monitor_pb2.SetDriftToleranceResponse()

    def ListDriftTolerances(self, request: Any, context: Any) -> monitor_pb2.ListDriftTolerancesResponse:
        self.requests.append(request)
        answer = monitor_pb2.ListDriftTolerancesResponse(window_rows=1_000)
        answer.tolerances.add(
            column=HOSTILE, test="psi", tolerance=0.05, set=True, detectable=0.16, detectable_shift=0.4
        )
        answer.tolerances.add(
            column="age", test="ks", tolerance=0.05, inconclusive="too few: 3, at least 50 are needed"
        )
        return answer

    def GetPerformance(self, request: Any, context: Any) -> monitor_pb2.GetPerformanceResponse:
        self.requests.append(request)
        answer = monitor_pb2.GetPerformanceResponse()
        found = answer.performance.add(version="v1", slice=HOSTILE, predictions=10, labelled=5, maturity=0.5)
        found.measures.add(name="accuracy", value=0.9, lower=0.8, upper=0.95, rows=5)
        found.measures.add(name="auc", note=f"one class: {HOSTILE}")
        found.measures.add(name="log_loss", value=0.3, rows=4, note="without rows: 1 whose label is no class")
        found.concept_drift.summary, found.concept_drift.severity = f"risen {HOSTILE}", monitor_pb2.SEVERITY_HIGH
        found.slices.add(name=f"country={HOSTILE}", rows=7, effect=0.2, share=0.9)
        return answer

    def GetShadowReport(self, request: Any, context: Any) -> monitor_pb2.GetShadowReportResponse:
        self.requests.append(request)
        answer = monitor_pb2.GetShadowReportResponse()
        found = answer.comparisons.add(
            version="v1", shadow_version=HOSTILE, pairs=10, rows=10, labelled_rows=10, flips=1, nan_rows=1, unlike=1,
            errors={13: 2}, rank_correlation=0.5,
        )  # fmt: skip
        found.difference.p99 = found.relative_difference.p99 = found.took_us.p99 = 2.5
        found.slices.add(name=f"country={HOSTILE}", rows=5, flips=1)
        found.worst.add(prediction_id="p-1", answer=HOSTILE, shadow_answer="no: 0.4")
        return answer

    def QueryPredictions(self, request: Any, context: Any) -> Iterator[monitor_pb2.QueryPredictionsResponse]:
        self.requests.append(request)
        first = monitor_pb2.QueryPredictionsResponse()
        first.read.files, first.read.rows = 2, 2000
        first.read.first_answer_time.FromDatetime(NOON)
        yield first
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.rows.schema) as writer:
            writer.write_table(self.rows)
        content = sink.getvalue().to_pybytes()
        for begin in range(0, len(content), 100):
            yield monitor_pb2.QueryPredictionsResponse(arrow=content[begin : begin + 100])
        yield monitor_pb2.QueryPredictionsResponse(truncated=self.truncated)

    def RecordOutcomes(self, request: Any, context: Any) -> Result:
        self.requests.append(request)
        answer = Result()
        for at, outcome in enumerate(request.outcomes):
            bad = self.reject in (outcome.text, outcome.number)
            answer.results.append(Result.RESULT_REJECTED if bad else Result.RESULT_RECORDED)
            if bad:
                answer.rejections.add(field=f"outcomes[{at}].prediction_id", description=f"is unknown {HOSTILE}")
        return answer

    def ListAlerts(self, request: Any, context: Any) -> alert_pb2.ListAlertsResponse:
        self.requests.append(request)
        return alert_pb2.ListAlertsResponse(alerts=[alert()])

    def ResolveAlert(self, request: Any, context: Any) -> alert_pb2.ResolveAlertResponse:
        self.requests.append(request)
        return alert_pb2.ResolveAlertResponse(alert=alert())

    def WatchAlerts(self, request: Any, context: Any) -> Iterator[alert_pb2.WatchAlertsResponse]:
        self.requests.append(request)
        yield alert_pb2.WatchAlertsResponse(alert=alert())
        yield alert_pb2.WatchAlertsResponse(snapshot_end=True)

    def PutAlertRule(self, request: Any, context: Any) -> alert_pb2.PutAlertRuleResponse:
        self.requests.append(request)
        return alert_pb2.PutAlertRuleResponse(rule=request.rule)

    def ListAlertRules(self, request: Any, context: Any) -> alert_pb2.ListAlertRulesResponse:
        rule = alert_pb2.AlertRule(name="alertRules/p99", model="*", signal="latency_p99_us", above=20000, freeze=True)
        return alert_pb2.ListAlertRulesResponse(rules=[rule])

    def DeleteAlertRule(self, request: Any, context: Any) -> alert_pb2.DeleteAlertRuleResponse:
        self.requests.append(request)
        return alert_pb2.DeleteAlertRuleResponse()

    def SilenceAlerts(self, request: Any, context: Any) -> alert_pb2.SilenceAlertsResponse:
        self.requests.append(request)
        made = alert_pb2.Silence()
        made.CopyFrom(request.silence)
        made.name = "silences/s-1"
        return alert_pb2.SilenceAlertsResponse(silence=made)

    def ListSilences(self, request: Any, context: Any) -> alert_pb2.ListSilencesResponse:
        silence = alert_pb2.Silence(name="silences/s-1", model="digits", client=HOSTILE, comment=HOSTILE)
        return alert_pb2.ListSilencesResponse(silences=[silence])

    def DeleteSilence(self, request: Any, context: Any) -> alert_pb2.DeleteSilenceResponse:
        self.requests.append(request)
        return alert_pb2.DeleteSilenceResponse()

    def PutWebhook(self, request: Any, context: Any) -> alert_pb2.PutWebhookResponse:
        self.requests.append(request)
        return alert_pb2.PutWebhookResponse(webhook=request.webhook)

    def ListWebhooks(self, request: Any, context: Any) -> alert_pb2.ListWebhooksResponse:
        webhook = alert_pb2.Webhook(name="webhooks/team", url="https://example.com/x", waiting=2, last_error=HOSTILE)
        return alert_pb2.ListWebhooksResponse(webhooks=[webhook])

    def DeleteWebhook(self, request: Any, context: Any) -> alert_pb2.DeleteWebhookResponse:
        self.requests.append(request)
        return alert_pb2.DeleteWebhookResponse()


def reference() -> monitor_pb2.Reference:
    """Return a reference of two columns, one of which is unfit."""
    made = monitor_pb2.Reference(source=monitor_pb2.Reference.SOURCE_ARTIFACT)
    made.columns.add(name="age", kind="numeric", rows=1000)
    made.unfit.add(name=HOSTILE, reason="constant")
    return made


def drift() -> monitor_pb2.Drift:
    """Return a look with one alarm."""
    made = monitor_pb2.Drift(severity=monitor_pb2.SEVERITY_HIGH, rows=500)
    made.range.start_time.FromDatetime(NOON)
    made.reports.add(
        column=HOSTILE,
        kind="data",
        test="psi",
        effect=0.4,
        tolerance=0.05,
        adjusted_p=1e-9,
        alarm=True,
        severity=monitor_pb2.SEVERITY_HIGH,
        examples=[HOSTILE],
    )
    made.reports.add(column="age", kind="data", test="ks", inconclusive="too few: 3, at least 50 are needed")
    made.slices.add(name=f"country={HOSTILE}", rows=100, effect=0.9, share=0.8)
    return made


def alert() -> alert_pb2.Alert:
    """Return an open alert."""
    made = alert_pb2.Alert(
        name="alerts/a-1",
        state=alert_pb2.Alert.STATE_OPEN,
        rule="drift",
        model="digits",
        severity=monitor_pb2.SEVERITY_HIGH,
        summary=HOSTILE,
        freeze=True,
    )
    made.open_time.FromDatetime(NOON)
    return made
