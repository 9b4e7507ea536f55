"""`headrace monitor alerts`: look at alerts, follow them, end them. What raises them is in `alert_rules`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import click
from headrace.monitor.v1 import alert_pb2
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, last, message_json, shown, when
from headrace_client.cli.values import Duration
from headrace_client.client import Client
from headrace_client.errors import DeadlineExceeded, Unavailable

from headrace_observe.cli.monitor.alert_rules import delete_rule, put_rule, rules
from headrace_observe.cli.monitor.silences import silence, silences, unsilence
from headrace_observe.cli.monitor.webhooks import delete_webhook, put_webhook, webhooks
from headrace_observe.cli.monitor.words import SEVERITIES

_RETRY_S = 1.0


@click.group()
def alerts() -> None:
    """See alerts, end them, manage their rules and webhooks.

    \b
    Examples:
      headrace monitor alerts list
      headrace monitor alerts watch
      headrace monitor alerts put-rule p99 --model digits --signal latency_p99_us --above 20000
      headrace monitor alerts silence digits --for 2h --comment "planned load test"
    """


alerts.add_command(rules)
alerts.add_command(put_rule)
alerts.add_command(delete_rule)
alerts.add_command(silence)
alerts.add_command(silences)
alerts.add_command(unsilence)
alerts.add_command(webhooks)
alerts.add_command(put_webhook)
alerts.add_command(delete_webhook)


@alerts.command("list")
@click.option("--model", default="", help="Only of this model.")
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@connected
def list_alerts(client: Client, output: Output, model: str, everything: bool, limit: int) -> None:
    """List the alerts that are open, the latest first.

    \b
    Examples:
      headrace monitor alerts list
      headrace monitor alerts list --model digits --all --json
    """
    state = alert_pb2.Alert.STATE_UNSPECIFIED if everything else alert_pb2.Alert.STATE_OPEN
    found = client.alerts.list(model=model, state=state, limit=limit)
    if output.as_json:
        output.document({"alerts": [message_json(one) for one in found]})
        return
    if not found:
        output.say("no alerts" if everything else "no open alerts; --all lists resolved ones too")
        return
    header = ("alert", "severity", "about", "version", "rule", "since", "until", "summary")
    output.table(header, [_line(one) for one in found])


@alerts.command()
@click.option("--model", default="", help="Only of this model.")
@click.option("--for", "duration", type=Duration(), help="End after this time; default never.")
@connected
def watch(client: Client, output: Output, model: str, duration: timedelta | None) -> None:
    """Follow alerts as they are raised, changed and resolved, beginning with those that are open.

    With --json the document comes at the end, with every change; give --for.

    \b
    Examples:
      headrace monitor alerts watch
      headrace monitor alerts watch --model digits --for 10m
    """
    following = _Following(output)
    end = None if duration is None else time.monotonic() + duration.total_seconds()
    while end is None or time.monotonic() < end:
        try:
            following.connected = False
            client.alerts.watch(
                following.received, model=model, timeout=3600.0 if end is None else end - time.monotonic()
            )
        except DeadlineExceeded:
            pass  # the time of one watch is over
        except Unavailable as error:
            if not following.ever_connected:
                raise  # there is no monitor to follow
            if following.connected:
                output.note(f"[yellow]not connected[/], trying again: {shown(error.message)}")
        if end is None or time.monotonic() + _RETRY_S < end:
            time.sleep(_RETRY_S)
        else:
            break
    if not following.ever_connected:
        raise Unavailable("no answer about open alerts within that time")
    if output.as_json:
        output.document({"alerts": [message_json(one) for one in following.alerts]})


@alerts.command()
@click.argument("alert", metavar="ALERT")
@connected
def resolve(client: Client, output: Output, alert: str) -> None:
    """End an alert by hand. It is raised again when its rule stops holding and holds again.

    \b
    Examples:
      headrace monitor alerts resolve 17
    """
    ended = client.alerts.resolve(alert)
    if output.as_json:
        output.document(message_json(ended))
    else:
        output.say(_sentence(ended))


class _Following:
    """Says each change of an alert once. alerts: all of them, for --json. connected: since the last attempt."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._seen: dict[str, bytes] = {}
        self.alerts: list[alert_pb2.Alert] = []
        self.connected = self.ever_connected = False

    def received(self, answer: alert_pb2.WatchAlertsResponse) -> None:
        self.connected = self.ever_connected = True
        # After a connection is lost all open ones come again: only what has changed is said.
        content = answer.alert.SerializeToString(deterministic=True)
        if not answer.HasField("alert") or self._seen.get(answer.alert.name) == content:
            return
        self._seen[answer.alert.name] = content
        if self._output.as_json:
            self.alerts.append(answer.alert)
        self._output.say(_sentence(answer.alert))


def _line(one: alert_pb2.Alert) -> tuple[str, ...]:
    marks = [
        word for word, said in (("freeze", one.freeze), ("retrain", one.retrain), ("silenced", one.silenced)) if said
    ]
    return (
        last(one.name),
        SEVERITIES[one.severity],
        shown(one.subject or one.model),
        shown(one.version) or "-",
        shown(one.rule),
        when(one.open_time),
        when(one.resolve_time) or "[bold]open[/]",
        shown(one.summary) + (f" [dim]({', '.join(marks)})[/]" if marks else ""),
    )


def _sentence(one: alert_pb2.Alert) -> str:
    resolved = one.state == alert_pb2.Alert.STATE_RESOLVED
    time_ = when(one.resolve_time if resolved else one.open_time) or datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    state = "[green]resolved[/]" if resolved else "[bold red]open[/]"
    about = shown(one.subject) or " ".join(filter(None, (shown(one.model), shown(one.version))))
    return (
        f"[dim]{time_}[/] {state} {SEVERITIES[one.severity]} {about}: {shown(one.summary)} [dim]({last(one.name)})[/]"
    )
