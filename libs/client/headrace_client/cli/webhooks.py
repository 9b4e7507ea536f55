"""`webhooks`, `put-webhook` and `delete-webhook` of `headrace models`, `rollouts` and `jobs`: receivers of events by
HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from headrace.webhook.v1.webhook_pb2 import Webhook

from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, last, message_json, shown, when
from headrace_client.client import Client
from headrace_client.local_files import text_of

_FORMATS = ("cloud-event", "slack", "pagerduty")


@dataclass(frozen=True, slots=True)
class WebhookKind:
    """Webhooks of one service. group: of commands. about: subject of the events. collection: of their names.

    methods: the client's, of which it calls those for webhooks.
    """

    group: str
    about: str
    collection: str
    methods: Callable[[Client], Any]


def webhook_commands(kind: WebhookKind) -> tuple[click.Command, ...]:
    """Return the commands for webhooks of a kind."""
    return _listing(kind), _putting(kind), _deleting(kind)


def _listing(kind: WebhookKind) -> click.Command:
    def webhooks(client: Client, output: Output) -> None:
        found = kind.methods(client).list_webhooks()
        if output.as_json:
            output.document({"webhooks": [message_json(one) for one in found]})
            return
        if not found:
            output.say(f"there are no webhooks; headrace {kind.group} put-webhook --help")
            return
        header = ("webhook", "url", "format", "model", "waiting", "last taken", "last error")
        output.table(header, [_line(one) for one in found])

    summary = f"List webhooks for {kind.about}, and how deliveries go.\n\n\b\nExamples:\n"
    return click.command("webhooks", help=f"{summary}  headrace {kind.group} webhooks")(connected(webhooks))


def _putting(kind: WebhookKind) -> click.Command:
    def put_webhook(
        client: Client, output: Output, webhook: str, url: str, form: str, secret_file: Path | None, model: str
    ) -> None:
        name = f"FORMAT_{form.upper().replace('-', '_')}"
        wanted = Webhook(
            name=f"{kind.collection}/{webhook.removeprefix(f'{kind.collection}/')}",
            url=url,
            format=name,
            model=model,
        )
        if secret_file is not None:
            wanted.secret = text_of(secret_file, "--secret-file", "a secret").strip()
        kept = kind.methods(client).put_webhook(wanted)
        if output.as_json:
            output.document({"webhook": message_json(kept)})
        else:
            output.say(f"{shown(last(kept.name))} gets {kind.about}{f' of {model}' if model else ''}")

    command = connected(put_webhook)
    for parameter in (
        click.option("--model", default="", help="Only of this model; default every model."),
        click.option(
            "--secret-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="File with the key of the signature; of PagerDuty, the routing key.",
        ),
        click.option("--format", "form", type=click.Choice(_FORMATS), default="cloud-event", show_default=True),
        click.argument("url", metavar="URL"),
        click.argument("webhook", metavar="WEBHOOK"),
    ):
        command = parameter(command)
    summary = f"Send WEBHOOK {kind.about} at URL, or replace it.\n\n\b\nExamples:\n  headrace {kind.group} "
    example = "put-webhook team https://hooks.example.com/headrace --secret-file routing.key"
    return click.command("put-webhook", help=summary + example)(command)


def _deleting(kind: WebhookKind) -> click.Command:
    def delete_webhook(client: Client, output: Output, webhook: str) -> None:
        kind.methods(client).delete_webhook(webhook.removeprefix(f"{kind.collection}/"))
        if output.as_json:
            output.document({})
        else:
            output.say(f"{shown(webhook)} gets no more events")

    command = click.argument("webhook", metavar="WEBHOOK")(connected(delete_webhook))
    summary = "Remove WEBHOOK, with its undelivered events.\n\n\b\nExamples:\n"
    return click.command("delete-webhook", help=f"{summary}  headrace {kind.group} delete-webhook team")(command)


def _line(one: Webhook) -> tuple[str, ...]:
    return (
        shown(last(one.name)),
        shown(one.url),
        one.Format.Name(one.format).removeprefix("FORMAT_").lower().replace("_", "-"),
        shown(one.model) or "every one",
        str(one.waiting),
        when(one.last_success_time) if one.HasField("last_success_time") else "never",
        f"[red]{shown(one.last_error)}[/]" if one.last_error else "",
    )
