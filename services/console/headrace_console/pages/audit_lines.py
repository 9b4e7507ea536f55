"""What services wrote down, as lines of one table: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from headrace.autoscaler.v1 import autoscaler_pb2, policy_pb2
from headrace.monitor.v1 import alert_pb2, experiment_pb2, monitor_pb2
from headrace.registry.v1 import registry_pb2
from headrace.rollout.v1 import rollout_pb2
from headrace.router.v1 import route_pb2
from headrace.scorer.v1 import scorer_pb2

from headrace_console.pages.markup import last, model_of, signal, word

ITSELF = "by itself"


@dataclass(frozen=True, slots=True)
class AuditLine:
    """A change in the audit trail. when: None if it is not recorded. about: model or pool; page: its page. what: the
    kind of change, linked to `what_page` if set; detail: its object.
    """

    when: datetime | None
    about: str
    page: str
    what: str
    detail: str
    who: str
    why: str
    what_page: str = ""


def _line(when: datetime, model: str, what: str, detail: str, who: str, why: str, what_page: str = "") -> AuditLine:
    return AuditLine(when, model, f"/console/models/{model}", what, detail, who, why, what_page)


def of_registry(model: str, events: Iterable[registry_pb2.ModelEvent]) -> Iterator[AuditLine]:
    """Yield what was done to a model and its versions."""
    for event in events:
        moved = " → ".join(filter(None, (word(event, "from_stage"), word(event, "to_stage"))))
        detail = " ".join(filter(None, (event.version, event.alias and f"@{event.alias}", moved)))
        why = " · ".join(filter(None, (event.reason, "; ".join(event.signature_breaks))))
        yield _line(event.create_time.ToDatetime(UTC), model, word(event, "action"), detail, event.client, why)


def of_route(model: str, events: Iterable[route_pb2.RouteEvent]) -> Iterator[AuditLine]:
    """Yield what was done to a route."""
    page = f"/console/models/{model}/route"
    for event in events:
        shares = ", ".join(f"{one.name}={one.weight:g}" for one in event.route.variants)
        what = f"route {word(event, 'kind')}, {word(event, 'outcome')}"
        who = event.client or "the registry"
        who += f" for {event.manager}" if event.manager else ""
        why = " · ".join(filter(None, (event.reason, event.outcome_reason)))
        yield _line(event.create_time.ToDatetime(UTC), model, what, shares, who, why, page)


def of_rollout(name: str, events: Iterable[rollout_pb2.RolloutEvent]) -> Iterator[AuditLine]:
    """Yield the events of a rollout and the clients' actions on it. name: models/{model}/rollouts/{number}."""
    model, number = model_of(name), last(name)
    for event in events:
        what, share = f"rollout {number} {event.type.replace('_', ' ')}", f"{event.rollout.percent:g} %"
        detail = " at ".join(filter(None, (event.rollout.version, share)))
        page = f"/console/rollouts/{model}/{number}"
        yield _line(event.create_time.ToDatetime(UTC), model, what, detail, event.client or ITSELF, event.reason, page)


def of_rollouts(found: Iterable[rollout_pb2.Rollout]) -> Iterator[AuditLine]:
    """Yield the starts and ends of rollouts."""
    for one in found:
        model, number = model_of(one.name), last(one.name)
        page, what = f"/console/rollouts/{model}/{number}", f"rollout {number}"
        yield _line(one.create_time.ToDatetime(UTC), model, f"{what} started", one.version, "", "", page)
        if one.HasField("end_time"):
            state = word(one, "state")
            yield _line(one.end_time.ToDatetime(UTC), model, f"{what} {state}", one.version, "", one.reason, page)


def of_alerts(found: Iterable[alert_pb2.Alert]) -> Iterator[AuditLine]:
    """Yield alerts, each when it was raised."""
    for one in found:
        about = one.subject or last(one.model)
        detail = one.summary or signal(one.signal)
        page = "/console/alerts" if one.subject else f"/console/alerts?model={about}"
        yield AuditLine(one.open_time.ToDatetime(UTC), about, page, "alert", detail, "", "", page)


def of_starts(found: Iterable[monitor_pb2.GetTrafficTimeSeriesResponse.DataPlaneStart]) -> Iterator[AuditLine]:
    """Yield the starts of data planes."""
    for one in found:
        yield AuditLine(one.start_time.ToDatetime(UTC), f"data plane {one.data_plane}", "", "started", "", "", "")


def of_experiments(model: str, found: Iterable[experiment_pb2.Experiment]) -> Iterator[AuditLine]:
    """Yield who wrote experiments down, when they ran, and why they ended."""
    for one in found:
        name = last(one.name)
        page, shares = f"/console/models/{model}/experiments/{name}", ", ".join(v.name for v in one.variants)
        yield _line(
            one.create_time.ToDatetime(UTC), model, f"experiment {name} made", shares, one.owner, one.hypothesis, page
        )
        if one.HasField("start_time"):
            yield _line(
                one.start_time.ToDatetime(UTC), model, f"experiment {name} started", shares, one.owner, "", page
            )
        if one.HasField("end_time"):
            who = ITSELF if one.stopped else one.owner
            yield _line(one.end_time.ToDatetime(UTC), model, f"experiment {name} ended", "", who, one.end_reason, page)


def of_job(name: str, events: Iterable[scorer_pb2.ScoringJobEvent]) -> Iterator[AuditLine]:
    """Yield the events of a job and the clients' actions on it. name: models/{model}/scoringJobs/{number}."""
    model, number = model_of(name), last(name)
    for event in events:
        what, page = f"job {number} {event.type.replace('_', ' ')}", f"/console/jobs/{model}/{number}"
        yield _line(event.create_time.ToDatetime(UTC), model, what, "", event.client or ITSELF, event.reason, page)


def of_pause(pool: autoscaler_pb2.Pool) -> AuditLine:
    """Return the line of a pool's pause. The reason names its author."""
    name = last(pool.name)
    detail = f"held at {pool.desired_replicas} replicas"
    page = f"/console/pools/{name}"
    return AuditLine(
        pool.pause_time.ToDatetime(UTC), f"pool {name}", page, "scaling paused", detail, "", pool.pause_reason
    )


def of_policy(pool: str, policy: policy_pb2.ScalingPolicy) -> AuditLine:
    """Return the line of a pool's policy in force, with its author."""
    detail = f"{policy.min_replicas} to {policy.max_replicas} replicas, revision {policy.revision}"
    page = f"/console/pools/{pool}"
    return AuditLine(
        policy.update_time.ToDatetime(UTC), f"pool {pool}", page, "scaling policy put", detail, policy.updated_by, ""
    )


def of_silence(silence: alert_pb2.Silence) -> AuditLine:
    """Return the line of a silence: its author and end. Its start is not recorded."""
    rule = silence.rule or "every rule"
    detail = f"{rule} until {silence.expire_time.ToDatetime(UTC):%Y-%m-%d %H:%M} UTC"
    about, page = (silence.model, f"/console/models/{silence.model}")
    if silence.model == "*":
        about, page = "every model", "/console/alerts"
    return AuditLine(None, about, page, "alerts silenced", detail, silence.client, silence.comment, "/console/alerts")
