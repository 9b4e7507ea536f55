"""`headrace routes dry-run`: what a change would do, before it does it."""

from __future__ import annotations

from datetime import timedelta

import click
from headrace.router.v1 import route_pb2

from headrace_client.cli.lookup_views import show_fallback
from headrace_client.cli.options import connected, model_argument, normalise_option
from headrace_client.cli.output import Output, message_json, shown
from headrace_client.cli.values import Duration, ExampleText, FallbackStepText, RuleText, VariantShare, shares
from headrace_client.cli.views import show_rules
from headrace_client.client import Client
from headrace_client.fallbacks import FallbackStep
from headrace_client.operations.declarations import Example
from headrace_client.operations.routes import Variant
from headrace_client.rules import Rule

UNITS = {
    "user": route_pb2.Route.UNIT_USER,
    "entity": route_pb2.Route.UNIT_ENTITY,
    "request": route_pb2.Route.UNIT_REQUEST,
}


@click.command(name="dry-run")
@model_argument
@click.argument("variants", nargs=-1, type=VariantShare())
@normalise_option
@click.option("--rule", "rules", multiple=True, type=RuleText(), help="Rule in place of the present ones; repeat.")
@click.option("--no-rules", is_flag=True, help="Without rules.")
@click.option(
    "--fallback", "steps", multiple=True, type=FallbackStepText(), help="Step in place of the present ones; repeat."
)
@click.option("--unit", type=click.Choice(list(UNITS)), help="What keeps its variant from request to request.")
@click.option("--layer", help="Split users as other routes of this name do; a new name draws a new split.")
@click.option("--max-wait", type=Duration(), help="Longest wait for batch-mates.")
@click.option(
    "--example",
    "examples",
    multiple=True,
    type=ExampleText(),
    help="Request to assign before and after, such as 'user=ada country=DE'; repeat for more.",
)
@connected
def dry_run(
    client: Client,
    output: Output,
    model: str,
    variants: tuple[Variant, ...],
    normalise: bool,
    rules: tuple[Rule, ...],
    no_rules: bool,
    steps: tuple[FallbackStep, ...],
    unit: str | None,
    layer: str | None,
    max_wait: timedelta | None,
    examples: tuple[Example, ...],
) -> None:
    """Say what `routes split MODEL VARIANTS`, `rules set` and `fallback set` would do together, and change nothing.

    It shows the share of users that would move, what would have to be loaded first, and where the examples go. What is
    not given stays as it is.

    \b
    Examples:
      headrace routes dry-run digits production=50 v2=50
      headrace routes dry-run digits --rule "country=DE -> v2" --example "user=ada country=DE" --example user=bob
    """
    if rules and no_rules:
        raise click.UsageError("give --rule or --no-rules")
    found = client.routes.dry_run(
        model,
        variants=shares(variants, normalise=normalise) or None,
        rules=rules if rules or no_rules else None,
        fallback=steps or None,
        unit=None if unit is None else UNITS[unit],
        layer=layer,
        max_wait=max_wait,
        examples=examples,
    )
    if output.as_json:
        output.document(message_json(found))
    else:
        _show(output, found, examples)


def _show(output: Output, found: route_pb2.DryRunRouteResponse, examples: tuple[Example, ...]) -> None:
    output.table(
        ("variant", "share", "version"),
        [
            (
                one.variant,
                _changed(f"{100 * one.share_before:.4g} %", f"{100 * one.share_after:.4g} %"),
                _changed(one.version_before or "none", one.version_after or "none"),
            )
            for one in found.variants
        ],
    )
    show_rules(output, found.route)
    show_fallback(output, found.route)
    output.say("")
    output.say(
        f"{100 * found.moved_share:.3g} % of the units would change their variant, "
        f"{100 * found.moved_version_share:.3g} % their version"
        + (", besides those that rules match" if found.route.rules else "")
    )
    output.say(
        f"it would wait: {shown(found.waits_for)}" if found.waits_for else "[green]it would take effect at once[/]"
    )
    if found.managed_by:
        output.say(f"[yellow]{shown(found.managed_by)} manages the route[/]: the change would need --force")
    if found.unpromoted_excess:
        output.say(f"[yellow]it would be refused[/]: {shown(found.unpromoted_excess)}")
    if examples:
        output.say("")
        output.table(
            ("example", "now", "then"),
            [
                (shown(_text(example)), _place(shift.before), _place(shift.after))
                for example, shift in zip(examples, found.examples, strict=True)
            ],
        )


def _changed(before: str, after: str) -> str:
    return after if before == after else f"{before} → [bold]{after}[/]"


def _place(assigned: route_pb2.DryRunRouteResponse.Assignment) -> str:
    if not assigned.variant:
        return "differently each time"
    rule = f" by rule {assigned.rule}" if assigned.rule else ""
    return f"{assigned.variant} ({assigned.version}){rule}"


def _text(example: Example) -> str:
    units = {"user": example.user_id, "entity": example.entity_id}
    return " ".join(f"{name}={value}" for name, value in {**units, **example.attributes}.items() if value) or "anybody"
