"""`headrace status`: is everything up, and what serves."""

from __future__ import annotations

from typing import Any

import click
from headrace.router.v1 import route_pb2

from headrace_client.cli.failures import UNAVAILABLE
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, last, message_json, shown
from headrace_client.cli.views import serves, state
from headrace_client.client import Client
from headrace_client.errors import HeadraceError, PermissionDenied, Unauthenticated


@click.command()
@connected
def status(client: Client, output: Output) -> None:
    """Show the health of each service, and for each model what serves and which data planes lag behind.

    Exit code 0 means that every service serves; 5 that one does not.

    \b
    Examples:
      headrace status
      headrace status --json
    """
    health = client.health()
    models, problem = _models(client)
    if output.as_json:
        output.document(
            {
                "address": client.address.url,
                "health": health,
                "models": [
                    {"model": model, "production_version": production, **message_json(route)}
                    for model, production, route in models
                ],
                **({"problem": problem} if problem else {}),
            }
        )
    else:
        _show(output, client.address.url, health, models, problem)
    if any(state != "serving" for state in health.values()):
        click.get_current_context().exit(UNAVAILABLE)


def _models(client: Client) -> tuple[list[tuple[str, str, route_pb2.GetRouteResponse]], str]:
    """Return each model with its production version and route, and why there are fewer than there could be."""
    found = []
    try:
        for model in client.list_models():
            name = last(model.name)
            found.append((name, model.production_version, client.get_route(name)))
    except (Unauthenticated, PermissionDenied) as error:
        return found, f"without a token that may read models and routes only health is shown: {error.message}"
    except HeadraceError as error:
        return found, f"{error.code.name}: {error.message}"
    return found, ""


def _show(
    output: Output,
    url: str,
    health: dict[str, str],
    models: list[tuple[str, str, Any]],
    problem: str,
) -> None:
    output.table(
        ("service", url),
        [(name, f"[{'green' if text == 'serving' else 'red'}]{shown(text)}[/]") for name, text in health.items()],
    )
    output.table(
        ("model", "production", "state", "serves", "generation", "not acknowledged", "why"),
        [
            (
                name,
                production or "-",
                state(route.status),
                ", ".join(f"{variant.weight:g} {serves(variant)}" for variant in route.route.variants),
                str(route.status.generation or "-"),
                ", ".join(route.status.unacknowledged_data_planes) or "-",
                shown(route.status.reason),
            )
            for name, production, route in models
        ],
    )
    if not models and not problem:
        output.note("no models yet: headrace models register NAME VERSION model.onnx")
    if problem:
        output.note(f"[yellow]{shown(problem)}[/]")
