"""`headrace status`: is everything up, and what serves."""

from __future__ import annotations

from collections.abc import Iterable

import click
from headrace.router.v1 import route_pb2

from headrace_client.cli.failures import UNAVAILABLE
from headrace_client.cli.options import connected
from headrace_client.cli.output import Output, last, message_json, number, shown
from headrace_client.cli.views import serves, state
from headrace_client.client import Client
from headrace_client.errors import HeadraceError, PermissionDenied, Unauthenticated
from headrace_client.operations.health import is_down
from headrace_client.served_shares import marks

# A model, its version in production, and its route.
_Model = tuple[str, str, route_pb2.GetRouteResponse]

_States = route_pb2.BatcherVersion
_STYLES = {"ready": "green", "failed": "red"}


@click.command()
@connected
def status(client: Client, output: Output) -> None:
    """Show the health of each service, what each batcher holds and how busy it is, and for each model what serves and
    which data planes lag behind.

    Exit code 0 means that every service that is installed serves; 5 that one does not.

    \b
    Examples:
      headrace status
      headrace status --json
    """
    health = client.health()
    models, batchers, problem = _seen(client)
    if output.as_json:
        output.document(
            {
                "address": client.address.url,
                "health": health,
                "batchers": [message_json(batcher) for batcher in batchers],
                "models": [
                    {
                        "model": model,
                        "production_version": production,
                        "marks": marks(production, route.route),
                        **message_json(route),
                    }
                    for model, production, route in models
                ],
                **({"problem": problem} if problem else {}),
            }
        )
    else:
        _show_health(output, client.address.url, health)
        if batchers:
            _show_batchers(output, batchers)
        _show_models(output, models, problem)
    if any(map(is_down, health.values())):
        click.get_current_context().exit(UNAVAILABLE)


def _seen(client: Client) -> tuple[list[_Model], list[route_pb2.Batcher], str]:
    """Return each model with its production version and route, the batchers, and why there are fewer than there could
    be.
    """
    found: list[_Model] = []
    batchers: list[route_pb2.Batcher] = []
    try:
        for model in client.models.list():
            name = last(model.name)
            found.append((name, model.production_version, client.routes.get(name)))
        batchers = client.routes.list_batchers()
    except (Unauthenticated, PermissionDenied) as error:
        return found, batchers, f"without a token that may read models and routes less is shown: {error.message}"
    except HeadraceError as error:
        return found, batchers, f"{error.code.name}: {error.message}"
    return found, batchers, ""


def _show_health(output: Output, url: str, health: dict[str, str]) -> None:
    output.table(
        ("service", url),
        [
            (name, f"[{'green' if text == 'serving' else 'red' if is_down(text) else 'dim'}]{shown(text)}[/]")
            for name, text in health.items()
        ],
    )


def _state(production: str, route: route_pb2.GetRouteResponse) -> str:
    """Return the state of a route, and the versions whose stage and traffic differ."""
    differing = [f"[yellow]{version} {mark}[/]" for version, mark in marks(production, route.route).items()]
    return ", ".join((state(route.status), *differing))


def _show_models(output: Output, models: list[_Model], problem: str) -> None:
    output.table(
        ("model", "production", "state", "serves", "generation", "not acknowledged", "why"),
        [
            (
                name,
                production or "-",
                _state(production, route),
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


def _show_batchers(output: Output, batchers: Iterable[route_pb2.Batcher]) -> None:
    """Show each batcher: what it holds ready, how busy it is, how long its loads took, and what is not ready."""
    output.table(
        ("pool", "batcher", "state", "ready", "rows", "predicted wait", "longest load", "not ready"),
        [
            (
                one.pool,
                shown(one.address),
                _styled(batcher_state(one)),
                _ready(one),
                str(one.load.rows) if one.HasField("load") else "-",
                f"{number(one.load.predicted_wait.ToMicroseconds() / 1e3)} ms" if one.HasField("load") else "-",
                _longest_load(one),
                "; ".join(_waits(version) for version in _not_ready(one)) or "-",
            )
            for one in batchers
        ],
    )


def batcher_state(batcher: route_pb2.Batcher) -> str:
    """Return how a batcher is in one word: `draining`, `failed`, `loading` or `ready`."""
    if batcher.draining:
        return "draining"
    states = {version.state for version in _not_ready(batcher)}
    if _States.STATE_FAILED in states:
        return "failed"
    return "loading" if states else "ready"


def _styled(word: str) -> str:
    return f"[{_STYLES.get(word, 'yellow')}]{word}[/]"


def _ready(batcher: route_pb2.Batcher) -> str:
    wanted = [version for version in batcher.versions if version.wanted]
    ready = sum(version.state == _States.STATE_READY for version in wanted)
    return f"{ready} of {len(wanted)}"


def _longest_load(batcher: route_pb2.Batcher) -> str:
    loads = [one.load_duration.ToMilliseconds() / 1e3 for one in batcher.versions if one.HasField("load_duration")]
    return f"{number(max(loads))} s" if loads else "-"


def _not_ready(batcher: route_pb2.Batcher) -> list[route_pb2.BatcherVersion]:
    return [one for one in batcher.versions if one.wanted and one.state != _States.STATE_READY]


def _waits(version: route_pb2.BatcherVersion) -> str:
    """Return how far a version is, and why."""
    word = _States.State.Name(version.state).removeprefix("STATE_").lower()
    why = f" ({version.reason})" if version.reason else ""
    return shown(f"{version.model}/{version.version} {word}{why}")
