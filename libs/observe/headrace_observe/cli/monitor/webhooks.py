"""`headrace monitor alerts webhooks|put-webhook|delete-webhook`: receivers of alerts by HTTP."""

from __future__ import annotations

from pathlib import Path

import click
from headrace.monitor.v1 import alert_pb2
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, last, message_json, shown, when
from headrace_client.client import Client
from headrace_client.local_files import text_of

from headrace_observe.cli.monitor.words import SEVERITIES, SEVERITY_NAMES, severity_of

_FORMATS = {
    "cloud-event": alert_pb2.Webhook.FORMAT_CLOUD_EVENT,
    "slack": alert_pb2.Webhook.FORMAT_SLACK,
    "pagerduty": alert_pb2.Webhook.FORMAT_PAGERDUTY,
}
_FORMAT_NAMES = {number: name for name, number in _FORMATS.items()}


@click.command()
@connected
def webhooks(client: Client, output: Output) -> None:
    """List the webhooks, and how their deliveries go.

    \b
    Examples:
      headrace monitor alerts webhooks
    """
    found = client.alerts.list_webhooks()
    if output.as_json:
        output.document({"webhooks": [message_json(one) for one in found]})
        return
    if not found:
        output.say("there are no webhooks; headrace monitor alerts put-webhook --help")
        return
    header = ("webhook", "url", "format", "from", "model", "waiting", "last taken", "last error")
    output.table(header, [_line(one) for one in found])


@click.command("put-webhook")
@click.argument("webhook", metavar="WEBHOOK")
@click.argument("url", metavar="URL")
@click.option("--format", "form", type=click.Choice(tuple(_FORMATS)), default="cloud-event", show_default=True)
@click.option(
    "--secret-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the key of the signature; of PagerDuty, the routing key.",
)
@click.option("--at-least", type=click.Choice(SEVERITY_NAMES), help="Lowest severity that is sent; default all.")
@click.option("--model", default="", help="Only of this model; default every model.")
@click.option("--retrain-only", is_flag=True, help="Only requests to train again.")
@connected
def put_webhook(
    client: Client,
    output: Output,
    webhook: str,
    url: str,
    form: str,
    secret_file: Path | None,
    at_least: str | None,
    model: str,
    retrain_only: bool,
) -> None:
    """Make WEBHOOK, or replace it: alerts are sent to URL, signed, and again until it takes them.

    \b
    Examples:
      headrace monitor alerts put-webhook oncall https://events.pagerduty.com/v2/enqueue --format pagerduty \\
          --secret-file routing.key --at-least high
      headrace monitor alerts put-webhook team https://hooks.slack.com/services/T0/B0/x --format slack
      headrace monitor alerts put-webhook training https://ci.example.com/retrain --retrain-only
    """
    wanted = alert_pb2.Webhook(
        name=webhook if webhook.startswith("webhooks/") else f"webhooks/{webhook}",
        url=url,
        format=_FORMATS[form],
        at_least=severity_of(at_least),
        model=model,
        retrain_only=retrain_only,
    )
    if secret_file is not None:
        wanted.secret = text_of(secret_file, "--secret-file", "a secret").strip()
    kept = client.alerts.put_webhook(wanted)
    if output.as_json:
        output.document(message_json(kept))
    else:
        output.say(f"{shown(last(kept.name))}: alerts go to {shown(kept.url)}")


@click.command("delete-webhook")
@click.argument("webhook", metavar="WEBHOOK")
@connected
def delete_webhook(client: Client, output: Output, webhook: str) -> None:
    """Remove WEBHOOK, with its undelivered events.

    \b
    Examples:
      headrace monitor alerts delete-webhook team
    """
    client.alerts.delete_webhook(webhook)
    if output.as_json:
        output.document({"deleted": webhook})
    else:
        output.say(f"{shown(webhook)} is gone")


def _line(one: alert_pb2.Webhook) -> tuple[str, ...]:
    return (
        shown(last(one.name)),
        shown(one.url),
        _FORMAT_NAMES.get(one.format, "-"),
        SEVERITIES[one.at_least] if one.at_least else "all",
        shown(one.model) or "every model",
        f"{one.waiting:,}",
        when(one.last_success_time) or "-",
        f"[red]{shown(one.last_error)}[/]" if one.last_error else "-",
    )
