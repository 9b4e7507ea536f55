"""What webhooks are told of an experiment, and which of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from headrace_monitor.alert.decisions.values import Webhook
from headrace_monitor.judge.experiments.decisions import definitions, events
from headrace_monitor.judge.experiments.decisions.definitions import Definition, Experiment, Metric
from headrace_monitor.judge.experiments.decisions.events import Kind
from headrace_servicekit.outbox.events import Format
from headrace_statistics.experiments.design import Kind as MetricKind
from headrace_statistics.experiments.design import Role
from headrace_statistics.severity import Severity

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CLICK = Metric("click", MetricKind.BINARY, Role.SUCCESS, "click")
DRAFT = Experiment("shop", "ranking", Definition("more clicks", {"control": 1.0, "new": 1.0}, (CLICK,)), "ada", NOW)
RUNNING = definitions.started(DRAFT, NOW)


def webhook(**changes) -> Webhook:
    return Webhook(**{"name": "hook", "url": "https://example.org", "secret": "", **changes})


def test_a_start_and_an_end_are_told_and_changes_between_are_not():
    ramped = definitions.reweighted(RUNNING, {"control": 1.0, "new": 3.0}, NOW + timedelta(1))
    assert events.happened(DRAFT, RUNNING) is Kind.STARTED
    assert events.happened(RUNNING, ramped) is None
    assert events.happened(ramped, definitions.ended(ramped, "enough", NOW)) is Kind.ENDED
    assert events.happened(ramped, definitions.ended(ramped, "harm", NOW, stopped=True)) is Kind.STOPPED


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, set(Kind)),
        ({"model": "shop"}, set(Kind)),
        ({"model": "other"}, set()),
        ({"retrain_only": True}, set()),
        ({"at_least": Severity.LOW}, {Kind.SHARES_WRONG, Kind.GUARDRAIL_HARMED}),
        ({"format": Format.PAGERDUTY}, set(Kind) - {Kind.STARTED}),
    ],
)
def test_alarms_go_to_whoever_listens_and_the_rest_to_who_asks_for_everything(changes, told: set[Kind]):
    assert {kind for kind in Kind if events.concerns(webhook(**changes), kind, "shop")} == told


def test_an_event_is_a_cloud_event_about_the_experiment_and_an_end_ends_its_incident():
    stopped = definitions.ended(RUNNING, "new harms", NOW, stopped=True)
    body = events.body_of(stopped, Kind.STOPPED, "new harms")
    one = events.event_of(UUID(int=1), body, NOW)
    assert (one.type, one.subject) == ("headrace.experiment.stopped", "models/shop/experiments/ranking")
    assert (one.summary, one.ends, one.level) == ("new harms", True, "warning")
    assert one.data["state"] == "STATE_ENDED"
    assert "event" not in one.data
    json.dumps(one.data)
    harmed = events.event_of(UUID(int=1), events.body_of(RUNNING, Kind.GUARDRAIL_HARMED, "stop it", "new"), NOW)
    assert (harmed.incident, harmed.ends, harmed.level) == (one.incident, False, "critical")
