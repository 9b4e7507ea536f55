"""`headrace routes rules`: which requests go to a variant by what they say of themselves."""

from __future__ import annotations

from datetime import timedelta

import click

from headrace_client.cli.lookups import show_done
from headrace_client.cli.options import (
    connected,
    force_option,
    model_argument,
    reason_option,
    request_id_option,
    timeout_option,
)
from headrace_client.cli.output import Output, message_json
from headrace_client.cli.values import RuleText
from headrace_client.cli.views import show_rules
from headrace_client.client import Client
from headrace_client.rules import Rule


@click.group()
def rules() -> None:
    """Send requests to a variant by their attributes, before the weights decide.

    A rule is conditions, an arrow and a variant; all its conditions must hold, and the first rule that matches decides:

    \b
      country=DE      has this value         country=DE,AT    has one of these
      country!=US     has none of these      app=ios-*        begins with this
      beta            is there               !beta            is not there

    Put a value with spaces, commas or asterisks in double quotes.

    \b
    Examples:
      headrace routes rules set digits "country=DE -> v3"
      headrace routes rules set digits "testers: beta -> v4" "country=DE,AT app=ios-* !beta -> v3"
      headrace predict digits --rows "[[0, 1]]" --attribute country=DE
      headrace routes rules clear digits
    """


@rules.command(name="show")
@model_argument
@connected
def show(client: Client, output: Output, model: str) -> None:
    """Show MODEL's rules in the order in which they are tried, as `set` takes them.

    \b
    Examples:
      headrace routes rules show digits
    """
    route = client.routes.get(model).route
    if output.as_json:
        output.document({"rules": [{**message_json(rule), "text": str(Rule.from_proto(rule))} for rule in route.rules]})
    elif route.rules:
        show_rules(output, route)
    else:
        output.say(f'no rules: headrace routes rules set {model} "country=DE -> VARIANT"')


@rules.command(name="set")
@model_argument
@click.argument("texts", metavar="RULES...", nargs=-1, required=True, type=RuleText())
@timeout_option
@force_option
@reason_option
@request_id_option
@connected
def replace(
    client: Client,
    output: Output,
    model: str,
    texts: tuple[Rule, ...],
    timeout: timedelta,
    force: bool,
    reason: str,
    request_id: str,
) -> None:
    """Replace MODEL's rules by RULES, tried in this order, and wait until they are in force. Shares stay.

    A rule may name a version that no variant serves: a variant without a share is added for it, and goes with its last
    rule. `headrace routes rules --help` explains how rules are written.

    \b
    Examples:
      headrace routes rules set digits "country=DE -> v3"
      headrace routes rules set digits "testers: beta -> v4" "country=DE,AT app=ios-* !beta -> v3" --reason "DACH first"
      headrace routes rules set digits 'city="San José" -> v3'
    """
    with output.waiting("waiting until every variant is loaded and the rules are in force"):
        done = client.routes.set_rules(
            model, texts, force=force, reason=reason, request_id=request_id, timeout=timeout.total_seconds()
        )
    show_done(output, done)


@rules.command()
@model_argument
@timeout_option
@force_option
@reason_option
@request_id_option
@connected
def clear(
    client: Client, output: Output, model: str, timeout: timedelta, force: bool, reason: str, request_id: str
) -> None:
    """Remove all rules of MODEL: the weights alone decide again.

    \b
    Examples:
      headrace routes rules clear digits --reason "v3 is for everybody now"
    """
    with output.waiting("waiting until it is in force"):
        done = client.routes.set_rules(
            model, (), force=force, reason=reason, request_id=request_id, timeout=timeout.total_seconds()
        )
    show_done(output, done)
