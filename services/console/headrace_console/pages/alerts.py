"""Alerts: what fires, what is silenced, what is over, by which rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from shlex import quote

from headrace.monitor.v1 import alert_pb2
from starlette.responses import Response

from headrace_console.pages.tables import listed
from headrace_console.pages.visits import READ_S, WRITE_S, Visit, signed_in

MOST_ALERTS = 300
_COLUMNS = {
    "model": lambda alert: alert.model,
    "severity": lambda alert: alert.severity,
    "opened": lambda alert: alert.open_time.ToDatetime(),
}
_LONGEST_H = 24 * 30


@signed_in
async def alerts(visit: Visit) -> Response:
    """Show alerts, of every model or of one."""
    return await _alerts(visit)


async def _alerts(visit: Visit) -> Response:
    model, client = visit.query.get("model", ""), visit.client
    parts = await visit.parts(
        firing=(
            "monitor",
            client.alerts.list(model=model, state=alert_pb2.Alert.STATE_OPEN, limit=MOST_ALERTS, timeout=READ_S),
        ),
        over=(
            "monitor",
            client.alerts.list(model=model, state=alert_pb2.Alert.STATE_RESOLVED, limit=MOST_ALERTS, timeout=READ_S),
        ),
        silences=("monitor", client.alerts.list_silences(timeout=READ_S)),
        rules=("monitor", client.alerts.list_rules(timeout=READ_S)),
    )
    table = listed(parts["over"].value or [], _COLUMNS, visit.query, visit.request.url.path, sort="-opened")
    command = f"headrace monitor alerts list --model {quote(model)}" if model else "headrace monitor alerts list"
    return visit.page("alerts.html", "Alerts", command, model=model, table=table, form=visit.form, **parts)


@signed_in
async def silence(visit: Visit) -> Response:
    """Silence alerts of a model for some hours."""
    form = visit.form
    model, hours = form.get("model", "").strip(), _hours(form.get("hours", ""))
    if not model:
        visit.refuse("model", "is empty: * stands for every model")
        return await _alerts(visit)
    if hours is None:
        visit.refuse("hours", f"is no number between 0.1 and {_LONGEST_H}, such as 2.5")
        return await _alerts(visit)
    silencing = visit.client.alerts.silence(
        model,
        datetime.now(UTC) + timedelta(hours=hours),
        rule=form.get("rule", "").strip(),
        comment=form.get("comment", ""),
        timeout=WRITE_S,
    )
    if await visit.tried(silencing):
        return visit.go_to("/console/alerts", done="silenced")
    return await _alerts(visit)


@signed_in
async def end_silence(visit: Visit) -> Response:
    """End a silence."""
    if await visit.tried(visit.client.alerts.delete_silence(visit.form.get("silence", ""), timeout=WRITE_S)):
        return visit.go_to("/console/alerts", done="silence-ended")
    return await _alerts(visit)


@signed_in
async def resolve(visit: Visit) -> Response:
    """Say that an alert is over."""
    if await visit.tried(visit.client.alerts.resolve(visit.form.get("alert", ""), timeout=WRITE_S)):
        return visit.go_to("/console/alerts", done="resolved")
    return await _alerts(visit)


def _hours(text: str) -> float | None:
    try:
        hours = float(text)
    except ValueError:
        return None
    return hours if 0.1 <= hours <= _LONGEST_H else None
