"""A route: who is sent where, what would happen to one user, and changes that are tried before they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import join

from headrace.router.v1 import route_pb2
from headrace_client import Alias, Production, Variant, Version
from headrace_client.errors import HeadraceError
from headrace_client.rules import Rule
from starlette.responses import Response

from headrace_console.pages.visits import READ_S, WRITE_S, Part, Visit, signed_in

_SHARE = "share:"


@signed_in
async def route(visit: Visit) -> Response:
    """Show a route, and where the user of the what-if box would go."""
    return await _route(visit)


async def _route(visit: Visit, trial: route_pb2.DryRunRouteResponse | None = None) -> Response:
    model, client, query = visit.argument("model"), visit.client, visit.query
    found = await client.routes.get(model, timeout=READ_S)
    parts = await visit.parts(
        versions=("registry", client.versions.list(model, timeout=READ_S)),
        events=("control plane", client.routes.history(model, limit=12, timeout=READ_S)),
    )
    assigned: Part[route_pb2.AssignUnitResponse] | None = None
    user, entity, attributes = (query.get(name, "") for name in ("user", "entity", "attributes"))
    facts = attributes_of(attributes)
    if user or entity or facts:
        assigning = client.routes.assign(model, user_id=user, entity_id=entity, attributes=facts, timeout=READ_S)
        assigned = await visit.part("control plane", assigning)
    return visit.page(
        "route.html",
        f"Route of {model}",
        command_of(model, user, entity, facts),
        model=model,
        route=found.route,
        status=found.status,
        shares=shares_of(found.route),
        rules=[str(Rule.from_proto(rule)) for rule in found.route.rules],
        serves={variant.name: serves(variant) for variant in found.route.variants},
        assigned=assigned,
        trial=trial,
        form=visit.form,
        **parts,
    )


@signed_in
async def change(visit: Visit) -> Response:
    """Dry-run a route change and show which share moves, or apply it unless the route changed since it was read."""
    model, form = visit.argument("model"), visit.form
    try:
        present = await visit.client.routes.get(model, timeout=READ_S)
        variants = wanted_variants(present.route, form)
        rules = [line.strip() for line in form.get("rules", "").splitlines() if line.strip()]
        if form.get("action") != "save":
            trial = await visit.client.routes.dry_run(model, variants=variants, rules=rules, timeout=READ_S)
            return await _route(visit, trial)
    except HeadraceError as error:
        visit.problem = error
        return await _route(visit)
    declaring = visit.client.routes.declare(
        model,
        variants=variants,
        rules=rules,
        etag=form.get("etag", ""),
        force=form.get("force") == "yes",
        reason=form.get("reason", ""),
        request_id=form.get("request_id", ""),
        timeout=WRITE_S,
    )
    if await visit.tried(declaring):
        return visit.go_to(f"/console/models/{model}/route", done="changed")
    return await _route(visit)


def wanted_variants(present: route_pb2.Route, form: Mapping[str, str]) -> list[Variant]:
    """Return the variants of a form: those that are there with their new shares, and the one that is added.

    A variant whose share is empty goes. Without any, the present ones stay as they are.
    """
    known = {variant.name: variant for variant in present.variants}
    wanted = [
        _variant(known[name], _number(text))
        for field, text in form.items()
        if field.startswith(_SHARE) and text.strip() and (name := field.removeprefix(_SHARE)) in known
    ]
    if version := form.get("add_version", ""):
        wanted.append(Variant(version, Version(version), _number(form.get("add_share", ""))))
    return wanted


def _variant(proto: route_pb2.Variant, weight: float) -> Variant:
    if proto.WhichOneof("serves") == "version":
        serving: Version | Alias | Production = Version(proto.version)
    else:
        serving = Alias(proto.follow_alias) if proto.follow_alias else Production()
    return Variant(proto.name, serving, weight, proto.pool)


def _number(text: str) -> float:
    try:
        return float(text.strip().removesuffix("%") or 0)
    except ValueError:
        return -1.0  # the control plane says what a share has to be


def command_of(model: str, user: str, entity: str, attributes: Mapping[str, str]) -> str:
    """Return the CLI command that shows a route, or the variant that a user or entity is assigned to.

    >>> command_of("digits", "", "", {}), command_of("digits", "ada b", "", {"app": "ios"})
    ('headrace routes show digits', "headrace routes assign digits --user 'ada b' --attribute app=ios")
    """
    about = (["--user", user] if user else []) + (["--entity", entity] if entity else [])
    for name, value in attributes.items():
        about += ["--attribute", f"{name}={value}"]
    return join(["headrace", "routes", "assign" if about else "show", model, *about])


def attributes_of(text: str) -> dict[str, str]:
    """Return `country=DE app=ios` as attributes.

    >>> attributes_of("country=DE beta")
    {'country': 'DE', 'beta': ''}
    """
    pairs = (word.partition("=") for word in text.split()[:20])
    return {name: value for name, _, value in pairs if name}


def shares_of(route: route_pb2.Route) -> Sequence[tuple[str, float]]:
    """Return the variants that get a share, with it."""
    return [(variant.name, variant.weight) for variant in route.variants if variant.weight]


def serves(variant: route_pb2.Variant) -> str:
    """Return what a variant names or follows, and what that is now."""
    if variant.WhichOneof("serves") == "version":
        return variant.version
    followed = f"@{variant.follow_alias}" if variant.follow_alias else "production"
    return f"{followed} → {variant.serving_version or 'nothing yet'}"
