"""`headrace monitor alerts rules|put-rule|delete-rule`: what alerts are raised on."""

from __future__ import annotations

from datetime import timedelta

import click
from headrace.monitor.v1 import alert_pb2, monitor_pb2
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, last, message_json, number, shown
from headrace_client.cli.values import Duration
from headrace_client.client import Client
from headrace_client.durations import duration_text

from headrace_observe.cli.monitor.words import SEVERITIES, SEVERITY_NAMES, severity_of


@click.command()
@connected
def rules(client: Client, output: Output) -> None:
    """List the rules of the models that your token may see.

    \b
    Examples:
      headrace monitor alerts rules
      headrace monitor alerts rules --json
    """
    found = client.alerts.list_rules()
    if output.as_json:
        output.document({"rules": [message_json(one) for one in found]})
        return
    if not found:
        output.say("no rules; make one: headrace monitor alerts put-rule --help")
        return
    output.table(("rule", "model", "holds when", "for", "looks at", "severity", "does"), [_line(one) for one in found])


@click.command("put-rule")
@click.argument("rule", metavar="RULE")
@click.option("--model", default="*", show_default=True, help="Model, or * for every model.")
@click.option(
    "--signal",
    required=True,
    help="drift, quality, error_rate, latency_p99_us, lost_batches, dropped_predictions, or a measure: accuracy, …",
)
@click.option("--at-least", type=click.Choice(SEVERITY_NAMES), help="Of drift and quality: severity that it needs.")
@click.option("--above", type=float, help="Of other signals: it holds above this value.")
@click.option("--below", type=float, help="Of other signals: it holds below this value.")
@click.option("--hold", type=Duration(), help="How long it must hold before the alert is raised; default none.")
@click.option("--window", type=Duration(), help="Time that one look covers; default 5m.")
@click.option("--min-rows", type=click.IntRange(0), default=0, help="Fewer predictions in a window say nothing.")
@click.option("--severity", type=click.Choice(SEVERITY_NAMES), help="Severity of the alert; default what was found.")
@click.option("--freeze", is_flag=True, help="Tell rollouts of the model to stop while the alert is open.")
@click.option("--retrain", is_flag=True, help="Ask for the model to be trained again.")
@connected
def put_rule(
    client: Client,
    output: Output,
    rule: str,
    model: str,
    signal: str,
    at_least: str | None,
    above: float | None,
    below: float | None,
    hold: timedelta | None,
    window: timedelta | None,
    min_rows: int,
    severity: str | None,
    freeze: bool,
    retrain: bool,
) -> None:
    """Make RULE, or replace it: what is worth telling.

    \b
    Examples:
      headrace monitor alerts put-rule drift --signal drift --at-least medium --retrain
      headrace monitor alerts put-rule p99 --model digits --signal latency_p99_us --above 20000 --hold 5m
      headrace monitor alerts put-rule accuracy --model digits --signal accuracy --below 0.9 --window 1h --freeze
    """
    wanted = alert_pb2.AlertRule(
        name=rule if rule.startswith("alertRules/") else f"alertRules/{rule}",
        model=model,
        signal=signal,
        at_least=severity_of(at_least),
        above=above,
        below=below,
        min_rows=min_rows,
        severity=severity_of(severity),
        freeze=freeze,
        retrain=retrain,
    )
    for duration, field in ((hold, wanted.hold), (window, wanted.window)):
        if duration is not None:
            field.FromTimedelta(duration)
    kept = client.alerts.put_rule(wanted)
    if output.as_json:
        output.document(message_json(kept))
    else:
        output.say(f"{shown(last(kept.name))}: {shown(kept.model)}, {condition(kept)}")


@click.command("delete-rule")
@click.argument("rule", metavar="RULE")
@connected
def delete_rule(client: Client, output: Output, rule: str) -> None:
    """Remove RULE; alerts that it raised are resolved.

    \b
    Examples:
      headrace monitor alerts delete-rule p99
    """
    client.alerts.delete_rule(rule)
    if output.as_json:
        output.document({"deleted": rule})
    else:
        output.say(f"{shown(rule)} is gone; its alerts are resolved")


def condition(rule: alert_pb2.AlertRule) -> str:
    """Return when a rule holds, in words."""
    bounds = [f"> {number(rule.above)}"] if rule.HasField("above") else []
    bounds += [f"< {number(rule.below)}"] if rule.HasField("below") else []
    if rule.at_least > monitor_pb2.SEVERITY_NONE:
        bounds.append(f"at least {SEVERITIES[rule.at_least]}")
    return f"{shown(rule.signal)} {' or '.join(bounds)}".strip()


def _line(rule: alert_pb2.AlertRule) -> tuple[str, ...]:
    does = [word for word, said in (("freeze", rule.freeze), ("retrain", rule.retrain)) if said]
    return (
        shown(last(rule.name)),
        shown(rule.model),
        condition(rule),
        duration_text(rule.hold.ToTimedelta()) if rule.HasField("hold") else "-",
        duration_text(rule.window.ToTimedelta()) if rule.HasField("window") else "5m",
        SEVERITIES[rule.severity] if rule.severity else "as found",
        ", ".join(["tell", *does]),
    )
